//! What the bytes stand on: a file, or memory where there is none.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::layout::{LENGTH, header};

/// The file in the state directory.
const FILE: &str = "history";
/// What it is written to before it takes its place.
const NEW: &str = "history.new";
/// One that cannot be read is kept under this name.
const BROKEN: &str = "history.broken";

/// [`LENGTH`] bytes that can be read and written anywhere.
pub(super) trait Medium: Send {
    fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<()>;
    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()>;
}

/// In memory; what was never written costs none.
pub(super) struct Memory(Vec<u8>);

impl Memory {
    pub(super) fn new() -> Self {
        Self(vec![0; usize::try_from(LENGTH).expect("a few megabytes")])
    }

    fn range(&self, place: u64, length: usize) -> io::Result<std::ops::Range<usize>> {
        let start = usize::try_from(place).unwrap_or(usize::MAX);
        let end = start.saturating_add(length);
        if end <= self.0.len() { Ok(start..end) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Medium for Memory {
    fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        bytes.copy_from_slice(&self.0[self.range(place, bytes.len())?]);
        Ok(())
    }

    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        let range = self.range(place, bytes.len())?;
        self.0[range].copy_from_slice(bytes);
        Ok(())
    }
}

impl Medium for File {
    fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, place)
    }

    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, place)
    }
}

/// Why nothing is kept on disk.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Another Adit writes there.
    #[error("{} is used by another Adit: give each a directory of its own ([state] directory)", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The file of a directory, made where there is none. Where one was set aside, because it is broken or another version's,
/// its new name comes along.
pub(super) fn open(directory: &Path) -> Result<(File, Option<PathBuf>), HistoryError> {
    let failed = |what, path: &Path, error| HistoryError::File { what, path: path.to_owned(), error };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| failed("make", directory, error))?;
    let path = directory.join(FILE);
    let mut aside = None;
    match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => {
            lock(&file, &path)?;
            if is_whole(&file) {
                return Ok((file, None));
            }
            let broken = directory.join(BROKEN);
            fs::rename(&path, &broken).map_err(|error| failed("set aside", &path, error))?;
            aside = Some(broken);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("open", &path, error)),
    }
    let new = directory.join(NEW);
    let file = create(&new).map_err(|error| {
        let _ = fs::remove_file(&new);
        failed("write", &new, error)
    })?;
    lock(&file, &new)?;
    fs::rename(&new, &path).map_err(|error| failed("make", &path, error))?;
    Ok((file, aside))
}

fn lock(file: &File, path: &Path) -> Result<(), HistoryError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(HistoryError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => {
            Err(HistoryError::File { what: "lock", path: path.to_owned(), error })
        }
    }
}

fn is_whole(mut file: &File) -> bool {
    let mut begins = header();
    let read = file.read_exact(&mut begins).is_ok() && begins == header();
    read && file.metadata().is_ok_and(|metadata| metadata.len() == LENGTH)
}

/// Writes every byte that the file will ever have, so that a disk that fills up later takes nothing away.
fn create(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut left = io::copy(&mut io::Cursor::new(header()), &mut &file)?;
    let zeros = vec![0; 64 * 1024];
    while left < LENGTH {
        let part = usize::try_from(LENGTH - left).unwrap_or(zeros.len()).min(zeros.len());
        (&file).write_all(&zeros[..part])?;
        left += part as u64;
    }
    file.sync_all()?;
    Ok(file)
}
