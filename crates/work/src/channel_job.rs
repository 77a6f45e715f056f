//! A job as it stands on one channel.

use std::sync::Arc;

use thiserror::Error;

use crate::block_hash::BlockHash;
use crate::difficulty::Difficulty;
use crate::extranonce::Extranonce;
use crate::header::Header;
use crate::job::Job;
use crate::merkle;
use crate::seconds::Seconds;
use crate::sha256d::{BLOCK, Hasher, Midstate};
use crate::target::Target;

/// Seconds that a share's `ntime` may be ahead of `min_ntime` plus the time since the job came, unless the source
/// says otherwise: firmware rolls `ntime`, and clocks differ.
pub const DEFAULT_NTIME_SLACK: u32 = 600;

/// The largest slack: nodes refuse blocks more than two hours ahead of their clock.
pub const MAX_NTIME_SLACK: u32 = 7_200;

/// Which source a job came from; a number that the caller chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u16);

/// What a channel adds to a job.
#[derive(Clone, Copy, Debug)]
pub struct ChannelTerms<'a> {
    /// The source that the channel belongs to.
    pub source: SourceId,
    /// Which of the source's channels: a number that the caller does not use twice, so that a share finds the
    /// channel that its job came over, or finds it gone.
    pub generation: u32,
    /// Upstream's `extranonce_prefix` in force for this job.
    pub extranonce_prefix: &'a [u8],
    /// What takes up the space beyond the split
    /// ([`ExtranonceSplit::filler_of`](crate::ExtranonceSplit::filler_of)).
    pub filler: &'a [u8],
    /// The channel's target in force for this job: what upstream credits.
    pub source_target: Target,
    /// Seconds that `ntime` may be ahead; cut to [`MAX_NTIME_SLACK`].
    pub ntime_slack: u32,
    /// When the job became active (`min_ntime` was told).
    pub received_at: Seconds,
}

/// A job with one channel's extranonce prefix and target: everything that all miners of the channel have in
/// common, hashed once as far as it goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelJob {
    /// The job.
    pub job: Arc<Job>,
    /// The source that it came from.
    pub source: SourceId,
    /// Which of the source's channels.
    pub generation: u32,
    /// The channel's target in force for this job: what upstream credits a share with.
    pub source_target: Target,
    /// The difficulty of `source_target`.
    pub source_difficulty: Difficulty,
    /// Seconds that `ntime` may be ahead.
    pub ntime_slack: u32,
    /// When the job became active.
    pub received_at: Seconds,
    /// `extranonce_prefix | filler`.
    constant: Extranonce,
    prefix_len: u8,
    /// Over the whole blocks of `coinbase_tx_prefix | extranonce_prefix | filler`.
    midstate: Midstate,
    blocks: u32,
}

impl ChannelJob {
    /// Puts a job on a channel.
    ///
    /// # Errors
    /// A prefix and filler that leave nothing of the job's extranonce to roll, a target of zero.
    pub fn new(job: Arc<Job>, terms: ChannelTerms<'_>) -> Result<Self, ChannelJobError> {
        let taken = terms.extranonce_prefix.len().saturating_add(terms.filler.len());
        let too_long = ChannelJobError::NothingToRoll { taken, extranonce_len: job.extranonce_len };
        if taken >= usize::from(job.extranonce_len) {
            return Err(too_long);
        }
        let (Some(constant), Ok(prefix_len)) = (
            Extranonce::concat(&[terms.extranonce_prefix, terms.filler]),
            u8::try_from(terms.extranonce_prefix.len()),
        ) else {
            return Err(too_long);
        };
        if terms.source_target.is_zero() {
            return Err(ChannelJobError::ZeroTarget);
        }
        let mut hasher = Hasher::new();
        hasher.update(&job.coinbase_tx_prefix);
        hasher.update(constant.as_slice());
        let (midstate, blocks) = hasher.midstate();
        Ok(Self {
            job,
            source: terms.source,
            generation: terms.generation,
            source_target: terms.source_target,
            source_difficulty: terms.source_target.difficulty(),
            ntime_slack: terms.ntime_slack.min(MAX_NTIME_SLACK),
            received_at: terms.received_at,
            constant,
            prefix_len,
            midstate,
            blocks,
        })
    }

    /// The same job on the same channel with another filler, as long as the one that it has: shares of either are the job's.
    ///
    /// # Errors
    /// [`ChannelJobError::NothingToRoll`]: it is longer, by more than there is.
    pub fn with_filler(&self, filler: &[u8]) -> Result<Self, ChannelJobError> {
        let terms = ChannelTerms {
            source: self.source,
            generation: self.generation,
            extranonce_prefix: self.extranonce_prefix(),
            filler,
            source_target: self.source_target,
            ntime_slack: self.ntime_slack,
            received_at: self.received_at,
        };
        Self::new(Arc::clone(&self.job), terms)
    }

    /// Upstream's `extranonce_prefix`.
    #[must_use]
    pub fn extranonce_prefix(&self) -> &[u8] {
        self.constant.as_slice().get(..usize::from(self.prefix_len)).unwrap_or_default()
    }

    /// The filler.
    #[must_use]
    pub fn filler(&self) -> &[u8] {
        self.constant.as_slice().get(usize::from(self.prefix_len)..).unwrap_or_default()
    }

    /// `extranonce_prefix | filler`: what SV1's `coinb1` has after `coinbase_tx_prefix`.
    #[must_use]
    pub fn constant_extranonce(&self) -> &[u8] {
        self.constant.as_slice()
    }

    /// Bytes left to miner id and extranonce2.
    #[must_use]
    pub fn rollable_len(&self) -> usize {
        usize::from(self.job.extranonce_len).saturating_sub(self.constant.as_slice().len())
    }

    /// The `extranonce` of `SubmitSharesExtended`: filler, miner id, extranonce2. `rolled` is the last two, one
    /// after the other; `None` if it has not [`rollable_len`](Self::rollable_len) bytes.
    #[must_use]
    pub fn extranonce(&self, rolled: &[u8]) -> Option<Extranonce> {
        if rolled.len() == self.rollable_len() { Extranonce::concat(&[self.filler(), rolled]) } else { None }
    }

    /// The coinbase without BIP 141's fields. `rolled` is miner id and extranonce2, one after the other.
    #[must_use]
    pub fn coinbase(&self, rolled: &[u8]) -> Vec<u8> {
        [&*self.job.coinbase_tx_prefix, self.constant.as_slice(), rolled, &*self.job.coinbase_tx_suffix]
            .concat()
    }

    /// The coinbase's txid. `rolled` is miner id and extranonce2, in as many pieces as they come; what has not
    /// [`rollable_len`](Self::rollable_len) bytes makes the txid of another transaction.
    #[must_use]
    pub fn coinbase_txid(&self, rolled: &[&[u8]]) -> [u8; 32] {
        let mut hasher = Hasher::resume(self.midstate, self.blocks);
        // What the midstate has not: less than a block, of the coinbase's prefix, the constant bytes, or both.
        let done = (self.blocks as usize).saturating_mul(BLOCK);
        let prefix = &*self.job.coinbase_tx_prefix;
        hasher.update(prefix.get(done..).unwrap_or_default());
        let done = done.saturating_sub(prefix.len());
        hasher.update(self.constant.as_slice().get(done..).unwrap_or_default());
        for piece in rolled {
            hasher.update(piece);
        }
        hasher.update(&self.job.coinbase_tx_suffix);
        hasher.finish()
    }

    /// The header of a share. `rolled` as for [`coinbase_txid`](Self::coinbase_txid); `version` is the header's
    /// full version, bits already rolled in.
    #[must_use]
    pub fn header(&self, rolled: &[&[u8]], version: u32, ntime: u32, nonce: u32) -> Header {
        self.header_over(self.coinbase_txid(rolled), version, ntime, nonce)
    }

    /// The header of a share by its whole rollable extranonce, as it goes to the source. The filler in it is taken as it
    /// stands: miners are given a job once more with another one when the source's lease changes. `None` if the
    /// extranonce is not as long as one of this job.
    #[must_use]
    pub fn header_of(&self, extranonce: &[u8], version: u32, ntime: u32, nonce: u32) -> Option<Header> {
        let prefix = self.extranonce_prefix();
        if prefix.len().saturating_add(extranonce.len()) != usize::from(self.job.extranonce_len) {
            return None;
        }
        let mut hasher = Hasher::new();
        for part in [&*self.job.coinbase_tx_prefix, prefix, extranonce, &*self.job.coinbase_tx_suffix] {
            hasher.update(part);
        }
        Some(self.header_over(hasher.finish(), version, ntime, nonce))
    }

    /// The header over a coinbase with this txid.
    fn header_over(&self, coinbase: [u8; 32], version: u32, ntime: u32, nonce: u32) -> Header {
        Header {
            version,
            prev_hash: self.job.prev_hash,
            merkle_root: merkle::root(coinbase, &self.job.merkle_path),
            ntime,
            nbits: self.job.nbits,
            nonce,
        }
    }

    /// The hash of a share, without allocating. `extranonce` is miner id and extranonce2, one after the other.
    #[must_use]
    pub fn header_hash(&self, extranonce: &[u8], version: u32, ntime: u32, nonce: u32) -> BlockHash {
        self.header(&[extranonce], version, ntime, nonce).hash()
    }

    /// The `ntime` to tell a miner at `now`: `min_ntime` and the seconds since the job became active.
    #[must_use]
    pub fn ntime_at(&self, now: Seconds) -> u32 {
        let elapsed = u32::try_from(now.since(self.received_at)).unwrap_or(u32::MAX);
        self.job.min_ntime.saturating_add(elapsed)
    }

    /// The largest `ntime` that a share may have at `now`: [`ntime_at`](Self::ntime_at) and the slack.
    #[must_use]
    pub fn max_ntime_at(&self, now: Seconds) -> u32 {
        self.ntime_at(now).saturating_add(self.ntime_slack)
    }
}

/// Why a job cannot stand on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChannelJobError {
    /// The prefix and the filler take the whole extranonce.
    #[error("extranonce_prefix and filler take {taken} of the job's {extranonce_len} bytes of extranonce")]
    NothingToRoll {
        /// Bytes of both.
        taken: usize,
        /// The job's whole extranonce.
        extranonce_len: u8,
    },
    /// The channel's target is zero.
    #[error("the channel's target is zero: no share could meet it")]
    ZeroTarget,
}

#[cfg(test)]
mod tests {
    use bitcoin::consensus;
    use bitcoin::hashes::Hash as _;
    use proptest::prelude::*;

    use super::*;
    use crate::job::JobParts;

    /// A job whose script has `head` bytes before an extranonce of `len` bytes and `tail` after it.
    fn job(head: usize, len: usize, tail: usize, outputs: usize, path: Vec<[u8; 32]>) -> Arc<Job> {
        let script = u8::try_from(head + len + tail).unwrap();
        let mut prefix = vec![2, 0, 0, 0, 1];
        prefix.extend([0; 32]);
        prefix.extend([0xff; 4]);
        prefix.push(script);
        prefix.extend((0..head).map(|at| u8::try_from(at).unwrap()));
        let mut suffix = vec![9; tail];
        suffix.extend([0xff; 4]);
        suffix.push(u8::try_from(outputs).unwrap());
        for _ in 0..outputs {
            suffix.extend([1, 0, 0, 0, 0, 0, 0, 0, 2, 0x51, 0x51]);
        }
        suffix.extend([0; 4]);
        let parts = JobParts {
            id: 1,
            version: 0x2000_0000,
            version_rolling_allowed: true,
            prev_hash: [3; 32],
            nbits: 0x1d00_ffff,
            min_ntime: 1_000,
            merkle_path: path.into(),
            coinbase_tx_prefix: prefix.into(),
            coinbase_tx_suffix: suffix.into(),
        };
        Arc::new(Job::new(parts, len).unwrap())
    }

    fn terms<'a>(extranonce_prefix: &'a [u8], filler: &'a [u8]) -> ChannelTerms<'a> {
        ChannelTerms {
            source: SourceId(1),
            generation: 1,
            extranonce_prefix,
            filler,
            source_target: Target::DIFFICULTY_1,
            ntime_slack: 600,
            received_at: Seconds(50),
        }
    }

    #[test]
    fn a_channel_that_leaves_nothing_to_roll_or_has_no_target_has_no_job() {
        let job = job(4, 12, 0, 1, vec![]);
        for (prefix, filler) in [(12, 0), (0, 12), (8, 4), (13, 0), (300, 300)] {
            let made = ChannelJob::new(Arc::clone(&job), terms(&vec![0; prefix], &vec![0; filler]));
            let taken = prefix + filler;
            assert_eq!(made.unwrap_err(), ChannelJobError::NothingToRoll { taken, extranonce_len: 12 });
        }
        let zero = ChannelTerms { source_target: Target::ZERO, ..terms(&[1], &[]) };
        assert_eq!(ChannelJob::new(job, zero).unwrap_err(), ChannelJobError::ZeroTarget);
    }

    #[test]
    fn ntime_advances_with_the_seconds_since_the_job_and_never_overflows() {
        let make = |slack| {
            let terms = ChannelTerms { ntime_slack: slack, ..terms(&[1], &[]) };
            ChannelJob::new(job(4, 12, 0, 1, vec![]), terms).unwrap()
        };
        assert_eq!(make(600).ntime_at(Seconds(57)), 1_007);
        assert_eq!(make(600).max_ntime_at(Seconds(57)), 1_607);
        assert_eq!(make(600).ntime_at(Seconds(3)), 1_000, "a clock that stepped back");
        assert_eq!(make(u32::MAX).max_ntime_at(Seconds(50)), 1_000 + MAX_NTIME_SLACK);
        assert_eq!(make(0).max_ntime_at(Seconds(50)), 1_000);
        assert_eq!(make(600).max_ntime_at(Seconds(u64::MAX)), u32::MAX);
    }

    #[test]
    fn an_extranonce_of_another_size_is_not_made() {
        let job = ChannelJob::new(job(4, 12, 0, 1, vec![]), terms(&[1, 2], &[0, 0])).unwrap();
        assert_eq!(job.rollable_len(), 8);
        assert!(job.extranonce(&[7; 7]).is_none() && job.extranonce(&[7; 9]).is_none());
        assert_eq!(job.extranonce(&[7; 8]).unwrap().as_slice(), [0, 0, 7, 7, 7, 7, 7, 7, 7, 7]);
    }

    #[test]
    fn with_another_filler_it_is_the_same_job_and_shares_of_both_hash_as_they_were_found() {
        let before = ChannelJob::new(job(4, 12, 3, 1, vec![[5; 32]]), terms(&[1, 2], &[0, 0])).unwrap();
        let after = before.with_filler(&[8, 9]).unwrap();
        assert_eq!((after.extranonce_prefix(), after.filler()), (&[1, 2][..], &[8, 9][..]));
        assert_eq!((after.received_at, after.generation), (before.received_at, before.generation));
        for found_on in [&before, &after] {
            let header = found_on.header(&[&[7; 8]], 3, 2_000, 1);
            let extranonce = found_on.extranonce(&[7; 8]).unwrap();
            for job in [&before, &after] {
                assert_eq!(job.header_of(extranonce.as_slice(), 3, 2_000, 1), Some(header));
                assert_eq!(job.header_of(&extranonce.as_slice()[1..], 3, 2_000, 1), None);
            }
        }
        assert_ne!(before.header_hash(&[7; 8], 3, 2_000, 1), after.header_hash(&[7; 8], 3, 2_000, 1));
        let taken = before.with_filler(&[0; 10]).unwrap_err();
        assert_eq!(taken, ChannelJobError::NothingToRoll { taken: 12, extranonce_len: 12 });
    }

    #[test]
    fn it_is_small_enough_to_keep_one_for_each_miner() {
        assert!(size_of::<ChannelJob>() <= 160, "{}", size_of::<ChannelJob>());
    }

    proptest! {
        #[test]
        fn the_hash_from_the_midstate_is_that_of_the_whole_as_the_bitcoin_crate_has_it(
            (head, tail) in (0usize..60, 0usize..30),
            sizes in (0usize..20, 0usize..8, 1usize..5),
            outputs in 1usize..40,
            path in proptest::collection::vec(any::<[u8; 32]>(), 0..14),
            fill: [u8; 32],
            rolls: (u32, u32, u32),
        ) {
            let (version, ntime, nonce) = rolls;
            let (prefix, filler, rolled) = sizes;
            let len = prefix + filler + rolled;
            prop_assume!(head + tail + len <= 100 && head + tail + len >= 2 && len <= 32);
            let (constant, rolled) = fill[..len].split_at(prefix + filler);
            let (prefix, filler) = constant.split_at(prefix);
            let job = ChannelJob::new(job(head, len, tail, outputs, path), terms(prefix, filler)).unwrap();

            let mut coinbase = job.job.coinbase_tx_prefix.to_vec();
            coinbase.extend(&fill[..len]);
            coinbase.extend(&*job.job.coinbase_tx_suffix);
            let transaction: bitcoin::Transaction = consensus::deserialize(&coinbase).unwrap();
            prop_assert_eq!(job.coinbase(rolled), coinbase);
            let txid = transaction.compute_txid().to_byte_array();
            let (first, second) = rolled.split_at(rolled.len() / 2);
            prop_assert_eq!(job.coinbase_txid(&[first, second]), txid);

            let root = job.job.merkle_path.iter().fold(txid, |node, sibling| {
                bitcoin::hashes::sha256d::Hash::hash(&[node, *sibling].concat()).to_byte_array()
            });
            let header = bitcoin::block::Header {
                version: bitcoin::block::Version::from_consensus(version.cast_signed()),
                prev_blockhash: bitcoin::BlockHash::from_byte_array(job.job.prev_hash),
                merkle_root: bitcoin::TxMerkleNode::from_byte_array(root),
                time: ntime,
                bits: bitcoin::CompactTarget::from_consensus(job.job.nbits),
                nonce,
            };
            prop_assert_eq!(
                job.header_hash(rolled, version, ntime, nonce).to_bytes(),
                header.block_hash().to_byte_array()
            );
        }
    }
}
