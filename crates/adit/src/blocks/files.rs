//! Blocks on disk: one file each, whole, in hexadecimal, so that a person can hand one in with
//! `bitcoin-cli -stdin submitblock < FILE`.
//!
//! `HEIGHT-HASH.block` waits for a node, `.taken` and `.refused` are what became of it, `.unreadable` is no block. A file
//! is whole or not there: it is written under another name, brought to the disk, and renamed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bitcoin::hex::{DisplayHex as _, FromHex as _};

const WAITING: &str = "block";
const TAKEN: &str = "taken";
const REFUSED: &str = "refused";
const UNREADABLE: &str = "unreadable";
const UNFINISHED: &str = "unfinished";
/// Files of each ending that are kept after all is said about their blocks.
const KEPT: usize = 32;
/// Blocks of an earlier run that are read at the start.
const LEFT: usize = 32;
/// The most that a file can have: a block of 4,000,000 bytes in hexadecimal, and the line's end.
const LARGEST: u64 = 8_000_001;

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A node has it.
    Taken,
    /// The nodes do not want it.
    Refused,
}

impl Ending {
    fn extension(self) -> &'static str {
        match self {
            Self::Taken => TAKEN,
            Self::Refused => REFUSED,
        }
    }
}

/// What an earlier run has left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Names and contents, by name: the first of them.
    pub(super) blocks: Vec<(String, Vec<u8>)>,
    /// How many there are in all.
    pub(super) all: usize,
}

/// A folder of blocks. All of its methods wait for the disk.
#[derive(Clone, Debug)]
pub(super) struct BlockFiles(PathBuf);

impl BlockFiles {
    /// Blocks in this folder, which is made when it is needed.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Writes a block.
    pub(super) fn save(&self, name: &str, block: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let unfinished = self.path(name, UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(block.to_lower_hex_string().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path(name, WAITING))?;
        // The new name, too.
        File::open(&self.0)?.sync_all()
    }

    /// All is said about a block; only the newest few of its kind are kept.
    pub(super) fn settle(&self, name: &str, ending: Ending) -> io::Result<()> {
        let path = self.path(name, ending.extension());
        fs::rename(self.path(name, WAITING), &path)?;
        self.prune(ending.extension())
    }

    /// A block that a node had, by its hash as people write it.
    pub(super) fn taken(&self, hash: &str) -> io::Result<Option<Vec<u8>>> {
        let ending = format!("-{hash}.{TAKEN}");
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(&ending)) {
                return read(&entry.path());
            }
        }
        Ok(None)
    }

    /// What an earlier run has left. What is no block is put aside.
    pub(super) fn left(&self) -> io::Result<Left> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            // Nothing was ever found.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Left::default()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(WAITING) => {
                    names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned))
                }
                Some(UNFINISHED) => fs::remove_file(&path)?,
                _ => {}
            }
        }
        names.sort_unstable();
        let mut left = Left { blocks: Vec::new(), all: names.len() };
        names.truncate(LEFT);
        for name in names {
            match read(&self.path(&name, WAITING))? {
                Some(block) => left.blocks.push((name, block)),
                None => {
                    left.all -= 1;
                    fs::rename(self.path(&name, WAITING), self.path(&name, UNREADABLE))?;
                    self.prune(UNREADABLE)?;
                }
            }
        }
        Ok(left)
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.0.join(format!("{name}.{extension}"))
    }

    /// Removes all but the newest files with this extension.
    fn prune(&self, extension: &str) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|of| of == extension) {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort_unstable();
        let surplus = files.len().saturating_sub(KEPT);
        files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// The block in a file; `None` if it is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if fs::metadata(path)?.len() > LARGEST {
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let text = std::str::from_utf8(&bytes).ok();
    Ok(text.and_then(|text| Vec::from_hex(text.trim_end()).ok()).filter(|block| block.len() > 80))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("adit-blocks-{:016x}", rand::random::<u64>()));
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
            let mut names: Vec<String> =
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort_unstable();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_saved_is_found_by_the_next_run_until_all_is_said() {
        let folder = Folder::new();
        let files = BlockFiles::new(folder.0.clone());
        assert_eq!(files.left().unwrap(), Left::default(), "no folder, no blocks");
        files.save("5-aa", &[1; 100]).unwrap();
        files.save("6-bb", &[2; 100]).unwrap();
        files.save("6-bb", &[2; 100]).unwrap();
        let next_run = BlockFiles::new(folder.0.clone());
        let blocks = vec![("5-aa".to_owned(), vec![1; 100]), ("6-bb".to_owned(), vec![2; 100])];
        assert_eq!(next_run.left().unwrap(), Left { blocks, all: 2 });
        next_run.settle("5-aa", Ending::Taken).unwrap();
        next_run.settle("6-bb", Ending::Refused).unwrap();
        assert_eq!(next_run.left().unwrap(), Left::default());
        assert_eq!(folder.names(), ["5-aa.taken", "6-bb.refused"]);
        let taken = ["aa", "a", "bb"].map(|hash| next_run.taken(hash).unwrap());
        assert_eq!(taken, [Some(vec![1; 100]), None, None]);
    }

    #[test]
    fn torn_and_foreign_files_are_put_aside_and_a_good_one_beside_them_is_read() {
        let folder = Folder::new();
        let files = BlockFiles::new(folder.0.clone());
        files.save("7-good", &[3; 81]).unwrap();
        fs::write(folder.0.join("1-torn.block"), "00".repeat(80) + "0").unwrap();
        fs::write(folder.0.join("2-words.block"), "not a block").unwrap();
        fs::write(folder.0.join("3-half.unfinished"), "00").unwrap();
        File::create(folder.0.join("4-huge.block")).unwrap().set_len(LARGEST + 1).unwrap();
        let blocks = vec![("7-good".to_owned(), vec![3; 81])];
        assert_eq!(files.left().unwrap(), Left { blocks, all: 1 });
        assert_eq!(
            folder.names(),
            ["1-torn.unreadable", "2-words.unreadable", "4-huge.unreadable", "7-good.block"]
        );
    }

    #[test]
    fn only_the_newest_settled_blocks_are_kept() {
        let folder = Folder::new();
        let files = BlockFiles::new(folder.0.clone());
        for number in 0..KEPT + 5 {
            let name = format!("{number:03}");
            files.save(&name, &[4; 81]).unwrap();
            files.settle(&name, Ending::Taken).unwrap();
        }
        files.save("waits", &[4; 81]).unwrap();
        assert_eq!(folder.names().len(), KEPT + 1);
        assert!(folder.names().contains(&"waits.block".to_owned()));
    }
}
