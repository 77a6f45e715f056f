//! Files of block headers.

use std::io;
use std::path::Path;

use bitcoin::hex::FromHex as _;
use receipt::{Headers, HeadersError};

use super::files::read_bounded;

/// Ten million headers: two centuries.
const LONGEST: u64 = 800_000_000;

/// Reads a file of headers: 80 bytes each, or lines of 160 hex digits each.
///
/// # Errors
/// It cannot be read, or is something else.
pub fn read_headers(path: &Path) -> Result<Headers, HeadersFileError> {
    let bytes = read_bounded(path, LONGEST)?;
    // A header in binary has bytes that no text has: its version and its hash.
    let is_text = bytes.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace());
    if !is_text || bytes.is_empty() {
        return Ok(Headers::read(&bytes)?);
    }
    let mut headers = Vec::with_capacity(bytes.len() / 2);
    for (line, text) in (1_usize..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let text = str::from_utf8(text).unwrap_or_default();
        let header = <[u8; 80]>::from_hex(text).map_err(|_| HeadersFileError::Line { line })?;
        headers.extend_from_slice(&header);
    }
    Ok(Headers::read(&headers)?)
}

/// Why a file is no file of headers.
#[derive(Debug, thiserror::Error)]
pub enum HeadersFileError {
    /// A line that is no header.
    #[error("line {line} is no header: 160 hex digits, as bitcoin-cli getblockheader HASH false prints them")]
    Line {
        /// Which, from 1 on.
        line: usize,
    },
    /// The headers are no chain.
    #[error(transparent)]
    Headers(#[from] HeadersError),
    /// The system's.
    #[error(transparent)]
    Io(#[from] io::Error),
}
