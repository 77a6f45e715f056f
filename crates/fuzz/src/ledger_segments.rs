//! A segment of the ledger, as a disk gives it back.
//!
//! Input: 0 and a file's bytes, as they are; or the number of a stream, and records, each after its length (a byte), which
//! are put into sound frames.
//!
//! Promises:
//! - what is read of a segment is the same each time, and ends where a record ends;
//! - what is cut off costs the records that it reaches into, and nothing before them;
//! - so does any byte that is not as it was written.

use ledger::Stream;
use ledger::frame::{HEADER_LENGTH, Header, write_record};
use ledger::record::{Entry, SegmentEnd, read_segment};

use crate::cursor::Cursor;

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` a segment that lacks its last byte is expected to hold as much as the whole one.
pub(crate) fn check(data: &[u8], planted: bool) {
    let segment = segment(data);
    let Some((entries, end)) = read(&segment) else {
        assert!(segment.get(..HEADER_LENGTH).and_then(Header::decode).is_none(), "a header is read");
        return;
    };
    assert_eq!(end.good + end.unread, segment.len());
    let good = &segment[..end.good];
    let again = read(good).expect("the header is the same");
    assert_eq!(again, (entries.clone(), SegmentEnd { unread: 0, ..end }));
    for cut in [HEADER_LENGTH, good.len() / 2, good.len() - 1] {
        let Some((part, part_end)) = read(&good[..cut.min(good.len())]) else { continue };
        assert!(part_end.good <= cut && entries.starts_with(&part), "cut at {cut}");
        let whole = part_end.records == end.records;
        assert!(whole == (cut >= good.len()), "cut at {cut}: {part_end:?} of {end:?}");
        assert!(!planted || whole || part_end.records + 1 < end.records, "the planted mistake");
    }
    if end.records > 0 {
        let at = HEADER_LENGTH + data.len() % (good.len() - HEADER_LENGTH);
        let mut damaged = good.to_vec();
        damaged[at] ^= 1 << (data.len() % 8);
        let (part, part_end) = read(&damaged).expect("the header is the same");
        assert!(part_end.good <= at && entries.starts_with(&part), "byte {at}");
        assert!(part_end.records < end.records, "a flipped bit is noticed");
    }
}

fn segment(data: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor(data);
    let Some(stream) = cursor.byte().and_then(Stream::of_number) else {
        return data.get(1..).unwrap_or_default().to_vec();
    };
    let header = Header { stream, number: 1, began_ms: 1_800_000_000_000, instance: [1, 2, 3, 4] };
    let mut segment = header.encode().to_vec();
    while let Some(record) = cursor.bytes() {
        if !record.is_empty() {
            write_record(&mut segment, record);
        }
    }
    segment
}

fn read(segment: &[u8]) -> Option<(Vec<Entry>, SegmentEnd)> {
    let mut entries = Vec::new();
    let (_, end) = read_segment(segment, &mut |entry| entries.push(entry))?;
    Some((entries, end))
}
