//! Integer constants: element types, scales, zero points, weights.

use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

use crate::{
    graph::Grid,
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite, integers},
    },
};

/// Element type of an integer tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::onnx) enum IntegerType {
    U8,
    I8,
    I32,
}

impl IntegerType {
    /// The type of an ONNX element type, where it is one of them.
    pub(super) fn new(data_type: i32) -> Option<IntegerType> {
        match DataType::try_from(data_type).ok()? {
            DataType::Uint8 => Some(IntegerType::U8),
            DataType::Int8 => Some(IntegerType::I8),
            DataType::Int32 => Some(IntegerType::I32),
            _ => None,
        }
    }

    /// Least and greatest integer.
    pub(super) fn ends(self) -> (i64, i64) {
        match self {
            IntegerType::U8 => (0, 255),
            IntegerType::I8 => (-128, 127),
            IntegerType::I32 => (i32::MIN.into(), i32::MAX.into()),
        }
    }

    /// The grid whose real numbers are the integers themselves.
    pub(super) fn plain_grid(self) -> Grid {
        let (least, greatest) = self.ends();
        Grid {
            scale: 1.0,
            zero_point: 0,
            least,
            greatest,
        }
    }
}

/// The elements of a tensor of a type that quantized models use; `None` for others, and where bytes are missing.
pub(super) fn elements(tensor: &TensorProto) -> Option<Vec<f64>> {
    let len = tensor
        .dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))?;
    let raw = |width: usize, read: &dyn Fn(&[u8]) -> f64| -> Vec<f64> {
        tensor.raw_data.chunks_exact(width).map(read).collect()
    };
    let listed = || -> Vec<f64> { tensor.int32_data.iter().map(|&v| f64::from(v)).collect() };
    let word = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
    let stored = !tensor.raw_data.is_empty();
    let values = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if stored => raw(4, &|b| f64::from(f32::from_le_bytes(word(b)))),
        DataType::Float => tensor.float_data.iter().map(|&v| f64::from(v)).collect(),
        DataType::Int32 if stored => raw(4, &|b| f64::from(i32::from_le_bytes(word(b)))),
        DataType::Int8 if stored => raw(1, &|b| f64::from(i8::from_le_bytes([b[0]]))),
        DataType::Uint8 if stored => raw(1, &|b| f64::from(b[0])),
        DataType::Int32 | DataType::Int8 | DataType::Uint8 => listed(),
        _ => return None,
    };
    (values.len() == len).then_some(values)
}

/// Integers as they are, and their scales.
pub(super) type ScaledIntegers = (Vec<i64>, Vec<f32>);

/// A constant of integers, less their zero points, with their scales.
#[derive(Clone, Debug)]
pub(super) struct IntegerConstant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    /// One, or one for each place along `axis`.
    pub(super) scales: Vec<f32>,
    pub(super) axis: usize,
}

impl IntegerConstant {
    /// Operands `at`: integers, scale and zero point of a node; `axis` is that of several scales.
    pub(super) fn new(
        ctx: &Builder,
        node: &NodeView,
        at: [usize; 3],
        axis: i64,
    ) -> Result<IntegerConstant, ImportError> {
        let tensor = ctx.constant(node, at[0], "the weights")?;
        let shape = tensor.shape().to_vec();
        let mut values = finite(node, &tensor)?;
        let scales = match at[1] {
            usize::MAX => vec![1.0],
            i => finite(node, &*ctx.constant(node, i, "a scale")?)?,
        };
        let zeros = match ctx.optional(node, at[2], "a zero point")? {
            Some(zeros) => integers(node, &zeros)?,
            None => vec![0],
        };
        check_scales(node, &scales)?;
        let axis = if scales.len() > 1 || zeros.len() > 1 {
            node.axis(axis, shape.len())?
        } else {
            0
        };
        let along = |len: usize| len == 1 || shape.get(axis) == Some(&len);
        if zeros.is_empty() || !along(scales.len()) || !along(zeros.len()) {
            return Err(node.form(format!(
                "{} scales and {} zero points do not fit its constant of shape {shape:?}",
                scales.len(),
                zeros.len()
            )));
        }
        let inner: usize = shape.iter().skip(axis + 1).product();
        let size = shape.get(axis).copied().unwrap_or(1);
        for (i, value) in values.iter_mut().enumerate() {
            let zero = zeros[if zeros.len() == 1 {
                0
            } else {
                i / inner % size
            }];
            *value -= zero as f32;
        }
        Ok(IntegerConstant {
            shape,
            values,
            scales,
            axis,
        })
    }

    /// What a tensor name means, where it is a dequantized constant, transposed or not.
    pub(super) fn of(ctx: &Builder, name: &str) -> Result<Option<IntegerConstant>, ImportError> {
        let Some(node) = ctx.integers.producer(name) else {
            return Ok(None);
        };
        match node.op().as_str() {
            "DequantizeLinear" | "com.microsoft.DequantizeLinear" => {
                if !matches!(ctx.value(&node, 0), Ok(Value::Constant(_))) {
                    return Ok(None);
                }
                let axis = node.int("axis").unwrap_or(1);
                IntegerConstant::new(ctx, &node, [0, 1, 2], axis).map(Some)
            }
            "Transpose" => {
                let Some(name) = node.input(0) else {
                    return Ok(None);
                };
                let Some(constant) = IntegerConstant::of(ctx, name)? else {
                    return Ok(None);
                };
                let swaps = node.ints("perm").is_none_or(|perm| perm == [1, 0]);
                Ok((constant.shape.len() == 2 && swaps).then(|| constant.transposed()))
            }
            _ => Ok(None),
        }
    }

    /// The integers of a dequantized constant as they are, where those of a bias need more than 24 bits, and its scales.
    pub(super) fn exact(ctx: &Builder, name: &str) -> Result<Option<ScaledIntegers>, ImportError> {
        let Some(node) = ctx.integers.producer(name) else {
            return Ok(None);
        };
        let dequantizes = node.op().ends_with("DequantizeLinear");
        let Ok(Value::Constant(tensor)) = ctx.value(&node, 0) else {
            return Ok(None);
        };
        if !dequantizes {
            return Ok(None);
        }
        let scales = finite(&node, &*ctx.constant(&node, 1, "a scale")?)?;
        if let Some(zeros) = ctx.optional(&node, 2, "a zero point")?
            && integers(&node, &zeros)?.iter().any(|&zero| zero != 0)
        {
            return Err(node.form("a bias with a zero point is not supported; quantize it with 0"));
        }
        Ok(Some((integers(&node, &tensor)?, scales)))
    }

    /// A matrix, transposed.
    pub(super) fn transposed(&self) -> IntegerConstant {
        let (rows, columns) = (self.shape[0], self.shape[1]);
        let column = |c: usize| (0..rows).map(move |r| r * columns + c);
        IntegerConstant {
            shape: vec![columns, rows],
            values: (0..columns)
                .flat_map(column)
                .map(|i| self.values[i])
                .collect(),
            scales: self.scales.clone(),
            axis: 1 - self.axis.min(1),
        }
    }
}

fn check_scales(node: &NodeView, scales: &[f32]) -> Result<(), ImportError> {
    match scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        Some(scale) => Err(node.form(format!(
            "scale {scale} is not a positive number; quantize the model anew"
        ))),
        None if scales.is_empty() => Err(node.form("a scale is empty")),
        None => Ok(()),
    }
}

/// The grid of operands `scale` and `zero` of a node, one for the whole tensor.
pub(super) fn grid(
    ctx: &Builder,
    node: &NodeView,
    scale: usize,
    zero: usize,
) -> Result<Grid, ImportError> {
    let scales = finite(node, &*ctx.constant(node, scale, "a scale")?)?;
    check_scales(node, &scales)?;
    let zeros = match ctx.optional(node, zero, "a zero point")? {
        Some(zeros) => integers(node, &zeros)?,
        None => vec![0],
    };
    let (&[scale], &[zero_point]) = (&scales[..], &zeros[..]) else {
        return Err(node.form(
            "activations with a scale for each channel are not supported; quantize them per tensor",
        ));
    };
    let kind = node
        .input(zero)
        .and_then(|name| ctx.integers.types.get(name));
    let declared = node
        .int("output_dtype")
        .filter(|&t| t != 0)
        .and_then(|t| IntegerType::new(i32::try_from(t).ok()?));
    let kind = kind.copied().or(declared).unwrap_or(IntegerType::U8);
    let (least, greatest) = kind.ends();
    if !(least..=greatest).contains(&zero_point) {
        return Err(node.form(format!(
            "zero point {zero_point} lies outside {least}..={greatest}"
        )));
    }
    Ok(Grid {
        scale,
        zero_point,
        least,
        greatest,
    })
}

/// Operand `i`, whose integers mean real numbers on `grid`.
pub(super) fn operand(
    ctx: &mut Builder,
    node: &NodeView,
    i: usize,
    grid: Grid,
) -> Result<usize, ImportError> {
    let id = ctx.node(node, i)?;
    let from = integers_of(ctx, node, i)?;
    if from.greatest - from.least > 255 {
        return Err(node.form(format!(
            "operand {i} holds integers of 32 bits; quantize it to 8 bits"
        )));
    }
    Ok(ctx.regrid(node.name(), id, from, grid))
}

/// The grid of operand `i`, which must hold integers.
pub(super) fn integers_of(ctx: &Builder, node: &NodeView, i: usize) -> Result<Grid, ImportError> {
    let name = node.input(i).unwrap_or_default();
    ctx.integers.grids.get(name).copied().ok_or_else(|| {
        node.form(format!(
            "operand `{name}` holds no integers; quantize it with QuantizeLinear"
        ))
    })
}
