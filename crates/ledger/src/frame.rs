//! A segment's bytes: a header, then records, each with its length and a checksum.

use crate::checksum::crc32c;
use crate::stream::Stream;

/// A segment begins with this.
const MAGIC: [u8; 6] = *b"ADITLG";
/// The format's version.
pub const VERSION: u8 = 1;
/// The header's length.
pub const HEADER_LENGTH: usize = 32;
/// Before each record: its length and its checksum.
pub const FRAME_LENGTH: usize = 8;
/// The longest record, its frame not counted.
pub const RECORD_MAX: usize = 1 << 20;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which stream it is a part of.
    pub stream: Stream,
    /// Its place in the stream.
    pub number: u64,
    /// When it was begun, Unix milliseconds.
    pub began_ms: u64,
    /// Whose it is: the number of the Adit that wrote it.
    pub instance: [u8; 4],
}

impl Header {
    /// As it stands at a segment's beginning.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[6] = VERSION;
        bytes[7] = self.stream as u8;
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.began_ms.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.instance);
        let crc = crc32c(&[&bytes[..28]]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header. `None`: there is none, it is damaged, or of a later version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_LENGTH] = bytes.first_chunk()?;
        let four = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let eight = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let good = bytes[..6] == MAGIC && bytes[6] == VERSION;
        if !good || u32::from_le_bytes(four(28)) != crc32c(&[&bytes[..28]]) {
            return None;
        }
        Some(Self {
            stream: Stream::of_number(bytes[7])?,
            number: eight(8),
            began_ms: eight(16),
            instance: four(24),
        })
    }
}

/// Appends a record in its frame; it has 1 to [`RECORD_MAX`] bytes.
pub fn write_record(to: &mut Vec<u8>, record: &[u8]) {
    debug_assert!(!record.is_empty() && record.len() <= RECORD_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "at most RECORD_MAX")]
    let length = (record.len() as u32).to_le_bytes();
    to.extend_from_slice(&length);
    to.extend_from_slice(&crc32c(&[&length, record]).to_le_bytes());
    to.extend_from_slice(record);
}

/// The record that bytes begin with, if it is whole and what its checksum says.
pub(crate) fn first_record(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if size == 0 || size > RECORD_MAX {
        return None;
    }
    let record = rest.get(..size)?;
    (u32::from_le_bytes(*crc) == crc32c(&[length, record])).then_some(record)
}

/// The records of a segment, up to the first that is not whole.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Of a segment's bytes, the header with them.
    #[must_use]
    pub fn new(segment: &'a [u8]) -> Self {
        Self { bytes: segment, at: HEADER_LENGTH.min(segment.len()) }
    }

    /// How far it was read: everything before that is good. At the end of all records this is the segment's length,
    /// or where a torn or damaged record begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let record = first_record(self.bytes.get(self.at..)?)?;
        self.at += FRAME_LENGTH + record.len();
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header { stream: Stream::Minutes, number: 7, began_ms: 1_700_000_000_123, instance: [1, 2, 3, 4] }
    }

    #[test]
    fn a_header_is_read_or_refused() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Some(header()));
        for at in 0..HEADER_LENGTH {
            assert_eq!(Header::decode(&bytes[..at]), None);
            for bit in 0..8 {
                let mut damaged = bytes;
                damaged[at] ^= 1 << bit;
                assert_eq!(Header::decode(&damaged), None, "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        /// Whatever is cut off or flipped: every record before it is read, none after it.
        #[test]
        fn damage_is_found(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..12),
            cut in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let mut segment = header().encode().to_vec();
            let mut ends = vec![segment.len()];
            for record in &records {
                write_record(&mut segment, record);
                ends.push(segment.len());
            }
            let whole = |bytes: &[u8], until: usize| {
                let mut read = Records::new(bytes);
                let got: Vec<_> = read.by_ref().map(<[u8]>::to_vec).collect();
                let good = ends.iter().filter(|end| **end <= until).count() - 1;
                assert_eq!(got, records[..good]);
                assert_eq!(read.position(), ends[good]);
            };
            let cut = HEADER_LENGTH + cut.index(segment.len() - HEADER_LENGTH + 1);
            whole(&segment[..cut], cut);
            let flip = HEADER_LENGTH + flip.index(segment.len() - HEADER_LENGTH);
            segment[flip] ^= 1u8 << bit;
            whole(&segment, flip);
        }
    }
}
