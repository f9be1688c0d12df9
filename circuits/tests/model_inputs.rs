//! Input files of every format.

use std::io::Cursor;

use ndarray::{Array2, array};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use tensorseal_circuits::quantize::inputs::{InputError, InputSpec, Sample, load, parse};

fn one() -> Vec<InputSpec> {
    vec![InputSpec {
        name: "x".into(),
        shape: vec![1, 2],
    }]
}

fn two() -> Vec<InputSpec> {
    vec![
        InputSpec {
            name: "x".into(),
            shape: vec![1, 2],
        },
        InputSpec {
            name: "z".into(),
            shape: vec![1, 1],
        },
    ]
}

fn json(text: &str, inputs: &[InputSpec]) -> Result<Vec<Sample>, InputError> {
    parse("in.json", "json", text.as_bytes(), inputs)
}

#[test]
fn json_in_all_its_forms() {
    let sample = vec![vec![vec![1.0, 2.5]]];
    for text in [
        r#"{"input_data": [[1, 2.5]]}"#,
        "[1, 2.5]",
        "[[1, 2.5]]",
        r#"{"x": [[1, 2.5]]}"#,
    ] {
        assert_eq!(json(text, &one()).unwrap(), sample, "{text}");
    }
    let samples = vec![vec![vec![1.0, 2.0]], vec![vec![3.0, 4.0]]];
    assert_eq!(
        json(r#"{"input_data": [[1, 2], [3, 4]]}"#, &one()).unwrap(),
        samples
    );
    let both = vec![vec![vec![1.0, 2.0], vec![3.0]]];
    assert_eq!(
        json(r#"{"input_data": [[1, 2], [3]]}"#, &two()).unwrap(),
        both
    );
    assert_eq!(json(r#"{"z": 3, "x": [1, 2]}"#, &two()).unwrap(), both);
}

#[test]
fn json_that_does_not_fit() {
    let error = json("[[1, 2, 3]]", &one()).unwrap_err();
    assert!(
        matches!(&error, InputError::Shape { expected, got, .. } if *expected == [1, 2] && *got == [1, 3])
    );
    assert!(error.to_string().contains("[1, 2]") && error.to_string().contains("[1, 3]"));
    assert!(matches!(json("[]", &one()), Err(InputError::Shape { .. })));
    assert!(matches!(
        json("[1, ", &one()),
        Err(InputError::Format { .. })
    ));
    assert!(matches!(
        json(r#"[1, "two"]"#, &one()),
        Err(InputError::Format { .. })
    ));
    assert!(matches!(json("7", &one()), Err(InputError::Format { .. })));
    assert!(matches!(
        json("[1, 1e300]", &one()),
        Err(InputError::NotFinite { index: 1, .. })
    ));
    assert!(matches!(
        json(r#"{"x": [1, 2]}"#, &two()),
        Err(InputError::Missing { .. })
    ));
    assert!(matches!(
        json(r#"{"x": [1, 2, 3, 4], "z": 1}"#, &two()),
        Err(InputError::Samples { .. })
    ));
}

#[test]
fn npy_and_npz() {
    let values: Array2<f64> = array![[1.0, 2.0], [3.0, 4.0]];
    let samples = vec![vec![vec![1.0, 2.0]], vec![vec![3.0, 4.0]]];
    let mut npy = Vec::new();
    values.write_npy(&mut npy).unwrap();
    assert_eq!(parse("in.npy", "npy", &npy, &one()).unwrap(), samples);
    let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
    npz.add_array("x", &values).unwrap();
    npz.add_array("label", &array![3i64, 7]).unwrap();
    let npz = npz.finish().unwrap().into_inner();
    assert_eq!(parse("in.npz", "npz", &npz, &one()).unwrap(), samples);
    assert!(
        matches!(parse("in.npz", "npz", &npz, &two()), Err(InputError::Missing { input, .. }) if input == "z")
    );
    for end in 0..npz.len().min(npy.len()) {
        assert!(parse("in.npz", "npz", &npz[..end], &one()).is_err());
        let _ = parse("in.npy", "npy", &npy[..end], &one());
    }
}

#[test]
fn files_that_are_not_there_or_of_no_known_kind() {
    let missing = load(std::path::Path::new("/nowhere/in.json"), &one()).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/in.json"));
    assert!(matches!(
        load(std::path::Path::new("in.csv"), &one()),
        Err(InputError::Extension { .. })
    ));
}
