//! What a connection of the load generator does where the server speaks SV2: Noise, one channel, its shares.

use std::sync::Arc;

use bytes::BytesMut;
use noise::{ACT2_LEN, DEFAULT_LEEWAY_S, Initiator, Opener, Sealer};
use sv2::mining::{SubmitSharesError, SubmitSharesSuccess};
use sv2::{FrameHeader, Message};

use super::options::{Options, Sv2Options};
use crate::pow::{HeaderFields, HeaderHasher, Target};
use crate::sv2_miner::{JobBody, Session, SessionOptions, Share, Work};

/// Largest payload that is taken.
const MAX_PAYLOAD: usize = 1 << 20;
/// Nonces that are tried for one share before it is given up: as for SV1.
const MAX_TRIES: u32 = 10_000_000;
/// Hashes per second that a channel is opened with: so few that the server begins at its lowest difficulty.
const NOMINAL: f32 = 1.0;

/// What came with some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    /// The server has answered.
    Greeted,
    /// There is another job, with its hashes a share; jobs that are the same for all connections have the same key.
    Job { hashes: f64, prev_hash: [u8; 32], key: Box<[u8]> },
    /// So many of the oldest shares were accepted.
    Accepted(u32),
    /// The share with this number was not.
    Rejected(u32, String),
}

/// Why the connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Sv2Failure {
    #[error("{0}")]
    Handshake(#[from] noise::HandshakeError),
    #[error("{0}")]
    Open(#[from] noise::OpenError),
    #[error("{0}")]
    Seal(#[from] noise::SealError),
    #[error("{0}")]
    Session(#[from] crate::sv2_miner::SessionError),
    #[error("{0}")]
    Decode(#[from] sv2::DecodeError),
    #[error("the channel was refused: {0}")]
    Refused(String),
}

/// See the module.
pub(super) struct Sv2Side {
    initiator: Option<Initiator>,
    link: Option<(Sealer, Opener)>,
    input: BytesMut,
    plain: BytesMut,
    session: Session,
    greeted: bool,
    generation: u64,
    maker: Option<Maker>,
    /// Where the search has come to, through all jobs: no header comes twice.
    row: u64,
    nonce: u32,
    sequence: u32,
}

/// A job with its header hashed as far as it goes.
struct Maker {
    work: Arc<Work>,
    target: Target,
    hasher: HeaderHasher,
    header: HeaderFields,
    extranonce: Vec<u8>,
}

impl Sv2Side {
    /// Begins: the first act is to be sent.
    pub(super) fn new(sv2: &Sv2Options, options: &Options, number: u32) -> (Self, Vec<u8>) {
        let (initiator, act1) = Initiator::new(sv2.authority, rand::random());
        let session = SessionOptions {
            standard: u32::from(sv2.standard),
            extended: u32::from(!sv2.standard),
            standard_jobs: sv2.standard,
            nominal_hash_rate: NOMINAL,
            ..SessionOptions::new(format!("{}.{number}", options.user))
        };
        let side = Self {
            initiator: Some(initiator),
            link: None,
            input: BytesMut::new(),
            plain: BytesMut::new(),
            session: Session::new(session),
            greeted: false,
            generation: 0,
            maker: None,
            row: 0,
            nonce: 0,
            sequence: 0,
        };
        (side, act1.to_vec())
    }

    /// Bytes came. What is to be sent is appended to `out`.
    pub(super) fn bytes(
        &mut self,
        bytes: &[u8],
        unix: u64,
        out: &mut Vec<u8>,
        mut news: impl FnMut(News),
    ) -> Result<(), Sv2Failure> {
        self.input.extend_from_slice(bytes);
        if let Some(initiator) = self.initiator.take() {
            if self.input.len() < ACT2_LEN {
                self.initiator = Some(initiator);
                return Ok(());
            }
            let act2 = self.input.split_to(ACT2_LEN);
            let act2: &[u8; ACT2_LEN] = act2.as_ref().try_into().expect("so many were split off");
            self.link = Some(initiator.finish(act2, unix, DEFAULT_LEEWAY_S)?.split());
            self.session.greet(&mut self.plain);
        }
        let Some((_, opener)) = &mut self.link else { return Ok(()) };
        while let Some(frame) = opener.open(&mut self.input, MAX_PAYLOAD)? {
            let header = FrameHeader::parse(&frame.header);
            match (header.extension_type, header.msg_type) {
                (0, SubmitSharesSuccess::MSG_TYPE) => {
                    let success = SubmitSharesSuccess::decode(&frame.payload)?;
                    news(News::Accepted(success.new_submits_accepted_count));
                }
                (0, SubmitSharesError::MSG_TYPE) => {
                    let error = SubmitSharesError::decode(&frame.payload)?;
                    news(News::Rejected(error.sequence_number, error.error_code.to_string()));
                }
                _ => self.session.on_frame(&header, &frame.payload, &mut self.plain)?,
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if let Some(code) = self.session.stats().refused.keys().next() {
            return Err(Sv2Failure::Refused(code.clone()));
        }
        if !self.greeted {
            self.greeted = true;
            news(News::Greeted);
        }
        if self.session.generation() != self.generation {
            self.generation = self.session.generation();
            if let Some(work) = self.session.work().first() {
                news(self.job(Arc::clone(work)));
            }
        }
        self.seal(out)
    }

    fn job(&mut self, work: Arc<Work>) -> News {
        let key = match &work.body {
            // A root is another on each channel: only the tip is the same for all.
            JobBody::Standard { .. } => work.prev_hash.into(),
            JobBody::Extended(job) => {
                [&work.prev_hash[..], &job.coinbase_tx_suffix, &job.merkle_path.concat()].concat().into()
            }
        };
        let news = News::Job { hashes: work.hashes_per_share(), prev_hash: work.prev_hash, key };
        self.maker = Some(Maker::new(work, self.row));
        news
    }

    /// Finds a share and puts it into `out`: its number, or none.
    pub(super) fn share(&mut self, out: &mut Vec<u8>) -> Option<u32> {
        for _ in 0..MAX_TRIES {
            let maker = self.maker.as_mut()?;
            let nonce = self.nonce;
            let found = maker.hasher.hash(nonce).meets(&maker.target);
            if found {
                let share = Share {
                    channel_id: maker.work.channel_id,
                    job_id: maker.work.job_id,
                    nonce,
                    ntime: maker.header.ntime,
                    version: maker.header.version,
                    extranonce: maker.extranonce.clone(),
                };
                self.session.submit(&share, &mut self.plain);
            }
            self.nonce = nonce.wrapping_add(1);
            if self.nonce == 0 {
                self.row += maker.work.rows_of_all_nonces();
                *maker = Maker::new(Arc::clone(&maker.work), self.row);
            }
            if found {
                self.seal(out).ok()?;
                self.sequence = self.sequence.wrapping_add(1);
                return Some(self.sequence);
            }
        }
        None
    }

    fn seal(&mut self, out: &mut Vec<u8>) -> Result<(), Sv2Failure> {
        if let Some((sealer, _)) = self.link.as_mut().filter(|_| !self.plain.is_empty()) {
            let mut sealed = BytesMut::new();
            sealer.seal(&mut self.plain, &mut sealed)?;
            out.extend_from_slice(&sealed);
        }
        Ok(())
    }
}

impl Maker {
    fn new(work: Arc<Work>, row: u64) -> Self {
        let (header, extranonce) = work.header(row);
        let target = Target::from_le_bytes(work.target);
        Self { hasher: HeaderHasher::new(&header), work, target, header, extranonce }
    }
}

impl std::fmt::Debug for Sv2Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sv2Side").field("session", &self.session).finish_non_exhaustive()
    }
}
