//! Writing tensors of numbers by file extension: `.npz`, `.npy` or JSON.

use std::{io::Cursor, path::Path};

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{NpzWriter, WriteNpyExt};

use crate::{CliError, Result};

/// A named tensor of real numbers, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The ONNX name.
    pub name: String,
    /// Shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

impl Tensor {
    /// Stacks another tensor under this one, along the first dimension; scalars become a vector.
    pub fn append(&mut self, other: Tensor) {
        // Scalars stand one after the other.
        match (self.shape.first_mut(), other.shape.first()) {
            (Some(rows), Some(more)) => *rows += more,
            (Some(rows), None) => *rows += 1,
            (None, _) => self.shape = vec![2],
        }
        self.values.extend(other.values);
    }

    /// Shape and the first values, for people.
    pub fn summary(&self) -> String {
        const SHOWN: usize = 10;
        let shown: Vec<String> = self
            .values
            .iter()
            .take(SHOWN)
            .map(|value| format!("{value:.4}"))
            .collect();
        let more = if self.values.len() > SHOWN {
            ", ..."
        } else {
            ""
        };
        format!("{:?} {}{more}", self.shape, shown.join(", "))
    }

    fn array(&self) -> ArrayD<f32> {
        ArrayD::from_shape_vec(IxDyn(&self.shape), self.values.clone())
            .expect("as many values as the shape says")
    }
}

/// What files begin with in the format that the extension of `path` names; fails where it names none.
pub fn beginning(path: &Path) -> Result<&'static [u8]> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => Ok(b"PK"),
        Some("npy") => Ok(b"\x93NUMPY"),
        Some("json") => Ok(b"{"),
        _ => Err(CliError::Input(format!(
            "`{}`: unknown kind of tensor file; name it .npz, .npy or .json",
            path.display()
        ))),
    }
}

/// The file's bytes for `tensors`, in the format that the extension of `path` names.
///
/// `.npz` holds one array per tensor under its name, `.npy` takes exactly one tensor, and `.json` is
/// `{"outputs": [{"name", "shape", "values"}]}`.
pub fn encode(path: &Path, tensors: &[Tensor]) -> Result<Vec<u8>> {
    beginning(path)?;
    let failed = |why: &dyn std::fmt::Display| {
        CliError::System(format!("encoding `{}`: {why}", path.display()))
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => {
            let mut file = Cursor::new(Vec::new());
            let mut archive = NpzWriter::new_compressed(&mut file);
            for tensor in tensors {
                archive
                    .add_array(tensor.name.as_str(), &tensor.array())
                    .map_err(|why| failed(&why))?;
            }
            archive.finish().map_err(|why| failed(&why))?;
            Ok(file.into_inner())
        }
        Some("npy") => match tensors {
            [tensor] => {
                let mut bytes = Vec::new();
                tensor
                    .array()
                    .write_npy(&mut bytes)
                    .map_err(|why| failed(&why))?;
                Ok(bytes)
            }
            _ => Err(CliError::Input(format!(
                "`{}` holds one array but the model has {} outputs; write to a .npz or .json file",
                path.display(),
                tensors.len()
            ))),
        },
        _ => Ok(serde_json::to_vec(&json(tensors)).expect("numbers and strings")),
    }
}

/// The tensors as the JSON files and reports hold them.
pub fn json(tensors: &[Tensor]) -> serde_json::Value {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|tensor| serde_json::json!({ "name": tensor.name, "shape": tensor.shape, "values": tensor.values }))
        .collect();
    serde_json::json!({ "outputs": tensors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extension_has_its_format() {
        let tensor = Tensor {
            name: "y".into(),
            shape: vec![1, 2],
            values: vec![0.5, -1.0],
        };
        let one = std::slice::from_ref(&tensor);
        assert_eq!(&encode(Path::new("y.npy"), one).unwrap()[1..6], b"NUMPY");
        assert_eq!(&encode(Path::new("y.npz"), one).unwrap()[..2], b"PK");
        let text = encode(Path::new("y.json"), one).unwrap();
        assert_eq!(
            text,
            br#"{"outputs":[{"name":"y","shape":[1,2],"values":[0.5,-1.0]}]}"#
        );
        let scalar = |value| Tensor {
            name: "s".into(),
            shape: vec![],
            values: vec![value],
        };
        let mut stacked = scalar(1.0);
        assert!(encode(Path::new("s.npy"), std::slice::from_ref(&stacked)).is_ok());
        stacked.append(scalar(2.0));
        stacked.append(scalar(3.0));
        assert_eq!(
            (&*stacked.shape, &*stacked.values),
            (&[3][..], &[1.0, 2.0, 3.0][..])
        );
        assert!(encode(Path::new("s.npz"), &[stacked]).is_ok());
        assert!(encode(Path::new("y.txt"), one).is_err());
        assert!(encode(Path::new("y.npy"), &[tensor.clone(), tensor]).is_err());
    }
}
