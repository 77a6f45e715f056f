//! How large a day's receipt is, and how long it takes to verify.

use std::time::Instant;

use super::chance::Chance;
use crate::fixture::{FROM, issuer, script, signed, terms};
use crate::sampling::{self, LEAST_EXPECTED};
use crate::{Header, Job, Outcome, Share, Verified, Writer, verify_file};

/// A coinbase as pools have them: a height, a time and a tag before the extranonce; a payout and two commitments after it.
fn coinbase(chance: &mut Chance, height: u32, value: u64) -> (Vec<u8>, Vec<u8>) {
    let mut prefix = vec![2, 0, 0, 0, 1];
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    prefix.push(4 + 5 + 20 + 20);
    prefix.push(3);
    prefix.extend(&height.to_le_bytes()[..3]);
    prefix.push(4);
    prefix.extend(chance.bytes::<4>());
    prefix.extend(b"/a pool of some size");
    let mut suffix = vec![0xff; 4];
    suffix.push(3);
    suffix.extend(value.to_le_bytes());
    suffix.push(22);
    suffix.extend(&*script());
    // The witness commitment, and that of a merge-mined chain.
    for length in [38_u8, 43] {
        suffix.extend([0; 8]);
        suffix.push(length);
        suffix.extend([0x6a, length - 2]);
        suffix.extend((2..length).map(|_| chance.bytes::<1>()[0]));
    }
    suffix.extend([0; 4]);
    (prefix, suffix)
}

/// A receipt for a day, as many shares as there may be expected at most, of a new job every 30 seconds (by each of so many
/// pools), twelve nodes deep; and how large it is. The difficulty is that of one hash, so that it can be made here: neither
/// size nor time depends on it.
fn day(pools: usize, miners: u64) -> Vec<u8> {
    let mut chance = Chance::new(11);
    let mut terms = terms();
    (terms.to, terms.every, terms.hashrate, terms.pool_tag) = (FROM + 86_400, 1_000, 1, "/a pool".into());
    let header = Header::new(&terms, terms.from, terms.to, sampling::MIN_EXPONENT, 1, 0);
    let tag = terms.tag();
    let mut writer = Writer::new(Vec::new(), &signed(&terms), header).unwrap();
    let mut jobs: Vec<Job> = vec![Job::default(); pools];
    let count = 2 * u64::try_from(LEAST_EXPECTED).unwrap();
    let mut job_times = vec![0; pools];
    let mut tip = (0, [0; 32]);
    let mut seconds: Vec<u64> = (0..count).map(|_| chance.below(86_400)).collect();
    seconds.sort_unstable();
    for second in seconds {
        let pool = usize::try_from(chance.below(pools as u64)).unwrap();
        if second / 600 + 1 > tip.0 {
            tip = (second / 600 + 1, chance.bytes());
        }
        if second / 30 + 1 > job_times[pool] {
            job_times[pool] = second / 30 + 1;
            let value = 312_500_000 + chance.below(5_000_000);
            let (coinbase_prefix, coinbase_suffix) = coinbase(&mut chance, 900_000, value);
            jobs[pool] = Job {
                version: 0x2000_0000,
                prev_hash: tip.1,
                nbits: 0x1702_3a04,
                min_ntime: u32::try_from(FROM + second / 30 * 30).unwrap(),
                prefix_length: 4,
                coinbase_prefix,
                coinbase_suffix,
                merkle_path: (0..12).map(|_| chance.bytes()).collect(),
            };
        }
        let miner = u32::try_from(chance.below(miners)).unwrap().to_le_bytes();
        let rolled = u32::from_le_bytes(chance.bytes()) & 0x1fff_e000;
        let share = Share {
            at: FROM + second,
            extranonce: [
                &[0xaa, 0xbb, 0xcc, u8::try_from(pool).unwrap()],
                &tag[..],
                &miner,
                &chance.bytes::<4>(),
            ]
            .concat(),
            ntime: u32::try_from(FROM + second).unwrap(),
            nonce: u32::from_le_bytes(chance.bytes()),
            version: 0x2000_0000 | rolled,
        };
        writer.share(&jobs[pool], &share).unwrap();
    }
    writer.finish(FROM + 86_500, &issuer()).unwrap().0
}

#[test]
fn a_days_receipt_is_below_a_megabyte_and_verified_within_a_second() {
    for (farm, pools, miners, most) in [
        ("1 PH/s, 10 miners", 1, 10, 1_000_000),
        ("1 EH/s, 5,000 miners", 1, 5_000, 1_000_000),
        // Nearly every share has a job of its own then.
        ("1 EH/s, 5,000 miners, two pools at once", 2, 5_000, 1_250_000),
    ] {
        let file = day(pools, miners);
        #[expect(clippy::disallowed_methods, reason = "a test that measures")]
        let began = Instant::now();
        let verified = verify_file(&file[..], None);
        let took = began.elapsed();
        let Verified::One(report) = verified else { unreachable!("it is one") };
        println!(
            "{farm}: {} shares, {} jobs, {} bytes, verified in {took:?}",
            report.shares,
            report.jobs,
            file.len()
        );
        assert_eq!(report.outcome, Outcome::Holds, "{report:#?}");
        assert!(file.len() < most);
        assert!(took.as_secs_f64() < 1.0);
    }
}
