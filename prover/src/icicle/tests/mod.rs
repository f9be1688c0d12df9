//! On a library of our own that has ICICLE's interface, and on ICICLE itself where `ICICLE_LIB_DIR` names it.

mod columns;
mod faults;
mod proofs;

use std::{
    ffi::{CString, c_char},
    path::Path,
    process::Command,
    sync::OnceLock,
};

use super::Opened;

/// The library under one of its names.
const NAMES: [&str; 3] = ["icicle_device", "icicle_field_bn254", "icicle_curve_bn254"];

/// A copy of our library with a state of its own, as long as the process runs.
pub(super) struct Imitation {
    folder: tempfile::TempDir,
    control: libloading::Library,
}

/// The path of the library, built once for all tests of this run.
fn built() -> &'static Path {
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        for (name, text) in [
            ("library.cpp", include_str!("library.cpp")),
            (
                "platform.cuh",
                include_str!("../../gpu/kernels/platform.cuh"),
            ),
            ("field.cuh", include_str!("../../gpu/kernels/field.cuh")),
            ("curve.cuh", include_str!("../../gpu/kernels/curve.cuh")),
        ] {
            std::fs::write(folder.path().join(name), text).expect("a file in it");
        }
        // Bound to itself: several copies are loaded, perhaps with ICICLE.
        compile(folder.path(), "library.cpp", &["-Wl,-Bsymbolic"]);
        folder
    });
    folder.path()
}

/// Compiles a text in a folder to `library` there.
fn compile(folder: &Path, text: &str, options: &[&str]) {
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let mut command = Command::new(&compiler);
    command.args(["-std=c++17", "-O2", "-shared", "-fPIC", "-o"]);
    command.args([&folder.join("library"), &folder.join(text)]);
    if cfg!(target_os = "linux") {
        command.args(options);
    }
    let output = command.output();
    let output = output.unwrap_or_else(|why| panic!("{compiler:?}: {why}"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
}

/// Puts a library into a folder under one of ICICLE's names.
fn install(library: &Path, folder: &Path, name: &str) {
    let file = folder.join(libloading::library_filename(name));
    std::fs::hard_link(library, file).expect("a link");
}

impl Imitation {
    pub(super) fn new() -> Self {
        // Whatever looks for ICICLE's symbols finds the real ones first.
        let _ = real();
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let copy = folder.path().join("library");
        std::fs::copy(built().join("library"), &copy).expect("a copy");
        NAMES
            .iter()
            .for_each(|name| install(&copy, folder.path(), name));
        // SAFETY: our own library, which runs nothing of note when loaded.
        let control = unsafe { libloading::Library::new(&copy) }.expect("what was just built");
        Self { folder, control }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn open(&self) -> Opened {
        Opened::new(Some(self.folder()), None).expect("a device")
    }

    fn function<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the callers name the types that the library has.
        *unsafe { self.control.get::<T>(name) }.expect("a function of the library")
    }

    /// Which kinds of devices backends make known, and which of them work.
    pub(super) fn devices(&self, known: &str, usable: &str) {
        let [known, usable] = [known, usable].map(|s| CString::new(s).expect("names"));
        let set: extern "C" fn(*const c_char, *const c_char) = self.function("control_devices");
        set(known.as_ptr(), usable.as_ptr());
    }

    /// All the memory that there is.
    pub(super) fn memory(&self, bytes: usize) {
        let set: extern "C" fn(usize) = self.function("control_memory");
        set(bytes);
    }

    /// Has a call fail after so many others, or none.
    pub(super) fn fail(&self, after: Option<i64>, code: i32) {
        let set: extern "C" fn(i64, i32) = self.function("control_fail");
        set(after.unwrap_or(-1), code);
    }

    /// Has a function fail, or none.
    pub(super) fn fail_function(&self, function: &str, code: i32) {
        let function = CString::new(function).expect("a name");
        let set: extern "C" fn(*const c_char, i32) = self.function("control_fail_function");
        set(function.as_ptr(), code);
    }

    /// Flips a bit of a result after so many others, or of none.
    pub(super) fn damage(&self, after: Option<i64>) {
        let set: extern "C" fn(i64) = self.function("control_damage");
        set(after.unwrap_or(-1));
    }

    /// A number that the library counts.
    pub(super) fn count(&self, what: &str) -> i64 {
        let get: extern "C" fn() -> i64 = self.function(&format!("control_{what}"));
        get()
    }
}

/// ICICLE itself, where the environment names it.
fn real() -> Option<&'static Opened> {
    static REAL: OnceLock<Option<Opened>> = OnceLock::new();
    let real = REAL.get_or_init(|| {
        let named = std::env::var_os("ICICLE_LIB_DIR");
        if named.is_none() {
            eprintln!("not with ICICLE itself: ICICLE_LIB_DIR names none");
        }
        named.map(|_| Opened::from_environment().expect("the ICICLE that is named"))
    });
    real.as_ref()
}

/// Our library's device, and ICICLE's if there is one.
pub(crate) fn devices() -> Vec<Opened> {
    let imitation = Imitation::new().open();
    std::iter::once(imitation).chain(real().cloned()).collect()
}
