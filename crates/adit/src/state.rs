//! The directory of what outlives a run: this Adit's number, and the blocks that no node has yet.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcoin::hex::{DisplayHex as _, FromHex as _};

/// Bytes that tell this Adit from others that mine on the same node. Of the few that do, two draw the same with a chance of
/// one in four thousand million.
const INSTANCE: usize = 4;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system's reason.
    #[error("cannot use {}: {error}; set state.directory to a directory that Adit may write to", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another Adit: each needs a state.directory of its own", .0.display())]
    InUse(PathBuf),
    /// The number is none.
    #[error("{} does not hold {INSTANCE} bytes in hex: remove it, and a new number is drawn", .0.display())]
    Instance(PathBuf),
}

/// The directory, taken for as long as a copy of this lives.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
    instance: [u8; INSTANCE],
    _taken: Arc<File>,
}

impl StateDirectory {
    /// Makes the directory if it is not there, takes it, and reads this Adit's number or draws one.
    ///
    /// # Errors
    /// [`StateError`]
    pub fn open(path: PathBuf) -> Result<Self, StateError> {
        fs::create_dir_all(&path).map_err(|error| StateError::Io { path: path.clone(), error })?;
        let lock = path.join("lock");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| StateError::Io { path, error }
        };
        let taken =
            File::options().create(true).truncate(false).write(true).open(&lock).map_err(io(&lock))?;
        match taken.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(StateError::Io { path: lock, error }),
        }
        let file = path.join("instance");
        let instance = match fs::read_to_string(&file) {
            Ok(text) => {
                <[u8; INSTANCE]>::from_hex(text.trim_end()).map_err(|_| StateError::Instance(file.clone()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let drawn: [u8; INSTANCE] = rand::random();
                write(&path, &file, &drawn).map_err(io(&file))?;
                drawn
            }
            Err(error) => return Err(StateError::Io { path: file, error }),
        };
        Ok(Self { path, instance, _taken: Arc::new(taken) })
    }

    /// This Adit's number.
    #[must_use]
    pub fn instance(&self) -> &[u8] {
        &self.instance
    }

    /// Where blocks are kept.
    #[must_use]
    pub fn blocks(&self) -> PathBuf {
        self.path.join("blocks")
    }
}

/// Whole or not at all.
fn write(folder: &Path, file: &Path, instance: &[u8]) -> io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    let mut to = File::create(&unfinished)?;
    to.write_all(instance.to_lower_hex_string().as_bytes())?;
    to.write_all(b"\n")?;
    to.sync_all()?;
    fs::rename(&unfinished, file)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_drawn_once_and_the_directory_is_one_adits_alone() {
        let path = std::env::temp_dir().join(format!("adit-state-{:016x}", rand::random::<u64>()));
        let first = StateDirectory::open(path.clone()).unwrap();
        let instance = first.instance().to_vec();
        assert!(matches!(StateDirectory::open(path.clone()), Err(StateError::InUse(_))));
        drop(first);
        let again = StateDirectory::open(path.clone()).unwrap();
        assert_eq!(again.instance(), instance);
        drop(again);
        fs::write(path.join("instance"), "12345").unwrap();
        assert!(matches!(StateDirectory::open(path.clone()), Err(StateError::Instance(_))));
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(StateDirectory::open(path.clone()), Err(StateError::Io { .. })));
        fs::remove_file(&path).unwrap();
    }
}
