//! What is written where: never over an input or over what is of another kind, and never a part of a report.

use crate::support::{Folder, repository};

/// A folder with the digits' model, keys and a proof `p`.
fn proved() -> Folder {
    let folder = Folder::new();
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    let samples = repository("fixtures/digits/digits_samples.npz");
    std::fs::copy(samples, folder.path("samples.npz")).expect("a copy");
    folder.json(&[
        "prove",
        "--model",
        "digits.seal",
        "--input",
        "samples.npz",
        "--proof",
        "p",
    ]);
    folder
}

fn content(folder: &Folder, name: &str) -> Vec<u8> {
    std::fs::read(folder.path(name)).expect("a file")
}

#[test]
fn inputs_are_never_written_over() {
    let folder = proved();
    let onnx = repository("fixtures/digits/digits.onnx");
    std::fs::copy(onnx, folder.path("m.onnx")).expect("a copy");
    std::fs::hard_link(folder.path("digits.seal"), folder.path("link.seal")).expect("a link");
    let prove = ["prove", "--model", "digits.seal", "--input", "samples.npz"];
    let compile = ["compile", "m.onnx", "--calibration", "samples.npz"];
    for (command, outputs) in [
        (&compile[..], &["-o", "m.onnx"][..]),
        (&compile, &["-o", "./samples.npz"]),
        (&prove, &["--proof", "digits.seal"]),
        (&prove, &["--proof", "link.seal"]),
        (&prove, &["--proof", "samples.npz"]),
        (&prove, &["--proof", "keys/pk.seal"]),
        (&prove, &["--proof", "keys/../keys/srs.seal"]),
        (&prove, &["--proof", "new", "--profile", "new"]),
        (
            &["run", "digits.seal", "--input", "samples.npz"],
            &["-o", "samples.npz"],
        ),
        (
            &["setup", "--srs", "keys/vk.seal", "digits.seal"],
            &["-o", "keys"],
        ),
        (&["srs", "import", "m.onnx"], &["-o", "m.onnx"]),
    ] {
        for force in [&[][..], &["--force"]] {
            let before: Vec<_> = ["m.onnx", "samples.npz", "digits.seal", "keys/pk.seal"]
                .map(|name| content(&folder, name))
                .into();
            let line = folder.fails(2, &[command, outputs, force].concat());
            assert!(line.contains("an input of this very command"), "{line}");
            for (name, before) in ["m.onnx", "samples.npz", "digits.seal", "keys/pk.seal"]
                .iter()
                .zip(before)
            {
                assert!(content(&folder, name) == before, "{name}");
            }
        }
    }
    assert!(!folder.path("new").exists());
}

#[test]
fn other_kinds_are_written_over_on_demand_only() {
    let folder = proved();
    folder.write("notes.txt", b"to be kept");
    let prove = ["prove", "--model", "digits.seal", "--input", "samples.npz"];
    let run = ["run", "digits.seal", "--input", "samples.npz"];
    for (command, output) in [
        (&prove[..], &["--proof", "keys/vk.seal"][..]),
        (&prove, &["--proof", "notes.txt"]),
        (&["srs", "dev", "--k", "6"], &["-o", "p"]),
        (&["export"], &["-o", "."]),
    ] {
        if command == ["export"] {
            std::fs::copy(folder.path("p"), folder.path("foundry.toml")).expect("a copy");
        }
        let line = folder.fails(2, &[command, output].concat());
        assert!(line.contains("--force"), "{line}");
    }
    assert_eq!(content(&folder, "notes.txt"), b"to be kept");
    folder.json(&[&prove[..], &["--proof", "notes.txt", "--force"]].concat());
    // The same kind again, and an empty file, as mktemp makes it.
    folder.json(&[&prove[..], &["--proof", "p"]].concat());
    folder.write("empty", b"");
    folder.json(&[&prove[..], &["--proof", "empty"]].concat());
    for _ in 0..2 {
        folder.json(&[&run[..], &["-o", "out.npz"]].concat());
    }
}

#[test]
fn keys_of_another_model_stay() {
    let folder = proved();
    let other = [
        "compile",
        &repository("fixtures/digits/digits.onnx"),
        "--input-range=0,1",
        "--bits",
        "7",
        "-o",
        "other.seal",
    ];
    folder.json(&other);
    let before = content(&folder, "keys/vk.seal");
    let setup = ["setup", "--model", "other.seal", "--dev"];
    let line = folder.fails(2, &setup);
    assert!(
        line.contains("model `digits`") && line.contains("--force"),
        "{line}"
    );
    assert!(content(&folder, "keys/vk.seal") == before);
    // The same model again says so.
    let again = folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    assert_eq!(again["replaced"], true);
    assert!(content(&folder, "keys/vk.seal") == before);
    let forced = folder.json(&[&setup[..], &["--force"]].concat());
    assert_eq!(forced["replaced"], false);
    assert!(content(&folder, "keys/vk.seal") != before);
    // A key of nobody knows whom.
    folder.write("keys/vk.seal", &before[..before.len() / 2]);
    let line = folder.fails(2, &setup);
    assert!(line.contains("cannot be told"), "{line}");

    // A ceremony's reference string is not exchanged for one of development.
    let ceremony = repository("fixtures/srs/snarkjs_5.ptau");
    folder.json(&["srs", "import", &ceremony, "-o", "real.seal"]);
    std::fs::create_dir(folder.path("fresh")).expect("a folder");
    std::fs::copy(folder.path("real.seal"), folder.path("fresh/srs.seal")).expect("a copy");
    let line = folder.fails(
        2,
        &["setup", "--model", "digits.seal", "--dev", "-o", "fresh"],
    );
    assert!(line.contains("another reference string"), "{line}");
    assert!(content(&folder, "fresh/srs.seal") == content(&folder, "real.seal"));
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        ffi::{OsStr, OsString},
        fs::{self, File},
        os::unix::ffi::OsStrExt,
        process::Command,
    };

    use super::*;

    /// Every command with a path that is no text.
    #[test]
    fn paths_need_not_be_text() {
        let folder = proved();
        let odd = |name: &str| OsStr::from_bytes(&[b"\xff", name.as_bytes()].concat()).to_owned();
        let inside = folder.path("").join(odd("folder"));
        fs::create_dir(&inside).expect("a folder");
        for (from, to) in [
            (repository("fixtures/digits/digits.onnx"), "m.onnx"),
            (
                repository("fixtures/digits/digits_calibration.npz"),
                "c.npz",
            ),
            (repository("fixtures/digits/digits_samples.npz"), "s.npz"),
            (repository("fixtures/srs/snarkjs_5.ptau"), "5.ptau"),
        ] {
            fs::copy(from, inside.join(odd(to))).expect("a copy");
        }
        // `@name` is a path that is no text.
        for command in [
            "compile @m.onnx --calibration @c.npz -o @m.seal",
            "inspect @m.seal",
            "run @m.seal --input @s.npz --output @out.npz",
            "run @m.onnx --calibration @c.npz --input @s.npz --output @out.json",
            "compare @m.onnx --input @s.npz --compiled @m.seal",
            "srs dev --k 6 -o @dev.seal",
            "srs import @5.ptau -o @five.seal",
            "setup --model @m.seal --dev -o @keys",
            "prove --model @m.seal --keys @keys --input @s.npz --proof @p --profile @p.svg --plain",
            "verify --keys @keys --proof @p",
            "inspect @keys/vk.seal",
            "verify-onchain --keys @keys --proof @p",
            "export --keys @keys --proof @p -o @export",
            "bench @m.onnx --input @c.npz --layout-only",
            "verify --keys @none --proof @p",
        ] {
            let arguments: Vec<OsString> = command
                .split(' ')
                .map(|word| word.strip_prefix('@').map_or(word.into(), odd))
                .collect();
            for json in [&["--json"][..], &[]] {
                let output = Command::new(env!("CARGO_BIN_EXE_tensorseal"))
                    .args(json)
                    .args(&arguments)
                    .current_dir(&inside)
                    .output()
                    .expect("the command starts");
                let told = String::from_utf8(output.stderr).expect("text");
                let code = if command.contains("@none") { 3 } else { 0 };
                assert_eq!(output.status.code(), Some(code), "{command}: {told}");
                if !json.is_empty() {
                    serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON");
                }
            }
        }
    }

    #[test]
    fn a_report_that_stdout_does_not_take_is_an_error() {
        let folder = proved();
        for arguments in [
            &["inspect", "p"][..],
            &["--json", "run", "digits.seal", "--input", "samples.npz"],
            &["--help"],
        ] {
            let full = File::create("/dev/full").expect("a device");
            let output = Command::new(env!("CARGO_BIN_EXE_tensorseal"))
                .args(arguments)
                .current_dir(folder.path(""))
                .stdout(full)
                .output()
                .expect("the command starts");
            let told = String::from_utf8(output.stderr).expect("text");
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {told}");
            assert!(
                told.starts_with("error: ") && told.contains("stdout"),
                "{told}"
            );
        }
    }
}
