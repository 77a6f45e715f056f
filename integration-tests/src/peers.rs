//! Where the foreign programs are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A foreign program by its name: `bitcoin-node`, `pool_sv2`, `para`.
///
/// # Panics
/// When it was not built: a test that needs it fails, it is not left out in silence.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    let bin = BIN.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/build");
        let output = Command::new(script).arg("--path").output();
        let output = output.unwrap_or_else(|error| panic!("{script}: {error}"));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    });
    let path = bin.join(name);
    assert!(
        path.is_file(),
        "{} is missing: `integration-tests/run` builds what is missing and then runs the tests",
        path.display()
    );
    path
}

/// The product: `$ADIT_BIN`, else `target/release/adit`.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn adit() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/adit");
    let path = std::env::var_os("ADIT_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: `integration-tests/run` builds it (or set ADIT_BIN)",
        path.display()
    );
    path
}

/// The library that gives a program another clock, of Debian's `faketime`.
///
/// # Panics
/// When it is not installed: a test that needs it fails, it is not left out in silence.
#[must_use]
pub fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library =
        folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.is_file());
    library.expect("faketime is missing: `integration-tests/run` installs it")
}
