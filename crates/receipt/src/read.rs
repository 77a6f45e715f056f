//! Reads a receipt, record by record, whoever wrote it: every length is bounded before room is made, what it unpacks to is
//! counted while it unpacks, and records stand in the one order that they may have.

use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::Arc;

use flate2::bufread::ZlibDecoder;
use thiserror::Error;

use crate::agreement::{AgreementError, SignedTerms};
use crate::claim::Claim;
use crate::counter::CounterSignature;
use crate::header::Header;
use crate::job::{Job, Share};
use crate::records::{
    MAGIC, MAX_COUNTER_SIGNATURES, MAX_HASHED, MAX_JOBS, MAX_RECORD, MAX_SHARES, MAX_UNPACKED, MERGED_MAGIC,
    kind,
};
use crate::terms::MAX_TIME;
use crate::window::{JobWindow, KnownJob};

/// A part of a receipt.
#[derive(Clone, Debug)]
pub enum Part {
    /// A share, and the job that it refers to.
    Share(Share, Arc<KnownJob>),
    /// A counter-signature of the shares so far.
    Counter(CounterSignature),
    /// The claim. Nothing follows.
    Claim(Claim),
}

/// Reads a receipt.
#[derive(Debug)]
pub struct Reader<R: Read> {
    from: ZlibDecoder<BufReader<R>>,
    terms: SignedTerms,
    header: Header,
    jobs: JobWindow,
    unpacked: u64,
    whole_jobs: u64,
    hashed: u64,
    shares: u64,
    counters: u64,
    last: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning: terms and header.
    ///
    /// # Errors
    /// It is no receipt, or `from` fails.
    pub fn new(from: R) -> Result<Self, ReadError> {
        let mut from = BufReader::new(from);
        let mut magic = [0; 8];
        from.read_exact(&mut magic).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ReadError::NoReceipt,
            _ => ReadError::Io(error),
        })?;
        match magic {
            MAGIC => {}
            MERGED_MAGIC => return Err(ReadError::Merged),
            [b'A', b'D', b'I', b'T', b'R', b'C', version, _] if version != MAGIC[6] => {
                return Err(ReadError::Version { got: version });
            }
            _ => return Err(ReadError::NoReceipt),
        }
        let mut from = ZlibDecoder::new(from);
        let mut unpacked = 0;
        let mut next = |wanted, name| match record(&mut from, &mut unpacked)? {
            (kind, body) if kind == wanted => Ok(body),
            (got, _) => Err(ReadError::Order { got, expected: name }),
        };
        let terms = SignedTerms::decode(&next(kind::TERMS, "the terms (1)")?)?;
        let header = Header::decode(&next(kind::HEADER, "the header (2)")?).ok_or(ReadError::Header)?;
        if header.to > MAX_TIME {
            return Err(ReadError::Header);
        }
        Ok(Self {
            from,
            terms,
            header,
            jobs: JobWindow::default(),
            unpacked,
            whole_jobs: 0,
            hashed: 0,
            shares: 0,
            counters: 0,
            last: header.from,
            ended: false,
        })
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &SignedTerms {
        &self.terms
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next part; nothing after the claim.
    ///
    /// # Errors
    /// What follows is not what may follow. Nothing more can be read then.
    pub fn next_part(&mut self) -> Result<Option<Part>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let part = self.read_part();
        self.ended = !matches!(part, Ok(Part::Share(..) | Part::Counter(_)));
        part.map(Some)
    }

    fn read_part(&mut self) -> Result<Part, ReadError> {
        let (kind, body) = self.record()?;
        match kind {
            kind::JOB => {
                self.job(&body)?;
                // A job stands there for the sake of the share after it.
                match self.record()? {
                    (kind::SHARE, body) => match self.share(&body)? {
                        (share, 0, job) => Ok(Part::Share(share, job)),
                        _ => Err(ReadError::Order {
                            got: kind::SHARE,
                            expected: "a share of the job before it",
                        }),
                    },
                    (got, _) => Err(ReadError::Order { got, expected: "a share (4) after a job" }),
                }
            }
            kind::SHARE => self.share(&body).map(|(share, _, job)| Part::Share(share, job)),
            kind::COUNTER => {
                self.counters += 1;
                let counter = CounterSignature::decode(&body).ok_or(ReadError::Record { kind })?;
                if self.counters > MAX_COUNTER_SIGNATURES {
                    return Err(ReadError::TooMany {
                        what: "counter-signatures",
                        most: MAX_COUNTER_SIGNATURES,
                    });
                }
                Ok(Part::Counter(counter))
            }
            kind::CLAIM => {
                let claim = Claim::decode(&body).ok_or(ReadError::Record { kind })?;
                self.end()?;
                Ok(Part::Claim(claim))
            }
            got => Err(ReadError::Order {
                got,
                expected: "a job (3), share (4), counter-signature (5) or the claim (6)",
            }),
        }
    }

    fn record(&mut self) -> Result<(u8, Vec<u8>), ReadError> {
        record(&mut self.from, &mut self.unpacked)
    }

    fn job(&mut self, body: &[u8]) -> Result<(), ReadError> {
        let first = Job::default();
        let before = self.jobs.newest().map_or(&first, |known| &known.job);
        let job = Job::decode(body, before).ok_or(ReadError::Record { kind: kind::JOB })?;
        self.whole_jobs += job.len() as u64;
        if self.whole_jobs > MAX_JOBS {
            return Err(ReadError::TooMany { what: "bytes of jobs", most: MAX_JOBS });
        }
        let hash = job.hash();
        self.jobs.push(job, hash);
        Ok(())
    }

    fn share(&mut self, body: &[u8]) -> Result<(Share, usize, Arc<KnownJob>), ReadError> {
        let (share, back) = Share::decode(body, self.last).ok_or(ReadError::Record { kind: kind::SHARE })?;
        let job = Arc::clone(self.jobs.get(back).ok_or(ReadError::NoJob { back })?);
        self.shares += 1;
        if self.shares > MAX_SHARES {
            return Err(ReadError::TooMany { what: "shares", most: MAX_SHARES });
        }
        self.hashed += (job.job.coinbase_prefix.len() + job.job.coinbase_suffix.len()) as u64;
        if self.hashed > MAX_HASHED {
            return Err(ReadError::TooMany { what: "bytes to be hashed", most: MAX_HASHED });
        }
        self.last = share.at;
        Ok((share, back, job))
    }

    /// Makes sure that nothing follows: neither in the stream nor after it.
    fn end(&mut self) -> Result<(), ReadError> {
        let mut byte = [0];
        if self.from.read(&mut byte).map_err(broken)? != 0 {
            return Err(ReadError::Trailing);
        }
        loop {
            return match self.from.get_mut().read(&mut byte) {
                Ok(0) => Ok(()),
                Ok(_) => Err(ReadError::Trailing),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(ReadError::Io(error)),
            };
        }
    }
}

/// A record: its kind, its length, its body. Room is made as it comes.
fn record(from: &mut impl Read, unpacked: &mut u64) -> Result<(u8, Vec<u8>), ReadError> {
    let mut byte = || {
        let mut byte = [0];
        from.read_exact(&mut byte).map_err(broken)?;
        Ok::<u8, ReadError>(byte[0])
    };
    let kind = byte()?;
    let mut length = 0_usize;
    let mut bytes = 1;
    for shift in [0, 7, 14, 21] {
        let part = byte()?;
        bytes += 1;
        length |= usize::from(part & 0x7f) << shift;
        if part & 0x80 == 0 {
            if part == 0 && shift > 0 {
                return Err(ReadError::Record { kind });
            }
            break;
        }
        if shift == 21 {
            return Err(ReadError::TooLong { kind, got: length });
        }
    }
    if length > MAX_RECORD {
        return Err(ReadError::TooLong { kind, got: length });
    }
    *unpacked += bytes + length as u64;
    if *unpacked > MAX_UNPACKED {
        return Err(ReadError::TooMany { what: "bytes when it is unpacked", most: MAX_UNPACKED });
    }
    let mut body = Vec::new();
    if from.take(length as u64).read_to_end(&mut body).map_err(broken)? < length {
        return Err(ReadError::Truncated);
    }
    Ok((kind, body))
}

/// What an error of the stream says: `flate2` calls what it cannot unpack invalid.
fn broken(error: io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::UnexpectedEof => ReadError::Truncated,
        ErrorKind::InvalidInput | ErrorKind::InvalidData => ReadError::Stream,
        _ => ReadError::Io(error),
    }
}

/// Why a receipt cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is something else.
    #[error("this is no receipt: it does not begin with ADITRC")]
    NoReceipt,
    /// Several in one.
    #[error("these are merged receipts, not one")]
    Merged,
    /// Another version of the format.
    #[error("this is a receipt of version {got}; this reader knows version 1")]
    Version {
        /// Which.
        got: u8,
    },
    /// It ends too early.
    #[error("the receipt is cut off")]
    Truncated,
    /// The compressed stream is damaged.
    #[error("the receipt is damaged: its compressed stream cannot be unpacked, or its checksum is wrong")]
    Stream,
    /// Something follows.
    #[error("something follows the claim: a receipt ends there")]
    Trailing,
    /// Terms that are none.
    #[error(transparent)]
    Terms(#[from] AgreementError),
    /// A header that is none.
    #[error("the header is none: it ends before it begins, has an impossible difficulty, or is damaged")]
    Header,
    /// A record that is none.
    #[error("a record of kind {kind} is damaged")]
    Record {
        /// Its kind.
        kind: u8,
    },
    /// A record where it cannot be.
    #[error("a record of kind {got} stands where {expected} must stand")]
    Order {
        /// Its kind.
        got: u8,
        /// What was expected.
        expected: &'static str,
    },
    /// A record over the limit.
    #[error("a record of kind {kind} is said to have {got} bytes or more: at most {MAX_RECORD} are allowed")]
    TooLong {
        /// Its kind.
        kind: u8,
        /// Its length.
        got: usize,
    },
    /// A job that is not there.
    #[error("a share refers to the job {back} before the newest, which is not there (any more)")]
    NoJob {
        /// How far back.
        back: usize,
    },
    /// Too much of something.
    #[error("the receipt has more than {most} {what}: more than anybody has to take")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        most: u64,
    },
    /// It cannot be read.
    #[error("the receipt cannot be read: {0}")]
    Io(io::Error),
}
