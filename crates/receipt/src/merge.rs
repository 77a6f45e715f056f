//! Several receipts in one file: added up, no share counted twice, each with the signatures that it had.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde::Serialize;
use thiserror::Error;

use crate::chain::HeaderSource;
use crate::claim::float;
use crate::coding::Encoder;
use crate::interval::{Interval, weighted};
use crate::records::{MAGIC, MERGED_MAGIC};
use crate::sampling;
use crate::verify::{Finding, FindingKind, Outcome, Report, Seen, unreadable, verify_among};

/// Receipts at most in one file.
pub const MAX_PARTS: usize = 1_000;
/// The longest of them, in bytes.
pub const MAX_PART: u64 = 64 * 1024 * 1024;
/// Shares at most, of all together.
pub const MAX_MERGED_SHARES: usize = 1_000_000;

/// What several receipts come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sum {
    /// How many receipts.
    pub receipts: u64,
    /// The earliest beginning, Unix seconds.
    pub from: u64,
    /// The latest end.
    pub to: u64,
    /// Shares that count.
    pub shares: u64,
    /// The work, in hashes.
    #[serde(serialize_with = "crate::claim::as_float")]
    pub hashes: u128,
    /// Its lower limit (95 % for both limits together).
    pub low: f64,
    /// Its upper limit.
    pub high: f64,
    /// Hashes per second over the whole time.
    pub hashrate: f64,
}

/// What verifying merged receipts comes to.
#[derive(Clone, Debug, Serialize)]
pub struct MergedReport {
    /// The gravest of all.
    pub outcome: Outcome,
    /// What is proven by all together; none if one of them is not to be believed.
    pub sum: Option<Sum>,
    /// What is wrong with the whole.
    pub findings: Vec<Finding>,
    /// Each receipt's own report.
    pub receipts: Vec<Report>,
}

/// What verifying a file comes to.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Verified {
    /// It is one receipt.
    One(Box<Report>),
    /// It is several.
    Merged(MergedReport),
}

impl Verified {
    /// The whole in a word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::One(report) => report.outcome,
            Self::Merged(report) => report.outcome,
        }
    }
}

/// Verifies a file, whether it is a receipt or several that were merged.
pub fn verify_file(mut from: impl Read, source: Option<&mut dyn HeaderSource>) -> Verified {
    let mut begin = Vec::new();
    if let Err(error) = from.by_ref().take(8).read_to_end(&mut begin) {
        return Verified::One(Box::new(unreadable(error.to_string())));
    }
    if begin == MERGED_MAGIC {
        Verified::Merged(verify_parts(from, source))
    } else {
        Verified::One(Box::new(verify_among(begin.chain(from), source, &mut Seen::default())))
    }
}

/// Verifies what follows the first eight bytes.
fn verify_parts(mut from: impl Read, mut source: Option<&mut dyn HeaderSource>) -> MergedReport {
    let (mut seen, mut ids) = (Seen::default(), BTreeSet::new());
    let (mut receipts, mut findings) = (Vec::new(), Vec::new());
    let mut whole = |kind: FindingKind, text| {
        findings.push(Finding { kind, severity: kind.severity(), shares: 0, examples: Vec::new(), text });
    };
    loop {
        let length = match part_length(&mut from) {
            Ok(0) => {
                if !matches!(from.read(&mut [0]), Ok(0)) {
                    whole(FindingKind::Unreadable, "something follows the last receipt".to_owned());
                }
                break;
            }
            Ok(length)
                if length <= MAX_PART && receipts.len() < MAX_PARTS && seen.len() < MAX_MERGED_SHARES =>
            {
                length
            }
            Ok(_) => {
                let text = format!(
                    "more than {MAX_PARTS} receipts, {MAX_MERGED_SHARES} shares, or {MAX_PART} bytes of one: more than \
                     anybody has to take"
                );
                whole(FindingKind::Unreadable, text);
                break;
            }
            Err(error) => {
                whole(FindingKind::Unreadable, format!("the merged receipts are cut off: {error}"));
                break;
            }
        };
        let mut part = from.by_ref().take(length);
        let source: Option<&mut dyn HeaderSource> = match &mut source {
            Some(source) => Some(&mut **source),
            None => None,
        };
        let report = verify_among(&mut part, source, &mut seen);
        if report.id.as_ref().is_some_and(|id| !ids.insert(id.clone())) {
            let text = format!("receipt {} is the same as one before it", receipts.len() + 1);
            whole(FindingKind::SameReceipt, text);
        }
        // What was not read of a receipt that cannot be read.
        let rest = io::copy(&mut part, &mut io::sink());
        receipts.push(report);
        if rest.is_err() || part.limit() > 0 {
            whole(FindingKind::Unreadable, "the merged receipts are cut off".to_owned());
            break;
        }
    }
    let outcome = receipts.iter().map(|report| report.outcome).max().unwrap_or(Outcome::Holds);
    let outcome = outcome.max(Outcome::of(&findings));
    let sum = matches!(outcome, Outcome::Holds | Outcome::Partly).then(|| sum(&receipts));
    MergedReport { outcome, sum, findings, receipts }
}

/// Adds up receipts that are believed.
fn sum(receipts: &[Report]) -> Sum {
    let figures = || receipts.iter().filter_map(|report| Some((report.counted?, report.header?)));
    let from = figures().map(|(_, header)| header.from).min().unwrap_or(0);
    let to = figures().map(|(_, header)| header.to).max().unwrap_or(0);
    let hashes = figures().fold(0, |sum: u128, (figures, _)| sum.saturating_add(figures.hashes));
    let parts: Vec<(f64, u64)> = figures()
        .map(|(figures, header)| (float(sampling::hashes(header.exponent)), figures.shares))
        .collect();
    let Interval { low, high } = weighted(&parts);
    Sum {
        receipts: receipts.len() as u64,
        from,
        to,
        shares: figures().map(|(figures, _)| figures.shares).sum(),
        hashes,
        low,
        high,
        hashrate: float(hashes) / float(to.saturating_sub(from).max(1).into()),
    }
}

fn part_length(from: &mut impl Read) -> io::Result<u64> {
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        length |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(length);
        }
    }
    Ok(u64::MAX)
}

/// Merges receipts.
#[derive(Debug)]
pub struct Merger<W: Write> {
    out: W,
    seen: Seen,
    ids: BTreeSet<String>,
    reports: Vec<Report>,
}

impl<W: Write> Merger<W> {
    /// Begins.
    ///
    /// # Errors
    /// `out` fails.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MERGED_MAGIC)?;
        Ok(Self { out, seen: Seen::default(), ids: BTreeSet::new(), reports: Vec::new() })
    }

    /// Adds a file: a receipt, or several that were merged. After an error nothing more is to be added.
    ///
    /// # Errors
    /// A receipt that does not hold, that is here already, or that has a share which is here already.
    pub fn add(&mut self, file: &[u8]) -> Result<(), MergeError> {
        let Some(mut parts) = file.strip_prefix(&MERGED_MAGIC[..]) else {
            return self.add_one(file);
        };
        loop {
            let length = part_length(&mut parts).map_err(|_| MergeError::CutOff)?;
            if length == 0 {
                return if parts.is_empty() { Ok(()) } else { Err(MergeError::CutOff) };
            }
            let length = usize::try_from(length).map_err(|_| MergeError::CutOff)?;
            let (part, rest) = parts.split_at_checked(length).ok_or(MergeError::CutOff)?;
            if !part.starts_with(&MAGIC) {
                return Err(MergeError::CutOff);
            }
            self.add_one(part)?;
            parts = rest;
        }
    }

    fn add_one(&mut self, file: &[u8]) -> Result<(), MergeError> {
        if self.reports.len() >= MAX_PARTS
            || self.seen.len() >= MAX_MERGED_SHARES
            || file.len() as u64 > MAX_PART
        {
            return Err(MergeError::TooMany);
        }
        let report = verify_among(file, None, &mut self.seen);
        if let Some(id) = report.id.clone()
            && !self.ids.insert(id.clone())
        {
            return Err(MergeError::Same { id });
        }
        if report.outcome != Outcome::Holds {
            return Err(MergeError::Refused(Box::new(report)));
        }
        let mut length = Encoder::default();
        length.number(file.len() as u64);
        self.out.write_all(&length.bytes)?;
        self.out.write_all(file)?;
        self.reports.push(report);
        Ok(())
    }

    /// Ends, and says what all come to.
    ///
    /// # Errors
    /// `out` fails.
    pub fn finish(mut self) -> io::Result<(W, Sum)> {
        self.out.write_all(&[0])?;
        let sum = sum(&self.reports);
        Ok((self.out, sum))
    }
}

/// Why receipts cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// It does not hold, or shares one with another.
    #[error("the receipt does not hold: {}", .0.findings.first().map_or("", |finding| finding.text.as_str()))]
    Refused(Box<Report>),
    /// It is there already.
    #[error("the receipt {id} is there already")]
    Same {
        /// What it is known by.
        id: String,
    },
    /// Merged receipts that end too early.
    #[error("the merged receipts are cut off or damaged")]
    CutOff,
    /// More than fit.
    #[error(
        "there would be more than {MAX_PARTS} receipts, {MAX_MERGED_SHARES} shares, or {MAX_PART} bytes of one: merge in parts"
    )]
    TooMany,
    /// They cannot be written.
    #[error("the merged receipts cannot be written: {0}")]
    Io(#[from] io::Error),
}
