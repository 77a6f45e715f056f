//! The judge of one miner's shares.

use std::sync::Arc;

use thiserror::Error;

use crate::block_hash::BlockHash;
use crate::channel_job::ChannelJob;
use crate::duplicates::{Seen, SeenShares};
use crate::extranonce::Extranonce;
use crate::header::Header;
use crate::job_ring::{AdvertisedTarget, Entry, JobRing};
use crate::miner_ids::MinerId;
use crate::seconds::Seconds;
use crate::target::Target;
use crate::verdict::{Reject, ValidShare, Verdict};

/// Blocks remembered, whatever tip they are on.
const BLOCKS: usize = 16;

/// How much a [`Validator`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that shares are taken for, the newest ones. At least 1 is kept, at most 127.
    pub live_jobs: u8,
    /// Jobs that are known to be stale, the newest ones: for the right answer to late shares, and for late blocks. At
    /// most 127.
    pub stale_jobs: u8,
    /// Shares remembered on a tip, each in about 16 bytes. Beyond it shares are rejected: they could not be told
    /// from duplicates.
    pub shares_per_tip: u32,
}

impl Limits {
    /// Jobs that shares are taken for unless the caller says otherwise. The reference pool keeps as many.
    pub const LIVE_JOBS: u8 = 16;
    /// Stale jobs kept unless the caller says otherwise.
    pub const STALE_JOBS: u8 = 8;
    /// Shares remembered on a tip unless the caller says otherwise: 50 hours at 20 a minute.
    pub const SHARES_PER_TIP: u32 = 65_536;
    const MOST_JOBS: u8 = 127;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            live_jobs: Self::LIVE_JOBS,
            stale_jobs: Self::STALE_JOBS,
            shares_per_tip: Self::SHARES_PER_TIP,
        }
    }
}

/// What to tell a miner with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The job's id towards this miner. Ids go up; none is used again while its job is known.
    pub job_id: u32,
    /// The miner must drop its earlier jobs: this one is on another tip or from another source than the last one
    /// that *it* was sent.
    pub clean_jobs: bool,
    /// The `ntime` to begin at: `min_ntime` and the seconds since the job became active.
    pub ntime: u32,
}

/// Why a job cannot be advertised to a miner; the caller's mistake, not a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AdvertiseError {
    /// The job leaves another number of bytes to the miner than its split has.
    #[error(
        "the job leaves {job} bytes to miner id and extranonce2, this miner has {miner}: another split's job"
    )]
    OtherSplit {
        /// The job's [`rollable_len`](ChannelJob::rollable_len).
        job: usize,
        /// The miner id's and extranonce2's sizes together.
        miner: usize,
    },
    /// The miner's target is zero.
    #[error("a target of zero: no share could meet it")]
    ZeroTarget,
}

/// A share as it came from a miner, read from its line but not judged.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// The job's id as it was advertised to this miner.
    pub job_id: u32,
    /// What the miner rolled in the coinbase.
    pub extranonce2: &'a [u8],
    /// The header's time, Unix seconds.
    pub ntime: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// BIP 310's `version_bits`, if the miner sent them.
    pub version_bits: Option<u32>,
}

/// A tip that this miner worked on, and its shares there.
#[derive(Clone, Debug)]
struct Tip {
    prev_hash: [u8; 32],
    seen: SeenShares,
}

/// Judges one miner's shares, by the jobs and targets as they were advertised to it.
///
/// It belongs to the miner's extranonce space rather than to a connection: a miner that resumes its id
/// ([`MinerIds::resume`](crate::MinerIds::resume)) takes its validator along.
#[derive(Clone, Debug)]
pub struct Validator {
    ring: JobRing,
    /// The tip of the newest job.
    tip: Option<Tip>,
    /// The tip before it: remembered, so that a tip that flaps does not make old shares new.
    previous: Option<Tip>,
    /// Blocks, also those on tips before that. Nearly always none, and so not in every miner's memory.
    blocks: Option<Box<Blocks>>,
    seed: u64,
    limits: Limits,
    /// The next job may be of another source while the earlier ones' takes shares all the same.
    changes_source: bool,
    miner_id: MinerId,
    extranonce2_size: u8,
}

impl Validator {
    /// A judge for the miner with this id. `seed` is for its hash sets: random and secret, so that no miner can
    /// choose shares that fall together in them.
    #[must_use]
    pub fn new(miner_id: MinerId, extranonce2_size: u8, seed: u64, limits: Limits) -> Self {
        let limits = Limits {
            live_jobs: limits.live_jobs.clamp(1, Limits::MOST_JOBS),
            stale_jobs: limits.stale_jobs.min(Limits::MOST_JOBS),
            ..limits
        };
        Self {
            ring: JobRing::default(),
            tip: None,
            previous: None,
            blocks: None,
            seed,
            limits,
            changes_source: false,
            miner_id,
            extranonce2_size,
        }
    }

    /// The miner's id: SV1's `extranonce1`.
    #[must_use]
    pub fn miner_id(&self) -> MinerId {
        self.miner_id
    }

    /// The size of extranonce2 that the miner was told.
    #[must_use]
    pub fn extranonce2_size(&self) -> u8 {
        self.extranonce2_size
    }

    /// Notes that the miner is sent `job` with `target` (that of the difficulty *as written*), and says how. The
    /// same job may be sent again: with another target, or to keep the miner awake.
    ///
    /// A job on another tip, of another era, or from another source than the last one makes all before it stale; a further job of
    /// the same tip and source makes none.
    ///
    /// # Errors
    /// A job of another split, a target of zero. Nothing has changed then.
    pub fn advertise(
        &mut self,
        job: Arc<ChannelJob>,
        target: Target,
        now: Seconds,
    ) -> Result<Advertised, AdvertiseError> {
        self.advertise_with(None, job, target, now)
    }

    /// The same under an id that the caller chose, which no job has that this miner still mines: for a job that several
    /// miners are sent at once (SV2's group channels).
    ///
    /// # Errors
    /// As for [`advertise`](Self::advertise).
    pub fn advertise_as(
        &mut self,
        job_id: u32,
        job: Arc<ChannelJob>,
        target: Target,
        now: Seconds,
    ) -> Result<Advertised, AdvertiseError> {
        self.advertise_with(Some(job_id), job, target, now)
    }

    fn advertise_with(
        &mut self,
        job_id: Option<u32>,
        job: Arc<ChannelJob>,
        target: Target,
        now: Seconds,
    ) -> Result<Advertised, AdvertiseError> {
        let (leaves, has) = (
            job.rollable_len(),
            self.miner_id.as_bytes().len().saturating_add(usize::from(self.extranonce2_size)),
        );
        if leaves != has {
            return Err(AdvertiseError::OtherSplit { job: leaves, miner: has });
        }
        if target.is_zero() {
            return Err(AdvertiseError::ZeroTarget);
        }
        let clean_jobs = self.ring.newest().is_none_or(|last| {
            let (old, new) = (&last.job.job, &job.job);
            old.prev_hash != new.prev_hash || old.era != new.era || last.job.source != job.source
        });
        if std::mem::take(&mut self.changes_source) {
            self.move_to_tip(job.job.prev_hash);
            self.retire_outdated(&job);
        } else if clean_jobs {
            self.ring.retire(|_| true);
            self.move_to_tip(job.job.prev_hash);
        }
        let ntime = job.ntime_at(now);
        let job_id = match job_id {
            Some(job_id) => {
                self.ring.push_as(job_id, job, target);
                job_id
            }
            None => self.ring.push(job, target),
        };
        self.ring.trim(usize::from(self.limits.live_jobs), usize::from(self.limits.stale_jobs));
        Ok(Advertised { job_id, clean_jobs, ntime })
    }

    /// The next job comes because this miner changes to another source, while its present one goes on: the jobs that
    /// it has stay good there, as far as their tip does. The miner is told to drop them all the same.
    pub fn change_source(&mut self) {
        self.changes_source = true;
    }

    /// `job` is the next: earlier ones of its source on another tip, and all on tips before the last two, are stale.
    fn retire_outdated(&mut self, job: &ChannelJob) {
        let tips: [Option<[u8; 32]>; 2] =
            [&self.tip, &self.previous].map(|tip| tip.as_ref().map(|t| t.prev_hash));
        self.ring.retire(|old| {
            let same_tip = old.job.prev_hash == job.job.prev_hash;
            let same_era = old.job.era == job.job.era;
            old.source == job.source && !(same_tip && same_era) || !tips.contains(&Some(old.job.prev_hash))
        });
    }

    /// Makes the jobs stale that `dead` names: those of a channel that was closed, say. Returns how many. Blocks
    /// among their late shares are still recognised.
    pub fn retire(&mut self, dead: impl FnMut(&ChannelJob) -> bool) -> usize {
        self.ring.retire(dead)
    }

    /// The job that the miner was sent last.
    #[must_use]
    pub fn newest_job(&self) -> Option<&Arc<ChannelJob>> {
        self.ring.newest().map(|entry| &entry.job)
    }

    /// Judges a share. `version_mask` is what the miner was granted (`mining.configure`, or the route's mask if it
    /// sent none); `now` is on the same clock as the jobs' `received_at`.
    ///
    /// Of several faults the first of this order is told: unknown job, size of extranonce2, version bits, stale,
    /// `ntime`, target, duplicate. A share that is rejected with its job known is hashed all the same: it may be
    /// a block.
    pub fn judge(&mut self, submission: &Submission<'_>, version_mask: u32, now: Seconds) -> Verdict<'_> {
        self.judge_version(submission, version_mask, None, now)
    }

    /// The same for a share that tells its header's full `version`, as SV2's do; `version_bits` of the submission are
    /// not read.
    pub fn judge_full_version(
        &mut self,
        submission: &Submission<'_>,
        version: u32,
        version_mask: u32,
        now: Seconds,
    ) -> Verdict<'_> {
        self.judge_version(submission, version_mask, Some(version), now)
    }

    fn judge_version(
        &mut self,
        submission: &Submission<'_>,
        version_mask: u32,
        full: Option<u32>,
        now: Seconds,
    ) -> Verdict<'_> {
        let Some((entry, advertised)) = self.ring.find(submission.job_id) else {
            return rejected(Reject::UnknownJob { job_id: submission.job_id });
        };
        let expected = self.extranonce2_size;
        if submission.extranonce2.len() != usize::from(expected) {
            return rejected(Reject::WrongExtranonce2Size { got: submission.extranonce2.len(), expected });
        }
        let job = &entry.job;
        let rolled = [self.miner_id.as_bytes(), submission.extranonce2];
        let (version, bits) = match full {
            Some(version) => (version, changed_bits(version, job.job.version, version_mask)),
            None => {
                let bits = submission.version_bits;
                (full_version(job.job.version, version_mask, bits), bits.unwrap_or(0))
            }
        };
        let header = job.header(&rolled, version, submission.ntime, submission.nonce);
        let hash = header.hash();
        let is_block = hash.meets(&job.job.network_target);
        let tips = self.tip.iter_mut().chain(self.previous.iter_mut());
        let tip = tips.into_iter().find(|tip| tip.prev_hash == job.job.prev_hash);
        let on_live_tip =
            self.ring.newest().is_some_and(|newest| newest.job.job.prev_hash == job.job.prev_hash);

        let fault = fault(entry, advertised, submission, (bits, version_mask), &header, &hash, now);
        let known_block = is_block && !self.blocks.get_or_insert_default().insert(hash);
        let seen = match tip {
            _ if known_block => Seen::Again,
            // There is a tip for every job that is not stale.
            Some(tip) if fault.is_none() || is_block => {
                tip.seen.insert(&hash, self.limits.shares_per_tip, self.seed)
            }
            _ => Seen::First,
        };
        let reason = fault.or(match seen {
            Seen::First => None,
            Seen::Again => Some(Reject::Duplicate),
            Seen::Full => Some(Reject::DuplicateWindowFull { limit: self.limits.shares_per_tip }),
        });
        let share = ValidShare {
            job,
            extranonce: Extranonce::concat(&[job.filler(), rolled[0], rolled[1]]).unwrap_or_default(),
            header,
            hash,
            credited: advertised.target,
            difficulty: advertised.difficulty,
            meets_source: hash.meets(&job.source_target),
            is_block,
            on_live_tip,
        };
        match reason {
            None => Verdict::Valid(share),
            Some(reason) => {
                Verdict::Rejected { reason, solution: (is_block && seen != Seen::Again).then_some(share) }
            }
        }
    }

    /// Shares remembered against duplicates, on the last two tips.
    #[must_use]
    pub fn shares_remembered(&self) -> usize {
        self.tip.iter().chain(&self.previous).map(|tip| tip.seen.len()).sum()
    }

    /// Jobs that are known, stale ones among them.
    #[must_use]
    pub fn jobs_known(&self) -> usize {
        self.ring.len()
    }

    /// Shares of earlier jobs are stale from now on; the jobs stay known, for late blocks.
    fn move_to_tip(&mut self, prev_hash: [u8; 32]) {
        if self.tip.as_ref().is_some_and(|tip| tip.prev_hash == prev_hash) {
            return; // another source on the same tip
        }
        core::mem::swap(&mut self.tip, &mut self.previous);
        // What was the tip is the previous one now; what was the previous one is the tip again, or forgotten.
        if self.tip.as_ref().is_none_or(|tip| tip.prev_hash != prev_hash) {
            self.tip = Some(Tip { prev_hash, seen: SeenShares::default() });
        }
    }
}

/// The last blocks of a miner, oldest first. Finding one costs a block's work, so few are enough.
#[derive(Clone, Debug, Default)]
struct Blocks(Vec<BlockHash>);

impl Blocks {
    /// True: it is new.
    fn insert(&mut self, hash: BlockHash) -> bool {
        let new = !self.0.contains(&hash);
        if new {
            if self.0.len() >= BLOCKS {
                self.0.remove(0);
            }
            self.0.push(hash);
        }
        new
    }
}

fn rejected<'a>(reason: Reject) -> Verdict<'a> {
    Verdict::Rejected { reason, solution: None }
}

/// The header's version: BIP 310's rule for bits inside the mask. Bits outside it, which are rejected as a share,
/// are put in as they came: that is most probably what the miner hashed, should it be a block.
fn full_version(version: u32, mask: u32, bits: Option<u32>) -> u32 {
    bits.map_or(version, |bits| (version & !mask) | bits)
}

/// What a full version has of bits that may be rolled, and what it changed of those that may not.
fn changed_bits(version: u32, of_job: u32, mask: u32) -> u32 {
    (version & mask) | ((version ^ of_job) & !mask)
}

/// What is wrong with a share, duplicates apart. `bits` are those that may be rolled, and others that were changed.
fn fault(
    entry: &Entry,
    advertised: AdvertisedTarget,
    submission: &Submission<'_>,
    (bits, version_mask): (u32, u32),
    header: &Header,
    hash: &BlockHash,
    now: Seconds,
) -> Option<Reject> {
    let job = &entry.job;
    if bits & !version_mask != 0 {
        return Some(Reject::VersionBitsOutsideMask { got: bits, mask: version_mask });
    }
    if !job.job.version_rolling_allowed && header.version != job.job.version {
        return Some(Reject::VersionBitsOutsideMask { got: bits, mask: 0 });
    }
    if entry.stale {
        return Some(Reject::Stale { job_id: entry.id });
    }
    let (min, max) = (job.job.min_ntime, job.max_ntime_at(now));
    if !(min..=max).contains(&submission.ntime) {
        return Some(Reject::NtimeOutOfRange { got: submission.ntime, min, max });
    }
    if !hash.meets(&advertised.target) {
        return Some(Reject::AboveTarget { hash: *hash, target: advertised.target });
    }
    None
}
