//! The files of a directory, and what they say, read again only when they have changed.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// A file, as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

/// Another one, when a file is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) modified: SystemTime,
    pub(super) length: u64,
    number: u64,
}

impl Found {
    /// The file at this path; nothing if there is none, or something else.
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        let metadata = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        let version =
            Version { modified: metadata.modified().ok()?, length: metadata.len(), number: metadata.ino() };
        Some(Self { path, version })
    }
}

/// The files with this extension, in no order. Nothing where the directory cannot be read.
pub(super) fn files(directory: &Path, extension: &str) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .take(ENTRIES_MAX)
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new(extension)))
        .filter_map(Found::at)
        .collect()
}

/// What files said when they were read last.
#[derive(Debug)]
pub(super) struct Remembered<T>(HashMap<PathBuf, (Version, T)>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> Remembered<T> {
    /// What this file says: read, if it was not there before or is another one now.
    pub(super) fn of(&mut self, file: &Found, read: impl FnOnce(&Found) -> T) -> T {
        match self.0.get(&file.path) {
            Some((version, said)) if *version == file.version => said.clone(),
            _ => {
                let said = read(file);
                self.0.insert(file.path.clone(), (file.version.clone(), said.clone()));
                said
            }
        }
    }

    /// Forgets those that are not among these: all that there are.
    pub(super) fn keep(&mut self, files: &[Found]) {
        if !self.0.is_empty() {
            let here: HashSet<&Path> = files.iter().map(|file| &*file.path).collect();
            self.0.retain(|path, _| here.contains(&**path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_is_another_one_and_forgotten_when_it_is_gone() {
        let directory = std::env::temp_dir().join(format!("adit-folder-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("a.folder.receipt")).unwrap();
        std::fs::write(directory.join("a.receipt"), "one").unwrap();
        std::fs::write(directory.join("a.terms"), "other").unwrap();
        let mut remembered = Remembered::default();
        let mut reads = 0;
        let mut look = |remembered: &mut Remembered<String>| {
            let files = files(&directory, "receipt");
            remembered.keep(&files);
            let read = |file: &Found| {
                reads += 1;
                std::fs::read_to_string(&file.path).unwrap()
            };
            (remembered.of(&files[0], read), files.len(), reads)
        };
        assert_eq!(look(&mut remembered), ("one".into(), 1, 1));
        assert_eq!(look(&mut remembered), ("one".into(), 1, 1), "it is not read again");
        std::fs::write(directory.join("new"), "two").unwrap();
        std::fs::rename(directory.join("new"), directory.join("a.receipt")).unwrap();
        assert_eq!(look(&mut remembered), ("two".into(), 1, 2), "another file of as many bytes");
        remembered.keep(&[]);
        assert!(remembered.0.is_empty());
        assert_eq!(files(&directory.join("none"), "receipt"), []);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
