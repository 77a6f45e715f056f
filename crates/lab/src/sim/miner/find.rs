//! Finding shares: real hashes, by the miner's own code.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use super::{ClientJob, Miner};
use crate::pow::{HeaderHasher, Target};
use crate::sim::plan::NETWORK_BITS;
use crate::sim::rng::Rng;
use crate::sim::time::{Micros, SECOND};

/// Hashes after which a search is given up: far above what any share of the simulator needs.
const PATIENCE: u32 = 4_000_000;
/// Nonces that are tried under one extranonce.
const NONCES: u32 = 1 << 20;

/// A header that meets what was asked for.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Found {
    pub(in crate::sim) extranonce2: Vec<u8>,
    pub(in crate::sim) ntime: u32,
    pub(in crate::sim) nonce: u32,
    pub(in crate::sim) version_bits: Option<u32>,
    pub(in crate::sim) is_block: bool,
    pub(in crate::sim) hash: [u8; 32],
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// A hash that meets the target.
    Meets(Target),
    /// A hash that does not.
    Misses(Target),
}

/// The network's difficulty.
fn network() -> bitcoin::Target {
    bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(NETWORK_BITS))
}

/// A hair harder than the network's target.
pub(super) fn network_target() -> Target {
    Target::from_difficulty(network().difficulty_float() * 1.000_001)
}

impl Miner {
    /// Searches a share of a job. `extranonce1` and `ntime` may be others than the miner's own.
    pub(super) fn search(
        &self,
        job: &ClientJob,
        extranonce1: &[u8],
        number: u64,
        ntime: u32,
        wish: Wish,
        rng: &mut Rng,
    ) -> Option<Found> {
        let version_bits = self.version_bits(rng);
        let mask = self.mask.unwrap_or(crate::sim::pool::job::VERSION_MASK);
        let version = version_bits.map_or(job.job.version, |bits| (job.job.version & !mask) | bits);
        let size = self.extranonce2_size;
        let mut tried = 0;
        let mut number = number;
        while tried < PATIENCE {
            let whole = number.to_be_bytes();
            let mut extranonce2 = vec![0; size];
            let n = size.min(8);
            extranonce2[size - n..].copy_from_slice(&whole[8 - n..]);
            let mut header = job.job.header(extranonce1, &extranonce2);
            header.version = version;
            header.ntime = ntime;
            let hasher = HeaderHasher::new(&header);
            let first = rng.word();
            for step in 0..NONCES {
                let nonce = first.wrapping_add(step);
                let hash = hasher.hash(nonce);
                let fits = match wish {
                    Wish::Meets(target) => hash.meets(&target),
                    Wish::Misses(target) => !hash.meets(&target),
                };
                if fits {
                    let is_block = network().is_met_by(BlockHash::from_byte_array(hash.to_bytes()));
                    let hash = hash.to_bytes();
                    return Some(Found { extranonce2, ntime, nonce, version_bits, is_block, hash });
                }
                tried += 1;
                if tried >= PATIENCE {
                    break;
                }
            }
            number += 1;
        }
        None
    }

    /// Whether what is sent for the newest job is a block, whatever else is wrong with it.
    pub(super) fn is_block(&self, found: &Found) -> bool {
        let Some(job) = self.jobs.back() else { return false };
        let mask = self.mask.unwrap_or(crate::sim::pool::job::VERSION_MASK);
        let mut header = job.job.header(&self.extranonce1, &found.extranonce2);
        header.version = found.version_bits.map_or(header.version, |bits| (header.version & !mask) | bits);
        header.ntime = found.ntime;
        let hash = HeaderHasher::new(&header).hash(found.nonce);
        network().is_met_by(BlockHash::from_byte_array(hash.to_bytes()))
    }

    /// Bits to roll: what was granted, or what is usual where nothing was asked for.
    fn version_bits(&self, rng: &mut Rng) -> Option<u32> {
        match self.mask {
            Some(mask) => Some(rng.word() & mask),
            None if self.version_rolls => Some(rng.word() & crate::sim::pool::job::VERSION_MASK),
            None => None,
        }
    }

    /// The time for a header of a job now.
    pub(super) fn ntime(&self, job: &ClientJob, now: Micros) -> u32 {
        if self.plan.rolls_time {
            job.job.ntime + u32::try_from((now - job.came) / SECOND).unwrap_or(0)
        } else {
            job.job.ntime
        }
    }
}
