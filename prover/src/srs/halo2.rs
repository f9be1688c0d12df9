//! halo2's own parameters, as `ParamsKZG::write_custom` writes them.
//!
//! `k` (4 bytes, little-endian), the `2^k` powers, the Lagrange basis, `G2`, `s·G2`. A point takes 64 bytes
//! in G1 and 128 in G2 (`RawBytes`: coordinates little-endian in Montgomery form), or half of that
//! (`Processed`: compressed). Nothing else tells the formats apart, so the length does.

use super::{
    MAX_K,
    import::{Format, ImportError, Source, Table},
};

const K_BYTES: usize = 4;

/// Finds the parts; the file's length is exactly what its `k` asks for.
pub(super) fn parse(file: &[u8]) -> Result<Source, ImportError> {
    let unknown = || ImportError::UnknownFormat {
        file_bytes: file.len(),
    };
    let k = u32::from_le_bytes(*file.first_chunk::<K_BYTES>().ok_or_else(unknown)?);
    if !(1..=MAX_K).contains(&k) {
        return Err(unknown());
    }
    let basis_bytes = |format: Format| format.g1_bytes() << k;
    let file_bytes = |format: Format| K_BYTES + 2 * basis_bytes(format) + 2 * format.g2_bytes();
    let (raw, processed) = (Format::Halo2Raw, Format::Halo2Processed);
    let format = [raw, processed]
        .into_iter()
        .find(|format| file_bytes(*format) == file.len())
        .ok_or_else(|| ImportError::Halo2Bytes {
            k,
            raw: file_bytes(raw),
            processed: file_bytes(processed),
            found: file.len(),
        })?;
    let lagrange = K_BYTES + basis_bytes(format);
    Ok(Source {
        format,
        k,
        g: Table {
            section: "powers",
            offset: K_BYTES,
        },
        lagrange: Some(Table {
            section: "Lagrange basis",
            offset: lagrange,
        }),
        g2: Table {
            section: "points of G2",
            offset: lagrange + basis_bytes(format),
        },
    })
}
