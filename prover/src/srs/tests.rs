//! Development, import and files, with SRS of a known secret in every format.

use ff::{Field, FromUniformBytes};
use group::Curve;
use halo2_proofs::{
    SerdeFormat,
    halo2curves::{
        CurveAffine,
        bn256::{Fq, Fq2},
        serde::SerdeObject,
    },
    poly::commitment::ParamsProver,
};
use proptest::prelude::*;

use super::{
    import::{Format, PointFault, Progress},
    *,
};
use crate::artifact::{self, Kind};

/// By snarkjs itself, see `fixtures/srs/make.sh`.
const SNARKJS: &[u8] = include_bytes!("../../../fixtures/srs/snarkjs_5.ptau");
const POWER: u32 = 4;
const N: usize = 1 << POWER;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([5; 32])
}

fn secret() -> Fr {
    Fr::from_uniform_bytes(&[77; 64])
}

fn multiples(scalars: &[Fr]) -> Vec<G1Affine> {
    dev::FixedBase::new().multiply_all(scalars)
}

fn run(file: &[u8], k: Option<u32>) -> Result<Imported, ImportError> {
    import(file, k, rng(), &mut |_| {})
}

fn fault(file: &[u8]) -> ImportError {
    run(file, None).expect_err("the file is wrong")
}

/// A `.ptau` file in the making: sections by type.
#[derive(Clone)]
struct Ptau(Vec<(u32, Vec<u8>)>);

impl Ptau {
    /// Without Lagrange bases, like a file before `prepare phase2`.
    fn new(power: u32, secret: Fr) -> Self {
        let mut header = 32u32.to_le_bytes().to_vec();
        let mut prime = (-Fq::ONE).to_repr();
        prime[0] += 1;
        header.extend_from_slice(&prime);
        header.extend_from_slice(&power.to_le_bytes());
        header.extend_from_slice(&power.to_le_bytes());
        let g1 = multiples(&powers(secret, (2 << power) - 1));
        let g2 = powers(secret, 1 << power)
            .into_iter()
            .map(|power| (G2Affine::generator() * power).to_affine().to_raw_bytes());
        Self(vec![
            (1, header),
            (2, g1.iter().flat_map(SerdeObject::to_raw_bytes).collect()),
            (3, g2.flatten().collect()),
            (4, vec![0; 64 << power]),
            (5, vec![0; 64 << power]),
            (6, vec![0; 128]),
            (7, vec![0; 4]),
        ])
    }

    fn section(&mut self, kind: u32) -> &mut Vec<u8> {
        let found = self.0.iter_mut().find(|(found, _)| *found == kind);
        &mut found.expect("a section of the file").1
    }

    fn change(&self, kind: u32, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut changed = self.clone();
        change(changed.section(kind));
        changed
    }

    /// Where a section's content starts.
    fn offset(&self, kind: u32) -> usize {
        let before = self.0.iter().take_while(|(found, _)| *found != kind);
        12 + before.map(|(_, bytes)| 12 + bytes.len()).sum::<usize>() + 12
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = b"ptau\x01\0\0\0".to_vec();
        file.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        for (kind, bytes) in &self.0 {
            file.extend_from_slice(&kind.to_le_bytes());
            file.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            file.extend_from_slice(bytes);
        }
        file
    }

    fn fault(&self) -> ImportError {
        fault(&self.bytes())
    }
}

#[test]
fn the_development_srs_is_consistent() {
    let srs = Srs::dev(6).unwrap();
    srs.check(rng()).unwrap();
    assert!(srs.is_insecure());
    // The transform over points finds the same Lagrange basis.
    let slow = Srs::from_parts(6, srs.g.clone(), None, srs.s_g2, true).unwrap();
    assert_eq!(slow.g_lagrange, srs.g_lagrange);
    // Sizes share the secret.
    let small = Srs::dev(4).unwrap();
    assert_eq!(small.id(), srs.id());
    assert_eq!(srs.downsize(4).unwrap().g_lagrange, small.g_lagrange);
    assert!(matches!(
        srs.downsize(7),
        Err(SrsError::TooSmall { have: 6, need: 7 })
    ));
    assert!(matches!(Srs::dev(29), Err(SrsError::KOutOfRange { k: 29 })));
}

#[test]
fn wrong_points_are_found() {
    let srs = Srs::dev(4).unwrap();
    for at in 1..15 {
        let mut bad = srs.clone();
        bad.g.swap(at, at + 1);
        let error = bad.check(rng()).unwrap_err();
        assert!(
            matches!(error, SrsError::NotPowers { index } if index == at),
            "{error}"
        );
    }
    let mut bad = srs.clone();
    bad.g_lagrange.swap(0, 1);
    assert!(matches!(
        bad.check(rng()),
        Err(SrsError::Inconsistent { .. })
    ));
    let mut bad = srs.clone();
    bad.s_g2 = bad.g2;
    assert!(matches!(
        bad.check(rng()),
        Err(SrsError::NotPowers { index: 1 })
    ));
    assert_ne!(bad.id(), srs.id());
}

#[test]
fn a_ptau_file_gives_its_powers() {
    let (file, s) = (Ptau::new(POWER, secret()), secret());
    for k in 1..=POWER {
        let imported = run(&file.bytes(), Some(k)).unwrap();
        let Imported {
            srs,
            format,
            file_k,
            lagrange_in_file,
        } = imported;
        assert_eq!(
            (format, file_k, lagrange_in_file),
            (Format::Ptau, POWER, false)
        );
        assert_eq!((srs.k, srs.insecure), (k, false));
        assert_eq!(srs.g, multiples(&powers(s, 1 << k)));
        assert_eq!(srs.s_g2, (G2Affine::generator() * s).to_affine());
        srs.check(rng()).unwrap();
    }
    assert_eq!(run(&file.bytes(), None).unwrap().srs.k, POWER);
}

#[test]
fn the_file_of_snarkjs_is_imported_with_its_lagrange_bases() {
    for k in 1..=5 {
        let Imported {
            srs,
            lagrange_in_file,
            ..
        } = run(SNARKJS, Some(k)).unwrap();
        assert!(lagrange_in_file);
        let computed = Srs::from_parts(k, srs.g.clone(), None, srs.s_g2, false).unwrap();
        assert_eq!(computed.g_lagrange, srs.g_lagrange, "k = {k}");
    }
    // A wrong basis is no reason to compute another: the file is damaged.
    let at = SNARKJS.len() - 100;
    assert!(run(SNARKJS, None).is_ok() && SNARKJS[at..] != [0; 100]);
    let section = (0..SNARKJS.len() - 12)
        .find(|at| SNARKJS[*at..].starts_with(&[12, 0, 0, 0, 0xc0, 0x1f, 0, 0]))
        .expect("section 12 with 127 points");
    let mut file = SNARKJS.to_vec();
    let first = section + 12 + 31 * 64;
    let (a, b) = file[first..first + 128].split_at_mut(64);
    a.swap_with_slice(b);
    assert!(matches!(
        fault(&file),
        ImportError::Srs(SrsError::Inconsistent { .. })
    ));
    file[first + 70] ^= 1;
    assert!(matches!(
        fault(&file),
        ImportError::Point { section: "section 12 (Lagrange tauG1)", index: 1, offset, .. } if offset == first + 64
    ));
}

#[test]
fn halo2_parameters_are_imported() {
    let params = ParamsKZG::<Bn256>::setup(POWER, rng());
    for (format, ours) in [
        (SerdeFormat::RawBytes, Format::Halo2Raw),
        (SerdeFormat::Processed, Format::Halo2Processed),
    ] {
        let mut file = vec![];
        params.write_custom(&mut file, format).unwrap();
        let imported = run(&file, None).unwrap();
        assert_eq!((imported.format, imported.lagrange_in_file), (ours, true));
        assert_eq!(imported.srs.g, params.get_g());
        let mut again = vec![];
        imported
            .srs
            .params()
            .write_custom(&mut again, format)
            .unwrap();
        assert!(again == file, "the Lagrange basis and the points of G2 too");
        let small = run(&file, Some(2)).unwrap();
        assert!(!small.lagrange_in_file);
        small.srs.check(rng()).unwrap();

        for len in 0..file.len() {
            let error = fault(&file[..len]);
            let told = matches!(
                error,
                ImportError::UnknownFormat { .. } | ImportError::Halo2Bytes { k: POWER, .. }
            );
            // Half of an uncompressed file looks like a compressed one; its points do not.
            let half = 4 + 2 * (32 << POWER) + 2 * 64;
            assert!(
                told || len == half && matches!(error, ImportError::Point { .. }),
                "{len} bytes: {error}"
            );
        }
        let mut long = file.clone();
        long.push(0);
        assert!(matches!(fault(&long), ImportError::Halo2Bytes { .. }));
        // A flag that the library's reader ignores, and coordinates that are too large.
        let mut bad = file.clone();
        bad[4 + 3 * ours.g1_bytes() - 1] |= 0x80;
        assert!(matches!(
            fault(&bad),
            ImportError::Point { section: "powers", index: 2, offset, fault: PointFault::NotCanonical }
                if offset == 4 + 2 * ours.g1_bytes()
        ));
        // Each coordinate above q, in each encoding: the curve library panics at some of them.
        let g2_at = file.len() - 2 * ours.g2_bytes();
        for at in (4..file.len()).step_by(32) {
            let mut bad = file.clone();
            bad[at..at + 32].fill(0xff);
            let (of_g2, first) = (at >= g2_at, at < 4 + (ours.g1_bytes() << POWER));
            if of_g2 || first {
                assert!(
                    matches!(
                        fault(&bad),
                        ImportError::Point {
                            fault: PointFault::NotCanonical,
                            ..
                        }
                    ),
                    "coordinate at {at}"
                );
            } else {
                fault(&bad);
            }
        }
        let mut bad = file.clone();
        bad[4..4 + ours.g1_bytes()].fill(0);
        if ours == Format::Halo2Processed {
            bad[4 + 31] = 0x80;
        }
        assert!(matches!(
            fault(&bad),
            ImportError::Point {
                index: 0,
                fault: PointFault::Identity,
                ..
            }
        ));
        let swap_g2 = |file: &mut Vec<u8>| {
            let (a, b) = (file.len() - 2 * ours.g2_bytes(), ours.g2_bytes());
            file[a..].rotate_left(b);
        };
        let mut bad = file.clone();
        swap_g2(&mut bad);
        assert!(matches!(
            fault(&bad),
            ImportError::Point {
                section: "points of G2",
                index: 0,
                fault: PointFault::NotGenerator,
                ..
            }
        ));
    }
    assert!(matches!(
        fault(b""),
        ImportError::UnknownFormat { file_bytes: 0 }
    ));
    assert!(matches!(
        fault(&[29, 0, 0, 0, 0]),
        ImportError::UnknownFormat { .. }
    ));
}

#[test]
fn a_cut_ptau_file_is_refused() {
    let file = Ptau::new(POWER, secret());
    let bytes = file.bytes();
    for len in 4..bytes.len() {
        let error = fault(&bytes[..len]);
        assert!(
            matches!(error, ImportError::Truncated { available, .. } if available == len),
            "{len} bytes: {error}"
        );
    }
    let mut long = bytes.clone();
    long.extend_from_slice(&[0; 3]);
    assert!(matches!(fault(&long), ImportError::Trailing { extra: 3 }));
    // Sections that end early by their own count.
    for kind in [1, 2, 3] {
        let short = file.change(kind, |bytes| {
            bytes.truncate(bytes.len() - 4);
        });
        assert!(matches!(
            short.fault(),
            ImportError::SectionBytes { offset, .. } if offset == file.offset(kind)
        ));
        let mut without = file.clone();
        without.0.retain(|(found, _)| *found != kind);
        assert!(matches!(
            without.fault(),
            ImportError::MissingSection { .. }
        ));
        let mut twice = file.clone();
        let again = (kind, twice.section(kind).clone());
        twice.0.push(again);
        assert!(matches!(twice.fault(), ImportError::RepeatedSection { .. }));
    }
    let mut with_lagrange = file.clone();
    with_lagrange.0.push((12, vec![0; 64]));
    assert!(matches!(
        with_lagrange.fault(),
        ImportError::SectionBytes {
            section: "section 12 (Lagrange tauG1)",
            found: 64,
            ..
        }
    ));
}

#[test]
fn a_wrong_header_is_refused() {
    let file = Ptau::new(POWER, secret());
    let mut version = file.bytes();
    version[4] = 2;
    assert!(matches!(fault(&version), ImportError::Version { found: 2 }));
    let mut magic = file.bytes();
    magic[0] = b'P';
    assert!(matches!(fault(&magic), ImportError::UnknownFormat { .. }));
    for at in [0, 4, 35] {
        let other = file.change(1, |header| header[at] ^= 1);
        assert!(
            matches!(other.fault(), ImportError::WrongPrime),
            "byte {at}"
        );
    }
    for power in [0, 29, u32::MAX] {
        let other = file.change(1, |header| {
            header[36..40].copy_from_slice(&power.to_le_bytes())
        });
        assert!(matches!(other.fault(), ImportError::PowerOutOfRange { power: p } if p == power));
    }
    assert!(matches!(
        run(&file.bytes(), Some(POWER + 1)),
        Err(ImportError::TooFewPowers { have: POWER, need }) if need == POWER + 1
    ));
    assert!(matches!(
        run(&file.bytes(), Some(0)),
        Err(ImportError::Srs(SrsError::KOutOfRange { k: 0 }))
    ));
}

/// A point of the curve over the extension field outside the group of order `r`.
fn outside_the_subgroup() -> G2Affine {
    (1u64..)
        .find_map(|x| {
            let x = Fq2 {
                c0: Fq::from(x),
                c1: Fq::ONE,
            };
            let y = Option::<Fq2>::from((x.square() * x + G2Affine::b()).sqrt())?;
            Option::from(G2Affine::from_xy(x, y))
        })
        .expect("half of all x have a y; few points are in the group")
}

#[test]
fn each_bad_point_has_its_error() {
    let file = Ptau::new(POWER, secret());
    let put = |at: usize, bytes: Vec<u8>| {
        move |section: &mut Vec<u8>| {
            section[at * bytes.len()..][..bytes.len()].copy_from_slice(&bytes);
        }
    };
    let expect = |file: Ptau, kind: u32, size: usize, at: usize, expected: PointFault| {
        let error = file.fault();
        let offset_expected = file.offset(kind) + at * size;
        assert!(
            matches!(
                error,
                ImportError::Point { index, offset, fault, .. }
                    if index == at && offset == offset_expected && fault == expected
            ),
            "section {kind}, point {at}: {error}"
        );
        assert!(
            error.to_string().contains(&format!("section {kind} ")),
            "{error}"
        );
    };
    // The prime itself as a coordinate is 0 in another encoding, and all ones are above it.
    let mut prime = (-Fq::ONE).to_repr();
    prime[0] += 1;
    let good = multiples(&powers(secret(), N));
    for at in [0, 1, 7, N - 1] {
        let mut zero_again = good[at].to_raw_bytes();
        zero_again[32..].copy_from_slice(&prime);
        expect(
            file.change(2, put(at, zero_again)),
            2,
            64,
            at,
            PointFault::NotCanonical,
        );
        expect(
            file.change(2, put(at, vec![0xff; 64])),
            2,
            64,
            at,
            PointFault::NotCanonical,
        );
        expect(
            file.change(2, put(at, vec![0; 64])),
            2,
            64,
            at,
            PointFault::Identity,
        );
        let off = G1Affine {
            x: good[at].x + Fq::ONE,
            y: good[at].y,
        };
        expect(
            file.change(2, put(at, off.to_raw_bytes())),
            2,
            64,
            at,
            PointFault::NotOnCurve,
        );
    }
    let generator = G2Affine::generator();
    let s_g2 = (generator * secret()).to_affine();
    for (at, point) in [(0, generator), (1, s_g2)] {
        let mut large = point.to_raw_bytes();
        large[96..].copy_from_slice(&prime);
        expect(
            file.change(3, put(at, large)),
            3,
            128,
            at,
            PointFault::NotCanonical,
        );
        expect(
            file.change(3, put(at, vec![0; 128])),
            3,
            128,
            at,
            PointFault::Identity,
        );
        let off = G2Affine {
            x: point.x,
            y: point.y + Fq2::ONE,
        };
        expect(
            file.change(3, put(at, off.to_raw_bytes())),
            3,
            128,
            at,
            PointFault::NotOnCurve,
        );
        let outside = outside_the_subgroup().to_raw_bytes();
        expect(
            file.change(3, put(at, outside)),
            3,
            128,
            at,
            PointFault::NotInSubgroup,
        );
    }
    expect(
        file.change(2, put(0, good[1].to_raw_bytes())),
        2,
        64,
        0,
        PointFault::NotGenerator,
    );
    expect(
        file.change(3, put(0, s_g2.to_raw_bytes())),
        3,
        128,
        0,
        PointFault::NotGenerator,
    );
}

#[test]
fn powers_that_do_not_fit_are_located() {
    let file = Ptau::new(POWER, secret());
    let expect = |file: Ptau, at: usize| {
        let error = file.fault();
        assert!(
            matches!(error, ImportError::Srs(SrsError::NotPowers { index }) if index == at),
            "point {at}: {error}"
        );
    };
    for at in 1..N - 1 {
        let swapped = file.change(2, |points| {
            let (a, b) = points.split_at_mut(64 * (at + 1));
            a[64 * at..].swap_with_slice(&mut b[..64]);
        });
        expect(swapped, at);
        // From here on all powers are doubled.
        let doubled: Vec<Fr> = powers(secret(), N)[at..]
            .iter()
            .map(Field::double)
            .collect();
        let doubled: Vec<u8> = multiples(&doubled)
            .iter()
            .flat_map(SerdeObject::to_raw_bytes)
            .collect();
        expect(
            file.change(2, |points| {
                points[64 * at..64 * N].copy_from_slice(&doubled)
            }),
            at,
        );
    }
    let other = Ptau::new(POWER, secret().double());
    expect(file.change(3, |points| *points = other.0[2].1.clone()), 1);
    // Twice as many points are in the file as are used; the others are not kept, hence not judged.
    let unused = file.change(2, |points| points[64 * N..].fill(0xff));
    assert!(run(&unused.bytes(), None).is_ok());
}

#[test]
fn secrets_that_anyone_finds_are_refused() {
    for (secret, exponent) in [
        (Fr::ONE, 1),
        (-Fr::ONE, 1),
        (root_of_unity(2), 2),
        (root_of_unity(POWER), N / 2),
    ] {
        let error = Ptau::new(POWER, secret).fault();
        assert!(
            matches!(error, ImportError::Srs(SrsError::DegenerateSecret { index }) if index == exponent),
            "{secret:?}: {error}"
        );
    }
    let srs = Srs::dev(3).unwrap();
    let mut file = vec![];
    srs.params()
        .write_custom(&mut file, SerdeFormat::RawBytes)
        .unwrap();
    assert!(matches!(fault(&file), ImportError::DevelopmentSecret));
}

#[test]
fn progress_is_told_in_order() {
    let mut stages: Vec<Progress> = vec![];
    import(
        &Ptau::new(POWER, secret()).bytes(),
        None,
        rng(),
        &mut |progress| stages.push(progress),
    )
    .unwrap();
    assert!(stages.iter().all(|p| p.done <= p.total));
    let finished: Vec<&str> = stages
        .iter()
        .filter(|p| p.done == p.total)
        .map(|p| p.stage)
        .collect();
    assert_eq!(
        finished,
        [
            "reading the powers",
            "checking the powers",
            "computing the Lagrange basis",
            "checking the Lagrange basis"
        ]
    );
}

#[test]
fn files_keep_everything() {
    let srs = Srs::dev(4).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dev.srs");
    srs.save(&path).unwrap();
    for read in [Srs::load(&path).unwrap(), Srs::load_for(&path, 4).unwrap()] {
        assert_eq!((read.k, read.insecure, read.id()), (4, true, srs.id()));
        assert_eq!((&read.g, &read.g_lagrange), (&srs.g, &srs.g_lagrange));
    }
    let artifact = artifact::read(&path, Kind::Srs).unwrap();
    assert!(artifact.flags.insecure && artifact.payload == srs.to_bytes());

    let bytes = srs.to_bytes();
    for len in 0..bytes.len() {
        assert!(Srs::from_bytes(&bytes[..len]).is_err());
    }
    let mut long = bytes.clone();
    long.push(0);
    assert!(matches!(
        Srs::from_bytes(&long),
        Err(SrsError::Payload(PayloadError::Trailing { extra: 1 }))
    ));
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x55;
        assert!(Srs::from_bytes(&bad).is_err(), "byte {at}");
    }
}

/// Whatever byte of the file changes, a reader either notices or does not use it.
#[test]
fn a_part_of_a_file_is_checked_by_its_own_hashes() {
    let k = 13;
    let s = secret();
    let g = multiples(&powers(s, 1 << k));
    // Any points do for the Lagrange basis here; they are not read at a smaller size.
    let s_g2 = (G2Affine::generator() * s).to_affine();
    let srs = Srs::from_parts(k, g.clone(), Some(g), s_g2, false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs.seal");
    srs.save(&path).unwrap();
    let honest = std::fs::read(&path).unwrap();
    let small = Srs::load_for(&path, 6).unwrap();
    assert_eq!((small.k, &small.g[..]), (6, &srs.g[..64]));
    small.check(rng()).unwrap();
    assert!(matches!(
        Srs::load_for(&path, k + 1),
        Err(SrsError::TooSmall { have: 13, need: 14 })
    ));
    assert!(matches!(
        Srs::load_for(&path, 0),
        Err(SrsError::KOutOfRange { k: 0 })
    ));

    let (header, head) = (16, 4 + 1 + 128 + 4 * 32 + 32);
    let chunk = 64 << 12;
    let refused = |at: usize, k: u32| {
        let mut bytes = honest.clone();
        bytes[at] ^= 1;
        // A new file, as all programs should make it: others of this test may be mapped.
        let path = folder.path().join(format!("{at}_{k}"));
        std::fs::write(&path, &bytes).unwrap();
        let error = Srs::load_for(&path, k).err();
        std::fs::remove_file(&path).unwrap();
        error
    };
    for at in 0..header + head {
        assert!(refused(at, 6).is_some(), "byte {at}");
    }
    let points = header + head;
    // The whole first chunk is checked, though 64 of its points are used.
    for at in [points, points + 64 * 64, points + chunk - 1] {
        assert!(matches!(refused(at, 6), Some(SrsError::Corrupt { offset, .. }) if offset == head));
    }
    for at in [points + chunk, points + 2 * chunk, points + 4 * chunk - 1] {
        assert!(refused(at, 6).is_none(), "byte {at} is not used");
        assert!(
            matches!(refused(at, 13), Some(SrsError::Corrupt { .. })),
            "byte {at}"
        );
    }
    // The artifact's own hash covers what no reader of the payload looks at: itself.
    let last = honest.len() - 1;
    assert!(refused(last, 13).is_none());
    let mut bytes = honest.clone();
    bytes[last] ^= 1;
    assert!(matches!(
        artifact::check(&bytes, Kind::Srs, &path),
        Err(ArtifactError::Corrupt { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Mutated files never panic; what they give is refused, or is the SRS that the file was made of.
    #[test]
    fn mutated_files_do_no_harm(
        which in 0usize..3,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        near_head in any::<bool>(),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let params = ParamsKZG::<Bn256>::setup(2, rng());
        let mut file = vec![];
        match which {
            0 => file.extend_from_slice(SNARKJS),
            1 => params.write_custom(&mut file, SerdeFormat::RawBytes).unwrap(),
            _ => params.write_custom(&mut file, SerdeFormat::Processed).unwrap(),
        }
        let honest = run(&file, None).unwrap().srs;
        for (at, byte) in changes {
            let at = at.index(if near_head { 100 } else { file.len() });
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(imported) = run(&file, None) {
            let k = imported.srs.k;
            prop_assert_eq!(&imported.srs.g, &honest.g[..1 << k]);
            prop_assert_eq!(imported.srs.id(), honest.id());
        }
    }
}
