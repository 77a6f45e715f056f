//! Bytes from a socket, cut into lines. Bounded: a line that does not end is an error, not memory.

use bytes::{Buf, BytesMut};
use thiserror::Error;

/// Longest line that is read, without its newline. A `mining.notify` with a 64 kB coinbase and 16 merkle steps
/// fits.
pub const MAX_LINE: usize = 160 * 1024;

/// A peer sent [`MAX_LINE`] bytes without a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no newline within {MAX_LINE} bytes")]
pub struct LineTooLong;

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: BytesMut,
    /// Bytes at the front that are known to hold no newline.
    searched: usize,
}

impl LineBuffer {
    /// Where the socket's bytes go: append to it.
    pub fn space(&mut self) -> &mut BytesMut {
        self.bytes.reserve(4096);
        &mut self.bytes
    }

    /// Takes the next whole line, without its line ending.
    ///
    /// # Errors
    /// [`LineTooLong`]: give the connection up.
    pub fn next_line(&mut self) -> Result<Option<BytesMut>, LineTooLong> {
        match self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let mut line = self.bytes.split_to(self.searched + at);
                self.bytes.advance(1);
                self.searched = 0;
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                Ok(Some(line))
            }
            None if self.bytes.len() > MAX_LINE => Err(LineTooLong),
            None => {
                self.searched = self.bytes.len();
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_the_bytes_arrive() {
        let mut lines = LineBuffer::default();
        let mut got = Vec::new();
        for byte in b"one\r\ntwo\n\nthree\nfo" {
            lines.space().extend_from_slice(&[*byte]);
            while let Some(line) = lines.next_line().unwrap() {
                got.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(got, ["one", "two", "", "three"]);
    }

    #[test]
    fn a_line_without_an_end_is_an_error() {
        let mut lines = LineBuffer::default();
        lines.space().extend_from_slice(&vec![b'x'; MAX_LINE]);
        assert_eq!(lines.next_line(), Ok(None));
        lines.space().extend_from_slice(b"x");
        assert_eq!(lines.next_line(), Err(LineTooLong));
    }
}
