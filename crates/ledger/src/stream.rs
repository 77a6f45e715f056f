//! The streams that a ledger consists of, and the names of their files.

/// A stream: segments of one kind, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stream {
    /// Sums as they are taken, each second.
    Seconds = 1,
    /// The same by minute.
    Minutes = 2,
    /// The same by hour.
    Hours = 3,
    /// Shares, and the jobs that they refer to.
    Evidence = 4,
    /// What is known of the ledger and of the network: runs, gaps, what was evicted, difficulty and value of blocks.
    Notes = 5,
    /// How much work goals have had.
    Leases = 6,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 6] =
        [Self::Seconds, Self::Minutes, Self::Hours, Self::Evidence, Self::Notes, Self::Leases];

    /// The word for it, in names of files, reports and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Evidence => "evidence",
            Self::Notes => "notes",
            Self::Leases => "leases",
        }
    }

    /// The stream of a number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| *stream as u8 == number)
    }

    /// The name of one of its segments' files.
    #[must_use]
    pub fn file_name(self, segment: u64) -> String {
        format!("{}-{segment:010}.log", self.as_str())
    }

    /// The stream and the number of the segment that a file's name stands for.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<(Self, u64)> {
        let (word, digits) = name.strip_suffix(".log")?.split_once('-')?;
        let stream = Self::ALL.into_iter().find(|stream| stream.as_str() == word)?;
        let number = digits.parse().ok()?;
        (stream.file_name(number) == name).then_some((stream, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found_again() {
        for stream in Stream::ALL {
            assert_eq!(Stream::of_number(stream as u8), Some(stream));
            for number in [0, 7, u64::MAX] {
                assert_eq!(Stream::of_file_name(&stream.file_name(number)), Some((stream, number)));
            }
        }
        for other in
            ["seconds-1.log", "seconds-+000000001.log", "seconds-0000000001", "weeks-0000000001.log", ""]
        {
            assert_eq!(Stream::of_file_name(other), None, "{other}");
        }
    }
}
