//! What contradicts the model, and where.

use std::fmt;

/// A contradiction between the fixed columns and the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckError {
    /// What is wrong.
    pub what: String,
    /// The row of the circuit.
    pub row: Option<usize>,
    /// The lane in it.
    pub lane: Option<usize>,
    /// The node concerned.
    pub node: Option<String>,
}

impl CheckError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        CheckError {
            what: what.into(),
            ..CheckError::default()
        }
    }

    pub(super) fn at(row: usize, what: impl Into<String>) -> Self {
        CheckError {
            row: Some(row),
            ..CheckError::new(what)
        }
    }

    pub(super) fn lane(self, lane: usize) -> Self {
        CheckError {
            lane: Some(lane),
            ..self
        }
    }

    pub(super) fn node(self, node: &str) -> Self {
        CheckError {
            node: Some(node.into()),
            ..self
        }
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit does not state the model: ")?;
        if let Some(node) = &self.node {
            write!(f, "node `{node}`: ")?;
        }
        write!(f, "{}", self.what)?;
        if let Some(row) = self.row {
            write!(f, " (row {row}")?;
            if let Some(lane) = self.lane {
                write!(f, ", lane {lane}")?;
            }
            write!(f, ")")?;
        }
        write!(
            f,
            "; that is a fault of tensorseal, make no keys of it and report it"
        )
    }
}

impl std::error::Error for CheckError {}
