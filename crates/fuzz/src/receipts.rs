//! A receipt, as anybody hands it over.
//!
//! Input: 0 and a file's bytes; 1 and what its compressed stream holds; 2 and edits of an honest receipt's records, five bytes each: what is
//! done, to which record, where in it (two bytes), and with what.
//!
//! Promises:
//! - what is verified is the same each time and can be shown as JSON; in whatever pieces it is read, the same is found, but for the reason
//!   why it cannot be read;
//! - without the issuer's key nothing holds but what it signed: whatever is done to an honest receipt, it is refused, or says the
//!   same of the same shares;
//! - merged with itself it is refused, however it is;
//! - running roots and counter-signed ones, as raw bytes or as edits of honest ones (input 3 and 4: place, two bytes, and what is put there),
//!   are read as what was signed or not at all, and are written as they were read.

use std::io::{self, Read, Write as _};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use receipt::records::{MAGIC, MERGED_MAGIC};
use receipt::{
    Basis, CounterSignature, CounterSignedRoot, Ending, Header, Job, Network, Outcome, Payout, Report,
    SecretKey, Share, SignedRoot, SignedTerms, Subject, Terms, Verified, Writer, sampling, verify_file,
};

use crate::cursor::Cursor;

/// What may be unpacked of an input before it is looked at: a bomb is the reader's to notice, and is no secret.
const MAX_STREAM: usize = 1 << 16;

static HONEST: LazyLock<Honest> = LazyLock::new(Honest::make);

struct Honest {
    file: Vec<u8>,
    records: Vec<(u8, Vec<u8>)>,
    report: Report,
    /// The first six shares' root, and the receiver's counter-signature of it.
    root: SignedRoot,
    counter: CounterSignedRoot,
}

impl Honest {
    /// Twelve shares of three jobs, counter-signed after six. A share is a hash, so that it is made at once.
    fn make() -> Self {
        let key = |n| SecretKey::from_bytes([n; 32]).expect("a key");
        let (issuer, receiver) = (key(1), key(2));
        let from = 1_800_000_000;
        let terms = Terms {
            network: Network::Regtest,
            subject: Subject::Lease("a".into()),
            from,
            to: from + 60,
            every: 60,
            hashrate: 1,
            basis: Basis::Agreed,
            ending: Ending::Period,
            issuer: issuer.public(),
            receiver: Some(receiver.public()),
            payout: Payout { scripts: vec![[0x51].into()], least_parts: 1_000_000 },
            pool_tag: "".into(),
            tag_length: 8,
            salt: [3; 16],
            note: "".into(),
        };
        let tag = terms.tag();
        let header = Header::new(&terms, from, from + 60, sampling::MIN_EXPONENT, 1, 0);
        let mut signed = SignedTerms::new(terms).expect("terms");
        signed.sign(from - 1, &receiver).expect("a party");
        let mut writer = Writer::new(Vec::new(), &signed, header).expect("memory");
        let mut root = None;
        for n in 0..12_u32 {
            let mut coinbase_prefix = [&[1, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[2 + 10]].concat();
            coinbase_prefix.extend([1, u8::try_from(n / 4).expect("small")]);
            let coinbase_suffix = [&[0xff; 4][..], &[1], &50_u64.to_le_bytes(), &[1, 0x51], &[0; 4]].concat();
            let job = Job {
                version: 4,
                prev_hash: [1; 32],
                nbits: 0x207f_ffff,
                min_ntime: 1_800_000_000,
                prefix_length: 1,
                coinbase_prefix,
                coinbase_suffix,
                merkle_path: vec![[2; 32]],
            };
            let extranonce = [&[7][..], &tag, &[u8::try_from(n).expect("small")]].concat();
            let share =
                Share { at: from + u64::from(n), extranonce, ntime: 1_800_000_000 + n, nonce: n, version: 4 };
            writer.share(&job, &share).expect("sound");
            if n == 5 {
                let (shares, root_hash) = writer.root();
                let seen =
                    CounterSignature::sign(writer.terms_hash(), shares, root_hash, from + 9, &receiver);
                writer.counter_signature(&seen).expect("sound");
                root = SignedRoot::sign(&signed, &header, (shares, root_hash), from + 6, &issuer).ok();
            }
        }
        let (file, _) = writer.finish(from + 70, &issuer).expect("memory");
        let mut stream = Vec::new();
        ZlibDecoder::new(&file[MAGIC.len()..]).read_to_end(&mut stream).expect("sound");
        let report = one(&file[..]);
        assert_eq!(report.outcome, Outcome::Holds, "{report:?}");
        let root = root.expect("a root of the period");
        let counter = CounterSignedRoot::sign(root.clone(), from + 9, &receiver).expect("in time");
        Self { records: records(&stream), file, report, root, counter }
    }
}

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the honest receipt is taken to have a share more.
pub(crate) fn check(data: &[u8], planted: bool) {
    if let Some((3 | 4, edits)) = data.split_first().map(|(first, rest)| (*first, rest)) {
        roots(&edited(data[0] == 3, edits));
    }
    let file = file(data);
    roots(&file);
    let report = one(&file[..]);
    let json = json(&report);
    assert_eq!(json, self::json(&one(&file[..])), "the same each time");
    let in_pieces = one(Slowly(&file));
    // Where a damaged stream is noticed, and so what is said of it, depends on the pieces; that it is does not.
    if report.outcome == Outcome::Unreadable {
        assert_eq!(in_pieces.outcome, Outcome::Unreadable, "in whatever pieces");
    } else {
        assert_eq!(json, self::json(&in_pieces), "in whatever pieces");
    }
    if matches!(report.outcome, Outcome::Holds | Outcome::Partly) {
        let honest = &HONEST.report;
        assert_eq!(report.id, honest.id, "only what the issuer signed holds");
        assert_eq!(report.shares, honest.shares + u64::from(planted));
        assert_eq!(report.counted, honest.counted);
    }
    let mut twice = MERGED_MAGIC.to_vec();
    if let Ok(length) = u32::try_from(file.len()) {
        for _ in 0..2 {
            twice.extend(leb128(length));
            twice.extend_from_slice(&file);
        }
        twice.push(0);
        let outcome = verify_file(&twice[..], None).outcome();
        assert!(file.is_empty() || matches!(outcome, Outcome::Refused | Outcome::Unreadable), "{outcome:?}");
    }
}

/// An honest root, or a counter-signed one, with something else at some places: two bytes that say where, and one that is put there.
fn edited(of_root: bool, edits: &[u8]) -> Vec<u8> {
    let mut file = if of_root { HONEST.root.to_file() } else { HONEST.counter.to_file() };
    for [high, low, with] in edits.as_chunks::<3>().0 {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % file.len();
        if let Some(byte) = file.get_mut(at) {
            *byte = *with;
        }
    }
    file
}

/// What is read as one of the two was signed, and there are no others.
fn roots(file: &[u8]) {
    if let Ok(root) = SignedRoot::from_file(file) {
        assert_eq!(root, HONEST.root, "nobody else signed");
        assert_eq!(root.to_file(), file);
    }
    if let Ok(counter) = CounterSignedRoot::from_file(file) {
        assert_eq!(counter, HONEST.counter, "nobody else signed");
        assert_eq!(counter.to_file(), file);
    }
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).expect("a report can be shown")
}

/// The report of one receipt. Merged ones, which come only as raw bytes, are not what this is about.
fn one(file: impl Read) -> Report {
    match verify_file(file, None) {
        Verified::One(report) => *report,
        Verified::Merged(_) => one(&b"merged"[..]),
    }
}

fn file(data: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor(data);
    match cursor.byte() {
        Some(1) => pack(cursor.0),
        Some(2) => {
            let mut records = HONEST.records.clone();
            while let Some([what, which, high, low, with]) = edit(&mut cursor) {
                let count = records.len();
                if count == 0 {
                    break;
                }
                let at = usize::from(which) % count;
                let place = usize::from(u16::from_be_bytes([high, low]));
                let body = &mut records[at].1;
                match what % 7 {
                    0 if !body.is_empty() => {
                        let place = place % body.len();
                        body[place] ^= with;
                    }
                    1 => drop(records.remove(at)),
                    2 => records.insert(at, records[at].clone()),
                    3 => records.swap(at, (at + 1) % count),
                    4 => body.truncate(place % (body.len() + 1)),
                    5 => body.push(with),
                    _ => records[at].0 = with,
                }
                records.truncate(64);
            }
            let mut stream = Vec::new();
            for (kind, body) in records {
                stream.push(kind);
                stream.extend(leb128(u32::try_from(body.len()).unwrap_or(0)));
                stream.extend(body);
            }
            pack(&stream)
        }
        // The honest file itself.
        Some(0) if cursor.0.is_empty() => HONEST.file.clone(),
        _ => cursor.0.get(..MAX_STREAM).unwrap_or(cursor.0).to_vec(),
    }
}

fn edit(cursor: &mut Cursor<'_>) -> Option<[u8; 5]> {
    let (edit, rest) = cursor.0.split_first_chunk()?;
    cursor.0 = rest;
    Some(*edit)
}

fn pack(stream: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(MAGIC.to_vec(), Compression::fast());
    packed.write_all(stream).expect("memory");
    packed.finish().expect("memory")
}

fn records(stream: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut cursor = Cursor(stream);
    let mut records = Vec::new();
    while let Some(kind) = cursor.byte() {
        let (mut length, mut shift) = (0_usize, 0);
        while let Some(byte) = cursor.byte() {
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (body, rest) = cursor.0.split_at(length);
        cursor.0 = rest;
        records.push((kind, body.to_vec()));
    }
    records
}

fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Gives a byte at a time.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let one = to.len().min(1);
        self.0.read(&mut to[..one])
    }
}
