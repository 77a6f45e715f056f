//! The validator against a slow judge that keeps everything, hashes whole headers with the `bitcoin` crate and knows
//! no midstate, ring or window: whatever is advertised and submitted in whatever order, both say the same.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::hashes::{Hash as _, sha256d};
use proptest::prelude::*;
use work::{
    ChannelJob, ChannelTerms, Job, JobParts, Limits, MinerId, Seconds, SourceId, Submission, Target,
    Validator, Verdict,
};

const MINER_ID: [u8; 2] = [0xaa, 0xbb];
const MASK: u32 = 0x1fff_e000;
const LIMITS: Limits = Limits { live_jobs: 3, stale_jobs: 2, shares_per_tip: 6 };

/// A job as the test makes it; small numbers, so that everything meets everything.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    tip: u8,
    source: u16,
    version: u32,
    rolling: bool,
    nbits: u32,
    prefix: u8,
    source_target: Target,
    target: Target,
    slack: u32,
}

impl Recipe {
    fn coinbase_halves(&self) -> (Vec<u8>, Vec<u8>) {
        let prefix =
            hex::decode(format!("0200000001{}ffffffff0d{}", "00".repeat(32), "03".repeat(4))).unwrap();
        let suffix = hex::decode("0102ffffffff0100f2052a01000000015100000000").unwrap();
        (prefix, suffix)
    }

    /// Four bytes of upstream's prefix, two of miner id, one of extranonce2.
    fn channel_job(&self, received_at: Seconds) -> Arc<ChannelJob> {
        let (prefix, suffix) = self.coinbase_halves();
        let parts = JobParts {
            id: 1,
            version: self.version,
            version_rolling_allowed: self.rolling,
            prev_hash: [self.tip; 32],
            nbits: self.nbits,
            min_ntime: 1_000,
            merkle_path: vec![[5; 32], [6; 32]].into(),
            coinbase_tx_prefix: prefix.into(),
            coinbase_tx_suffix: suffix.into(),
        };
        let terms = ChannelTerms {
            source: SourceId(self.source),
            generation: 0,
            extranonce_prefix: &[self.prefix, 0, 0],
            filler: &[0xee],
            source_target: self.source_target,
            ntime_slack: self.slack,
            received_at,
        };
        Arc::new(ChannelJob::new(Arc::new(Job::new(parts, 7).unwrap()), terms).unwrap())
    }

    fn hash(&self, extranonce2: u8, version: u32, ntime: u32, nonce: u32) -> [u8; 32] {
        let (prefix, suffix) = self.coinbase_halves();
        let coinbase = [&*prefix, &[self.prefix, 0, 0, 0xee], &MINER_ID, &[extranonce2], &*suffix].concat();
        let transaction: bitcoin::Transaction = bitcoin::consensus::deserialize(&coinbase).unwrap();
        let mut root = transaction.compute_txid().to_byte_array();
        for sibling in [[5; 32], [6; 32]] {
            root = sha256d::Hash::hash(&[root, sibling].concat()).to_byte_array();
        }
        let header = bitcoin::block::Header {
            version: bitcoin::block::Version::from_consensus(version.cast_signed()),
            prev_blockhash: bitcoin::BlockHash::from_byte_array([self.tip; 32]),
            merkle_root: bitcoin::TxMerkleNode::from_byte_array(root),
            time: ntime,
            bits: bitcoin::CompactTarget::from_consensus(self.nbits),
            nonce,
        };
        header.block_hash().to_byte_array()
    }
}

/// What a judge says.
#[derive(Clone, Debug, PartialEq)]
struct Word {
    reason: Option<&'static str>,
    /// For a valid share, or a solution in a rejected one.
    share: Option<Facts>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Facts {
    hash: [u8; 32],
    version: u32,
    credited: Target,
    meets_source: bool,
    is_block: bool,
    on_live_tip: bool,
}

#[derive(Clone, Copy, Debug)]
struct Submit {
    job_id: u32,
    extranonce2: u8,
    extranonce2_len: usize,
    ntime: u32,
    nonce: u32,
    bits: Option<u32>,
}

struct Advert {
    id: u32,
    recipe: Recipe,
    received_at: u64,
    stale: bool,
}

/// Everything that was ever said.
#[derive(Default)]
struct SlowJudge {
    adverts: Vec<Advert>,
    last: Option<Recipe>,
    /// Tips in the order of their last use, the newest last.
    tips: Vec<u8>,
    seen: BTreeSet<(u8, [u8; 32])>,
    /// The last 16 blocks, on whatever tips.
    blocks: Vec<[u8; 32]>,
    ids: u32,
}

fn below(hash: [u8; 32], target: Target) -> bool {
    bitcoin::Target::from_le_bytes(target.to_le_bytes()).is_met_by(bitcoin::BlockHash::from_byte_array(hash))
}

impl SlowJudge {
    fn advertise(&mut self, recipe: Recipe, now: u64) -> (u32, bool) {
        let clean = self.last.is_none_or(|last| (last.tip, last.source) != (recipe.tip, recipe.source));
        if clean {
            self.adverts.iter_mut().for_each(|advert| advert.stale = true);
            self.tips.retain(|tip| *tip != recipe.tip);
            self.tips.push(recipe.tip);
            // Of the two newest tips every share is known, of the others only late blocks.
            let known: Vec<u8> = self.tips.iter().rev().take(2).copied().collect();
            self.seen.retain(|(tip, _)| known.contains(tip));
        }
        self.last = Some(recipe);
        self.ids += 1;
        // An easier target holds for the jobs that the miner still works on, too.
        for advert in self.adverts.iter_mut().filter(|advert| !advert.stale) {
            advert.recipe.target = advert.recipe.target.easier(recipe.target);
        }
        self.adverts.push(Advert { id: self.ids, recipe, received_at: now, stale: false });
        for (stale, limit) in [(false, LIMITS.live_jobs), (true, LIMITS.stale_jobs)] {
            while self.adverts.iter().filter(|advert| advert.stale == stale).count() > usize::from(limit) {
                let oldest = self.adverts.iter().position(|advert| advert.stale == stale).unwrap();
                self.adverts.remove(oldest);
            }
        }
        (self.ids, clean)
    }

    fn judge(&mut self, submit: Submit, mask: u32, now: u64) -> Word {
        let Some(advert) = self.adverts.iter().find(|advert| advert.id == submit.job_id) else {
            return Word { reason: Some("unknown_job"), share: None };
        };
        let recipe = advert.recipe;
        if submit.extranonce2_len != 1 {
            return Word { reason: Some("wrong_extranonce2_size"), share: None };
        }
        let version = match submit.bits {
            Some(bits) => (recipe.version & !mask) | bits,
            None => recipe.version,
        };
        let hash = recipe.hash(submit.extranonce2, version, submit.ntime, submit.nonce);
        let network = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(recipe.nbits));
        let is_block = network.is_met_by(bitcoin::BlockHash::from_byte_array(hash));
        let outside = submit.bits.is_some_and(|bits| bits & !mask != 0);
        let latest = 1_000 + u32::try_from(now - advert.received_at).unwrap() + recipe.slack;
        let mut reason = None;
        let faults = [
            ("version_bits_outside_mask", outside || (!recipe.rolling && version != recipe.version)),
            ("stale", advert.stale),
            ("ntime_out_of_range", submit.ntime < 1_000 || submit.ntime > latest),
            ("above_target", !below(hash, recipe.target)),
        ];
        for (name, fault) in faults {
            if fault && reason.is_none() {
                reason = Some(name);
            }
        }
        let mut again = false;
        if is_block && self.blocks.contains(&hash) {
            again = true;
            reason = reason.or(Some("duplicate"));
        } else if is_block {
            self.blocks.push(hash);
            self.blocks.drain(..self.blocks.len().saturating_sub(16));
        }
        let known_tip = self.tips.iter().rev().take(2).any(|tip| *tip == recipe.tip);
        if !again && known_tip && (reason.is_none() || is_block) {
            let on_tip = self.seen.iter().filter(|(tip, _)| *tip == recipe.tip).count();
            if self.seen.contains(&(recipe.tip, hash)) {
                again = true;
                reason = reason.or(Some("duplicate"));
            } else if on_tip == LIMITS.shares_per_tip as usize {
                reason = reason.or(Some("duplicate_window_full"));
            } else {
                self.seen.insert((recipe.tip, hash));
            }
        }
        let facts = Facts {
            hash,
            version,
            credited: recipe.target,
            meets_source: below(hash, recipe.source_target),
            is_block,
            on_live_tip: self.last.is_some_and(|last| last.tip == recipe.tip),
        };
        Word { reason, share: (reason.is_none() || (is_block && !again)).then_some(facts) }
    }
}

fn word(verdict: &Verdict<'_>) -> Word {
    let facts = |share: &work::ValidShare<'_>| Facts {
        hash: share.hash.to_bytes(),
        version: share.header.version,
        credited: share.credited,
        meets_source: share.meets_source,
        is_block: share.is_block,
        on_live_tip: share.on_live_tip,
    };
    match verdict {
        Verdict::Valid(share) => Word { reason: None, share: Some(facts(share)) },
        Verdict::Rejected { reason, solution } => {
            Word { reason: Some(reason.as_str()), share: solution.as_ref().map(facts) }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Advertise(Recipe),
    /// The last job again: another target, or to keep the miner awake.
    Again(Target),
    Submit {
        back: u32,
        submit: Submit,
        mask: u32,
    },
    Wait(u64),
    Retire(u16),
}

fn target() -> impl Strategy<Value = Target> {
    // All hashes, a half, a quarter, none.
    prop::sample::select(vec![[0xff; 32], [0x7f; 32], [0x3f; 32], [0x00; 32]])
        .prop_map(|bytes| Target::from_le_bytes(bytes).max(Target::MIN))
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let tip = prop_oneof![8 => Just(1u8), 3 => Just(2), 1 => Just(3)];
    let nbits = prop::sample::select(vec![0x207f_ffff, 0x203f_ffff, 0x1d00_ffff]);
    let version = prop::sample::select(vec![0x2000_0000, 0x2000_4000, 0x3fff_e004]);
    (
        (tip, 0u16..2, version, prop::bool::weighted(0.8)),
        (nbits, 0u8..2, target(), target(), prop::sample::select(vec![0u32, 600])),
    )
        .prop_map(|((tip, source, version, rolling), (nbits, prefix, source_target, target, slack))| {
            Recipe { tip, source, version, rolling, nbits, prefix, source_target, target, slack }
        })
}

fn submit() -> impl Strategy<Value = Step> {
    let bits = prop_oneof![
        4 => Just(None),
        4 => Just(Some(0)),
        3 => prop::sample::select(vec![0x2000, 0x4000, 0x1fff_e000]).prop_map(Some),
        1 => prop::sample::select(vec![0x2000_4000, 1, u32::MAX]).prop_map(Some),
    ];
    let ntime = prop_oneof![
        8 => Just(1_000u32),
        4 => 995u32..1_700,
        1 => prop::sample::select(vec![0, 8_300, u32::MAX]),
    ];
    let len = prop_oneof![15 => Just(1usize), 1 => 0usize..4];
    let mask = prop_oneof![8 => Just(MASK), 1 => Just(0)];
    (prop_oneof![10 => 0u32..4, 2 => 0u32..12], 0u8..2, len, ntime, 0u32..3, bits, mask).prop_map(
        |(back, extranonce2, extranonce2_len, ntime, nonce, bits, mask)| Step::Submit {
            back,
            submit: Submit { job_id: 0, extranonce2, extranonce2_len, ntime, nonce, bits },
            mask,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => recipe().prop_map(Step::Advertise),
        1 => target().prop_map(Step::Again),
        20 => submit(),
        2 => (0u64..800).prop_map(Step::Wait),
        1 => (0u16..2).prop_map(Step::Retire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_validator_agrees_with_the_slow_judge(
        seed: u64,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut validator = Validator::new(MinerId::from_bytes(&MINER_ID).unwrap(), 1, seed, LIMITS);
        let mut slow = SlowJudge::default();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Advertise(recipe) => {
                    let job = recipe.channel_job(Seconds(now));
                    let said = validator.advertise(job, recipe.target, Seconds(now)).unwrap();
                    prop_assert_eq!((said.job_id, said.clean_jobs), slow.advertise(recipe, now));
                    prop_assert_eq!(said.ntime, 1_000);
                }
                Step::Again(target) => {
                    let Some(job) = validator.newest_job().map(Arc::clone) else { continue };
                    let received_at = job.received_at.0;
                    let said = validator.advertise(job, target, Seconds(now)).unwrap();
                    prop_assert!(!said.clean_jobs);
                    let recipe = Recipe { target, ..slow.last.unwrap() };
                    prop_assert_eq!((said.job_id, false), slow.advertise(recipe, received_at));
                    prop_assert_eq!(u64::from(said.ntime), 1_000 + now - received_at);
                }
                Step::Submit { back, submit, mask } => {
                    let submit = Submit { job_id: slow.ids.wrapping_sub(back), ..submit };
                    let verdict = validator.judge(
                        &Submission {
                            job_id: submit.job_id,
                            extranonce2: &[submit.extranonce2; 4][..submit.extranonce2_len],
                            ntime: submit.ntime,
                            nonce: submit.nonce,
                            version_bits: submit.bits,
                        },
                        mask,
                        Seconds(now),
                    );
                    prop_assert_eq!(word(&verdict), slow.judge(submit, mask, now), "{:?}", verdict);
                }
                Step::Wait(seconds) => now += seconds,
                Step::Retire(source) => {
                    let dead = validator.retire(|job| job.source == SourceId(source));
                    let mut count = 0;
                    for advert in &mut slow.adverts {
                        if advert.recipe.source == source && !advert.stale {
                            advert.stale = true;
                            count += 1;
                        }
                    }
                    prop_assert_eq!(dead, count);
                }
            }
            prop_assert_eq!(validator.jobs_known(), slow.adverts.len());
            prop_assert_eq!(validator.shares_remembered(), slow.seen.len());
        }
    }
}
