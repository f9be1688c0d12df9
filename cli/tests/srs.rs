//! Reference strings from a ceremony: import, the whole path with one, and what is refused.

use std::path::Path;

use halo2_proofs::{SerdeFormat, halo2curves::bn256::Bn256, poly::kzg::commitment::ParamsKZG};
use rand::{SeedableRng, rngs::StdRng};
use sha3::{Digest, Keccak256};
use tensorseal_prover::artifact::{self, Kind};

use crate::support::{Folder, repository};

const SNARKJS: &str = "fixtures/srs/snarkjs_5.ptau";

#[test]
fn a_digit_is_proved_under_an_imported_srs() {
    let folder = Folder::new();
    let k = folder.compile_digits()["k"].as_u64().expect("k") as u32;
    // Larger than the model needs, as a ceremony's file is.
    let params = ParamsKZG::<Bn256>::setup(k + 1, StdRng::seed_from_u64(11));
    let mut file = vec![];
    params
        .write_custom(&mut file, SerdeFormat::RawBytes)
        .expect("writing to memory");
    folder.write("params.bin", &file);
    let imported = folder.json(&["srs", "import", "params.bin", "-o", "ceremony.seal"]);
    assert_eq!(imported["k"], k + 1);
    assert_eq!(imported["insecure"], false);
    assert_eq!(imported["lagrange_in_file"], true);
    let shown = folder.json(&["inspect", "ceremony.seal"]);
    assert_eq!(shown["srs_id"], imported["srs_id"]);

    let setup = folder.json(&["setup", "--model", "digits.seal", "--srs", "ceremony.seal"]);
    assert_eq!(setup["insecure"], false);
    assert_eq!(folder.json(&["inspect", "keys/srs.seal"])["k"], k);
    let samples = repository("fixtures/digits/digits_samples.npz");
    let prove = ["prove", "--model", "digits.seal", "--input", &samples];
    // With the string that setup kept, and with the large one.
    for srs in [&[][..], &["--srs", "ceremony.seal"]] {
        let proved = folder.json(&[&prove[..], srs, &["--proof", "digit.proof"]].concat());
        assert_eq!(proved["insecure"], false);
        let verified = folder.json(&["verify", "--proof", "digit.proof"]);
        assert_eq!(
            (&verified["accepted"], &verified["insecure"]),
            (&true.into(), &false.into())
        );
        assert_eq!(verified["public"], proved["outputs"]);
    }
    // Keys of one string, proofs under another.
    folder.json(&["srs", "dev", "--k", &k.to_string(), "-o", "dev.seal"]);
    let foreign = [&prove[..], &["--srs", "dev.seal", "--proof", "no.proof"]].concat();
    folder.fails(2, &foreign);
    assert!(!folder.path("no.proof").exists());

    // Setup with the string that stands in the keys' folder leaves a larger one whole.
    std::fs::rename(folder.path("ceremony.seal"), folder.path("keys/srs.seal")).expect("moved");
    folder.json(&["setup", "--model", "digits.seal", "--srs", "keys/srs.seal"]);
    assert_eq!(folder.json(&["inspect", "keys/srs.seal"])["k"], k + 1);
}

#[test]
fn what_cannot_be_imported_leaves_no_file() {
    let folder = Folder::new();
    let honest = std::fs::read(repository(SNARKJS)).expect("the fixture");
    let import = |file: &str, code| folder.fails(code, &["srs", "import", file, "-o", "out.seal"]);
    let line = import("none.ptau", 3);
    assert!(line.contains("none.ptau: no such file"), "{line}");
    folder.write("cut.ptau", &honest[..1000]);
    let line = import("cut.ptau", 2);
    assert!(
        line.contains("cut.ptau: truncated: section 2 (tauG1) takes"),
        "{line}"
    );
    folder.write("not.ptau", b"<html>404</html>");
    assert!(import("not.ptau", 2).contains("neither a snarkjs .ptau file"));
    let mut bad = honest.clone();
    // Section 2 starts at byte 80.
    bad[80 + 64 * 3] ^= 1;
    folder.write("bad.ptau", &bad);
    let line = import("bad.ptau", 2);
    assert!(
        line.contains("section 2 (tauG1): point 3, at byte 272 of the file, is not on the curve"),
        "{line}"
    );
    let mut swapped = honest.clone();
    swapped[80 + 64 * 3..80 + 64 * 5].rotate_left(64);
    folder.write("swapped.ptau", &swapped);
    assert!(import("swapped.ptau", 2).contains("g[3] is not s times g[2]"));
    let file = repository(SNARKJS);
    let line = folder.fails(2, &["srs", "import", &file, "--k", "6", "-o", "out.seal"]);
    assert!(
        line.contains("serves up to 2^5 rows, not 2^6; ask for --k 5"),
        "{line}"
    );
    folder.fails(3, &["srs", "import", &file, "-o", "no/such/folder/srs"]);
    assert_eq!(
        folder.entries(),
        ["bad.ptau", "cut.ptau", "not.ptau", "swapped.ptau"]
    );

    // A file that was there stays as it was.
    let imported = folder.json(&["srs", "import", &file, "--k", "4", "-o", "out.seal"]);
    assert_eq!(
        (&imported["k"], &imported["file_k"]),
        (&4.into(), &5.into())
    );
    let before = std::fs::read(folder.path("out.seal")).expect("the import");
    import("bad.ptau", 2);
    assert_eq!(
        std::fs::read(folder.path("out.seal")).expect("the import"),
        before
    );
}

/// An SRS file once more with changed points of the Lagrange basis, all its hashes right.
fn with_lagrange(file: &Path, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    const CHUNK_BYTES: usize = 64 << 12;
    let artifact = artifact::read(file, Kind::Srs).expect("an SRS");
    let mut payload = artifact.payload.to_vec();
    let n = 1usize << u32::from_le_bytes(*payload.first_chunk().expect("k"));
    let basis_hashes = 32 * n.div_ceil(1 << 12);
    let head_bytes = 4 + 1 + 128 + 2 * basis_hashes;
    let (head, rest) = payload.split_at_mut(head_bytes);
    let (hash, points) = rest.split_at_mut(32);
    let lagrange = &mut points[64 * n..];
    change(lagrange);
    let hashes = head[head_bytes - basis_hashes..].chunks_exact_mut(32);
    for (hash, chunk) in hashes.zip(lagrange.chunks(CHUNK_BYTES)) {
        hash.copy_from_slice(&Keccak256::digest(chunk));
    }
    hash.copy_from_slice(&Keccak256::digest(&*head));
    artifact::encode(Kind::Srs, artifact.flags, &payload)
}

/// Whoever hands out keys may want the private input: no proof leaves the prover but a right one.
#[test]
fn a_hostile_srs_or_key_gives_no_proof() {
    let folder = Folder::new();
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    let samples = repository("fixtures/digits/digits_samples.npz");
    let prove = |more: &[&str]| {
        let prove = ["prove", "--model", "digits.seal", "--input", &samples];
        let proof = ["--proof", "no.proof"];
        let line = folder.fails(2, &[&prove[..], more, &proof].concat());
        assert!(!folder.path("no.proof").exists());
        line
    };
    let provers = [&["--prover", "fast"][..], &["--prover", "plain"]];

    // Nothing but some rows has a part in a commitment.
    let honest = folder.path("keys/srs.seal");
    let hidden = with_lagrange(&honest, |basis| {
        let end = basis.len() / 2;
        basis[64 * 3..end].fill(0);
    });
    folder.write("hidden.seal", &hidden);
    // One row of a thousand is wrong: the generator, (1, 2).
    let one_row = with_lagrange(&honest, |basis| {
        let point = &mut basis[64 * 321..][..64];
        point.fill(0);
        (point[31], point[63]) = (1, 2);
    });
    folder.write("row.seal", &one_row);
    for prover in provers {
        let line = prove(&[prover, &["--srs", "hidden.seal"]].concat());
        assert!(
            line.contains("point 3 of the Lagrange basis is the identity"),
            "{line}"
        );
        let line = prove(&[prover, &["--srs", "row.seal"]].concat());
        assert!(
            line.contains("trusted source") || line.contains("from an SRS that you trust"),
            "{line}"
        );
    }
    for srs in ["hidden.seal", "row.seal"] {
        let setup = ["setup", "--model", "digits.seal", "--out", "new"];
        let line = folder.fails(2, &[&setup[..], &["--srs", srs]].concat());
        assert!(line.contains("trusted source"), "{line}");
        assert!(!folder.path("new").exists());
    }

    // A bit of a weight, which the verifying key has otherwise.
    let pk = artifact::read(&folder.path("keys/pk.seal"), Kind::ProvingKey).expect("a key");
    let mut refused = 0;
    for part in 1..8 {
        let mut payload = pk.payload.to_vec();
        let at = payload.len() * part / 8;
        payload[at] ^= 1;
        let file = artifact::encode(Kind::ProvingKey, pk.flags, &payload);
        folder.write("pk.seal", &file);
        for prover in provers {
            let line = prove(&[prover, &["--pk", "pk.seal"]].concat());
            refused += usize::from(line.contains("is thrown away"));
        }
    }
    assert!(refused > 0);
}

/// Devices take what is written, and stay what they are.
#[cfg(unix)]
#[test]
fn an_output_that_is_no_file_is_not_replaced() {
    use std::{os::unix::fs::FileTypeExt, process::Command};
    let folder = Folder::new();
    let node = |name: &str, minor: &str| {
        let made = Command::new("mknod")
            .arg(folder.path(name))
            .args(["c", "1", minor])
            .output();
        let made = made.is_ok_and(|made| made.status.success());
        made && std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path(name))
            .is_ok()
    };
    if !node("null", "3") || !node("full", "7") {
        eprintln!("skipped: no devices can be made here");
        return;
    }
    folder.json(&["srs", "dev", "--k", "4", "-o", "null"]);
    let line = folder.fails(3, &["srs", "dev", "--k", "4", "-o", "full"]);
    assert!(line.contains("full: cannot be written"), "{line}");
    let line = folder.fails(3, &["srs", "dev", "--k", "4", "-o", "."]);
    assert!(line.contains("this is a folder"), "{line}");
    for name in ["null", "full"] {
        let found = std::fs::symlink_metadata(folder.path(name)).expect("the device");
        assert!(found.file_type().is_char_device(), "{name}");
    }
    assert_eq!(folder.entries(), ["full", "null"]);
}

/// halo2 reads this variable, and panics where it is no number.
#[test]
fn the_environment_changes_no_key() {
    let folder = Folder::new();
    let srs = ["srs", "dev", "--k", "4", "-o", "srs.seal"];
    for value in ["abc", "", "4", "9"] {
        let ran = folder.run_with(&[("MAX_DEGREE", value)], &srs);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("MAX_DEGREE"), "{}", ran.stderr);
    }
    assert!(folder.entries().is_empty());
    folder.json_with(&[("MAX_DEGREE", "5")], &srs);
}
