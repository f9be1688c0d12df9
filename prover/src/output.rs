//! Writing files, so that an existing one is lost only to a whole new one.
//!
//! | what stands at the path | what is done |
//! |---|---|
//! | nothing, or a regular file | the content is written beside it, put on disk, and moved there; an old file's mode is kept |
//! | a symbolic link | the same at the place that it names, also where nothing stands there yet; the link stays |
//! | a character device, a pipe | the content is written into it; a pipe waits for its reader |
//! | `/dev/stdout`, `/dev/fd/N` and the like | the content is written to that open file, behind what it has |
//! | a folder, a socket, a disk | refused |

use std::{
    fs::{self, File, FileType, OpenOptions, Permissions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Links that are followed from one path, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// Why a file could not be written. What stood there is as it was, unless it is a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The path is a folder's.
    #[error("{}: cannot be written: this is a folder; name a file in it", path.display())]
    Folder {
        /// The path.
        path: PathBuf,
    },
    /// What stands there neither is a file nor takes a stream.
    #[error("{}: cannot be written: this is a {kind}; name a file", path.display())]
    NoStream {
        /// The path.
        path: PathBuf,
        /// What stands there.
        kind: &'static str,
    },
    /// The operating system refused.
    #[error("{}: cannot be written: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the parts, one after the other, to what `path` names; how many bytes they have.
///
/// # Errors
/// [`OutputError`], which names the path; a full disk is [`OutputError::Io`].
pub fn write(path: &Path, parts: &[&[u8]]) -> Result<u64, OutputError> {
    let failed = |source| OutputError::Io {
        path: path.to_owned(),
        source,
    };
    match destination(path)? {
        Destination::File { at, old } => replace(&at, old, parts),
        Destination::Stream(at) => OpenOptions::new()
            .append(true)
            .open(at)
            .and_then(|stream| write_all(stream, parts)),
        Destination::Standard("1") => write_all(io::stdout().lock(), parts),
        Destination::Standard(_) => write_all(io::stderr().lock(), parts),
    }
    .map_err(failed)?;
    Ok(parts.iter().map(|part| part.len() as u64).sum())
}

/// Where the content goes.
enum Destination {
    /// A regular file, which exists with these permissions or not at all.
    File {
        at: PathBuf,
        old: Option<Permissions>,
    },
    /// Something that takes bytes one after the other.
    Stream(PathBuf),
    /// This process's own standard output or error, `1` or `2`.
    Standard(&'static str),
}

/// Follows the links from a path to what is to be written.
fn destination(path: &Path) -> Result<Destination, OutputError> {
    let failed = |source| OutputError::Io {
        path: path.to_owned(),
        source,
    };
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        let found = match fs::symlink_metadata(&at) {
            Ok(found) => found,
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                return Ok(Destination::File { at, old: None });
            }
            Err(why) => return Err(failed(why)),
        };
        if !found.is_symlink() {
            return if found.is_file() {
                Ok(Destination::File {
                    at,
                    old: Some(found.permissions()),
                })
            } else if found.is_dir() {
                Err(OutputError::Folder {
                    path: path.to_owned(),
                })
            } else if let Some(kind) = no_stream(found.file_type()) {
                Err(OutputError::NoStream {
                    path: path.to_owned(),
                    kind,
                })
            } else {
                Ok(Destination::Stream(at))
            };
        }
        if let Some(open) = open_file(&at) {
            return Ok(open);
        }
        let target = fs::read_link(&at).map_err(failed)?;
        at = folder_of(&at).join(target);
    }
    Err(failed(io::Error::other(
        "the links lead from one to the next without end",
    )))
}

/// The open file that a link of `/proc` stands for. It must not be replaced even where it is a regular one: whoever
/// opened it goes on writing to it. This process's own are not opened again, which would begin at their start.
fn open_file(link: &Path) -> Option<Destination> {
    let folder = fs::canonicalize(folder_of(link)).ok()?;
    if !(folder.starts_with("/proc") && folder.ends_with("fd")) {
        return None;
    }
    let own = fs::canonicalize("/proc/self/fd").is_ok_and(|own| own == folder);
    let standard = ["1", "2"]
        .into_iter()
        .find(|name| own && link.ends_with(name));
    Some(standard.map_or_else(
        || Destination::Stream(link.to_owned()),
        Destination::Standard,
    ))
}

/// What takes no stream: a socket is not opened by its path, and a disk's content would be destroyed.
fn no_stream(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_socket() {
            return Some("socket");
        }
        if kind.is_block_device() {
            return Some("block device");
        }
    }
    let _ = kind;
    None
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes beside the place, then moves there.
fn replace(at: &Path, old: Option<Permissions>, parts: &[&[u8]]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tensorseal-");
    // The default, readable by its owner alone, is meant for secrets; the system still applies umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder_of(at))?;
    write_all(file.as_file(), parts)?;
    if let Some(old) = old {
        file.as_file().set_permissions(old)?;
    }
    file.as_file().sync_all()?;
    file.persist(at).map(drop::<File>).map_err(|why| why.error)
}

fn write_all(mut to: impl Write, parts: &[&[u8]]) -> io::Result<()> {
    parts.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert_eq!(write(&path, &[b"on", b"e"]).unwrap(), 3);
        assert_eq!(write(&path, &[b"three"]).unwrap(), 5);
        assert_eq!(fs::read(&path).unwrap(), b"three");
        let nowhere = folder.path().join("no/b");
        let why = write(&nowhere, &[b""]).unwrap_err();
        assert!(matches!(why, OutputError::Io { .. }), "{why}");
        assert!(why.to_string().contains("no/b: cannot be written"), "{why}");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_folder_in_the_way_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::create_dir(&path).unwrap();
        let why = write(&path, &[b"x"]).unwrap_err();
        assert!(matches!(why, OutputError::Folder { .. }), "{why}");
        assert_eq!(names(folder.path()), ["a"]);
        assert!(names(&path).is_empty());
    }

    #[cfg(unix)]
    mod unix {
        use std::{
            io::Read,
            os::unix::{
                fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
                net::UnixListener,
            },
            process::Command,
        };

        use super::*;

        /// Makes a node of the file system, or says why not.
        fn made(program: &str, path: &Path, kind: &[&str]) -> bool {
            let ran = Command::new(program).arg(path).args(kind).output();
            let made = ran.as_ref().is_ok_and(|ran| ran.status.success());
            if !made {
                eprintln!("skipped: {program} makes no {kind:?} here: {ran:?}");
            }
            made
        }

        #[test]
        fn an_old_files_mode_is_kept() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
            write(&path, &[b"new"]).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }

        #[test]
        fn a_link_is_followed_and_stays() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::create_dir(at("there")).unwrap();
            fs::write(at("there/target"), "old").unwrap();
            symlink("there/target", at("near")).unwrap();
            symlink(at("near"), at("far")).unwrap();
            symlink("there/none", at("dangling")).unwrap();
            symlink("there", at("folder")).unwrap();
            for (link, target) in [("far", "there/target"), ("dangling", "there/none")] {
                write(&at(link), &[link.as_bytes()]).unwrap();
                assert!(at(link).is_symlink());
                assert!(fs::symlink_metadata(at(target)).unwrap().is_file());
                assert_eq!(fs::read(at(target)).unwrap(), link.as_bytes());
            }
            assert!(at("near").is_symlink());
            let why = write(&at("folder"), &[b"x"]).unwrap_err();
            assert!(matches!(why, OutputError::Folder { .. }), "{why}");

            symlink("b", at("a")).unwrap();
            symlink("a", at("b")).unwrap();
            let why = write(&at("a"), &[b"x"]).unwrap_err();
            assert!(why.to_string().contains("without end"), "{why}");
            assert_eq!(names(&at("there")), ["none", "target"]);
        }

        #[test]
        fn a_pipe_takes_the_content() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pipe");
            if !made("mkfifo", &path, &[]) {
                return;
            }
            let reader = {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut content = vec![];
                    let mut pipe = File::open(path).unwrap();
                    pipe.read_to_end(&mut content).unwrap();
                    content
                })
            };
            assert_eq!(write(&path, &[b"con", b"tent"]).unwrap(), 7);
            assert_eq!(reader.join().unwrap(), b"content");
            assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
            assert_eq!(names(folder.path()), ["pipe"]);
        }

        #[test]
        fn devices_are_written_into() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            // As /dev/null and /dev/full are.
            if !made("mknod", &at("null"), &["c", "1", "3"])
                || !made("mknod", &at("full"), &["c", "1", "7"])
            {
                return;
            }
            symlink("null", at("link")).unwrap();
            let written = write(&at("null"), &[b"x"]);
            if let Err(OutputError::Io { source, .. }) = &written
                && source.kind() == io::ErrorKind::PermissionDenied
            {
                eprintln!("skipped: devices cannot be opened in this folder: {source}");
                return;
            }
            assert_eq!(written.unwrap(), 1);
            assert_eq!(write(&at("link"), &[b"x"]).unwrap(), 1);
            let why = write(&at("full"), &[b"x"]).unwrap_err();
            let OutputError::Io { path, source } = &why else {
                panic!("{why}");
            };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            assert_eq!(*path, at("full"));
            for name in ["null", "full"] {
                let found = fs::symlink_metadata(at(name)).unwrap();
                assert!(found.file_type().is_char_device(), "{name}");
            }
            assert!(at("link").is_symlink());
        }

        #[test]
        fn what_takes_no_stream_is_refused() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            let _listener = UnixListener::bind(at("socket")).unwrap();
            let mut refused = vec![("socket", "socket")];
            // A number that no driver has.
            if made("mknod", &at("disk"), &["b", "240", "77"]) {
                refused.push(("disk", "block device"));
            }
            for (name, expected) in refused {
                let why = write(&at(name), &[b"x"]).unwrap_err();
                assert!(
                    matches!(&why, OutputError::NoStream { kind, .. } if *kind == expected),
                    "{why}"
                );
                assert!(no_stream(fs::symlink_metadata(at(name)).unwrap().file_type()).is_some());
            }
        }

        /// A file that somebody has open is written behind what it has, and stays the one that is open.
        #[cfg(target_os = "linux")]
        #[test]
        fn an_open_file_is_no_place_to_move_to() {
            use std::os::fd::AsRawFd;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            let mut open = File::create(&path).unwrap();
            open.write_all(b"first ").unwrap();
            let name = PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()));
            let before = fs::metadata(&path).unwrap().ino();
            assert_eq!(write(&name, &[b"second"]).unwrap(), 6);
            assert_eq!(fs::read(&path).unwrap(), b"first second");
            assert_eq!(fs::metadata(&path).unwrap().ino(), before);
            assert!(matches!(
                destination(Path::new("/dev/stdout")).unwrap(),
                Destination::Standard("1")
            ));
            assert!(matches!(
                destination(Path::new("/proc/self/fd/2")).unwrap(),
                Destination::Standard("2")
            ));
        }
    }
}
