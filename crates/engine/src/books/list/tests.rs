//! The books' promises: every share balances, and a worker's part is never lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Final, OTHER, RefuseCode, RejectReason, UnsentReason};
use super::*;
use crate::ids::MinerRef;

const KEY: AccountKey = AccountKey { listener: 0, route: 0, source: Some(0) };
const LONG: Duration = Duration::from_secs(600);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}

#[test]
fn every_way_of_a_share_balances() {
    let books = Books::default();
    let tally = books.tally(&name("w"), KEY);
    let mut submitted = 0;
    for (n, reason) in (0..).zip(RejectReason::ALL) {
        tally.settle_at_once(MinerRef(n), Final::Rejected(*reason), 1.0, false);
        submitted += 1;
    }
    let seven = MinerRef(7);
    tally.verified(seven, 2.0, Duration::ZERO);
    tally.settle_at_once(seven, Final::Local, 2.0, true);
    tally.settle_at_once(seven, Final::Unsent(UnsentReason::NoSource), 2.0, false);
    submitted += 2;
    let ends = [
        Final::Acknowledged,
        Final::Refused(RefuseCode::StaleShare),
        Final::Unknown,
        Final::Unsent(UnsentReason::StaleInQueue),
    ];
    for (n, end) in (0..).zip(ends) {
        tally.verified(MinerRef(n), 2.0, Duration::ZERO);
        tally.open(MinerRef(n));
        submitted += 1;
        assert_eq!(books.totals().pending, 1);
        tally.settle(MinerRef(n), end, 8.0, true);
    }
    let three = MinerRef(3);
    tally.open(three);
    submitted += 1;
    tally.hold(three);
    assert_eq!((books.totals().held, books.totals().pending), (1, 0));
    assert_eq!(books.totals().submitted(), submitted);
    tally.release(three);
    let totals = books.totals();
    assert_eq!((totals.held, totals.pending), (0, 1));
    assert_eq!(totals.forwarded(), 4);
    assert_eq!(totals.submitted(), submitted);
    assert_eq!(totals.told_true_lost, 3);
    // Worth 8 to the source, and 2 of what the miner delivered.
    assert_eq!((totals.work_acknowledged, totals.work_verified), (8.0, 10.0));
    assert_eq!(tally.totals(), totals);
}

#[test]
fn one_worker_has_one_tally_in_an_account_and_the_list_of_accounts_is_bounded() {
    let books = Books::default();
    assert!(Arc::ptr_eq(&books.tally(&name("w"), KEY), &books.tally(&name("w"), KEY)));
    for listener in (0..).take(MAX_ACCOUNTS + 10) {
        books.tally(&name("w"), AccountKey { listener, route: 1, source: None });
    }
    assert_eq!(books.all().len(), MAX_ACCOUNTS);
}

#[test]
fn workers_beyond_the_limit_count_as_other() {
    let books = Books::new(2);
    for who in ["a", "b", "c", "d"] {
        books.tally(&name(who), KEY).settle_at_once(MinerRef(0), Final::Local, 1.0, true);
    }
    let workers = books.workers();
    let counts: Vec<_> = workers.iter().map(|w| (&**w.worker.name(), w.tallies[0].totals().local)).collect();
    assert_eq!(counts, [("a", 1), ("b", 1), (OTHER, 2)]);
    assert_eq!(books.worker_figures(), (3, 2, 2));
}

#[test]
fn who_is_gone_is_forgotten_but_no_sooner_than_the_reader_has_it() {
    let books = Arc::new(Books::default());
    let mut reader = books.reader().expect("the first");
    assert!(books.reader().is_none(), "a second");
    let held = books.tally(&name("held"), KEY);
    let gone = books.tally(&name("gone"), KEY);
    gone.settle_at_once(MinerRef(0), Final::Local, 4.0, true);
    drop(gone);
    for now in [1, 700, 1_400] {
        books.forget_gone(at(now), LONG);
        assert_eq!(books.workers().len(), 2, "at {now} s: not taken");
    }
    let mut seen = 0;
    reader.take(|grown| seen += grown.figures.now().since(&grown.figures.before()).local);
    assert_eq!(seen, 1);
    reader.take(|_| panic!("nothing has changed"));
    books.forget_gone(at(1_600), LONG);
    let left: Vec<_> = books.workers().iter().map(|w| w.worker.name().to_string()).collect();
    assert_eq!(left, ["held"]);
    assert_eq!(books.all_by_workers(), books.all(), "and nothing is missing from the sums");
    drop(held);
    books.forget_gone(at(1_700), LONG);
    assert_eq!(books.workers().len(), 0, "a tally that never counted has nothing to take");
    drop(reader);
    assert!(books.reader().is_some(), "another after it");
}

#[test]
fn a_worker_that_comes_back_counts_on_from_nothing_and_the_reader_gets_both() {
    let books = Arc::new(Books::default());
    let mut reader = books.reader().expect("the first");
    let mut read = 0;
    for round in 1..=3 {
        let tally = books.tally(&name("w"), KEY);
        assert_eq!(tally.totals().local, 0, "round {round}");
        tally.settle_at_once(MinerRef(0), Final::Local, 1.0, true);
        drop(tally);
        reader.take(|grown| read += grown.figures.now().since(&grown.figures.before()).local);
        books.forget_gone(at(round * 1_000), LONG);
        books.forget_gone(at(round * 1_000 + 700), LONG);
    }
    assert_eq!(read, 3);
    assert_eq!(books.totals().local, 3);
    assert_eq!(books.all_by_workers(), books.all());
}

/// What may happen to the books.
#[derive(Clone, Debug)]
enum Step {
    Begin { worker: u8, source: u8 },
    AtOnce { held: u8, how: u8, difficulty: u32 },
    Open { held: u8 },
    Hold { open: u8 },
    Release { open: u8 },
    Settle { open: u8, how: u8, difficulty: u32 },
    Leave { held: u8 },
    Sweep { seconds: u16 },
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..12_u8, 0..3_u8).prop_map(|(worker, source)| Step::Begin { worker, source }),
        4 => (any::<u8>(), any::<u8>(), 1..1_000_u32)
            .prop_map(|(held, how, difficulty)| Step::AtOnce { held, how, difficulty }),
        4 => any::<u8>().prop_map(|held| Step::Open { held }),
        1 => any::<u8>().prop_map(|open| Step::Hold { open }),
        1 => any::<u8>().prop_map(|open| Step::Release { open }),
        4 => (any::<u8>(), any::<u8>(), 1..1_000_u32)
            .prop_map(|(open, how, difficulty)| Step::Settle { open, how, difficulty }),
        2 => any::<u8>().prop_map(|held| Step::Leave { held }),
        2 => (1..2_000_u16).prop_map(|seconds| Step::Sweep { seconds }),
        2 => Just(Step::Take),
    ]
}

fn end(how: u8) -> Final {
    match how % 6 {
        0 => Final::Rejected(RejectReason::ALL[usize::from(how) % RejectReason::COUNT]),
        1 => Final::Local,
        2 => Final::Acknowledged,
        3 => Final::Refused(RefuseCode::ALL[usize::from(how) % RefuseCode::COUNT]),
        4 => Final::Unsent(UnsentReason::ALL[usize::from(how) % UnsentReason::COUNT]),
        _ => Final::Unknown,
    }
}

fn pick<T>(list: &[T], at: u8) -> Option<usize> {
    (!list.is_empty()).then(|| usize::from(at) % list.len())
}

proptest! {
    /// Whatever happens, workers' tallies and the accounts say the same, and the reader has had all of it exactly once.
    #[test]
    fn workers_and_accounts_never_differ(steps in prop::collection::vec(step(), 0..200), max in 1..15_usize) {
        let books = Arc::new(Books::new(max));
        let mut reader = books.reader().expect("the first");
        let mut held: Vec<Arc<Tally>> = Vec::new();
        let mut open: Vec<(Arc<Tally>, bool)> = Vec::new();
        let mut read: BTreeMap<AccountKey, Totals> = BTreeMap::new();
        let mut now = Duration::ZERO;
        let me = MinerRef(5);
        let mut take = |reader: &mut Reader| {
            reader.take(|grown| {
                read.entry(grown.key).or_default().add(&grown.figures.now().since(&grown.figures.before()));
                // What was left at the tally is found there: how much it had then.
                assert_eq!(*grown.mark, grown.figures.before().submitted());
                *grown.mark = grown.figures.now().submitted();
            });
        };
        for step in steps {
            match step {
                Step::Begin { worker, source } => {
                    let key = AccountKey { source: Some(source.into()), ..KEY };
                    held.push(books.tally(&name(&format!("w{worker}")), key));
                }
                Step::AtOnce { held: at, how, difficulty } => if let Some(at) = pick(&held, at) {
                    held[at].verified(me, f64::from(difficulty), now);
                    held[at].settle_at_once(me, end(how), difficulty.into(), how > 100);
                },
                Step::Open { held: at } => if let Some(at) = pick(&held, at) {
                    held[at].open(me);
                    open.push((Arc::clone(&held[at]), false));
                },
                Step::Hold { open: at } => if let Some(at) = pick(&open, at).filter(|at| !open[*at].1) {
                    open[at].1 = true;
                    open[at].0.hold(me);
                },
                Step::Release { open: at } => if let Some(at) = pick(&open, at).filter(|at| open[*at].1) {
                    open[at].1 = false;
                    open[at].0.release(me);
                },
                Step::Settle { open: at, how, difficulty } => if let Some(at) = pick(&open, at) {
                    let (tally, is_held) = open.swap_remove(at);
                    if is_held {
                        tally.release(me);
                    }
                    tally.settle(me, end(how), difficulty.into(), true);
                },
                Step::Leave { held: at } => if let Some(at) = pick(&held, at) {
                    held.swap_remove(at);
                },
                Step::Sweep { seconds } => {
                    now += at(seconds.into());
                    books.forget_gone(now, LONG);
                }
                Step::Take => take(&mut reader),
            }
            let mut accounts = books.all();
            accounts.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(books.all_by_workers(), accounts);
            prop_assert!(books.worker_figures().0 <= max + 1);
            books.each_worker(|worker| {
                let totals = worker.totals();
                assert_eq!(worker.ends(), (totals.acknowledged, totals.rejected_sum()));
            });
        }
        take(&mut reader);
        for (key, totals) in books.all() {
            let ended = Totals { held: 0, pending: 0, ..totals };
            prop_assert_eq!(read.remove(&key).unwrap_or_default(), ended);
        }
    }
}
