//! Whether what shares build on were real blocks of their time.

use std::collections::BTreeMap;

use super::findings::FindingKind;
use crate::chain::{Block, HeaderSource, HeaderSourceError};
use crate::job::{Job, Share};
use crate::key::hex_of_hash;
use crate::terms::Network;

/// How far the times of blocks may be off, in seconds: nodes take headers up to two hours ahead of their clocks.
pub const CHAIN_TOLERANCE: u64 = 7_200;
/// How many blocks' answers are remembered.
const REMEMBERED: usize = 1_024;

/// Asks for blocks, each once.
pub(super) struct Blocks<'a> {
    source: Option<&'a mut dyn HeaderSource>,
    known: BTreeMap<[u8; 32], Block>,
    steady: bool,
    error: Option<HeaderSourceError>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(source: Option<&'a mut dyn HeaderSource>, network: Network) -> Self {
        Self { source, known: BTreeMap::new(), steady: network.has_steady_difficulty(), error: None }
    }

    /// Whether somebody answers.
    pub(super) fn answers(&self) -> bool {
        self.source.is_some() && self.error.is_none()
    }

    /// Why nobody does, where somebody should.
    pub(super) fn error(&self) -> Option<&HeaderSourceError> {
        self.error.as_ref()
    }

    /// What is wrong with the block that a share builds on.
    pub(super) fn judge(&mut self, share: &Share, job: &Job) -> Result<(), (FindingKind, String)> {
        let name = || hex_of_hash(&job.prev_hash);
        match self.find(&job.prev_hash) {
            None => Ok(()),
            Some(Block::Unknown) => {
                Err((FindingKind::UnknownBlock, format!("builds on block {}, which is not known", name())))
            }
            Some(Block::Off) => Err((
                FindingKind::OffChain,
                format!("builds on block {}, which is not on the best chain", name()),
            )),
            Some(Block::Best { time, next }) => {
                let early = share.at + CHAIN_TOLERANCE < u64::from(time);
                let late = next.is_some_and(|next| share.at > u64::from(next.time) + CHAIN_TOLERANCE);
                if early || late {
                    let what = if early { "was not there yet" } else { "was no longer the tip" };
                    let text = format!("of {} builds on block {}, which {what} then", share.at, name());
                    return Err((FindingKind::NotTheTip, text));
                }
                match next {
                    Some(next) if self.steady && next.nbits != job.nbits => Err((
                        FindingKind::Nbits,
                        format!(
                            "has nbits {:#010x}; the block after {} has {:#010x}: no block would have come of it",
                            job.nbits,
                            name(),
                            next.nbits
                        ),
                    )),
                    _ => Ok(()),
                }
            }
        }
    }

    fn find(&mut self, hash: &[u8; 32]) -> Option<Block> {
        if let Some(known) = self.known.get(hash) {
            return Some(*known);
        }
        if self.error.is_some() {
            return None;
        }
        match self.source.as_mut()?.find(hash) {
            Ok(block) => {
                if self.known.len() >= REMEMBERED {
                    self.known.pop_first();
                }
                self.known.insert(*hash, block);
                Some(block)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }
}
