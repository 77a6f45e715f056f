//! Whom shares are counted for, and of which evidence is kept.

use work::Difficulty;

use super::*;
use crate::books::Totals;
use crate::evidence::Evidence;

/// Keeps what comes as evidence: the worker, the keep difficulty, and whether it stands.
#[derive(Default)]
struct Keeper(Vec<(String, f64, bool)>);

impl ShareSink for Keeper {
    fn forward(&mut self, _share: OutgoingShare) -> Result<(), crate::books::UnsentReason> {
        Ok(())
    }

    fn keep(&mut self, evidence: &Evidence<'_>) {
        let Evidence { tally, job, extranonce, header, keep_difficulty, .. } = evidence;
        let target = Target::from_difficulty(Difficulty::new(*keep_difficulty).unwrap());
        let again = job.header_of(extranonce.as_slice(), header.version, header.ntime, header.nonce);
        let stands = again == Some(**header) && header.hash().meets(&target);
        self.0.push((tally.worker().name().to_string(), *keep_difficulty, stands));
    }
}

fn now() -> Now {
    Now { mono: Duration::ZERO, unix: 1_700_000_000 }
}

/// A connection with these workers, and its books.
fn miner(names: &[&str]) -> (Sv1Miner, Arc<Books>) {
    let books = Arc::new(Books::default());
    let mut machine = Sv1Miner::new(policy(false), Arc::clone(&books), MinerRef(1), now());
    let mut out = Vec::new();
    let mut io = Io { now: now(), out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
    machine.line(br#"{"id":1,"method":"mining.subscribe","params":[" cgminer/4.12 "]}"#, &mut io).unwrap();
    for name in names {
        let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["{name}","x"]}}"#);
        machine.line(line.as_bytes(), &mut io).unwrap();
    }
    machine.joined(Arc::default(), 0.0, Some(feed()), &mut io);
    (machine, books)
}

fn submit(machine: &mut Sv1Miner, name: &str, nonce: u32, shares: &mut dyn ShareSink) {
    let line = format!(
        r#"{{"id":9,"method":"mining.submit","params":["{name}","1","00000001","6553f100","{nonce:08x}"]}}"#
    );
    let mut out = Vec::new();
    let mut io = Io { now: now(), out: &mut out, shares, ids: &mut OneId };
    let _ = machine.line(line.as_bytes(), &mut io);
}

fn totals(books: &Books, name: &str) -> Totals {
    let mut sum = Totals::default();
    books.worker(name).into_iter().flat_map(|w| w.tallies).for_each(|tally| sum.add(&tally.totals()));
    sum
}

/// What is counted by worker is what is counted by source, but for the rounding of sums.
fn agree(books: &Books) {
    let mut accounts: Vec<_> = books.all().into_iter().map(|(key, totals)| (key, totals.counts())).collect();
    accounts.sort_by_key(|(key, _)| *key);
    let workers = books.all_by_workers().into_iter().map(|(key, totals)| (key, totals.counts()));
    assert_eq!(workers.collect::<Vec<_>>(), accounts);
}

#[test]
fn each_share_counts_for_the_worker_that_it_names() {
    let (mut machine, books) = miner(&["a", "b"]);
    assert_eq!(books.workers().len(), 0, "nothing is made before the first share");
    for nonce in 0..400 {
        let name = ["a", "b", "b", ""][nonce as usize % 4];
        submit(&mut machine, name, nonce, &mut Nowhere);
    }
    let (a, b) = (totals(&books, "a"), totals(&books, "b"));
    // Who is not named is the first; half of a connection's shares are not a quarter.
    assert_eq!((a.submitted(), b.submitted()), (200, 200));
    assert!(a.pending > 0 && b.pending > 0, "{a:?} {b:?}");
    submit(&mut machine, "c", 1_000, &mut Nowhere);
    assert_eq!(totals(&books, "c").submitted(), 0, "who is not authorised gets no books");
    assert_eq!(totals(&books, "a").submitted(), 201, "it is held against the connection's first");
    agree(&books);
}

#[test]
fn what_names_nobody_counts_for_nobody() {
    let books = Arc::new(Books::default());
    let mut machine = Sv1Miner::new(policy(false), Arc::clone(&books), MinerRef(1), now());
    submit(&mut machine, "a", 1, &mut Nowhere);
    assert_eq!(totals(&books, "").rejected_sum(), 1);
    agree(&books);
}

#[test]
fn evidence_is_kept_of_good_shares_that_meet_the_workers_keep_target_and_of_no_others() {
    let (mut machine, books) = miner(&["a"]);
    let mut keeper = Keeper::default();
    for nonce in 0..100 {
        submit(&mut machine, "a", nonce, &mut keeper);
    }
    assert!(keeper.0.is_empty(), "its hashrate is not known yet");
    // Two to the power of -28: one of four or so of the shares here.
    let worker = books.worker("a").expect("it is known").worker;
    worker.aim(0.55);
    assert_eq!(worker.keep_difficulty(), Some(2.0_f64.powi(-28)));
    let before = books.totals().pending;
    for nonce in 100..2_100 {
        submit(&mut machine, "a", nonce, &mut keeper);
        // Nothing twice.
        submit(&mut machine, "a", nonce, &mut keeper);
    }
    let (good, kept) = (books.totals().pending - before, keeper.0.len() as u64);
    assert!((good / 8..good / 2).contains(&kept), "{kept} of {good}");
    assert!(keeper.0.iter().all(|kept| *kept == ("a".to_owned(), 2.0_f64.powi(-28), true)), "{:?}", keeper.0);
}

#[test]
fn a_connection_says_who_it_is_and_how_its_workers_stand() {
    let (mut machine, _) = miner(&["a"]);
    assert_eq!(machine.take_user_agent().as_deref(), Some("cgminer/4.12"));
    assert_eq!(machine.take_user_agent(), None, "once");
    let mut standing = Vec::new();
    machine.each_worker(&mut |one| standing.push(one));
    assert_eq!(standing.len(), 1);
    assert_eq!((&*standing[0].name, standing[0].source), ("a", Some(SourceId(0))));
    assert!(standing[0].hashrate.is_some() && standing[0].difficulty > 0.0);
    let (machine, _) = miner(&["a", "b"]);
    let mut hashrates = Vec::new();
    machine.each_worker(&mut |one| hashrates.push(one.hashrate));
    assert_eq!(hashrates, [None, None], "one estimate cannot be split");
}
