//! The file that keeps how much work goals have had: one line appended a second at most, each with a checksum.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name in the state directory.
const NAME: &str = "leases";
/// What it is written to when it is begun anew.
const NEW: &str = "leases.new";
/// It is begun anew when it is longer than this.
const LENGTH_MAX: u64 = 1 << 20;
/// A file that is longer was not written by this program.
const READ_MAX: u64 = 16 << 20;

/// How much a goal has had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    /// Hashes.
    pub(super) hashes: f64,
    /// Up to so many more may have been done, after the last entry of a run that was killed.
    pub(super) uncertain: f64,
}

/// What one line says.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    goal: String,
    count: Count,
    /// Hashes per second when it was written: what may be missing if nothing follows.
    rate: f64,
    /// Nothing follows: the run ended in order.
    last: bool,
}

impl Entry {
    /// `CHECKSUM GOAL HASHES UNCERTAIN RATE WORD`; the numbers are doubles' bits in hex, so that they are exact.
    fn line(&self) -> String {
        let [hashes, uncertain, rate] =
            [self.count.hashes, self.count.uncertain, self.rate].map(f64::to_bits);
        let word = if self.last { "end" } else { "on" };
        let text = format!("{} {hashes:016x} {uncertain:016x} {rate:016x} {word}", self.goal);
        let mut line = String::with_capacity(text.len() + 10);
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{:08x} {text}", crc32(text.as_bytes()));
        line
    }

    fn read(line: &str) -> Option<Self> {
        let (checksum, text) = line.split_once(' ')?;
        if u32::from_str_radix(checksum, 16).ok()? != crc32(text.as_bytes()) {
            return None;
        }
        let mut words = text.split(' ');
        let goal = words.next()?.to_owned();
        let mut number = || Some(f64::from_bits(u64::from_str_radix(words.next()?, 16).ok()?));
        let (hashes, uncertain, rate) = (number()?, number()?, number()?);
        let good = [hashes, uncertain, rate].iter().all(|n| n.is_finite() && *n >= 0.0);
        let last = match words.next()? {
            "end" => true,
            "on" => false,
            _ => return None,
        };
        (good && words.next().is_none()).then_some(Self {
            goal,
            count: Count { hashes, uncertain },
            rate,
            last,
        })
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
    length: u64,
    /// The newest of every goal that was ever in it.
    newest: BTreeMap<String, Entry>,
}

impl Journal {
    /// Opens the journal of a state directory, which this process holds. A torn end, as a machine leaves it that loses its
    /// power, is cut off. Gives what each goal has had; where the run before this one was killed, with what may be
    /// missing.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, BTreeMap<String, Count>)> {
        let mut bytes = Vec::new();
        match File::open(directory.join(NAME)) {
            Ok(file) => {
                file.take(READ_MAX).read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut newest = BTreeMap::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let entry =
                line.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok()).and_then(Entry::read);
            // What follows a torn line was never written in order.
            let Some(entry) = entry else { break };
            newest.insert(entry.goal.clone(), entry);
        }
        for entry in newest.values_mut() {
            if !std::mem::replace(&mut entry.last, true) {
                // An entry is written each second.
                entry.count.uncertain += entry.rate;
                entry.rate = 0.0;
            }
        }
        let counts = newest.iter().map(|(goal, entry)| (goal.clone(), entry.count)).collect();
        let file = begin_anew(directory, newest.values())?;
        let mut journal = Self { directory: directory.to_owned(), file, length: 0, newest };
        journal.length = journal.file.stream_position()?;
        Ok((journal, counts))
    }

    /// Notes how much goals have had: name, count and present rate. `last`: nothing follows. It is on the disk when this
    /// returns.
    ///
    /// # Errors
    /// The system's. The journal can be used all the same.
    pub(super) fn note(&mut self, goals: &[(&str, Count, f64)], last: bool) -> io::Result<()> {
        let mut lines = String::new();
        for (goal, count, rate) in goals {
            let entry = Entry { goal: (*goal).to_owned(), count: *count, rate: *rate, last };
            if self.newest.get(*goal) == Some(&entry) {
                continue;
            }
            lines.push_str(&entry.line());
            self.newest.insert((*goal).to_owned(), entry);
        }
        if lines.is_empty() {
            return Ok(());
        }
        if self.length > LENGTH_MAX {
            self.file = begin_anew(&self.directory, self.newest.values())?;
            self.length = self.file.stream_position()?;
            return Ok(());
        }
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            // Half a line would hide all that follows.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            self.newest.clear();
            return Err(error);
        }
        self.length += lines.len() as u64;
        self.file.sync_data()
    }
}

/// Writes the file so that either the old one stands there or the whole new one, whenever the power goes.
fn begin_anew<'e>(directory: &Path, entries: impl Iterator<Item = &'e Entry>) -> io::Result<File> {
    let new = directory.join(NEW);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let lines: String = entries.map(Entry::line).collect();
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(NAME))?;
    // The name lasts once the directory is written, too.
    File::open(directory)?.sync_all()?;
    Ok(file)
}

/// CRC-32 as in Ethernet and gzip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("adit-leases-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn count(hashes: f64) -> Count {
        Count { hashes, uncertain: 0.0 }
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_run_that_ended_in_order_is_exact() {
        let directory = Directory::new("end");
        let (mut journal, counts) = Journal::open(&directory.0).unwrap();
        assert!(counts.is_empty());
        journal.note(&[("lent", count(1.5e15), 1e12), ("sold", count(2e15), 1e12)], false).unwrap();
        journal.note(&[("lent", count(0.1 + 1.6e15), 1e12)], true).unwrap();
        journal.note(&[("sold", count(2.5e15), 1e12)], true).unwrap();
        drop(journal);
        for _ in 0..2 {
            let (_, counts) = Journal::open(&directory.0).unwrap();
            assert_eq!(counts["lent"], count(0.1 + 1.6e15));
            assert_eq!(counts["sold"], count(2.5e15));
        }
    }

    #[test]
    fn a_run_that_was_killed_leaves_a_second_uncertain() {
        let directory = Directory::new("kill");
        let (mut journal, _) = Journal::open(&directory.0).unwrap();
        journal.note(&[("lent", count(1e15), 3e12)], false).unwrap();
        drop(journal);
        let (_, counts) = Journal::open(&directory.0).unwrap();
        assert_eq!(counts["lent"], Count { hashes: 1e15, uncertain: 3e12 });
        let (_, counts) = Journal::open(&directory.0).unwrap();
        assert_eq!(counts["lent"], Count { hashes: 1e15, uncertain: 3e12 }, "no more by looking");
    }

    #[test]
    fn every_torn_end_gives_the_entry_before_it() {
        let directory = Directory::new("torn");
        let (mut journal, _) = Journal::open(&directory.0).unwrap();
        journal.note(&[("lent", count(1e15), 0.0)], false).unwrap();
        let whole = fs::read(directory.0.join(NAME)).unwrap();
        journal.note(&[("lent", count(2e15), 0.0)], false).unwrap();
        drop(journal);
        let both = fs::read(directory.0.join(NAME)).unwrap();
        for end in whole.len()..both.len() {
            fs::write(directory.0.join(NAME), &both[..end]).unwrap();
            let (_, counts) = Journal::open(&directory.0).unwrap();
            assert_eq!(counts["lent"].hashes, 1e15, "{end} bytes");
        }
        for at in whole.len()..both.len() - 1 {
            let mut damaged = both.clone();
            damaged[at] ^= 1;
            fs::write(directory.0.join(NAME), &damaged).unwrap();
            let (_, counts) = Journal::open(&directory.0).unwrap();
            assert_eq!(counts["lent"].hashes, 1e15, "byte {at}");
        }
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let directory = Directory::new("grow");
        let (mut journal, _) = Journal::open(&directory.0).unwrap();
        journal.length = LENGTH_MAX + 1;
        journal.note(&[("lent", count(7.0), 0.0)], false).unwrap();
        assert!(journal.length < 100);
        drop(journal);
        assert_eq!(Journal::open(&directory.0).unwrap().1["lent"].hashes, 7.0);
    }
}
