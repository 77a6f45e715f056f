//! Counter-signatures that came back from the other side, as files beside the terms.

use std::io;
use std::path::{Path, PathBuf};

use receipt::{COUNTER_TOLERANCE, CounterSignature, CounterSignedRoot, MAX_ROOT_FILE, RootError};

use super::files::{read_bounded, replace};
use super::issuer::{beside, read_terms, terms_in};

/// Files of them that are looked at, and that are kept where they are sent by HTTP.
const COUNTERS_MAX: usize = 10_000;

/// Those of a period of terms with that hash, and their files. What is none, or of other terms, is passed over, and so is what
/// is of the future: somebody's clock is wrong.
pub(super) fn counters_in(
    directory: &Path,
    (terms, from): ([u8; 32], u64),
    now: u64,
) -> io::Result<Vec<(PathBuf, CounterSignature)>> {
    let mut found = Vec::new();
    for path in files(directory)? {
        let Ok(bytes) = read_bounded(&path, MAX_ROOT_FILE as u64) else { continue };
        let Ok(CounterSignedRoot { root, counter }) = CounterSignedRoot::from_file(&bytes) else { continue };
        let is_its = root.terms.terms.hash() == terms && root.from == from;
        if is_its && counter.at <= now.saturating_add(COUNTER_TOLERANCE) {
            found.push((path, counter));
        }
    }
    Ok(found)
}

/// Keeps one that was sent, if it is what it should be and its receipt is still to come. Gives the file's name; the same one sent
/// again stays as it is.
///
/// # Errors
/// It is not kept.
pub(super) fn keep(directory: &Path, file: &[u8], now: u64) -> Result<String, KeepError> {
    let CounterSignedRoot { root, counter } = CounterSignedRoot::from_file(file)?;
    let terms = &root.terms.terms;
    if counter.key == terms.issuer {
        return Err(KeepError::Own);
    }
    if counter.at > now.saturating_add(COUNTER_TOLERANCE) {
        return Err(KeepError::Future { at: counter.at, now });
    }
    let hash = terms.hash();
    let here = |path: &PathBuf| read_terms(path).is_ok_and(|signed| signed.terms.hash() == hash);
    let terms_file = terms_in(directory)?.into_iter().find(here).ok_or(KeepError::Terms)?;
    let number = root.from.saturating_sub(terms.from) / terms.every.max(1) + 1;
    if beside(&terms_file, number, ".receipt").try_exists()? {
        return Err(KeepError::Issued);
    }
    let key = counter.key.to_string();
    let end = format!("-{}-{}.counter", counter.shares, key.get(..16).unwrap_or(&key));
    let path = beside(&terms_file, number, &end);
    if !path.try_exists()? {
        if files(directory)?.len() >= COUNTERS_MAX {
            return Err(KeepError::Full);
        }
        replace(&path, file)?;
    }
    Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "counter") {
            files.push(path);
        }
    }
    files.sort_unstable();
    files.truncate(COUNTERS_MAX);
    Ok(files)
}

/// Why a counter-signature is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// It is none, or does not hold.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The issuer's own.
    #[error("it is by the issuer itself, which proves nothing to others")]
    Own,
    /// Of the future.
    #[error(
        "its time is {at}, and here it is {now} (Unix seconds), more than {COUNTER_TOLERANCE} s before: one of the clocks is wrong"
    )]
    Future {
        /// When it was made.
        at: u64,
        /// Now.
        now: u64,
    },
    /// Of terms that nothing is issued for.
    #[error("no receipts are issued here for its terms")]
    Terms,
    /// Too late.
    #[error("the receipt of its period is issued already, and is what is signed")]
    Issued,
    /// There are too many.
    #[error("{COUNTERS_MAX} of them are kept already")]
    Full,
    /// The system's.
    #[error("it cannot be kept: {0}")]
    Io(#[from] io::Error),
}
