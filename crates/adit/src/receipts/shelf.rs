//! The receipts and terms of a directory, as the API shows them, and roots that wait to be counter-signed; and verifying
//! receipts of others.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use receipt::{
    MAX_ROOT_FILE, MAX_TERMS, Part, ReadError, Reader, SignedRoot, SignedTerms, Subject, verify_file,
};
use telemetry::{ReceiptSnapshot, Receipts, ReceiptsSnapshot, RootSnapshot, TermsSnapshot};

use super::counters::keep;
use super::files::read_bounded;
use super::folder::{Found, Remembered, files};
use super::issuer::TERMS_MAX;
use crate::clock::unix_time;

/// What receipts end with.
const RECEIPT: &str = "receipt";
/// What terms end with.
const TERMS: &str = "terms";
/// What roots end with.
const ROOT: &str = "root";
/// The newest roots that are listed.
const ROOTS_MAX: usize = 100;
/// The longest receipts that are read.
const LONGEST: u64 = 64 << 20;

/// See the module. Nothing is listed where no receipts are issued.
pub(crate) struct Shelf {
    directory: Option<PathBuf>,
    said: Mutex<Said>,
}

/// What files said.
#[derive(Default)]
struct Said {
    receipts: Remembered<ReceiptSnapshot>,
    terms: Remembered<TermsSnapshot>,
    roots: Remembered<Option<RootSnapshot>>,
}

impl Shelf {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, said: Mutex::default() }
    }

    fn list_at(&self, now: u64, offset: usize, limit: usize) -> ReceiptsSnapshot {
        let Some(directory) = &self.directory else { return ReceiptsSnapshot::default() };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Said { receipts, terms, roots } = &mut *said;

        let mut issued = files(directory, RECEIPT);
        receipts.keep(&issued);
        issued.sort_unstable_by(|a, b| (b.version.modified, &b.path).cmp(&(a.version.modified, &a.path)));
        let page = issued.iter().skip(offset).take(limit);
        let listed = page.map(|file| receipts.of(file, receipt_snapshot)).collect();

        let mut agreed = files(directory, TERMS);
        // The same as receipts are issued for.
        agreed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        agreed.truncate(TERMS_MAX);
        terms.keep(&agreed);
        let agreed = agreed.iter().map(|file| terms.of(file, terms_snapshot));
        let mut open: Vec<TermsSnapshot> =
            agreed.filter(|terms| terms.problem.is_some() || now < terms.to).collect();
        open.sort_by_key(|terms| terms.to);
        for terms in &mut open {
            terms.due = due(terms, now);
        }

        let mut waiting = files(directory, ROOT);
        roots.keep(&waiting);
        waiting.sort_unstable_by(|a, b| (b.version.modified, &b.path).cmp(&(a.version.modified, &a.path)));
        let waiting =
            waiting.iter().take(ROOTS_MAX).filter_map(|file| roots.of(file, root_snapshot)).collect();
        ReceiptsSnapshot { issues: true, total: issued.len(), receipts: listed, terms: open, roots: waiting }
    }
}

impl Receipts for Shelf {
    fn list(&self, offset: usize, limit: usize) -> ReceiptsSnapshot {
        self.list_at(u64::from(unix_time()), offset, limit)
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        // A name, and no way to elsewhere.
        let mut parts = Path::new(name).components();
        let plain =
            matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name);
        let path = self.directory.as_ref()?.join(name);
        if !plain || ![RECEIPT, ROOT].map(|end| Some(OsStr::new(end))).contains(&path.extension()) {
            return None;
        }
        read_bounded(&Found::at(path)?.path, LONGEST).ok()
    }

    fn verify(&self, file: &[u8]) -> serde_json::Value {
        serde_json::to_value(verify_file(file, None)).unwrap_or_default()
    }

    fn keep_counter(&self, file: &[u8]) -> Result<String, String> {
        let Some(directory) = &self.directory else { return Err("no receipts are issued here".to_owned()) };
        keep(directory, file, u64::from(unix_time())).map_err(|error| error.to_string())
    }
}

/// What a root says of itself. One that cannot be read, or that its issuer did not sign, is not listed.
fn root_snapshot(file: &Found) -> Option<RootSnapshot> {
    let root = SignedRoot::from_file(&read_bounded(&file.path, MAX_ROOT_FILE as u64).ok()?).ok()?;
    let (subject, of) = named(&root.terms.terms.subject);
    Some(RootSnapshot {
        name: file_name(file),
        bytes: file.version.length,
        subject,
        of,
        from: root.from,
        to: root.to,
        shares: root.shares,
        at: root.at,
    })
}

fn file_name(file: &Found) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn named(subject: &Subject) -> (String, String) {
    let kind = match subject {
        Subject::Lease(_) => "lease",
        Subject::Route(_) => "route",
        Subject::Worker(_) => "worker",
    };
    (kind.to_owned(), subject.name().to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "shown")]
fn float(number: u128) -> f64 {
    number as f64
}

/// What a receipt says of itself, or why that cannot be read.
fn receipt_snapshot(file: &Found) -> ReceiptSnapshot {
    let empty =
        ReceiptSnapshot { name: file_name(file), bytes: file.version.length, ..ReceiptSnapshot::default() };
    if file.version.length > LONGEST {
        let problem = format!("it is longer than {LONGEST} bytes");
        return ReceiptSnapshot { problem: Some(problem), ..empty };
    }
    read_receipt(&file.path, &empty)
        .unwrap_or_else(|error| ReceiptSnapshot { problem: Some(error.to_string()), ..empty })
}

fn read_receipt(path: &Path, empty: &ReceiptSnapshot) -> Result<ReceiptSnapshot, ReadError> {
    let file = File::open(path).map_err(ReadError::Io)?;
    let mut reader = Reader::new(BufReader::new(file.take(LONGEST)))?;
    let header = *reader.header();
    let (subject, of) = named(&reader.terms().terms.subject);
    let claim = loop {
        match reader.next_part()?.ok_or(ReadError::Truncated)? {
            Part::Claim(claim) => break claim,
            Part::Share(..) | Part::Counter(_) => {}
        }
    };
    Ok(ReceiptSnapshot {
        subject,
        of,
        from: header.from,
        to: header.to,
        issued: claim.at,
        shares: claim.shares,
        hashes: float(claim.hashes),
        hashes_low: claim.low,
        hashes_high: claim.high,
        hashrate_hs: claim.hashrate,
        ..empty.clone()
    })
}

/// What terms say, or why that cannot be read. When a receipt is due is another matter.
fn terms_snapshot(file: &Found) -> TermsSnapshot {
    let empty = TermsSnapshot { name: file_name(file), ..TermsSnapshot::default() };
    let read = read_bounded(&file.path, 2 * MAX_TERMS as u64).map_err(|error| error.to_string());
    let signed = read.and_then(|bytes| SignedTerms::from_file(&bytes).map_err(|error| error.to_string()));
    let signed = match signed {
        Ok(signed) => signed,
        Err(problem) => return TermsSnapshot { problem: Some(problem), ..empty },
    };
    let terms = &signed.terms;
    let (subject, of) = named(&terms.subject);
    TermsSnapshot {
        subject,
        of,
        from: terms.from,
        to: terms.to,
        every: terms.every,
        hashrate_hs: float(terms.hashrate),
        issuer_signed: signed.agreed(&terms.issuer).is_some(),
        receiver_signed: terms.receiver.map(|key| signed.agreed(&key).is_some()),
        ..empty
    }
}

/// When the period that runs is over.
fn due(terms: &TermsSnapshot, now: u64) -> Option<u64> {
    let since = now.checked_sub(terms.from).filter(|_| now < terms.to)?;
    let over = since.checked_div(terms.every)?.saturating_add(1);
    Some(terms.from.saturating_add(over.saturating_mul(terms.every)).min(terms.to))
}

#[cfg(test)]
mod tests;
