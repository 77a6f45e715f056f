//! Evidence: each share as it was, with its job.

use std::sync::Arc;

use super::disk::Disk;
use crate::record::{Entry, Job, Network, Share};
use crate::{Bounds, HOUR_MS, Ledger, MINUTE_MS, Reader, RowKey, Stream};

const START: u64 = 1_795_953_600_000;

fn job(number: u8) -> Arc<Job> {
    Arc::new(Job {
        source: "pool".into(),
        version: 0x2000_0000,
        prev_hash: [number; 32],
        nbits: 0x1702_7726,
        min_ntime: 1_795_953_600,
        // The first is as in a ledger from before it was kept.
        prefix_length: (number > 0).then_some(number),
        coinbase_prefix: vec![number; 60].into(),
        coinbase_suffix: vec![2; 90].into(),
        merkle_path: vec![[number; 32], [7; 32]].into(),
    })
}

fn share(at_ms: u64, worker: &str, number: u8) -> Share {
    let key =
        RowKey { worker: worker.into(), listener: "l".into(), route: "r".into(), source: "pool".into() };
    Share {
        at_ms,
        key: Arc::new(key),
        job: job(number),
        extranonce: vec![1, 2, 3, number],
        ntime: 1_795_953_601,
        nonce: 0xdead_beef,
        version: 0x2000_e000,
        difficulty: 1024.5,
        keep: 512.0,
    }
}

fn read(disk: &Disk) -> Vec<Share> {
    let mut shares = Vec::new();
    Reader::of(Box::new(disk.clone()))
        .entries(Stream::Evidence, &mut |entry| {
            if let Entry::Share(share) = entry {
                shares.push(share);
            }
        })
        .unwrap();
    shares
}

fn ledger(disk: &Disk, bounds: Bounds) -> Ledger {
    Ledger::open(&disk.storage(), [9; 4], bounds, START, "test").unwrap().0
}

#[test]
fn shares_are_read_as_they_were_and_each_job_stands_once() {
    let disk = Disk::default();
    let mut ledger = ledger(&disk, Bounds::default());
    let mut all = Vec::new();
    for n in 0..200u64 {
        let share = share(START + n, if n % 3 == 0 { "a" } else { "b.é" }, u8::try_from(n / 100).unwrap());
        ledger.share(share.clone());
        all.push(share);
        if n % 50 == 0 {
            ledger.flush(START + n);
        }
    }
    ledger.flush(START + 1_000);
    assert_eq!(read(&disk), all);
    assert_eq!(ledger.standing().shares, 200);
    let bytes = disk.bytes(&Stream::Evidence.file_name(1)).len();
    assert!(bytes < 200 * 62 + 1_000, "{bytes} bytes");
}

#[test]
fn one_job_on_channels_with_prefixes_of_different_lengths_is_kept_with_each() {
    let disk = Disk::default();
    let mut ledger = ledger(&disk, Bounds::default());
    let lengths = [None, Some(0), Some(4), Some(4), None, Some(31)];
    for (at, prefix_length) in (START..).zip(lengths) {
        let job = Arc::new(Job { prefix_length, ..Job::clone(&job(3)) });
        ledger.share(Share { job, ..share(at, "a", 3) });
    }
    ledger.flush(START + 10);
    assert_eq!(read(&disk).iter().map(|share| share.job.prefix_length).collect::<Vec<_>>(), lengths);
}

#[test]
fn what_the_disk_refuses_waits_and_what_has_no_room_is_counted() {
    let disk = Disk::default();
    let mut ledger = ledger(&disk, Bounds::default());
    ledger.share(share(START, "a", 0));
    ledger.flush(START);
    disk.lock().room = Some(100);
    for n in 0..40_000 {
        ledger.share(share(START + n, "a", 1));
    }
    ledger.flush(START + 40_000);
    assert!(ledger.standing().trouble.is_some());
    let lost = ledger.standing().shares_lost;
    assert!(lost > 0 && lost < 40_000);
    disk.lock().room = None;
    ledger.flush(START + 50_000);
    assert_eq!(read(&disk).len() as u64, 40_001 - lost);
}

#[test]
fn old_evidence_goes_and_that_is_told() {
    let disk = Disk::default();
    let bounds = Bounds { evidence_ms: 48 * HOUR_MS, evidence_bytes: 1 << 20, ..Bounds::default() };
    let mut ledger = ledger(&disk, bounds);
    let mut now = START;
    for n in 0..200 {
        now += HOUR_MS;
        (0..40).for_each(|_| ledger.share(share(now, "a", n)));
        ledger.take(now, []);
        ledger.flush(now);
    }
    let evicted = Reader::of(Box::new(disk.clone())).evicted().unwrap().remove(&Stream::Evidence).unwrap();
    let left = read(&disk);
    assert_eq!(evicted.records, ledger.standing().evicted[&Stream::Evidence]);
    assert!(evicted.to_ms + 48 * HOUR_MS <= now && evicted.to_ms + 80 * HOUR_MS > now, "{evicted:?}");
    assert!(left[0].at_ms >= evicted.to_ms && left.last().unwrap().at_ms == now);
    assert!(disk.length() < 1_200_000, "{}", disk.length());
}

#[test]
fn what_blocks_are_worth_is_noted_when_it_changes() {
    let disk = Disk::default();
    let mut ledger = ledger(&disk, Bounds::default());
    let note =
        |at_ms, height, value| Network { at_ms, source: "pool".into(), nbits: 0x1702_7726, height, value };
    for (at, height, value) in [(0, 900_000, 5), (1, 900_000, 6), (2, 900_001, 6), (3, 900_001, 6)] {
        ledger.network(note(START + at * 1_000, height, value));
    }
    ledger.network(note(START + 3 * MINUTE_MS, 900_001, 9));
    ledger.flush(START + 3 * MINUTE_MS);
    let mut heights = Vec::new();
    Reader::of(Box::new(disk))
        .entries(Stream::Notes, &mut |entry| {
            if let Entry::Network(note) = entry {
                heights.push((note.height, note.value));
            }
        })
        .unwrap();
    assert_eq!(heights, [(900_000, 5), (900_001, 6), (900_001, 9)]);
}
