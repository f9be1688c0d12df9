//! Files as byte slices, of which only the parts that are looked at are read from the disk.
//!
//! A reference string for 2^20 rows has 128 MiB; whoever proves 2^12 rows needs 256 KiB of it.

use std::{fs::File, io, ops::Deref, path::Path};

use memmap2::Mmap;

/// A file's content, mapped into memory.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps the file as it is now.
    ///
    /// # Errors
    /// Those of the system, and [`io::ErrorKind::InvalidInput`] for what is not a regular file (a pipe or a
    /// folder has no length to map).
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        // SAFETY: the mapping is private and read-only, and no `&mut` to it exists. What the compiler must be
        // able to assume is that the bytes stay as they are while the slice lives. Files of tensorseal are
        // never written in place: they are made under another name and moved, which leaves the mapped one
        // whole. Another program that overwrites the file meanwhile can change the bytes, and one that
        // truncates it ends this process with a bus error; docs/security.md says so. Readers parse the bytes
        // as untrusted, and keep no pointer or length found in them past its check.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_what_reading_gives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for len in [0usize, 1, 4095, 4096, 4097, 100_000] {
            let content: Vec<u8> = (0..len).map(|i| (i * i % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let mapped = Mapped::open(&path).unwrap();
            assert_eq!(*mapped, *std::fs::read(&path).unwrap(), "{len} bytes");
        }
    }

    #[test]
    fn replacing_a_file_leaves_its_mapping_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        std::fs::write(&path, [7; 5000]).unwrap();
        let mapped = Mapped::open(&path).unwrap();
        std::fs::write(&other, [8; 10]).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(*mapped, [7; 5000]);
        assert_eq!(*Mapped::open(&path).unwrap(), [8; 10]);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Mapped::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = Mapped::open(&folder.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
