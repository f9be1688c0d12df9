//! The `.npz` format: a zip archive of `.npy` files. Nothing is unpacked but what is asked for.

use std::io::Cursor;

use zip::{CompressionMethod, ZipArchive};

use super::{
    array::{Array, FREE_VALUES, Refused},
    npy,
};

/// An open archive.
pub(super) struct Npz<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    bytes: u64,
}

impl<'a> Npz<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let archive = ZipArchive::new(Cursor::new(bytes));
        let archive = archive.map_err(|e| format!("{e}; write it with numpy.savez"))?;
        Ok(Npz {
            archive,
            bytes: bytes.len() as u64,
        })
    }

    /// Names of the arrays.
    pub(super) fn names(&self) -> Vec<String> {
        let bare = |name: &str| name.strip_suffix(".npy").unwrap_or(name).to_owned();
        self.archive.file_names().map(bare).collect()
    }

    /// Reads the array at a place of [`Self::names`].
    pub(super) fn read(&mut self, at: usize) -> Result<Array, Refused> {
        let file = self.archive.by_index(at).map_err(|e| e.to_string())?;
        let limit = match file.compression() {
            CompressionMethod::Stored => self.bytes,
            _ => FREE_VALUES.max(self.bytes.saturating_mul(4)),
        };
        let bytes = file.size();
        npy::read(file, bytes, limit)
    }
}
