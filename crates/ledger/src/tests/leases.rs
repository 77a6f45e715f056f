//! Leases: exact after an end in order, one second uncertain after a kill.

use super::disk::Disk;
use crate::LeaseLog;
use crate::record::Lease;

fn lease(goal: &str, hashes: f64, rate: f64, last: bool) -> Lease {
    Lease { goal: goal.to_owned(), hashes, uncertain: 0.0, rate, last }
}

fn open(disk: &Disk) -> (LeaseLog, Vec<(String, f64, f64)>) {
    let (log, _) = LeaseLog::open(&disk.storage(), [0; 4], 1_000).unwrap();
    let counts = log.leases().map(|l| (l.goal.clone(), l.hashes, l.uncertain)).collect();
    (log, counts)
}

#[test]
fn a_run_that_ended_in_order_is_exact() {
    let disk = Disk::default();
    let (mut log, counts) = open(&disk);
    assert!(counts.is_empty());
    log.note(2_000, &[lease("lent", 1.5e15, 1e12, false), lease("sold", 2e15, 1e12, false)]).unwrap();
    log.note(3_000, &[lease("lent", 0.1 + 1.6e15, 1e12, true)]).unwrap();
    log.note(3_000, &[lease("sold", 2.5e15, 1e12, true)]).unwrap();
    for _ in 0..3 {
        let (_, counts) = open(&disk);
        assert_eq!(counts, [("lent".into(), 0.1 + 1.6e15, 0.0), ("sold".into(), 2.5e15, 0.0)]);
    }
}

#[test]
fn a_run_that_was_killed_leaves_a_second_uncertain() {
    let disk = Disk::default();
    let (mut log, _) = open(&disk);
    log.note(2_000, &[lease("lent", 1e15, 3e12, false)]).unwrap();
    for _ in 0..3 {
        let (_, counts) = open(&disk);
        assert_eq!(counts, [("lent".into(), 1e15, 3e12)], "no more by looking");
    }
}

#[test]
fn every_torn_or_damaged_end_gives_the_one_before_it() {
    let disk = Disk::default();
    let (mut log, _) = open(&disk);
    log.note(2_000, &[lease("lent", 1e15, 0.0, false)]).unwrap();
    let name = disk.names().pop().unwrap();
    let whole = disk.bytes(&name);
    log.note(3_000, &[lease("lent", 2e15, 0.0, false)]).unwrap();
    let both = disk.bytes(&name);
    drop(log);
    let torn = (whole.len()..both.len()).map(|end| both[..end].to_vec());
    let damaged = (whole.len()..both.len()).map(|at| {
        let mut damaged = both.clone();
        damaged[at] ^= 1;
        damaged
    });
    for bytes in torn.chain(damaged) {
        let disk = Disk::default();
        disk.put(&name, bytes);
        assert_eq!(open(&disk).1, [("lent".into(), 1e15, 0.0)]);
    }
}

#[test]
fn it_does_not_grow_for_ever() {
    let disk = Disk::default();
    let (mut log, _) = open(&disk);
    let mut hashes = 0.0;
    while disk.names().len() < 9 || disk.length() < 9 << 20 {
        let leases: Vec<Lease> = (0..2_000).map(|n| lease(&format!("g{n}"), hashes, 1.0, false)).collect();
        log.note(2_000, &leases).unwrap();
        hashes += 1.0;
        assert!(hashes < 200.0, "{} bytes", disk.length());
        if hashes > 150.0 {
            break;
        }
    }
    assert!(disk.length() < 12 << 20, "{}", disk.length());
    assert_eq!(open(&disk).1.len(), 2_000);
}

#[test]
fn what_a_full_disk_did_not_take_is_noted_when_it_can_be() {
    let disk = Disk::default();
    let (mut log, _) = open(&disk);
    log.note(2_000, &[lease("lent", 1e15, 1.0, false), lease("sold", 5e15, 1.0, false)]).unwrap();
    for room in 0..60 {
        disk.lock().room = Some(room);
        let more = 1e15 + f64::from(u32::try_from(room).unwrap());
        assert!(log.note(3_000, &[lease("lent", more, 2.0, false)]).is_err(), "{room}");
    }
    disk.lock().room = None;
    log.note(4_000, &[lease("lent", 3e15, 2.0, false)]).unwrap();
    assert_eq!(open(&disk).1, [("lent".into(), 3e15, 2.0), ("sold".into(), 5e15, 1.0)]);
}
