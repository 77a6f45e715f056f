//! The rules that cost somebody shares when they were missed, one test each.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;

use work::{
    AdvertiseError, ChannelJob, ChannelTerms, Difficulty, Epoch, Job, JobParts, Limits, MinerId, MinerIds,
    MinerIdsLimits, Reject, Seconds, SourceId, Submission, Target, Validator, Verdict,
};

const MASK: u32 = 0x1fff_e000;
const NTIME: u32 = 1_700_000_000;
/// So hard that no test meets it.
const MAINNET: u32 = 0x1702_4781;
/// Every second hash is a block.
const REGTEST: u32 = 0x207f_ffff;

struct Terms {
    tip: u8,
    source: u16,
    nbits: u32,
    rolling: bool,
    source_target: Target,
}

impl Default for Terms {
    fn default() -> Self {
        Self { tip: 1, source: 0, nbits: MAINNET, rolling: true, source_target: Target::MAX }
    }
}

/// A job with 8 bytes of upstream's prefix and a split of 4 and 4.
fn job(terms: &Terms) -> Arc<ChannelJob> {
    let prefix = hex::decode(format!("0200000001{}ffffffff14{}", "00".repeat(32), "03".repeat(4))).unwrap();
    let suffix = hex::decode("ffffffff0100f2052a01000000015100000000").unwrap();
    let parts = JobParts {
        id: 1,
        version: 0x2000_0000,
        version_rolling_allowed: terms.rolling,
        prev_hash: [terms.tip; 32],
        nbits: terms.nbits,
        min_ntime: NTIME,
        merkle_path: vec![[7; 32]; 3].into(),
        coinbase_tx_prefix: prefix.into(),
        coinbase_tx_suffix: suffix.into(),
    };
    let channel = ChannelTerms {
        source: SourceId(terms.source),
        generation: 0,
        extranonce_prefix: &[0xbe; 8],
        filler: &[],
        source_target: terms.source_target,
        ntime_slack: 600,
        received_at: Seconds(100),
    };
    Arc::new(ChannelJob::new(Arc::new(Job::new(parts, 16).unwrap()), channel).unwrap())
}

fn validator(miner_id: u32) -> Validator {
    let id = MinerId::from_bytes(&miner_id.to_be_bytes()).unwrap();
    Validator::new(id, 4, 1, Limits::default())
}

fn share(job_id: u32, nonce: u32) -> Submission<'static> {
    Submission { job_id, extranonce2: &[0, 0, 0, 1], ntime: NTIME, nonce, version_bits: None }
}

fn reason(verdict: &Verdict<'_>) -> &'static str {
    match verdict {
        Verdict::Valid(_) => "valid",
        Verdict::Rejected { reason, .. } => reason.as_str(),
    }
}

/// Advertises at the easiest target and gives the id.
fn advertise(validator: &mut Validator, terms: &Terms) -> u32 {
    validator.advertise(job(terms), Target::MAX, Seconds(100)).unwrap().job_id
}

#[test]
fn a_share_is_judged_by_the_easiest_target_told_since_its_job_was_advertised() {
    let mut validator = validator(1);
    let job = job(&Terms::default());
    let hard = Target::from_difficulty(Difficulty::new(1e9).unwrap());
    let first = validator.advertise(Arc::clone(&job), Target::MAX, Seconds(100)).unwrap();
    let raised = validator.advertise(Arc::clone(&job), hard, Seconds(100)).unwrap();
    let now = Seconds(100);
    // A harder target holds for its own job only...
    assert_eq!(reason(&validator.judge(&share(first.job_id, 1), MASK, now)), "valid");
    assert_eq!(reason(&validator.judge(&share(raised.job_id, 2), MASK, now)), "above_target");
    // ... an easier one for all that the miner works on, and that is what they are credited with.
    let half = Target::from_difficulty(Difficulty::new(Target::MAX.difficulty().get() * 2.0).unwrap());
    let lowered = validator.advertise(job, half, Seconds(100)).unwrap();
    assert!(!raised.clean_jobs && !lowered.clean_jobs);
    for (job_id, credited) in [(first.job_id, Target::MAX), (raised.job_id, half), (lowered.job_id, half)] {
        let found = (10..100).find_map(|nonce| match validator.judge(&share(job_id, nonce), MASK, now) {
            Verdict::Valid(share) => Some(share.credited),
            Verdict::Rejected { .. } => None,
        });
        assert_eq!(found, Some(credited));
    }
}

#[test]
fn the_same_header_under_another_job_id_is_a_duplicate() {
    let mut validator = validator(1);
    let ids = [(); 3].map(|()| advertise(&mut validator, &Terms::default()));
    assert_eq!(reason(&validator.judge(&share(ids[0], 5), MASK, Seconds(100))), "valid");
    for id in ids {
        let verdict = validator.judge(&share(id, 5), MASK, Seconds(100));
        let Verdict::Rejected { reason: Reject::Duplicate, solution: None } = verdict else {
            panic!("{verdict:?}");
        };
    }
}

#[test]
fn no_version_bits_and_zero_version_bits_are_the_same_header() {
    let mut validator = validator(1);
    let id = advertise(&mut validator, &Terms::default());
    let zero = Submission { version_bits: Some(0), ..share(id, 5) };
    assert_eq!(reason(&validator.judge(&share(id, 5), MASK, Seconds(100))), "valid");
    assert_eq!(reason(&validator.judge(&zero, MASK, Seconds(100))), "duplicate");
}

#[test]
fn clean_jobs_is_said_when_the_last_job_of_this_miner_had_another_tip_or_source() {
    let mut validator = validator(1);
    let mut clean = |tip, source| {
        let terms = Terms { tip, source, ..Terms::default() };
        validator.advertise(job(&terms), Target::MAX, Seconds(100)).unwrap().clean_jobs
    };
    let said = [(1, 0), (1, 0), (2, 0), (2, 0), (2, 1), (2, 1), (2, 0), (1, 1)]
        .map(|(tip, source)| clean(tip, source));
    assert_eq!(said, [true, false, true, false, true, false, true, true]);
}

#[test]
fn a_tip_that_flaps_makes_no_old_share_new() {
    let mut validator = validator(1);
    let (a, b) = (Terms::default(), Terms { tip: 2, ..Terms::default() });
    let first = advertise(&mut validator, &a);
    assert_eq!(reason(&validator.judge(&share(first, 5), MASK, Seconds(100))), "valid");
    let other = advertise(&mut validator, &b);
    assert_eq!(reason(&validator.judge(&share(other, 5), MASK, Seconds(100))), "valid");
    let again = advertise(&mut validator, &a);
    assert_eq!(reason(&validator.judge(&share(again, 5), MASK, Seconds(100))), "duplicate");
    assert_eq!(
        reason(&validator.judge(&share(first, 6), MASK, Seconds(100))),
        "stale",
        "stale once, stale for good"
    );
}

#[test]
fn a_late_block_is_handed_out_once_though_the_share_is_stale() {
    for tips_since in [1, 2, 7] {
        a_block_this_late_is_handed_out_once(tips_since);
    }
}

fn a_block_this_late_is_handed_out_once(tips_since: u8) {
    let mut validator = validator(1);
    let old = advertise(&mut validator, &Terms { nbits: REGTEST, ..Terms::default() });
    for tip in 2..2 + tips_since {
        advertise(&mut validator, &Terms { tip, nbits: REGTEST, ..Terms::default() });
    }
    let (mut solutions, mut nothing) = (0, 0);
    for nonce in 0..40 {
        for round in 0..2 {
            let verdict = validator.judge(&share(old, nonce), MASK, Seconds(100));
            assert_eq!(reason(&verdict), "stale");
            match verdict.solution() {
                Some(share) => {
                    assert!(round == 0 && share.is_block && !share.on_live_tip);
                    solutions += 1;
                }
                None => nothing += 1,
            }
        }
    }
    assert!(solutions > 5 && nothing > 45, "{solutions} {nothing}");
}

#[test]
fn a_block_with_any_fault_as_a_share_is_handed_out() {
    let hard = Target::from_difficulty(Difficulty::new(1e9).unwrap());
    let terms = Terms { nbits: REGTEST, rolling: false, ..Terms::default() };
    let mut validator = validator(1);
    let hard_id = validator.advertise(job(&terms), hard, Seconds(100)).unwrap().job_id;
    let mut found = std::collections::BTreeSet::new();
    for nonce in 0..60 {
        for submission in [
            share(hard_id, nonce),
            Submission { ntime: NTIME - 1, ..share(hard_id, nonce) },
            Submission { ntime: NTIME + 99_999, ..share(hard_id, nonce) },
            Submission { version_bits: Some(0x2000), ..share(hard_id, nonce) },
            Submission { version_bits: Some(0x2000_2000), ..share(hard_id, nonce) },
        ] {
            let verdict = validator.judge(&submission, MASK, Seconds(100));
            if verdict.solution().is_some() {
                found.insert(reason(&verdict));
            }
        }
    }
    let all = ["above_target", "ntime_out_of_range", "version_bits_outside_mask"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn ntime_may_be_ahead_by_the_time_since_the_job_and_the_slack() {
    let mut validator = validator(1);
    let id = advertise(&mut validator, &Terms::default());
    let mut at = |ntime, now| {
        let nonce = ntime ^ u32::try_from(now).unwrap();
        let submission = Submission { ntime, ..share(id, nonce) };
        reason(&validator.judge(&submission, MASK, Seconds(now)))
    };
    assert_eq!(at(NTIME - 1, 100), "ntime_out_of_range");
    assert_eq!(at(NTIME, 100), "valid");
    assert_eq!(at(NTIME + 600, 100), "valid");
    assert_eq!(at(NTIME + 601, 100), "ntime_out_of_range");
    assert_eq!(at(NTIME + 601, 101), "valid");
    assert_eq!(at(NTIME + 1_600, 1_100), "valid");
    assert_eq!(at(NTIME + 1_601, 1_100), "ntime_out_of_range");
    assert_eq!(at(NTIME, 0), "valid", "a clock that stepped back");
}

#[test]
fn rolled_bits_are_those_of_the_mask_and_of_jobs_that_allow_it() {
    let mut validator = validator(1);
    let free = advertise(&mut validator, &Terms::default());
    let fixed = advertise(&mut validator, &Terms { rolling: false, ..Terms::default() });
    let mut judge = |id, bits, mask| {
        let submission = Submission { version_bits: bits, ..share(id, 9) };
        let verdict = validator.judge(&submission, mask, Seconds(100));
        match verdict {
            Verdict::Valid(share) => Ok(share.header.version),
            Verdict::Rejected { reason, .. } => Err(reason),
        }
    };
    let outside = |got, mask| Err(Reject::VersionBitsOutsideMask { got, mask });
    assert_eq!(judge(free, Some(0x0000_4000), MASK), Ok(0x2000_4000));
    assert_eq!(judge(free, Some(0x2000_4000), MASK), outside(0x2000_4000, MASK), "the full version");
    assert_eq!(judge(free, Some(0x0000_4000), 0), outside(0x0000_4000, 0));
    assert_eq!(judge(free, Some(0x1000), MASK), outside(0x1000, MASK));
    assert_eq!(judge(fixed, Some(0x4000), MASK), outside(0x4000, 0));
    assert_eq!(judge(free, None, 0), Ok(0x2000_0000));
    assert_eq!(judge(fixed, Some(0), MASK), Err(Reject::Duplicate), "no bit changed: the same header");
}

#[test]
fn an_extranonce2_of_another_size_or_an_unknown_job_is_no_share() {
    let mut validator = validator(1);
    let id = advertise(&mut validator, &Terms::default());
    for extranonce2 in [&[][..], &[0; 3], &[0; 5], &[0; 300]] {
        let submission = Submission { extranonce2, ..share(id, 1) };
        let verdict = validator.judge(&submission, MASK, Seconds(100));
        let got = extranonce2.len();
        let Verdict::Rejected { reason, solution: None } = verdict else { panic!("{verdict:?}") };
        assert_eq!(reason, Reject::WrongExtranonce2Size { got, expected: 4 });
    }
    for job_id in [0, id + 1, u32::MAX] {
        assert_eq!(reason(&validator.judge(&share(job_id, 1), MASK, Seconds(100))), "unknown_job");
    }
}

#[test]
fn a_share_lands_in_the_extranonce_space_of_the_miner_that_sent_it() {
    let hashes = [1, 2].map(|miner| {
        let mut validator = validator(miner);
        let id = advertise(&mut validator, &Terms::default());
        match validator.judge(&share(id, 1), MASK, Seconds(100)) {
            Verdict::Valid(share) => {
                assert_eq!(share.extranonce.as_slice(), [&miner.to_be_bytes()[..], &[0, 0, 0, 1]].concat());
                share.hash
            }
            Verdict::Rejected { reason, .. } => panic!("{reason}"),
        }
    });
    assert_ne!(hashes[0], hashes[1]);
}

#[test]
fn only_a_share_that_meets_its_sources_target_goes_up() {
    let half = Target::from_le_bytes([0x7f; 32]);
    let mut validator = validator(1);
    let id = advertise(&mut validator, &Terms { source_target: half, ..Terms::default() });
    for nonce in 0..50 {
        match validator.judge(&share(id, nonce), MASK, Seconds(100)) {
            Verdict::Valid(share) => {
                assert_eq!(share.meets_source, share.hash.as_target() <= half);
                assert_eq!(share.credited, Target::MAX);
            }
            Verdict::Rejected { reason, .. } => panic!("{reason}"),
        }
    }
}

#[test]
fn a_full_window_takes_no_more_shares_but_still_gives_blocks() {
    let limits = Limits { shares_per_tip: 10, ..Limits::default() };
    let mut validator = Validator::new(MinerId::from_bytes(&[1; 4]).unwrap(), 4, 1, limits);
    let id = advertise(&mut validator, &Terms { nbits: REGTEST, ..Terms::default() });
    for nonce in 0..10 {
        assert_eq!(reason(&validator.judge(&share(id, nonce), MASK, Seconds(100))), "valid");
    }
    let mut blocks = 0;
    for nonce in 10..50 {
        let verdict = validator.judge(&share(id, nonce), MASK, Seconds(100));
        assert_eq!(reason(&verdict), "duplicate_window_full");
        blocks += usize::from(verdict.solution().is_some());
    }
    assert!(blocks > 5);
    assert_eq!(reason(&validator.judge(&share(id, 3), MASK, Seconds(100))), "duplicate");
    assert_eq!(validator.shares_remembered(), 10);
    let id = advertise(&mut validator, &Terms { tip: 2, ..Terms::default() });
    assert_eq!(
        reason(&validator.judge(&share(id, 3), MASK, Seconds(100))),
        "valid",
        "the next tip has its own"
    );
}

#[test]
fn a_miner_that_comes_back_brings_its_shares_and_its_jobs_along() {
    let mut ids: MinerIds<Box<Validator>> = MinerIds::new(4, 9, 9, MinerIdsLimits::default());
    let id = ids.allocate().unwrap();
    let mut validator = Box::new(Validator::new(id, 4, 1, Limits::default()));
    let job_id = advertise(&mut validator, &Terms::default());
    assert_eq!(reason(&validator.judge(&share(job_id, 5), MASK, Seconds(100))), "valid");
    ids.release(id, Epoch(0), Some(validator));
    let mut validator = ids.resume(id).unwrap();
    assert_eq!(reason(&validator.judge(&share(job_id, 5), MASK, Seconds(100))), "duplicate");
    assert_eq!(reason(&validator.judge(&share(job_id, 6), MASK, Seconds(100))), "valid");
}

#[test]
fn jobs_of_a_channel_that_is_gone_are_stale_at_once() {
    let mut validator = validator(1);
    let id = advertise(&mut validator, &Terms::default());
    assert_eq!(validator.retire(|job| job.source == SourceId(7)), 0);
    assert_eq!(validator.retire(|job| job.source == SourceId(0)), 1);
    assert_eq!(reason(&validator.judge(&share(id, 1), MASK, Seconds(100))), "stale");
}

#[test]
fn a_job_of_another_split_or_a_target_of_zero_is_not_advertised() {
    let mut validator = Validator::new(MinerId::from_bytes(&[1; 4]).unwrap(), 8, 1, Limits::default());
    let other = validator.advertise(job(&Terms::default()), Target::MAX, Seconds(100));
    assert_eq!(other, Err(AdvertiseError::OtherSplit { job: 8, miner: 12 }));
    let mut validator = self::validator(1);
    let zero = validator.advertise(job(&Terms::default()), Target::ZERO, Seconds(100));
    assert_eq!(zero, Err(AdvertiseError::ZeroTarget));
    assert_eq!(validator.jobs_known(), 0);
}

#[test]
fn memory_is_bounded_whatever_is_advertised() {
    let mut validator = validator(1);
    for round in 0..2_000u32 {
        let terms = Terms { tip: round.to_le_bytes()[0] / 8, ..Terms::default() };
        let target = Target::from_difficulty(Difficulty::new(f64::from(round + 1)).unwrap());
        validator.advertise(job(&terms), target, Seconds(100)).unwrap();
        assert!(validator.jobs_known() <= usize::from(Limits::LIVE_JOBS + Limits::STALE_JOBS));
    }
    assert!(size_of::<Validator>() < 200, "{}", size_of::<Validator>());
}

#[test]
fn reasons_keep_their_names_and_codes() {
    let hash = work::BlockHash::from_bytes([0; 32]);
    let reasons = [
        (Reject::UnknownJob { job_id: 1 }, "unknown_job", 21),
        (Reject::Stale { job_id: 1 }, "stale", 21),
        (Reject::Duplicate, "duplicate", 22),
        (Reject::AboveTarget { hash, target: Target::MIN }, "above_target", 23),
        (Reject::NtimeOutOfRange { got: 1, min: 2, max: 3 }, "ntime_out_of_range", 20),
        (Reject::VersionBitsOutsideMask { got: 1, mask: 2 }, "version_bits_outside_mask", 20),
        (Reject::WrongExtranonce2Size { got: 1, expected: 4 }, "wrong_extranonce2_size", 20),
        (Reject::DuplicateWindowFull { limit: 1 }, "duplicate_window_full", 20),
    ];
    for (at, (reason, name, code)) in reasons.iter().enumerate() {
        assert_eq!((reason.as_str(), reason.sv1_code(), reason.index()), (*name, *code, at));
    }
    assert_eq!(reasons.len(), Reject::REASONS.len());
}
