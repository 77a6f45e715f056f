//! What Adit keeps between its runs: the number that is this instance's alone, and the blocks that it found.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

/// The instance's number, in hex.
const INSTANCE: &str = "instance";
/// What it is written to before it takes its place.
const INSTANCE_NEW: &str = "instance.new";
/// Held by the Adit that uses the directory.
const LOCK: &str = "lock";
/// Where the ledger is kept.
pub const LEDGER: &str = "ledger";
/// Where found blocks are kept.
const BLOCKS: &str = "blocks";
/// The longest file that can be a number: anything longer is damaged.
const INSTANCE_FILE_MAX: u64 = 64;

/// The directory, held for as long as this lives: no other Adit can open it.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    instance: [u8; 4],
    /// The system gives the lock back when it is closed, however the process ends.
    _lock: File,
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A directory cannot be made.
    #[error(
        "cannot make the directory {}: {error}; solo mining, declared jobs and work_max need it: make it yourself and give it to \
         Adit's user, or set directory in [state] to another place",
        path.display()
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file cannot be read or written.
    #[error(
        "cannot {what} {}: {error}; solo mining, declared jobs and work_max need it: check that Adit's user may write there, or \
         set directory in [state] to another place",
        path.display()
    )]
    File {
        /// What was tried.
        what: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another Adit has it.
    #[error(
        "{} is used by another Adit, and both would search the same space: give each a place of its own (directory in \
         [state])",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

impl StateDirectory {
    /// Opens the directory; makes it, for this user alone, where it does not exist. The number is read, or made where
    /// there is none or a damaged one.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn open(path: &Path) -> Result<Self, StateError> {
        for directory in [path.to_owned(), path.join(BLOCKS)] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
            made.map_err(|error| StateError::Directory { path: directory, error })?;
        }
        let lock = lock(path)?;
        let file = path.join(INSTANCE);
        let instance = match read(&file).map_err(|error| StateError::File {
            what: "read",
            path: file.clone(),
            error,
        })? {
            Kept::Number(instance) => instance,
            kept => {
                let instance: [u8; 4] = rand::random();
                write(path, instance).map_err(|error| StateError::File {
                    what: "write",
                    path: file.clone(),
                    error,
                })?;
                match kept {
                    Kept::Damaged => warn!(
                        file = %file.display(),
                        "the number of this Adit was damaged, and a new one takes its place"
                    ),
                    _ => info!(file = %file.display(), "this Adit has a number of its own now"),
                }
                instance
            }
        };
        Ok(Self { path: path.to_owned(), instance, _lock: lock })
    }

    /// This Adit's number: random, the same at each start, another one than any other Adit's.
    #[must_use]
    pub fn instance(&self) -> [u8; 4] {
        self.instance
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the ledger is, unless it has a place of its own; the stream of leases is always there.
    #[must_use]
    pub fn leases_directory(&self) -> PathBuf {
        self.path.join(LEDGER)
    }

    /// Where found blocks are kept; it exists.
    #[must_use]
    pub fn blocks_directory(&self) -> PathBuf {
        self.path.join(BLOCKS)
    }
}

/// Waits until no other process has the directory, or for so long.
pub(crate) fn wait_until_free(path: &Path, at_most: std::time::Duration) {
    let began = std::time::Instant::now();
    while began.elapsed() < at_most && matches!(lock(path), Err(StateError::InUse { .. })) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Takes the directory for this process.
fn lock(path: &Path) -> Result<File, StateError> {
    let file = path.join(LOCK);
    let failed = |error| StateError::File { what: "lock", path: file.clone(), error };
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&file)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// What stands where the number should.
enum Kept {
    Number([u8; 4]),
    Nothing,
    Damaged,
}

fn read(file: &Path) -> io::Result<Kept> {
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::Nothing),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    opened.take(INSTANCE_FILE_MAX + 1).read_to_end(&mut bytes)?;
    let digits = bytes.trim_ascii();
    let hex = digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit);
    let number =
        str::from_utf8(digits).ok().filter(|_| hex).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    Ok(number.map_or(Kept::Damaged, |number| Kept::Number(number.to_be_bytes())))
}

/// Writes the number so that either the old file stands there or the whole new one, whenever the power goes.
fn write(directory: &Path, instance: [u8; 4]) -> io::Result<()> {
    let new = directory.join(INSTANCE_NEW);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{:08x}", u32::from_be_bytes(instance))?;
    file.sync_all()?;
    fs::rename(&new, directory.join(INSTANCE))?;
    // The name lasts once the directory is written, too.
    File::open(directory)?.sync_all()
}
