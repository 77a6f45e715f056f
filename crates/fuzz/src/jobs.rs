//! A pool's jobs and a miner's shares, judged beside crate `bitcoin` and beside a judge written a second time.
//!
//! Input: how a coinbase is made (sound, or sound with bytes changed), the job's other parts, then actions of one
//! miner: jobs advertised, jobs retired, time passing, shares.
//!
//! Promises:
//! - a job is taken if and only if crate `bitcoin` reads a coinbase that consensus allows from prefix, extranonce and
//!   suffix;
//! - txid, merkle root, header and its hash are crate `bitcoin`'s;
//! - the validator's verdict is the one that the rules give, for the job and target as they were advertised.

use std::collections::BTreeSet;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use bitcoin::hashes::Hash as _;
use bitcoin::{Transaction, TxMerkleNode, consensus};
use work::{
    ChannelJob, ChannelTerms, ExtranonceSplit, Job, JobParts, LeaseTag, Limits, MinerId, Reject, Seconds,
    SourceId, Submission, Target, Validator, Verdict,
};

/// Bytes that tell miners apart, and bytes that they roll.
const MINER_ID: [u8; 2] = [0xa1, 0xb2];
const EXTRANONCE2: u8 = 2;

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` every share is judged by the judge written a second time with another nonce.
pub(crate) fn check(data: &[u8], planted: bool) {
    // Too little data for an input is no fault.
    let _ = run(&mut Unstructured::new(data), planted);
}

fn run(u: &mut Unstructured<'_>, planted: bool) -> Result<()> {
    let first: u8 = u.arbitrary()?;
    let prefix_len = usize::from(first % 8);
    // It may have room in the filler, or not.
    let tag = if first < 0x80 { LeaseTag::NONE } else { LeaseTag::new(&[0x99; 4]).expect("four bytes") };
    let space = 4 + u16::from(u.arbitrary::<u8>()? % 6);
    let extranonce_len = prefix_len + usize::from(space);
    let split = ExtranonceSplit::for_space(space, 2, EXTRANONCE2).expect("a split that fits");
    let (prefix, suffix) = coinbase(extranonce_len, u)?;
    let path: Vec<[u8; 32]> = (0..u.arbitrary::<u8>()? % 5).map(|n| [n; 32]).collect();
    let parts = JobParts {
        id: u.arbitrary()?,
        version: u.arbitrary()?,
        version_rolling_allowed: u.arbitrary()?,
        prev_hash: [3; 32],
        // Mostly one that every hash meets, or none.
        nbits: [0x207f_ffff, 0x2100_ffff, 0x1d00_ffff, u.arbitrary()?][usize::from(u.arbitrary::<u8>()? % 4)],
        min_ntime: u.arbitrary()?,
        merkle_path: path.into(),
        coinbase_tx_prefix: prefix.into(),
        coinbase_tx_suffix: suffix.into(),
    };
    let bytes =
        [&*parts.coinbase_tx_prefix, &vec![0x5a; extranonce_len], &*parts.coinbase_tx_suffix].concat();
    let sound = is_sound(&bytes, parts.coinbase_tx_prefix.len(), extranonce_len);
    let nbits_sound = Target::from_compact(parts.nbits).is_ok();
    let first = Job::new(parts.clone(), extranonce_len);
    assert_eq!(first.is_ok(), sound && nbits_sound, "coinbase sound: {sound}, but {first:?}");
    let Ok(first) = first else { return Ok(()) };
    assert_compact(first.nbits, first.network_target);

    // The same job on another tip, and from another source.
    let other_tip =
        Job::new(JobParts { prev_hash: [4; 32], ..parts }, extranonce_len).expect("only the tip differs");
    let upstream_prefix = vec![0x77; prefix_len];
    let filler = split.filler_of(tag);
    let source_target = share_target(u.arbitrary()?);
    let ntime_slack = u32::from(u.arbitrary::<u16>()?);
    let on = |job: &Arc<Job>, source| {
        let terms = ChannelTerms {
            source: SourceId(source),
            generation: 1,
            extranonce_prefix: &upstream_prefix,
            filler: filler.as_slice(),
            source_target,
            ntime_slack,
            received_at: Seconds(100),
        };
        Arc::new(ChannelJob::new(Arc::clone(job), terms).expect("a split of this very space"))
    };
    let (first, other_tip) = (Arc::new(first), Arc::new(other_tip));
    let jobs = [on(&first, 0), on(&other_tip, 0), on(&first, 1)];
    Judge::new(jobs, planted).run(u)
}

/// A coinbase transaction cut in two around its extranonce, with up to four bytes changed.
fn coinbase(extranonce_len: usize, u: &mut Unstructured<'_>) -> Result<(Vec<u8>, Vec<u8>)> {
    let (before, after) = (usize::from(u.arbitrary::<u8>()? % 90), usize::from(u.arbitrary::<u8>()? % 8));
    let script_len = before + extranonce_len + after;
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([0; 32]);
    bytes.extend([0xff; 4]);
    bytes.push(u8::try_from(script_len).unwrap_or(u8::MAX));
    let cut = bytes.len() + before;
    bytes.resize(bytes.len() + script_len, 0x51);
    bytes.extend([0xff; 4]);
    let outputs = u.arbitrary::<u8>()? % 4;
    bytes.push(outputs);
    for _ in 0..outputs {
        let (value, script): (u64, u8) = (u.arbitrary()?, u.arbitrary()?);
        // Mostly amounts that can be.
        bytes.extend((value >> (8 + script % 16)).to_le_bytes());
        bytes.push(script % 100);
        bytes.resize(bytes.len() + usize::from(script % 100), 0x52);
    }
    bytes.extend([0; 4]);
    let mut suffix = bytes.split_off((cut + extranonce_len).min(bytes.len()));
    bytes.truncate(cut);
    for _ in 0..u.arbitrary::<u8>()? % 5 {
        let (at, byte): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
        let half = if at.is_multiple_of(2) { &mut bytes } else { &mut suffix };
        let place = usize::from(at / 2) % half.len().max(1);
        match byte {
            0..8 => half.truncate(place),
            8..16 => half.insert(place.min(half.len()), byte),
            _ => {
                if let Some(old) = half.get_mut(place) {
                    *old = byte;
                }
            }
        }
    }
    Ok((bytes, suffix))
}

/// Whether consensus takes it as a coinbase, as crate `bitcoin` reads it, and the extranonce lies in its script.
fn is_sound(bytes: &[u8], prefix_len: usize, extranonce_len: usize) -> bool {
    // With BIP 141's marker it would be read, but it is not what is hashed.
    if bytes.get(4..6) == Some(&[0, 1]) || prefix_len < 42 {
        return false;
    }
    let Ok(transaction) = consensus::deserialize::<Transaction>(bytes) else { return false };
    let [input] = &transaction.input[..] else { return false };
    let script = input.script_sig.len();
    let mut sum = 0_u64;
    let values_fit = transaction.output.iter().all(|output| {
        sum = sum.saturating_add(output.value.to_sat());
        sum <= work::coinbase::MAX_MONEY
    });
    transaction.is_coinbase()
        && (2..=100).contains(&script)
        && prefix_len + extranonce_len <= 42 + script
        && !transaction.output.is_empty()
        && values_fit
}

fn assert_compact(nbits: u32, target: Target) {
    let theirs = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(nbits));
    assert_eq!(theirs.to_le_bytes(), target.to_le_bytes(), "nbits {nbits:08x} is another target");
}

/// Targets that half, some or all hashes meet, and odd ones.
fn share_target(kind: u8) -> Target {
    let mut bytes = [0xff; 32];
    match kind % 4 {
        0 => {}
        1 => bytes[31] = 0x80,
        2 => bytes[31] = kind,
        _ => {
            bytes = [0; 32];
            bytes[usize::from(kind >> 2) % 32] = kind | 1;
        }
    }
    let target = Target::from_le_bytes(bytes);
    if target.is_zero() { Target::MIN } else { target }
}

/// A job as this miner was told of it.
struct Told {
    id: u32,
    job: usize,
    target: Target,
    stale: bool,
}

struct Judge {
    jobs: [Arc<ChannelJob>; 3],
    validator: Validator,
    told: Vec<Told>,
    /// Hashes taken, with the tip that they are of.
    seen: BTreeSet<[u8; 32]>,
    now: Seconds,
    planted: bool,
}

impl Judge {
    fn new(jobs: [Arc<ChannelJob>; 3], planted: bool) -> Self {
        let id = MinerId::from_bytes(&MINER_ID).expect("two bytes");
        let limits = Limits { live_jobs: 127, stale_jobs: 127, shares_per_tip: 1_000 };
        let validator = Validator::new(id, EXTRANONCE2, 5, limits);
        Self { jobs, validator, told: Vec::new(), seen: BTreeSet::new(), now: Seconds(100), planted }
    }

    fn run(mut self, u: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..64 {
            match u.arbitrary::<u8>()? % 8 {
                0 | 1 => self.advertise(usize::from(u.arbitrary::<u8>()? % 3), share_target(u.arbitrary()?)),
                2 => self.now = Seconds(self.now.0 + u64::from(u.arbitrary::<u16>()?)),
                3 => {
                    let source = SourceId(u16::from(u.arbitrary::<u8>()? % 2));
                    self.validator.retire(|job| job.source == source);
                    for told in &mut self.told {
                        told.stale |= self.jobs[told.job].source == source;
                    }
                }
                _ => self.submit(u)?,
            }
        }
        Ok(())
    }

    fn advertise(&mut self, job: usize, target: Target) {
        if self.told.len() >= 100 {
            return;
        }
        let new = &self.jobs[job];
        let clean = self.told.last().is_none_or(|last| {
            let last = &self.jobs[last.job];
            last.job.prev_hash != new.job.prev_hash || last.source != new.source
        });
        let told = self.validator.advertise(Arc::clone(new), target, self.now).expect("a job of this split");
        assert_eq!(told.clean_jobs, clean, "clean_jobs");
        assert!(self.told.iter().all(|known| known.id != told.job_id), "job id {} twice", told.job_id);
        for known in &mut self.told {
            known.stale |= clean;
            // An easier target holds at once for the jobs that the miner has.
            if !known.stale && known.target < target {
                known.target = target;
            }
        }
        self.told.push(Told { id: told.job_id, job, target, stale: false });
    }

    fn submit(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let which = usize::from(u.arbitrary::<u8>()?);
        let job_id = self.told.get(which % (self.told.len() + 1)).map_or(0xffff, |told| told.id);
        let (fill, size): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
        // Few different shares, so that some come twice.
        let extranonce2 = vec![fill % 4; if size < 240 { 2 } else { usize::from(size % 8) }];
        let base = self.jobs[0].job.min_ntime;
        let ahead: u16 = u.arbitrary()?;
        let ntime = match fill % 3 {
            0 => base,
            1 => base.wrapping_add(u32::from(ahead)),
            _ => base.wrapping_sub(u32::from(ahead % 4)),
        };
        let bits = match size % 4 {
            0 => None,
            1 => Some(0),
            2 => Some(u32::from(fill) << 13),
            _ => Some(u32::from(fill) << 24),
        };
        let mask = if fill.is_multiple_of(5) { 0 } else { 0x1fff_e000 };
        let nonce = u32::from(fill % 8);
        let submission = Submission { job_id, extranonce2: &extranonce2, ntime, nonce, version_bits: bits };
        let nonce_here = if self.planted { nonce ^ 1 } else { nonce };

        let expected = self.told.iter().find(|told| told.id == job_id).map(|told| {
            let job = &self.jobs[told.job];
            (job, told.target, told.stale, independent_hash(job, &extranonce2, ntime, nonce_here, bits, mask))
        });
        let verdict = self.validator.judge(&submission, mask, self.now);
        let Some((job, target, stale, (header, hash))) = expected else {
            assert!(matches!(
                verdict,
                Verdict::Rejected { reason: Reject::UnknownJob { .. }, solution: None }
            ));
            return Ok(());
        };
        if extranonce2.len() != usize::from(EXTRANONCE2) {
            let reason = reason_of(&verdict);
            // Of stale jobs the validator may know nothing any more.
            assert!(
                matches!(reason, Some("wrong_extranonce2_size")) || (stale && reason == Some("unknown_job"))
            );
            return Ok(());
        }
        if stale && reason_of(&verdict) == Some("unknown_job") {
            return Ok(());
        }
        let is_block = meets(&hash, job.job.network_target);
        let given = bits.unwrap_or(0);
        let latest = job.job.min_ntime.saturating_add(u32::try_from(self.now.0 - 100).unwrap_or(u32::MAX));
        let latest = latest.saturating_add(job.ntime_slack.min(7_200));
        let fault = if given & !mask != 0
            || (!job.job.version_rolling_allowed
                && header.version.to_consensus().cast_unsigned() != job.job.version)
        {
            Some("version_bits_outside_mask")
        } else if stale {
            Some("stale")
        } else if ntime < job.job.min_ntime || ntime > latest {
            Some("ntime_out_of_range")
        } else if !meets(&hash, target) {
            Some("above_target")
        } else {
            None
        };
        let again = (fault.is_none() || is_block) && !self.seen.insert(hash);
        let fault = fault.or(again.then_some("duplicate"));
        assert_eq!(reason_of(&verdict), fault, "job {job_id}, {header:?}");
        assert_eq!(verdict.solution().is_some(), is_block && !again, "a block is sent once, late or not");
        if let Verdict::Valid(share) = &verdict {
            assert_eq!(share.hash.to_bytes(), hash, "the header's hash");
            assert_eq!(share.header.to_bytes()[..], consensus::serialize(&header)[..]);
            assert_eq!((share.credited, share.is_block), (target, is_block));
            assert_eq!(share.meets_source, meets(&hash, job.source_target));
            let rolled = [&MINER_ID[..], &extranonce2].concat();
            assert_eq!(share.extranonce.as_slice(), [job.filler(), &rolled].concat());
        }
        Ok(())
    }
}

fn reason_of(verdict: &Verdict<'_>) -> Option<&'static str> {
    match verdict {
        Verdict::Valid(_) => None,
        Verdict::Rejected { reason, .. } => Some(reason.as_str()),
    }
}

/// The header and its hash, put together with crate `bitcoin` from the job's parts.
fn independent_hash(
    job: &ChannelJob,
    extranonce2: &[u8],
    ntime: u32,
    nonce: u32,
    bits: Option<u32>,
    mask: u32,
) -> (bitcoin::block::Header, [u8; 32]) {
    let upstream = &job.job;
    let bytes = [
        &*upstream.coinbase_tx_prefix,
        job.extranonce_prefix(),
        job.filler(),
        &MINER_ID,
        extranonce2,
        &*upstream.coinbase_tx_suffix,
    ]
    .concat();
    // A txid is the hash of these bytes; a wrong extranonce2 makes them no transaction.
    let txid =
        consensus::deserialize::<Transaction>(&bytes).map_or([0; 32], |it| it.compute_txid().to_byte_array());
    let root = upstream.merkle_path.iter().fold(txid, |node, sibling| {
        bitcoin::hashes::sha256d::Hash::hash(&[node, *sibling].concat()).to_byte_array()
    });
    let version = bits.map_or(upstream.version, |bits| (upstream.version & !mask) | bits);
    let header = bitcoin::block::Header {
        version: bitcoin::block::Version::from_consensus(version.cast_signed()),
        prev_blockhash: bitcoin::BlockHash::from_byte_array(upstream.prev_hash),
        merkle_root: TxMerkleNode::from_byte_array(root),
        time: ntime,
        bits: bitcoin::CompactTarget::from_consensus(upstream.nbits),
        nonce,
    };
    (header, header.block_hash().to_byte_array())
}

fn meets(hash: &[u8; 32], target: Target) -> bool {
    bitcoin::Target::from_le_bytes(target.to_le_bytes()).is_met_by(bitcoin::BlockHash::from_byte_array(*hash))
}
