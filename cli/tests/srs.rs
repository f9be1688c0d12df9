//! Reference strings from a ceremony: import, the whole path with one, and what is refused.

use halo2_proofs::{SerdeFormat, halo2curves::bn256::Bn256, poly::kzg::commitment::ParamsKZG};
use rand::{SeedableRng, rngs::StdRng};

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
