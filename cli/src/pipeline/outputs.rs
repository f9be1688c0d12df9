//! What a command may write over: never one of its own inputs, and nothing of another kind unless told to.

use std::{fs::File, io::Read, path::Path};

use tensorseal_prover::artifact::{Kind, MAGIC};

use super::{CompiledModel, KeyPaths, Srs, model_of_key, read_srs};
use crate::{CliError, Result};

/// What a file is to hold.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// An artifact.
    Artifact(Kind),
    /// Something else, that begins with these bytes.
    Other(&'static [u8]),
}

/// A command's inputs, and whether it was told to replace what is of another kind.
#[derive(Clone, Debug, Default)]
pub struct Outputs<'a> {
    inputs: Vec<&'a Path>,
    force: bool,
}

impl<'a> Outputs<'a> {
    /// Of a command that reads `inputs`.
    pub fn new(inputs: impl IntoIterator<Item = &'a Path>, force: bool) -> Self {
        Self {
            inputs: inputs.into_iter().collect(),
            force,
        }
    }

    /// Refuses a place where something stands that must not be lost; to be called before any work.
    pub fn check(&self, path: &Path, content: Content) -> Result<()> {
        if let Some(input) = self.inputs.iter().find(|input| same_file(input, path)) {
            return Err(CliError::Input(format!(
                "{}: an input of this very command ({}), which would be lost; name another output",
                path.display(),
                input.display()
            )));
        }
        // Devices and pipes are no files that could be lost, and reading one may wait for ever.
        let stands = path.metadata().is_ok_and(|there| there.is_file());
        if self.force || !stands {
            return Ok(());
        }
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(64).read_to_end(&mut head))
            .map_err(|why| CliError::system(path.display(), why))?;
        let replaced = kind_of(&head);
        let alike = match content {
            Content::Artifact(kind) => replaced == Some(kind),
            Content::Other(start) => replaced.is_none() && head.starts_with(start),
        };
        if alike || head.is_empty() {
            return Ok(());
        }
        let what = replaced.map_or("a file of another kind".to_owned(), |kind| {
            format!("a {kind}")
        });
        Err(CliError::Input(format!(
            "{}: there is {what} already; name another output, or pass --force to replace it",
            path.display()
        )))
    }

    /// Refuses a folder with keys of another model; true where it has keys of this one.
    pub fn check_keys(&self, paths: &KeyPaths, compiled: &CompiledModel) -> Result<bool> {
        let mut again = false;
        for (path, kind) in [
            (&paths.pk, Kind::ProvingKey),
            (&paths.vk, Kind::VerifyingKey),
        ] {
            self.check(path, Content::Artifact(kind))?;
            if self.force || !path.exists() {
                continue;
            }
            let why = match model_of_key(path, kind) {
                Ok((_, id)) if id == compiled.id => {
                    again = true;
                    continue;
                }
                Ok((name, id)) => format!(
                    "the key of model `{name}` (id {}...) is there already",
                    &hex::encode(id)[..12]
                ),
                Err(why) => format!("there is a key that cannot be told whose it is ({why})"),
            };
            return Err(CliError::Input(format!(
                "{}: {why}; give another folder with --output, or pass --force to replace it",
                path.display()
            )));
        }
        Ok(again)
    }

    /// Refuses a place with a ceremony's reference string, where it would be replaced by another or by fewer of its rows.
    pub fn check_srs(&self, path: &Path, srs: &Srs) -> Result<()> {
        self.check(path, Content::Artifact(Kind::Srs))?;
        if self.force || !path.exists() {
            return Ok(());
        }
        let there = read_srs(path, None);
        let lost = there.as_ref().map_or(true, |there| {
            !there.insecure() && (there.id() != srs.id() || there.k() > srs.k())
        });
        if !lost {
            return Ok(());
        }
        Err(CliError::Input(format!(
            "{}: another reference string is there already; give another folder with --output, or pass --force to replace it",
            path.display()
        )))
    }
}

/// Whether two paths lead to one file, by links or otherwise.
pub fn same_file(one: &Path, other: &Path) -> bool {
    if one == other {
        return true;
    }
    let real = |path: &Path| path.canonicalize().ok();
    if real(one).is_some_and(|one| real(other) == Some(one)) {
        return true;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = |path: &Path| {
            let there = path.metadata().ok().filter(|there| there.is_file())?;
            Some((there.dev(), there.ino()))
        };
        inode(one).is_some_and(|one| inode(other) == Some(one))
    }
    #[cfg(not(unix))]
    false
}

/// The kind of the artifact that begins so.
fn kind_of(head: &[u8]) -> Option<Kind> {
    let byte = *head.strip_prefix(MAGIC)?.get(1)?;
    [
        Kind::Model,
        Kind::Srs,
        Kind::ProvingKey,
        Kind::VerifyingKey,
        Kind::Proof,
    ]
    .into_iter()
    .find(|kind| *kind as u8 == byte)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_itself_by_every_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), b"TSEAL\x01\x05...").unwrap();
        fs::write(at("b"), b"TSEAL\x01\x05...").unwrap();
        let input = at("a");
        let outputs = Outputs::new([input.as_path()], true);
        let refused = |path: &Path| outputs.check(path, Content::Artifact(Kind::Proof)).is_err();
        assert!(refused(&at("a")) && refused(&folder.path().join("./a")));
        assert!(!refused(&at("b")) && !refused(&at("none")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
            fs::hard_link(at("a"), at("hard")).unwrap();
            assert!(refused(&at("link")) && refused(&at("hard")));
        }
        // A terminal is both ends at once.
        let null = Path::new("/dev/null");
        let device = Outputs::new([Path::new("/dev/zero")], false);
        assert!(device.check(null, Content::Other(b"{")).is_ok());
    }

    #[test]
    fn another_kind_is_replaced_on_demand_only() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("proof"), b"TSEAL\x01\x05...").unwrap();
        fs::write(at("text"), b"some notes").unwrap();
        fs::write(at("json"), b"{}").unwrap();
        fs::write(at("empty"), b"").unwrap();
        let may =
            |name: &str, content, force| Outputs::new([], force).check(&at(name), content).is_ok();
        let (proof, model, json) = (
            Content::Artifact(Kind::Proof),
            Content::Artifact(Kind::Model),
            Content::Other(b"{"),
        );
        for (content, allowed) in [
            (proof, ["proof", "empty", "none"]),
            (model, ["empty", "empty", "none"]),
            (json, ["json", "empty", "none"]),
        ] {
            for name in ["proof", "text", "json", "empty", "none"] {
                assert_eq!(may(name, content, false), allowed.contains(&name), "{name}");
                assert!(may(name, content, true));
            }
        }
    }
}
