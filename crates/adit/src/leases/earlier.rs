//! The file that kept how much work goals have had before there was a ledger: one line an entry, each with a checksum. It is
//! read once, at the first start of a later version, and then removed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use ledger::record::Lease;

/// The file's name in the state directory.
const NAME: &str = "leases";
/// A file that is longer was not written by Adit.
const READ_MAX: u64 = 16 << 20;

/// What each goal has had by that file; nothing where there is none. A torn end, as a machine leaves it that loses its
/// power, does not count.
pub(super) fn read(directory: &Path) -> io::Result<Vec<Lease>> {
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
        let lease = line.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok()).and_then(read_line);
        // What follows a torn line was never written in order.
        let Some(lease) = lease else { break };
        newest.insert(lease.goal.clone(), lease);
    }
    for lease in newest.values_mut() {
        if !std::mem::replace(&mut lease.last, true) {
            // An entry was written each second.
            lease.uncertain += std::mem::take(&mut lease.rate);
        }
    }
    Ok(newest.into_values().collect())
}

/// It is in the ledger now.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `CHECKSUM GOAL HASHES UNCERTAIN RATE WORD`; the numbers are doubles' bits in hex, so that they are exact.
fn read_line(line: &str) -> Option<Lease> {
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
    (good && words.next().is_none()).then_some(Lease { goal, hashes, uncertain, rate, last })
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

    /// As the version before wrote it.
    fn line(goal: &str, hashes: f64, rate: f64, word: &str) -> String {
        let text = format!("{goal} {:016x} {:016x} {:016x} {word}", hashes.to_bits(), 0, rate.to_bits());
        format!("{:08x} {text}\n", crc32(text.as_bytes()))
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_newest_whole_line_of_each_goal_counts() {
        let directory = std::env::temp_dir().join(format!("adit-leases-earlier-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        assert!(read(&directory).unwrap().is_empty());
        let good = line("lent", 1e15, 3e12, "on")
            + &line("sold", 5e15, 1e12, "on")
            + &line("sold", 6e15, 0.0, "end");
        let torn = line("lent", 2e15, 3e12, "on");
        for end in 0..torn.len() {
            fs::write(directory.join(NAME), format!("{good}{}", &torn[..end])).unwrap();
            let leases = read(&directory).unwrap();
            let had: Vec<_> = leases.iter().map(|l| (&*l.goal, l.hashes, l.uncertain)).collect();
            assert_eq!(had, [("lent", 1e15, 3e12), ("sold", 6e15, 0.0)], "{end} bytes");
        }
        remove(&directory).unwrap();
        remove(&directory).unwrap();
        assert!(read(&directory).unwrap().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }
}
