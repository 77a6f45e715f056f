//! Bytes to lines, without copying lines that one read contains whole.

use thiserror::Error;

/// Default limit of one line from a miner, in bytes without its line end. The longest honest lines
/// (`mining.configure` with every extension, `mining.authorize` with a long user name) stay far under 1 KiB.
pub const MAX_LINE: usize = 16 * 1024;

/// First allocation of a carry buffer: a typical `mining.submit` fits.
const FIRST_CARRY: usize = 256;

/// Why bytes could not be cut into lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    /// The peer sent more than `limit` bytes without a line end.
    #[error("line longer than {limit} bytes: a Stratum V1 message ends with a line feed")]
    TooLong {
        /// The limit in force, in bytes.
        limit: usize,
    },
}

/// Cuts what was read from one connection into lines.
///
/// The caller owns the read buffer (one may serve many connections) and lends each chunk just read. Lines
/// that lie whole in the chunk are handed out as slices of it; only a line that is split over reads is
/// collected in the connection's carry buffer, which is released as soon as the line has been used. A
/// connection that is idle between lines holds no allocation.
///
/// ```
/// let mut reader = sv1::LineReader::new();
/// let mut lines = Vec::new();
/// for read in [&b"{\"id\":1}\r\n{\"i"[..], b"d\":2}\n"] {
///     let mut chunk = read;
///     while let Some(line) = reader.next_line(&mut chunk, sv1::MAX_LINE)? {
///         lines.push(line.to_vec());
///     }
/// }
/// assert_eq!(lines, [b"{\"id\":1}", b"{\"id\":2}"]);
/// assert_eq!(reader.allocated(), 0);
/// # Ok::<(), sv1::LineError>(())
/// ```
#[derive(Debug, Default)]
pub struct LineReader {
    carry: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `carry` holds the beginning of the next line (or nothing).
    #[default]
    Collecting,
    /// `carry` was handed out as a line and is released by the next call.
    HandedOut,
    /// A line was too long: everything up to the next line feed is dropped.
    Discarding,
}

impl LineReader {
    /// A reader at the beginning of a stream; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { carry: Vec::new(), state: State::Collecting }
    }

    /// Takes the next complete line off `chunk` and returns it without its line end (`\n` or `\r\n`);
    /// blank lines are skipped.
    ///
    /// `None` means that `chunk` is used up and its unfinished rest, if any, is kept: call it until then.
    /// `max_line` is the limit in bytes for a line without its line end.
    ///
    /// # Errors
    /// [`LineError::TooLong`], once per line that is too long. The reader stays usable: the rest of that line is
    /// dropped and the line after it is read as usual, so that the caller may close the connection or only
    /// count a strike.
    pub fn next_line<'s, 'c: 's>(
        &'s mut self,
        chunk: &mut &'c [u8],
        max_line: usize,
    ) -> Result<Option<&'s [u8]>, LineError> {
        if self.state == State::HandedOut {
            self.carry = Vec::new();
            self.state = State::Collecting;
        }
        loop {
            let Some(end) = memchr::memchr(b'\n', chunk) else {
                return self.keep(chunk, max_line).map(|()| None);
            };
            let head: &'c [u8] = &chunk[..end];
            *chunk = &chunk[end + 1..];
            if self.state == State::Discarding {
                self.state = State::Collecting;
                continue;
            }
            if self.carry.is_empty() {
                let line = trim_line_end(head);
                if line.len() > max_line {
                    return Err(LineError::TooLong { limit: max_line });
                }
                if !is_blank(line) {
                    return Ok(Some(line));
                }
            } else {
                // One byte more than the limit may be a carriage return.
                if self.carry.len() + head.len() > max_line.saturating_add(1) {
                    self.carry = Vec::new();
                    return Err(LineError::TooLong { limit: max_line });
                }
                self.grow(head.len(), max_line);
                self.carry.extend_from_slice(head);
                if trim_line_end(&self.carry).len() > max_line {
                    self.carry = Vec::new();
                    return Err(LineError::TooLong { limit: max_line });
                }
                if is_blank(&self.carry) {
                    self.carry = Vec::new();
                    continue;
                }
                self.state = State::HandedOut;
                return Ok(Some(trim_line_end(&self.carry)));
            }
        }
    }

    /// Bytes of an unfinished line that are being kept.
    #[must_use]
    pub fn buffered(&self) -> usize {
        if self.state == State::HandedOut { 0 } else { self.carry.len() }
    }

    /// Bytes that the carry buffer has allocated: 0 between lines, never more than about the line limit.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.carry.capacity()
    }

    /// Keeps an unfinished line, `chunk` being all that came of it this time.
    fn keep(&mut self, chunk: &mut &[u8], max_line: usize) -> Result<(), LineError> {
        let rest = std::mem::take(chunk);
        if rest.is_empty() || self.state == State::Discarding {
            return Ok(());
        }
        if self.carry.len() + rest.len() > max_line.saturating_add(1) {
            self.carry = Vec::new();
            self.state = State::Discarding;
            return Err(LineError::TooLong { limit: max_line });
        }
        self.grow(rest.len(), max_line);
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    /// Makes room for `more` bytes: doubling, as a vector does, but never far beyond the limit.
    fn grow(&mut self, more: usize, max_line: usize) {
        let needed = self.carry.len() + more;
        if needed > self.carry.capacity() {
            let wanted =
                needed.max(self.carry.capacity() * 2).max(FIRST_CARRY).min(max_line.saturating_add(1));
            self.carry.reserve_exact(wanted.max(needed) - self.carry.len());
        }
    }
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(reads: &[&[u8]], limit: usize) -> Vec<Result<Vec<u8>, LineError>> {
        let mut reader = LineReader::new();
        let mut out = Vec::new();
        for read in reads {
            let mut chunk = *read;
            loop {
                match reader.next_line(&mut chunk, limit) {
                    Ok(Some(line)) => out.push(Ok(line.to_vec())),
                    Ok(None) => break,
                    Err(error) => out.push(Err(error)),
                }
            }
            assert!(reader.allocated() <= limit + 1);
        }
        out
    }

    #[test]
    fn whole_lines_are_slices_of_the_read_buffer() {
        let read = b"one\ntwo\r\nthree\n".to_vec();
        let mut reader = LineReader::new();
        let mut chunk = &read[..];
        for expected in [0..3, 4..7, 9..14] {
            let line = reader.next_line(&mut chunk, 100).unwrap().unwrap();
            assert_eq!(line.as_ptr(), read[expected.clone()].as_ptr());
            assert_eq!(line, &read[expected]);
        }
        assert_eq!(reader.next_line(&mut chunk, 100), Ok(None));
        assert_eq!(reader.allocated(), 0);
    }

    #[test]
    fn a_split_line_is_joined_and_its_buffer_released() {
        let mut reader = LineReader::new();
        let mut chunk = &b"abc"[..];
        assert_eq!(reader.next_line(&mut chunk, 100), Ok(None));
        assert_eq!(reader.buffered(), 3);
        let mut chunk = &b"def\r\nx\n"[..];
        assert_eq!(reader.next_line(&mut chunk, 100), Ok(Some(&b"abcdef"[..])));
        assert_eq!(reader.next_line(&mut chunk, 100), Ok(Some(&b"x"[..])));
        assert_eq!(reader.next_line(&mut chunk, 100), Ok(None));
        assert_eq!((reader.buffered(), reader.allocated()), (0, 0));
    }

    #[test]
    fn blank_lines_are_skipped_wherever_they_are_cut() {
        assert_eq!(lines_of(&[b"\n\r\n  \t\n", b" ", b"\r", b"\na\n\n"], 10), [Ok(b"a".to_vec())]);
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_byte_more_does_not() {
        let long = LineError::TooLong { limit: 4 };
        assert_eq!(lines_of(&[b"abcd\n"], 4), [Ok(b"abcd".to_vec())]);
        assert_eq!(lines_of(&[b"abcd\r\n"], 4), [Ok(b"abcd".to_vec())]);
        assert_eq!(lines_of(&[b"abcd", b"\r\n"], 4), [Ok(b"abcd".to_vec())]);
        assert_eq!(lines_of(&[b"abcde\n", b"ok\n"], 4), [Err(long), Ok(b"ok".to_vec())]);
        assert_eq!(lines_of(&[b"abcde", b"\nok\n"], 4), [Err(long), Ok(b"ok".to_vec())]);
        assert_eq!(lines_of(&[b"abc", b"de\nok\n"], 4), [Err(long), Ok(b"ok".to_vec())]);
    }

    #[test]
    fn an_endless_line_costs_one_error_and_no_memory() {
        let mut reader = LineReader::new();
        let junk = [b'x'; 1000];
        let mut errors = 0;
        for _ in 0..1000 {
            let mut chunk = &junk[..];
            if reader.next_line(&mut chunk, 4096).is_err() {
                errors += 1;
            }
            assert!(reader.allocated() <= 4097);
        }
        assert_eq!((errors, reader.allocated()), (1, 0));
        let mut chunk = &b"tail\nnext\n"[..];
        assert_eq!(reader.next_line(&mut chunk, 4096), Ok(Some(&b"next"[..])));
    }

    proptest! {
        #[test]
        fn the_cuts_between_reads_change_nothing(
            bytes in prop::collection::vec(prop_oneof![3 => Just(b'a'), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..200),
            cuts in prop::collection::vec(0..200_usize, 0..10),
        ) {
            let whole = lines_of(&[&bytes], 8);
            let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            // An overlong line without an end is noticed only when the limit is passed, in both cases.
            let ends_open = !bytes.ends_with(b"\n");
            let split = lines_of(&reads, 8);
            if ends_open && whole.len() != split.len() {
                prop_assert_eq!(whole.len().abs_diff(split.len()), 1);
            } else {
                prop_assert_eq!(whole, split);
            }
        }
    }
}
