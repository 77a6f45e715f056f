//! Where it is looked up whether a block was there: a node, or a file of headers.

use thiserror::Error;
use work::{Header, Target};

/// What is known of a block that a job builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// It is on the best chain.
    Best {
        /// Its header's time.
        time: u32,
        /// The block after it, if there is one yet.
        next: Option<NextBlock>,
    },
    /// It is a block, but not on the best chain.
    Off,
    /// It is not known.
    Unknown,
}

/// The block after another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBlock {
    /// Its header's time.
    pub time: u32,
    /// Its target in compact form.
    pub nbits: u32,
}

/// Knows blocks.
pub trait HeaderSource {
    /// What is known of the block with this hash (internal order).
    ///
    /// # Errors
    /// It cannot be asked. Nothing is concluded then.
    fn find(&mut self, hash: &[u8; 32]) -> Result<Block, HeaderSourceError>;
}

/// Why a [`HeaderSource`] does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct HeaderSourceError(pub String);

/// A file of headers: 80 bytes each, each on the one before, as many as are wanted, from any height on. A block that is not in it
/// is unknown.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    headers: Vec<(u32, u32)>,
    /// Hash and number, sorted.
    places: Vec<([u8; 32], u32)>,
}

impl Headers {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// It is no such file: another length, a header that is not on the one before, or one without its proof of work.
    pub fn read(file: &[u8]) -> Result<Self, HeadersError> {
        let (headers, rest) = file.as_chunks::<80>();
        if headers.is_empty() || !rest.is_empty() {
            return Err(HeadersError::Length { got: file.len() });
        }
        let mut all = Self::default();
        let mut before = None;
        for (number, bytes) in (0_u32..).zip(headers) {
            let header = Header::from_bytes(bytes);
            if before.is_some_and(|before| before != header.prev_hash) {
                return Err(HeadersError::Gap { number });
            }
            let hash = header.hash();
            if !Target::from_compact(header.nbits).is_ok_and(|target| hash.meets(&target)) {
                return Err(HeadersError::NoWork { number });
            }
            before = Some(hash.to_bytes());
            all.headers.push((header.ntime, header.nbits));
            all.places.push((hash.to_bytes(), number));
        }
        all.places.sort_unstable();
        Ok(all)
    }
}

impl HeaderSource for Headers {
    fn find(&mut self, hash: &[u8; 32]) -> Result<Block, HeaderSourceError> {
        let Ok(place) = self.places.binary_search_by(|(other, _)| other.cmp(hash)) else {
            return Ok(Block::Unknown);
        };
        let number = self.places.get(place).map_or(0, |(_, number)| *number as usize);
        let Some((time, _)) = self.headers.get(number) else { return Ok(Block::Unknown) };
        let next = self.headers.get(number + 1).map(|(time, nbits)| NextBlock { time: *time, nbits: *nbits });
        Ok(Block::Best { time: *time, next })
    }
}

/// Why a file is no file of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeadersError {
    /// Not a multiple of 80 bytes, or none.
    #[error("a file of headers has 80 bytes for each, one at least; this one has {got}")]
    Length {
        /// Its length.
        got: usize,
    },
    /// A header that is not on the one before it.
    #[error("header {number} of the file (from 0) does not build on the one before it")]
    Gap {
        /// Which, from 0 on.
        number: u32,
    },
    /// A header whose hash is above its own target.
    #[error("header {number} of the file (from 0) does not meet its own target")]
    NoWork {
        /// Which, from 0 on.
        number: u32,
    },
}
