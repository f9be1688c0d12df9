#!/usr/bin/env python3
"""Writes the comparison models NAME.onnx, each with one input NAME.input.json ({"input_data": [[numbers]]}).

The weights are drawn (He initialization, fixed seed) and never trained: the cost of a proof depends on shapes and value
ranges alone. The order of the draws is part of the fixture: figures of different tools compare only on equal weights.

    pip install numpy onnx onnxruntime
    python make_models.py [NAME ...]          # all of them by default, into this folder

dense4m.onnx has 16 MB and is not in the repository: make it with `python make_models.py dense4m`.
"""
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))


class Builder:
    """An ONNX graph under construction; `x` is the tensor that the next layer reads, `size` its height and width."""

    def __init__(self, name, seed, shape):
        self.name, self.shape = name, shape
        self.draw = np.random.default_rng(seed)
        self.nodes, self.weights = [], []
        self.x, self.output = "x", None
        self.channels, self.size = (shape[1], shape[2]) if len(shape) == 4 else (shape[1], 1)
        self.multiply_accumulates = 0

    def constant(self, label, value):
        name = f"{label}_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def integers(self, label, values):
        name = f"{label}_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def node(self, op, *constants, x=None, **attributes):
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [x or self.x, *constants], [output], name=output, **attributes))
        self.x = output

    def weights_and_bias(self, shape, fan_in, gain):
        weight = self.draw.normal(0, np.sqrt(gain / fan_in), shape)
        bias = self.draw.normal(0, 0.01, shape[0])
        return self.constant("weight", weight), self.constant("bias", bias)

    def dense(self, out):
        fan_in = self.channels * self.size**2
        self.node("Gemm", *self.weights_and_bias((out, fan_in), fan_in, 2.0), transB=1)
        self.multiply_accumulates += fan_in * out
        self.channels, self.size = out, 1

    def conv(self, out, kernel, pad=0, stride=1, depthwise=False, gain=2.0):
        group = self.channels if depthwise else 1
        shape = (out, self.channels // group, kernel, kernel)
        fan_in = int(np.prod(shape[1:]))
        self.node("Conv", *self.weights_and_bias(shape, fan_in, gain), kernel_shape=[kernel] * 2, pads=[pad] * 4,
                  strides=[stride] * 2, group=group, dilations=[1, 1])
        self.channels, self.size = out, (self.size + 2 * pad - kernel) // stride + 1
        self.multiply_accumulates += fan_in * out * self.size**2

    def relu(self):
        self.node("Relu")

    def relu6(self):
        self.node("Clip", self.constant("low", 0.0), self.constant("high", 6.0))

    def max_pool(self):
        self.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
        self.size //= 2

    def flatten(self):
        self.node("Flatten", axis=1)

    def finish(self):
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, self.output or [1, self.channels])], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="tensorseal")
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model


def stack(b, widths):
    """Dense layers with a ReLU between each two."""
    for i, width in enumerate(widths):
        if i:
            b.relu()
        b.dense(width)


def lenet(b, widths, pad):
    """Two 5x5 convolutions with ReLU and max-pooling, then three dense layers."""
    b.conv(widths[0], 5, pad=pad), b.relu(), b.max_pool()
    b.conv(widths[1], 5), b.relu(), b.max_pool()
    b.flatten()
    stack(b, [*widths[2:], 10])


def inverted_residual(b, expand, out, stride):
    """MobileNetV2's block: 1x1 expansion, 3x3 depthwise, 1x1 projection, and the residual where shapes allow."""
    entry, entry_channels = b.x, b.channels
    if expand > 1:
        b.conv(entry_channels * expand, 1), b.relu6()
    b.conv(b.channels, 3, pad=1, stride=stride, depthwise=True), b.relu6()
    b.conv(out, 1, gain=1.0)
    if stride == 1 and out == entry_channels:
        b.node("Add", b.x, x=entry)


def mobilenet(b):
    b.conv(16, 3, pad=1), b.relu6()
    for expand, out, repeat, stride in [(1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 2, 2), (4, 64, 2, 2), (4, 96, 1, 1)]:
        for i in range(repeat):
            inverted_residual(b, expand, out, stride if i == 0 else 1)
    b.conv(256, 1), b.relu6()
    b.node("GlobalAveragePool")
    b.size = 1
    b.flatten()
    b.dense(10)


def transformer(b, heads, blocks):
    """GPT's blocks over `shape` = (1, tokens, width): layer norm, causal attention, a multilayer perceptron with GELU, residuals.
    Norms and GELU are spelled out in elementary operators, as older exporters do and as every tool takes them."""
    _, tokens, width = b.shape

    def linear(x, inputs, outputs, gain=1.0):
        weight = b.draw.normal(0, np.sqrt(gain / inputs), (inputs, outputs))
        b.node("MatMul", b.constant("weight", weight), x=x)
        b.node("Add", b.constant("bias", b.draw.normal(0, 0.01, outputs)))
        b.multiply_accumulates += tokens * inputs * outputs
        return b.x

    def norm(x):
        b.node("ReduceMean", x=x, axes=[-1], keepdims=1)
        b.node("Sub", b.x, x=x)
        centered = b.x
        b.node("Mul", centered)
        b.node("ReduceMean", axes=[-1], keepdims=1)
        b.node("Add", b.constant("epsilon", 1e-5))
        b.node("Sqrt")
        b.node("Div", b.x, x=centered)
        b.node("Mul", b.constant("gain", np.ones(width)))
        b.node("Add", b.constant("offset", np.zeros(width)))
        return b.x

    def split(x, order):
        b.node("Reshape", b.integers("heads", [1, tokens, heads, width // heads]), x=x)
        b.node("Transpose", perm=order)
        return b.x

    x = "x"
    for _ in range(blocks):
        h = norm(x)
        q, k, v = (linear(h, width, width) for _ in range(3))
        q, k, v = split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]), split(v, [0, 2, 1, 3])
        b.node("MatMul", k, x=q)
        b.node("Mul", b.constant("scale", (width // heads) ** -0.5))
        b.node("Add", b.constant("mask", np.triu(np.full((tokens, tokens), -20.0), 1)[None, None]))
        b.node("Softmax", axis=-1)
        b.node("MatMul", v)
        b.multiply_accumulates += 2 * tokens * tokens * width
        b.node("Transpose", perm=[0, 2, 1, 3])
        b.node("Reshape", b.integers("joined", [1, tokens, width]))
        b.node("Add", linear(b.x, width, width), x=x)
        x = b.x
        h = linear(norm(x), width, 4 * width)
        b.node("Div", b.constant("root", np.sqrt(2.0)), x=h)
        b.node("Erf")
        b.node("Add", b.constant("one", 1.0))
        b.node("Mul", b.x, x=h)
        b.node("Mul", b.constant("half", 0.5))
        b.node("Add", linear(b.x, 4 * width, width), x=x)
        x = b.x
    norm(x)
    b.output = list(b.shape)


# name: (seed, input shape, input values, network)
MODELS = {
    "mlp": (1, (1, 784), "image", lambda b: stack(b, [128, 64, 10])),
    "lenet5": (2, (1, 1, 28, 28), "image", lambda b: lenet(b, [6, 16, 120, 84], pad=2)),
    "cnn264k": (3, (1, 3, 32, 32), "signed", lambda b: lenet(b, [12, 33, 249, 177], pad=0)),
    "dense4m": (4, (1, 784), "image", lambda b: stack(b, [1024] * 4 + [10])),
    "mobilenet": (6, (1, 3, 32, 32), "signed", mobilenet),
    "gpt_block": (5, (1, 16, 64), "normal", lambda b: transformer(b, heads=4, blocks=1)),
}


def example(kind, shape):
    draw = np.random.default_rng(99)
    if kind == "image":  # three quarters of the pixels are black, as in scanned digits
        x = draw.uniform(0, 1, shape) * (draw.uniform(0, 1, shape) < 0.25)
    elif kind == "normal":
        x = draw.normal(0, 1, shape)
    else:
        x = draw.uniform(-1, 1, shape)
    return np.round(x, 4).astype(np.float32)


def main():
    for name in sys.argv[1:] or MODELS:
        seed, shape, kind, network = MODELS[name]
        builder = Builder(name, seed, shape)
        network(builder)
        path = os.path.join(HERE, f"{name}.onnx")
        onnx.save(builder.finish(), path)
        x = example(kind, shape)
        with open(os.path.join(HERE, f"{name}.input.json"), "w") as file:
            json.dump({"input_data": [[round(float(v), 4) for v in x.ravel()]]}, file)
        y = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        parameters = sum(int(np.prod(w.dims)) for w in builder.weights if w.dims)
        print(f"{name:10s} {parameters:9,d} parameters {builder.multiply_accumulates:10,d} multiply-accumulates "
              f"{os.path.getsize(path):10,d} bytes, output in [{y.min():.3f}, {y.max():.3f}]")


if __name__ == "__main__":
    main()
