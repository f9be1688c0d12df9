//! What a verifier relies on, under one id: whoever compares it is shown no other key's reading of a proof.

use serde_json::Value;
use tensorseal::pipeline::HashedSide;
use tensorseal_circuits::{
    hash::Packing,
    model::{Encoding, Port},
    profile::Profile,
};
use tensorseal_prover::artifact::{self, Kind};

use crate::support::{Folder, repository};

/// A public tensor of a key's description: port, whether it is an input, its range, its places.
type Public = (Port, bool, Option<(i64, i64)>, Vec<(u32, u32)>);
/// A key's description, as it stands in the file before the key: name and id of the model, profile, what is public, what is
/// hashed.
type Description = (String, [u8; 32], Profile, Vec<Public>, Vec<HashedSide>);

/// What is done to a description.
type Change<'a> = &'a dyn Fn(&mut Description);

/// Compiles the digits, makes keys and a proof `p`.
fn proved(flags: &[&str]) -> Folder {
    let folder = Folder::new();
    let compile = [
        "compile",
        &repository("fixtures/digits/digits.onnx"),
        "--calibration",
        &repository("fixtures/digits/digits_calibration.npz"),
        "-o",
        "m.seal",
    ];
    folder.json(&[&compile[..], flags].concat());
    folder.json(&["setup", "--model", "m.seal", "--dev"]);
    prove(&folder);
    folder
}

fn prove(folder: &Folder) -> Value {
    folder.json(&[
        "prove",
        "--model",
        "m.seal",
        "--input",
        &repository("fixtures/digits/digits_samples.npz"),
        "--index",
        "3",
        "--proof",
        "p",
    ])
}

/// Writes the verifying key with another description, its hash made right again.
fn describe(folder: &Folder, file: &str, change: impl FnOnce(&mut Description)) {
    let key = artifact::read(&folder.path("keys/vk.seal"), Kind::VerifyingKey).expect("the key");
    let (mut description, rest) =
        postcard::take_from_bytes::<Description>(&key.payload).expect("a description");
    change(&mut description);
    let mut payload = postcard::to_allocvec(&description).expect("bytes");
    payload.extend_from_slice(rest);
    artifact::write(&folder.path(file), Kind::VerifyingKey, key.flags, &payload)
        .expect("a writable folder");
}

fn id(report: &Value) -> String {
    report["statement_id"].as_str().expect("an id").to_owned()
}

#[test]
fn every_command_gives_the_same_id_first() {
    let folder = proved(&["--input-visibility", "public"]);
    let statement = id(&folder.json(&["verify", "--proof", "p"]));
    let prefixed = format!("0x{}", statement.to_uppercase());
    for command in [
        &["setup", "--model", "m.seal", "--dev"][..],
        &["inspect", "keys/vk.seal", "--expect", &statement],
        &["inspect", "keys/pk.seal", "--expect", &prefixed],
        &["verify", "--proof", "p", "--expect", &statement],
        &["verify-onchain", "--proof", "p", "--expect", &statement],
        &["deploy", "--expect", &statement],
        &["register", "--expect", &statement],
        &["export", "--proof", "p", "--expect", &statement],
    ] {
        assert_eq!(id(&folder.json(command)), statement, "{command:?}");
        let text = folder.run(command).stdout;
        let first = text.lines().nth(1).expect("a second line");
        assert!(
            first.trim_start().starts_with("statement id") && first.contains(&statement),
            "{command:?}: {text}"
        );
    }
    assert_eq!(id(&prove(&folder)), statement);

    // The contract's constants and the registration commit to it.
    let model = std::fs::read_to_string(folder.path("export/src/Model.sol")).expect("constants");
    assert!(
        model.contains(&format!("STATEMENT_ID =\n        0x{statement};")),
        "{model}"
    );
    let uri = format!("ipfs://d#statement={statement}");
    for given in ["ipfs://d", &uri] {
        let registered = folder.json(&["register", "--metadata-uri", given]);
        assert_eq!(registered["registration"]["metadata_uri"], uri);
        let exported = folder.json(&["export", "--metadata-uri", given]);
        assert_eq!(exported["registered_as"], registered["registration"]["id"]);
    }
    let line = folder.fails(2, &["register", "--metadata-uri", "ipfs://d#statement=00"]);
    assert!(line.contains(&statement), "{line}");
}

/// With two places exchanged, a genuine proof is accepted and shows another class.
#[test]
fn another_description_is_another_statement() {
    let folder = proved(&["--input-visibility", "public"]);
    let genuine = folder.json(&["verify", "--proof", "p"]);
    let statement = id(&genuine);
    let mut seen = vec![statement.clone()];
    let mut changed = |what: &str, change: Change| {
        describe(&folder, "other.seal", change);
        let verify = ["verify", "--vk", "other.seal", "--proof", "p"];
        let report = folder.json(&verify);
        // What the ids of before say of it.
        assert_eq!(report["key_id"], genuine["key_id"], "{what}");
        assert!(!seen.contains(&id(&report)), "{what}");
        seen.push(id(&report));
        for command in [
            &verify[..],
            &["verify-onchain", "--vk", "other.seal", "--proof", "p"],
            &["export", "--vk", "other.seal"],
            &["deploy", "--vk", "other.seal"],
            &["register", "--vk", "other.seal"],
            &["inspect", "other.seal"],
        ] {
            let line = folder.fails(2, &[command, &["--expect", &statement]].concat());
            assert!(
                line.contains(&statement) && line.contains("--expect"),
                "{line}"
            );
        }
        report
    };
    let swapped = changed("two places", &|d| d.3[0].3.swap(0, 7));
    assert_ne!(swapped["public"], genuine["public"]);
    changed("the order", &|d| d.3[0].0.order = (0..10).rev().collect());
    changed("the scale", &|d| d.3[0].0.scale *= 2.0);
    changed("an encoding", &|d| {
        d.3[1].0.encodings = vec![Encoding::Scale(2.0)]
    });
    changed("the shape", &|d| d.3[0].0.shape = vec![2, 5]);
    changed("a tensor's name", &|d| {
        d.3[0].0.name = "probabilities".into()
    });
    changed("the tensors' order", &|d| d.3.swap(0, 1));
    changed("a range", &|d| d.3[1].2 = Some((-1 << 20, 1 << 20)));
    changed("the model's name", &|d| d.0 = "resnet".into());
    changed("the model's id", &|d| d.1[0] ^= 1);
    assert!(!folder.path("export").exists());

    // The ids of before are no statement ids.
    for (key, told) in [("key_id", "key id"), ("model_id", "model id")] {
        let other = genuine[key].as_str().expect("an id");
        let line = folder.fails(2, &["verify", "--proof", "p", "--expect", other]);
        assert!(line.contains(told), "{line}");
    }
    for text in ["", "00", "digits"] {
        let ran = folder.run(&["verify", "--proof", "p", "--expect", text]);
        assert_eq!(ran.code, 2);
        assert!(
            ran.stderr.contains("64 hexadecimal digits"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_hashed_side_is_part_of_the_statement() {
    let folder = proved(&["--input-visibility", "hashed"]);
    let statement = id(&folder.json(&["verify", "--proof", "p"]));
    let changes: [Change; 4] = [
        &|d| {
            let packing = d.4[0].digest.packing;
            d.4[0].digest.packing = Packing::try_from((packing.lo() - 1, packing.bits())).unwrap();
        },
        &|d| d.4[0].tensors[0].scale = 3.0,
        &|d| d.4[0].tensors[0].name = "other".into(),
        &|d| d.4[0].tensors[0].encodings = vec![Encoding::Edges(vec![0.5])],
    ];
    for change in changes {
        describe(&folder, "other.seal", change);
        assert_ne!(id(&folder.json(&["inspect", "other.seal"])), statement);
    }
    for change in [
        (&|d: &mut Description| d.4[0].digest.lane = 1) as Change,
        &|d| d.4[0].digest.count += 1,
        &|d| d.4[0].tensors[0].shape = vec![usize::MAX, 2],
        &|d| d.4[0].tensors[0].scale = f64::NAN,
        &|d| d.4.push(d.4[0].clone()),
        // The digest's own place.
        &|d| d.3[0].3[0] = (0, 0),
    ] {
        describe(&folder, "other.seal", change);
        let line = folder.fails(2, &["verify", "--vk", "other.seal", "--proof", "p"]);
        assert!(line.contains("damaged key"), "{line}");
    }
}

#[test]
fn a_description_that_contradicts_itself_is_refused() {
    let folder = proved(&["--input-visibility", "public"]);
    let changes: [(&str, Change); 16] = [
        ("public value of its own", &|d| d.3[0].3[1] = d.3[0].3[0]),
        ("public value of its own", &|d| d.3[0].3[1] = d.3[1].3[0]),
        ("public value of its own", &|d| d.3[0].3[0] = (0, 1 << 20)),
        ("public value of its own", &|d| d.3[0].3[0] = (u32::MAX, 0)),
        ("for each element", &|d| d.3[0].3.truncate(9)),
        ("permutation", &|d| d.3[0].0.order = vec![0; 10]),
        ("permutation", &|d| d.3[0].0.order = vec![1]),
        ("enormous shape", &|d| d.3[0].0.shape = vec![usize::MAX, 10]),
        ("enormous shape", &|d| d.3[0].0.shape = vec![0]),
        ("positive number", &|d| d.3[0].0.scale = 0.0),
        ("positive number", &|d| d.3[0].0.scale = f64::INFINITY),
        ("encodings", &|d| {
            d.3[0].0.encodings = vec![Encoding::Scale(1.0)]
        }),
        ("not in order", &|d| {
            d.3[1].0.encodings = vec![Encoding::Scale(-1.0)]
        }),
        ("range", &|d| d.3[1].2 = None),
        ("range", &|d| d.3[1].2 = Some((i64::MIN, i64::MAX))),
        ("4096 bytes", &|d| d.0 = "a".repeat(5000)),
    ];
    for (why, change) in changes {
        describe(&folder, "other.seal", change);
        for command in [
            &["verify", "--vk", "other.seal", "--proof", "p"][..],
            &["export", "--vk", "other.seal"],
            &["inspect", "other.seal"],
        ] {
            let line = folder.fails(2, command);
            assert!(
                line.contains("damaged key") && line.contains(why),
                "{why}: {line}"
            );
        }
    }
    // A value that the input cannot have, though the proof holds.
    describe(&folder, "other.seal", |d| d.3[1].2 = Some((0, 1)));
    let ran = folder.run(&["verify", "--vk", "other.seal", "--proof", "p"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("values of 0 to 1"), "{}", ran.stdout);
}

/// Names that would hide the key's own ids and show another's.
#[test]
fn names_cannot_show_another_id() {
    let folder = proved(&[]);
    let hostile = format!("digits\n  statement id  {}\n\x1b[8m", "0".repeat(64));
    for name in [
        &hostile,
        "\x1b[0m\rlogits",
        "a\u{9b}8m",
        "a\u{202e}b",
        "a\u{2028}b",
        "a\u{200b}b",
    ] {
        let changes: [Change; 2] = [&|d| d.0 = name.into(), &|d| d.3[0].0.name = name.into()];
        for change in changes {
            describe(&folder, "other.seal", change);
            let line = folder.fails(2, &["verify", "--vk", "other.seal", "--proof", "p"]);
            assert!(line.contains("control or invisible characters"), "{line}");
            assert!(
                line.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
                "{line:?}"
            );
        }
    }
    // Names of files are shown as they are, but for such characters; in JSON too.
    let name = "p\u{202e}\n\x1b[8m";
    std::fs::copy(folder.path("p"), folder.path(name)).expect("a copy");
    let text = folder.run(&["inspect", name]).stdout;
    assert!(
        text.starts_with("p\\u{202e}\\u{a}\\u{1b}[8m: proof\n"),
        "{text}"
    );
    let ran = folder.run(&["--json", "inspect", "p\u{202e}.none"]);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(
        report["error"]
            .as_str()
            .expect("text")
            .starts_with("p\u{202e}.none")
    );
    assert!(ran.stdout.is_ascii() && ran.stderr.contains("p\\u{202e}.none"));
}

/// One encoding for one file: what a decoder would also take is refused.
#[test]
fn files_have_one_encoding() {
    let folder = proved(&[]);
    let read = |file: &str, kind| artifact::read(&folder.path(file), kind).expect("an artifact");
    for (file, kind, command) in [
        ("p", Kind::Proof, &["verify", "--proof", "changed"][..]),
        (
            "keys/vk.seal",
            Kind::VerifyingKey,
            &["verify", "--vk", "changed", "--proof", "p"],
        ),
        ("keys/pk.seal", Kind::ProvingKey, &["inspect", "changed"]),
        ("m.seal", Kind::Model, &["inspect", "changed"]),
    ] {
        let whole = read(file, kind);
        let first = whole.payload[0];
        assert!(first < 128, "the length before a name or columns");
        let over_long = [&[first | 128, 0], &whole.payload[1..]].concat();
        let trailing = [&whole.payload[..], &[0; 800]].concat();
        for payload in [over_long, trailing] {
            artifact::write(&folder.path("changed"), kind, whole.flags, &payload).unwrap();
            folder.fails(2, command);
        }
        artifact::write(&folder.path("changed"), kind, whole.flags, &whole.payload).unwrap();
        folder.json(command);
    }
}
