"""Runs the field kernels as the device's compiler sees them: turns the PTX that nvcc makes of `checks.cu` into Python,
and compares every result with Python's integers.

The tests' emulation of a device goes around the inline assembly; this does not.

    python3 run_ptx.py checks.ptx
"""

import random
import re
import struct
import sys

ORDERS = {
    "check_scalar_field": 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001,
    "check_base_field": 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47,
}
R = 1 << 256
# Where the thread's stack is, in a memory of so many bytes.
STACK, MEMORY = 512, 1024


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def bits_of(kind):
    return 1 if kind == "pred" else int(re.sub(r"\D", "", kind))


def operand(text):
    special = {"%ctaid.x": "index", "%ntid.x": "1", "%tid.x": "0"}
    if text in special:
        return special[text]
    if text.startswith("%"):
        return text[1:]
    return str(STACK) if text.startswith("__local_depot") else text


def access(parts, operands, parameters):
    """A load or a store."""
    count = next((int(part[1:]) for part in parts if re.fullmatch(r"v\d", part)), 1)
    size = bits_of(parts[-1]) // 8
    load = parts[0] == "ld"
    registers = operands[:count] if load else operands[-count:]
    base, _, offset = operands[count if load else 0].strip("[]").partition("+")
    if parts[1] == "param":
        return [f"{operand(registers[0])} = parameters[{parameters[base]}]"]
    lines = [f"t = {operand(base)} + {offset or 0}"]
    for i, register in enumerate(registers):
        where = f"memory[t + {i * size}:t + {(i + 1) * size}]"
        name = operand(register)
        if load:
            lines.append(f"{name} = int.from_bytes({where}, 'little')")
        else:
            lines.append(f"{where} = ({name} & {256**size - 1}).to_bytes({size}, 'little')")
    return lines


def instruction(operation, operands, parameters):
    """The statements that an instruction comes to; registers hold unsigned values below 2^bits."""
    parts = operation.split(".")
    name = parts[0]
    if name in ("ld", "st"):
        return access(parts, operands, parameters)
    bits = bits_of(parts[-1])
    target, *sources = [operand(text) for text in operands]
    if parts[-1].startswith("s") and name in ("setp", "shr", "abs", "neg", "mul") and "lo" not in parts:
        sources = [f"signed({source} & {(1 << bits) - 1}, {bits})" for source in sources]
    carry = " + c" if name in ("addc", "madc") else " - c" if name == "subc" else ""
    width = bits
    if name in ("mov", "cvta"):
        result = sources[0]
    elif name == "cvt":
        width = min(bits, bits_of(parts[-2]))
        result = sources[0]
    elif name in ("add", "addc", "sub", "subc"):
        result = f"{sources[0]} {'-' if name[0] == 's' else '+'} {sources[1]}{carry}"
    elif name in ("mul", "mad", "madc"):
        product = f"{sources[0]} * {sources[1]}"
        if "wide" in parts:
            result, width = product, 2 * bits
        else:
            half = f"({product} >> {bits})" if "hi" in parts else f"({product} & {(1 << bits) - 1})"
            result = half + (f" + {sources[2]}" if name != "mul" else "") + carry
    elif name in ("and", "or", "xor"):
        result = f"{sources[0]} {dict(zip(('and', 'or', 'xor'), '&|^'))[name]} {sources[1]}"
    elif name in ("not", "neg", "abs"):
        result = {"not": "~{}", "neg": "-{}", "abs": "abs({})"}[name].format(sources[0])
    elif name in ("shl", "shr"):
        result = f"{sources[0]} {'<<' if name == 'shl' else '>>'} {operand(operands[2])}"
    elif name == "setp":
        relation = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}[parts[1]]
        result, width = f"int({sources[0]} {relation} {sources[1]})", 1
    elif name == "selp":
        result = f"{sources[0]} if {sources[2]} else {sources[1]}"
    else:
        sys.exit(f"{operation} is not interpreted")
    lines = [f"t = {result}", f"{target} = t & {(1 << width) - 1}"]
    if "cc" in parts:
        # After a subtraction below zero this is 1, too.
        lines.append(f"c = t >> {bits} & 1")
    return lines


def translate(name, text):
    """A function of an entry's parameters, the memory and the thread's index."""
    begin = text.index(f".entry {name}(")
    head, rest = text[begin:].split(")", 1)
    parameters = {p: i for i, p in enumerate(re.findall(r"\.param \.u64 (\w+)", head))}
    depth, end = 0, rest.index("{")
    for end in range(end, len(rest)):
        depth += {"{": 1, "}": -1}.get(rest[end], 0)
        if depth == 0:
            break
    body = re.sub(r"//[^\n]*", "", rest[rest.index("{") + 1 : end])
    # Blocks begin at labels and after branches; each ends by naming the next.
    blocks, labels = [[]], {}
    for part in re.split(r"[;\n]", body.replace("{", " ").replace("}", " ")):
        part = part.strip()
        if part.endswith(":"):
            blocks.append([])
            labels[part[:-1]] = len(blocks) - 1
        elif part and not part.startswith((".reg", ".loc", ".pragma", ".local")):
            blocks[-1].append(part)
            if " bra" in f" {part}":
                blocks.append([])
    lines = ["def kernel(parameters, memory, index):", " block = c = 0", " while True:"]
    for number, block in enumerate(blocks):
        lines += [f"  if block == {number}:", f"   block = {number + 1}"]
        for part in block:
            guard, operation, operands = re.match(r"(@!?%\w+\s+)?(\S+)\s*(.*)", part).groups()
            if operation == "ret":
                statements = ["return"]
            elif operation.startswith("bra"):
                statements = [f"block = {labels[operands.strip()]}", "continue"]
            else:
                found = re.findall(r"%[\w.]+|[-$\w.+\[\]%]+", operands)
                statements = instruction(operation, found, parameters)
            indent = "   "
            if guard:
                guard = guard.strip()[1:].replace("!", "not ").replace("%", "")
                lines.append(f"   if {guard}:")
                indent = "    "
            lines += [indent + statement for statement in statements]
    scope = {"signed": signed}
    exec("\n".join(lines), scope)  # noqa: S102: it is what the compiler said.
    return scope["kernel"]


def check(kernel, order):
    rng = random.Random(1)
    edges = [0, 1, 2, order - 1, order - 2, R % order, order - R % order, (1 << 253) - 1, 0xFFFFFFFF, 1 << 224]
    values = edges + [rng.randrange(order) for _ in range(6)]
    integers = [0, 1, -1, 2**63 - 1, -(2**63), 2**32, -(2**32), rng.randrange(2**63)]
    cases = [(a, b, integers[(i + 3 * j) % 8]) for i, a in enumerate(values) for j, b in enumerate(values)]
    inverse_r = pow(R, -1, order)
    for a, b, v in cases:
        memory = bytearray(MEMORY)
        memory[0:32], memory[32:64] = a.to_bytes(32, "little"), b.to_bytes(32, "little")
        memory[64:72] = struct.pack("<q", v)
        # Threads, a, b, v, out; the second thread finds nothing to do.
        for index in (0, 1):
            kernel([1, 0, 32, 64, 128], memory, index)
        out = [int.from_bytes(memory[128 + 32 * i : 160 + 32 * i], "little") for i in range(7)]
        expected = [
            (a + b) % order,
            (a - b) % order,
            a * b * inverse_r % order,
            -a % order,
            pow(a, -1, order) * R * R % order if a else 0,
            a * v * pow(2, -64, order) % order,
            a * inverse_r % order,
        ]
        if out != expected:
            sys.exit(f"{a:#x}, {b:#x}, {v}: {[hex(v) for v in out]}, not {[hex(v) for v in expected]}")
    return len(cases)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    for name, order in ORDERS.items():
        print(f"{name}: {check(translate(name, text), order)} cases, all results right")


main()
