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

/// A header of version 1 around a Python literal, padded as NumPy pads it.
fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(elements);
    bytes
}

fn header(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
}

fn read(bytes: &[u8], inputs: &[InputSpec]) -> Result<Vec<Sample>, InputError> {
    parse("in.npy", "npy", bytes, inputs)
}

/// An archive of one compressed file.
fn npz(name: &str, content: impl std::io::Read) -> Vec<u8> {
    let mut content = content;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(name, options).unwrap();
    std::io::copy(&mut content, &mut zip).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn every_type_of_numbers_and_both_orders_are_read() {
    let sample = vec![vec![vec![1.0, 2.0]]];
    let both = |descr: &str, little: &[u8]| {
        let big: Vec<u8> = little
            .chunks(little.len() / 2)
            .flat_map(|v| v.iter().rev().copied().collect::<Vec<u8>>())
            .collect();
        for (order, bytes) in [('<', little), ('>', &big)] {
            let file = npy(
                &header(&format!("{order}{descr}"), "False", "(1, 2)"),
                bytes,
            );
            assert_eq!(read(&file, &one()).unwrap(), sample, "{order}{descr}");
        }
    };
    both("f8", &[1.0f64.to_le_bytes(), 2.0f64.to_le_bytes()].concat());
    both("f4", &[1.0f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat());
    both("f2", &[0x00, 0x3c, 0x00, 0x40]);
    for kind in ['i', 'u'] {
        both(&format!("{kind}1"), &[1, 2]);
        both(&format!("{kind}2"), &[1, 0, 2, 0]);
        both(&format!("{kind}4"), &[1, 0, 0, 0, 2, 0, 0, 0]);
        both(
            &format!("{kind}8"),
            &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        );
    }
    let bools = npy(&header("|b1", "False", "(2,)"), &[1, 0]);
    assert_eq!(read(&bools, &one()).unwrap(), vec![vec![vec![1.0, 0.0]]]);
    // Python 2 wrote long integers, any writer may leave out the last comma, and keys come in any order.
    let odd = npy(
        "{ \"shape\" : (1L,2L),'fortran_order':False,'descr':'|u1'}",
        &[1, 2],
    );
    assert_eq!(read(&odd, &one()).unwrap(), sample);
    let spec = vec![InputSpec {
        name: "x".into(),
        shape: vec![2, 3],
    }];
    let columns = npy(&header("|u1", "True", "(2, 3)"), &[1, 4, 2, 5, 3, 6]);
    let rows = vec![vec![vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]];
    assert_eq!(read(&columns, &spec).unwrap(), rows);
}

#[test]
fn headers_that_hang_or_abort_a_reader_are_refused() {
    let nested = |open: &str| npy(&open.repeat(5_000), &[]);
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend(u32::MAX.to_le_bytes());
    let mut refused = vec![
        nested("["),
        nested("("),
        nested("{"),
        nested("{'shape':("),
        long,
    ];
    for shape in [
        "(1099511627776,)",
        "(8589934592,)",
        "(18446744073709551615,)",
        "(4294967296, 4294967296)",
        "(99999999999999999999999,)",
        "(0, 18446744073709551615)",
        "(-1,)",
        "(1, 2, 3)",
        "()",
        "[1, 2]",
    ] {
        refused.push(npy(&header("<f4", "False", shape), &[0; 8]));
    }
    let axes = format!("({})", "1, ".repeat(65));
    refused.push(npy(&header("|u1", "False", &axes), &[0]));
    for descr in ["<f3", "<c8", "|S5", "|O", "<U2", "", "<M8[ns]", "<f16"] {
        refused.push(npy(&header(descr, "False", "(1, 2)"), &[0; 8]));
    }
    for text in [
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } 1",
    ] {
        refused.push(npy(text, &[0; 8]));
    }
    for bytes in &refused {
        let error = read(bytes, &one()).unwrap_err();
        assert!(matches!(error, InputError::Format { .. }), "{error}");
        assert!(error.to_string().len() < 1000);
        let inside = npz("x.npy", &bytes[..]);
        let error = parse("in.npz", "npz", &inside, &one()).unwrap_err();
        assert!(matches!(error, InputError::Format { .. }), "{error}");
    }
}

#[test]
fn a_small_archive_does_not_unfold_into_all_memory() {
    let values = 1u64 << 33;
    let head = npy(&header("|u1", "False", &format!("({values},)")), &[]);
    // As many zeros as the shape says would take minutes to pack; the reader must not come so far.
    let zeros = std::io::Read::take(std::io::repeat(0), 1 << 20);
    let bomb = npz("x.npy", std::io::Read::chain(&head[..], zeros));
    let refusal = |name: &str, bytes: &[u8]| {
        let mut inputs = one();
        inputs[0].name = name.into();
        parse("in.npz", "npz", bytes, &inputs)
    };
    assert!(refusal("x", &bomb).is_err());
    // One that is consistent, and beyond what its size allows.
    let values = (1u64 << 26) + 2;
    let head = npy(&header("|u1", "False", &format!("({values},)")), &[]);
    let zeros = std::io::Read::take(std::io::repeat(0), values);
    let whole = npz("x.npy", std::io::Read::chain(&head[..], zeros));
    assert!(whole.len() < 1 << 20);
    let error = refusal("x", &whole).unwrap_err();
    assert!(
        matches!(error, InputError::TooLarge { ref array, .. } if array == "x"),
        "{error}"
    );
}

#[test]
fn samples_of_one_value_are_counted() {
    let count = (1 << 20) + 1;
    let file = npy(
        &header("|u1", "False", &format!("({count},)")),
        &vec![7; count],
    );
    let mut inputs = one();
    inputs[0].shape = vec![1];
    let error = read(&file, &inputs).unwrap_err();
    assert!(
        matches!(error, InputError::TooManySamples { .. }),
        "{error}"
    );
}

#[test]
fn arrays_that_no_input_names_are_not_read() {
    let mut zip = NpzWriter::new(Cursor::new(Vec::new()));
    zip.add_array("x", &array![[1.0f32, 2.0]]).unwrap();
    zip.add_array("z", &array![[3.0f32]]).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    // The second array's magic number, broken: whoever reads it fails.
    let at = bytes.windows(6).rposition(|w| w == b"\x93NUMPY").unwrap();
    bytes[at] = 0;
    assert_eq!(
        parse("in.npz", "npz", &bytes, &one()).unwrap(),
        vec![vec![vec![1.0, 2.0]]]
    );
    assert!(parse("in.npz", "npz", &bytes, &two()).is_err());
    let others = r#"{"label": ["seven", {"of": [1, 2]}], "x": [1, 2]}"#;
    assert_eq!(json(others, &one()).unwrap(), vec![vec![vec![1.0, 2.0]]]);
}

#[test]
fn json_is_bounded_in_depth_and_says_each_name_once() {
    for text in ["[".repeat(100_000), "{\"x\":".repeat(100_000)] {
        assert!(matches!(
            json(&text, &one()),
            Err(InputError::Format { .. })
        ));
    }
    let twice = r#"{"x": [1, 2], "x": [3, 4]}"#;
    assert!(
        json(twice, &one())
            .unwrap_err()
            .to_string()
            .contains("`x` twice")
    );
    let long = format!("[1, \"{}\"]", "a".repeat(100_000));
    assert!(json(&long, &one()).unwrap_err().to_string().len() < 1000);
}

/// A cut picture of as many values as a whole number of pictures must not pass as those.
#[test]
fn the_shape_of_an_array_must_be_its_inputs() {
    let spec = |shape: &[usize]| {
        vec![InputSpec {
            name: "x".into(),
            shape: shape.to_vec(),
        }]
    };
    let samples = |input: &[usize], shape: &[usize]| {
        let text: String = shape.iter().map(|d| format!("{d},")).collect();
        let bytes = vec![1; shape.iter().product()];
        let file = npy(&header("|u1", "False", &format!("({text})")), &bytes);
        read(&file, &spec(input)).map(|samples| samples.len())
    };
    let picture: &[usize] = &[1, 1, 8, 8];
    for (shape, count) in [
        (&[1, 1, 8, 8][..], 1),
        (&[5, 1, 8, 8], 5),
        (&[5, 1, 1, 8, 8], 5),
        (&[1, 8, 8], 1),
        (&[64], 1),
        (&[320], 5),
        (&[5, 64], 5),
        (&[1, 320], 5),
    ] {
        assert_eq!(samples(picture, shape).unwrap(), count, "{shape:?}");
    }
    for shape in [
        &[40, 1, 7, 8][..],
        &[8, 1, 1, 7, 8],
        &[1, 8, 8, 1],
        &[2, 3, 1, 8, 8],
        &[64, 1],
        &[16, 4],
        &[65],
        &[0, 1, 8, 8],
    ] {
        let error = samples(picture, shape).unwrap_err();
        assert!(
            matches!(&error, InputError::Shape { expected, got, .. } if expected == picture && got == shape),
            "{shape:?}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("[1, 1, 8, 8]") && text.contains("[samples, 1, 1, 8, 8]"),
            "{text}"
        );
    }
    assert_eq!(samples(&[3, 2], &[6, 2]).unwrap(), 2);
    assert!(samples(&[3, 2], &[2, 3]).is_err());
    assert!(samples(&[1, 30], &[1, 60]).is_err());
    assert_eq!(samples(&[], &[4]).unwrap(), 4);
}

#[test]
fn an_array_of_another_name_is_not_the_inputs() {
    let file = |name: &str| {
        let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
        npz.add_array(name, &array![[1.0f32, 2.0]]).unwrap();
        let bytes = npz.finish().unwrap().into_inner();
        parse("in.npz", "npz", &bytes, &one())
    };
    assert!(file("x").is_ok() && file("arr_0").is_ok());
    let error = file("y").unwrap_err();
    assert!(matches!(error, InputError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("it holds `y`; name"), "{error}");
    assert!(json(r#"{"y": [1, 2]}"#, &one()).is_err());
}

#[test]
fn json_of_truth_values_is_read_and_of_ragged_arrays_refused() {
    assert_eq!(
        json("[[true, false]]", &one()).unwrap(),
        vec![vec![vec![1.0, 0.0]]]
    );
    for text in [
        "[[1, 2], [3], [4, 5, 6]]",
        "[[1], 2]",
        "[1, [2]]",
        "[[], [1, 2]]",
    ] {
        let error = json(text, &one()).unwrap_err();
        assert!(
            matches!(error, InputError::Format { .. }),
            "{text}: {error}"
        );
    }
}
