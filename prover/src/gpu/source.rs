//! The kernels' source, which travels in the binary.

use std::fmt::Write as _;

use sha3::{Digest, Keccak256};

/// The files, by the names under which they include each other.
const FILES: &[(&str, &str)] = &[
    ("kernels.cu", include_str!("kernels/kernels.cu")),
    ("platform.cuh", include_str!("kernels/platform.cuh")),
    ("field.cuh", include_str!("kernels/field.cuh")),
    ("curve.cuh", include_str!("kernels/curve.cuh")),
    ("column.cuh", include_str!("kernels/column.cuh")),
    ("scan.cu", include_str!("kernels/scan.cu")),
    ("ntt.cu", include_str!("kernels/ntt.cu")),
    ("poly.cu", include_str!("kernels/poly.cu")),
    ("plan.cu", include_str!("kernels/plan.cu")),
    ("msm.cu", include_str!("kernels/msm.cu")),
    #[cfg(test)]
    ("checks.cu", include_str!("kernels/checks.cu")),
];

/// All kernels as one text, each file where it is first included.
pub(crate) fn source() -> String {
    let (mut text, mut done) = (String::new(), vec![]);
    include("kernels.cu", &mut done, &mut text);
    #[cfg(test)]
    include("checks.cu", &mut done, &mut text);
    text
}

fn include(name: &str, done: &mut Vec<String>, text: &mut String) {
    if done.iter().any(|n| n == name) {
        return;
    }
    done.push(name.to_owned());
    let (_, file) = FILES
        .iter()
        .find(|(n, _)| *n == name)
        .expect("files include what is listed");
    let _ = writeln!(text, "#line 1 \"{name}\"");
    for (at, line) in file.lines().enumerate() {
        let included = line.strip_prefix("#include \"");
        if let Some(included) = included.and_then(|rest| rest.strip_suffix('"')) {
            include(included, done, text);
            let _ = writeln!(text, "#line {} \"{name}\"", at + 2);
        } else if line != "#pragma once" {
            text.push_str(line);
            text.push('\n');
        }
    }
}

/// Names the source, and whatever else decides what is compiled from it.
pub(crate) fn hash(others: &[&str]) -> String {
    let mut hasher = Keccak256::new();
    for part in others.iter().copied().chain([&*source()]) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    digest[..16].iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The kernels' names.
pub(crate) fn kernels() -> Vec<&'static str> {
    let lines = FILES.iter().flat_map(|(_, file)| file.lines());
    let mut names: Vec<&str> = lines
        .filter_map(|line| {
            let rest = line
                .strip_prefix("KERNEL(")
                .or_else(|| line.strip_prefix("NTT_PASS("))?;
            rest.split_once(',').map(|(name, _)| name)
        })
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_part_of_the_source_once() {
        let text = source();
        for &(name, file) in FILES {
            let body: Vec<&str> = file
                .lines()
                .filter(|l| !l.starts_with("#include \"") && *l != "#pragma once")
                .collect();
            let first = body
                .iter()
                .find(|l| l.starts_with("KERNEL(") || l.starts_with("DEVICE"));
            if let Some(line) = first {
                assert_eq!(text.matches(line).count(), 1, "{name}: {line}");
            }
            assert!(text.contains(&format!("#line 1 \"{name}\"")), "{name}");
        }
        assert!(!text.contains("#include \""));
        assert_ne!(hash(&["sm_80"]), hash(&["sm_90"]));
    }
}
