//! Where everything stands in the file.
//!
//! ```text
//! header  128 bytes     magic, version, sizes, check sum
//! columns 64 x 128      whose values a column holds; a check sum each; none across two sectors of a disk
//! rings   3 x rows      one row a slot of time: when, one value a column, check sum
//! ```
//!
//! All numbers are little-endian. A row is written at once and checked when it is read: one that was torn by a power cut
//! is a gap in a chart, nothing more.

/// Series that are kept at most.
pub(super) const COLUMNS: usize = 64;
/// The longest name of a series, bytes.
pub(super) const NAME_MAX: usize = 103;

/// A resolution: slots of `step` seconds, used round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// Seconds a slot.
    pub(super) step: u64,
    /// How many there are.
    pub(super) slots: u64,
    /// Where the first one stands.
    pub(super) at: u64,
}

const HEADER: usize = 128;
const COLUMN: usize = 128;
/// A time, the values, a check sum, and four bytes that make it a multiple of eight.
pub(super) const ROW: usize = 8 + 4 * COLUMNS + 8;

const DAY: u64 = 24 * 3600;
const RINGS_AT: u64 = (HEADER + COLUMNS * COLUMN) as u64;
const MINUTES_AT: u64 = RINGS_AT + DAY / 10 * ROW as u64;
const TENS_AT: u64 = MINUTES_AT + 7 * DAY / 60 * ROW as u64;

/// A day in steps of ten seconds, a week in minutes, 31 days in steps of ten minutes. Each step is a whole number of the
/// one before.
pub(super) const RINGS: [Ring; 3] = [
    Ring { step: 10, slots: DAY / 10, at: RINGS_AT },
    Ring { step: 60, slots: 7 * DAY / 60, at: MINUTES_AT },
    Ring { step: 600, slots: 31 * DAY / 600, at: TENS_AT },
];

/// The file's length, always.
pub(super) const LENGTH: u64 = TENS_AT + 31 * DAY / 600 * ROW as u64;

const MAGIC: [u8; 8] = *b"ADITHIST";
const VERSION: u32 = 1;

impl Ring {
    /// The beginning of the slot that a moment is in.
    pub(super) fn start(&self, unix: u64) -> u64 {
        unix - unix % self.step
    }

    /// Where the row of a slot stands.
    pub(super) fn place(&self, start: u64) -> u64 {
        self.at + start / self.step % self.slots * ROW as u64
    }

    /// Seconds that it reaches back.
    pub(super) fn reach(&self) -> u64 {
        self.step * self.slots
    }
}

/// What the file begins with: all that must be as this program has it, so that one look tells.
pub(super) fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(&MAGIC);
    for number in [u64::from(VERSION), COLUMNS as u64, ROW as u64] {
        put(&number.to_le_bytes()[..4]);
    }
    for ring in RINGS {
        put(&ring.step.to_le_bytes()[..4]);
        put(&ring.slots.to_le_bytes()[..4]);
    }
    let sum = crc32(&bytes[..HEADER - 4]).to_le_bytes();
    bytes[HEADER - 4..].copy_from_slice(&sum);
    bytes
}

/// One value a column; `NaN` where there is none.
pub(super) type Values = [f32; COLUMNS];

/// No value at all.
pub(super) const NOTHING: Values = [f32::NAN; COLUMNS];

pub(super) fn row(start: u64, values: &Values) -> [u8; ROW] {
    let mut bytes = [0; ROW];
    bytes[..8].copy_from_slice(&start.to_le_bytes());
    for (bytes, value) in bytes[8..].chunks_exact_mut(4).zip(values) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    let sum = crc32(&bytes[..ROW - 8]).to_le_bytes();
    bytes[ROW - 8..ROW - 4].copy_from_slice(&sum);
    bytes
}

/// The values of a slot and when it begins; `None` where the row is empty or torn.
pub(super) fn values(bytes: &[u8]) -> Option<(u64, Values)> {
    let (start, rest) = bytes.split_first_chunk::<8>()?;
    let sum = bytes.get(ROW - 8..ROW - 4)?;
    if crc32(&bytes[..ROW - 8]).to_le_bytes() != sum {
        return None;
    }
    let mut values = NOTHING;
    for (value, bytes) in values.iter_mut().zip(rest.chunks_exact(4)) {
        *value = f32::from_le_bytes(bytes.try_into().ok()?);
    }
    Some((u64::from_le_bytes(*start), values))
}

/// Whose values a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// When it had one last, to about an hour. Unix seconds.
    pub(super) last: u64,
}

impl Column {
    /// Where a column's description stands.
    pub(super) fn place(at: usize) -> u64 {
        (HEADER + at * COLUMN) as u64
    }

    pub(super) fn bytes(&self) -> [u8; COLUMN] {
        let mut bytes = [0; COLUMN];
        let name = &self.name.as_bytes()[..self.name.len().min(NAME_MAX)];
        bytes[0] = u8::try_from(name.len()).expect("at most NAME_MAX");
        bytes[1..=name.len()].copy_from_slice(name);
        bytes[112..120].copy_from_slice(&self.last.to_le_bytes());
        let sum = crc32(&bytes[..120]).to_le_bytes();
        bytes[120..124].copy_from_slice(&sum);
        bytes
    }

    /// `None` where nothing stands, or nothing that can be read.
    pub(super) fn read(bytes: &[u8; COLUMN]) -> Option<Self> {
        let length = usize::from(bytes[0]);
        if length == 0 || length > NAME_MAX || crc32(&bytes[..120]).to_le_bytes() != bytes[120..124] {
            return None;
        }
        let name = str::from_utf8(&bytes[1..=length]).ok()?.to_owned();
        Some(Self { name, last: u64::from_le_bytes(bytes[112..120].try_into().ok()?) })
    }

    pub(super) const fn empty() -> [u8; COLUMN] {
        [0; COLUMN]
    }
}

/// CRC-32 as in zlib and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        let mut number: u32 = 0;
        while at < 256 {
            let mut value = number;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
            number += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum: u32, byte| TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ sum >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_file_is_small_and_every_step_a_multiple_of_the_one_before() {
        const { assert!(LENGTH < 7_000_000) };
        for pair in RINGS.windows(2) {
            assert_eq!(pair[1].step % pair[0].step, 0);
            assert_eq!(pair[0].place(0) + pair[0].slots * ROW as u64, pair[1].place(0));
        }
        assert!(RINGS[2].reach() >= 30 * DAY);
    }

    #[test]
    fn what_is_written_is_read_and_any_flipped_bit_is_seen() {
        let mut values_in = NOTHING;
        values_in[3] = 1.5e18;
        let bytes = row(600, &values_in);
        let (start, read) = values(&bytes).unwrap();
        assert!(start == 600 && read[3] == 1.5e18 && read[4].is_nan());
        assert!(values(&[0; ROW]).is_none());
        let column = Column { name: "route:main".into(), last: 9 };
        assert_eq!(Column::read(&column.bytes()), Some(column.clone()));
        for bit in 0..124 * 8 {
            let mut bytes = column.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Column::read(&bytes), None, "bit {bit}");
        }
    }
}
