//! One ONNX node: its name, operands and attributes, with errors that say which node they mean.

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::ImportError;

/// An ONNX node as the operator importers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeView<'a> {
    proto: &'a NodeProto,
}

impl<'a> NodeView<'a> {
    pub(super) fn new(proto: &'a NodeProto) -> Self {
        NodeView { proto }
    }

    /// The node as it stands in the file.
    pub(super) fn proto(&self) -> &'a NodeProto {
        self.proto
    }

    /// The node's name, or its first output where it has none.
    pub(super) fn name(&self) -> &'a str {
        match self.proto.name.as_str() {
            "" => self.proto.output.first().map_or("unnamed", String::as_str),
            name => name,
        }
    }

    /// Operator type, prefixed with the domain where that is not ONNX's own.
    pub(super) fn op(&self) -> String {
        match self.proto.domain.as_str() {
            "" | "ai.onnx" => self.proto.op_type.clone(),
            domain => format!("{domain}.{}", self.proto.op_type),
        }
    }

    /// Name of operand `i`, where it is there.
    pub(super) fn input(&self, i: usize) -> Option<&'a str> {
        self.proto
            .input
            .get(i)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// Names of all operands.
    pub(super) fn inputs(&self) -> &'a [String] {
        &self.proto.input
    }

    /// Name of output `i`, where it is there.
    pub(super) fn output(&self, i: usize) -> Option<&'a str> {
        self.proto
            .output
            .get(i)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// Number of outputs, unnamed ones included.
    pub(super) fn output_count(&self) -> usize {
        self.proto.output.len()
    }

    /// Names of all outputs.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &'a str> {
        self.proto
            .output
            .iter()
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    /// Integer attribute.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|a| a.i)
    }

    /// Float attribute.
    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|a| a.f)
    }

    /// List of integers.
    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    /// List of floats.
    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|a| a.floats.as_slice())
    }

    /// List of strings.
    pub(super) fn strings(&self, name: &str) -> Option<Vec<String>> {
        let text = |s: &Vec<u8>| String::from_utf8_lossy(s).into_owned();
        self.attribute(name)
            .map(|a| a.strings.iter().map(text).collect())
    }

    /// Tensor attribute.
    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name).and_then(|a| a.t.as_ref())
    }

    /// String attribute.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.attribute(name)
            .map(|a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// An axis out of `rank`, from the end where negative.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let from_start = if axis < 0 {
            axis.saturating_add(rank as i64)
        } else {
            axis
        };
        usize::try_from(from_start)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| self.form(format!("axis {axis} is not one of {rank} axes")))
    }

    /// A list of `N` sizes; `default` where the attribute is missing.
    pub(super) fn sizes(
        &self,
        name: &str,
        rank: usize,
        default: usize,
    ) -> Result<Vec<usize>, ImportError> {
        let Some(ints) = self.ints(name) else {
            return Ok(vec![default; rank]);
        };
        let sizes: Option<Vec<usize>> = ints
            .iter()
            .map(|&i| usize::try_from(i).ok().filter(|&i| i < 1 << 20))
            .collect();
        sizes.filter(|s| s.len() == rank).ok_or_else(|| {
            self.form(format!(
                "attribute {name} is {ints:?}, expected {rank} sizes below 2^20"
            ))
        })
    }

    /// The node is of a form that is not supported.
    pub(super) fn form(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Form {
            node: self.name().to_owned(),
            op: self.op(),
            reason: reason.into(),
        }
    }

    /// An operand must be a constant and is not.
    pub(super) fn not_constant(&self, operand: &'static str) -> ImportError {
        ImportError::NotConstant {
            node: self.name().to_owned(),
            op: self.op(),
            operand,
        }
    }

    /// Batch items are mixed.
    pub(super) fn mixes_batch(&self) -> ImportError {
        ImportError::MixesBatch {
            node: self.name().to_owned(),
            op: self.op(),
        }
    }
}
