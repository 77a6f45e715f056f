//! Whatever the choice of workers, series only grow, and together they are all shares.

use engine::MinerRef;
use engine::books::{AccountKey, Final, RejectReason};

use super::*;

const KEY: AccountKey = AccountKey { listener: 0, route: 0, source: Some(0) };

fn share(books: &Books, name: &str, difficulty: f64) {
    let tally = books.tally(&Arc::from(name), KEY);
    tally.settle_at_once(MinerRef(1), Final::Local, difficulty, true);
    tally.settle_at_once(MinerRef(1), Final::Rejected(RejectReason::Stale), 0.0, false);
}

fn candidates(list: &[(&str, f64)]) -> Vec<Candidate> {
    list.iter().map(|(name, score)| Candidate { score: *score, name: Arc::from(*name) }).collect()
}

fn nothing() -> Terms {
    Terms { connections: 0, hashrate: 0.0, last_share: None }
}

/// Local shares by series.
fn read(selection: &mut Selection, books: &Books) -> BTreeMap<String, u64> {
    let series = selection.series(books, |_, _| nothing(), nothing);
    for one in &series {
        assert_eq!(one.books.local, one.books.rejected_total, "{}", one.name);
    }
    series.into_iter().map(|one| (one.name, one.books.local)).collect()
}

fn map(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
    list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn a_worker_that_moves_between_its_own_series_and_others_is_counted_once_and_nothing_goes_down() {
    let books = Books::default();
    let mut selection = Selection::new(1, BTreeSet::new());
    share(&books, "a", 4.0);
    share(&books, "b", 4.0);
    assert_eq!(read(&mut selection, &books), map(&[("other", 2)]));
    selection.choose(&books, candidates(&[("a", 9.0), ("b", 1.0)]));
    // What came before stays where it was counted.
    assert_eq!(read(&mut selection, &books), map(&[("a", 0), ("other", 2)]));
    share(&books, "a", 4.0);
    share(&books, "b", 4.0);
    assert_eq!(read(&mut selection, &books), map(&[("a", 1), ("other", 3)]));
    share(&books, "a", 4.0);
    selection.choose(&books, candidates(&[("b", 9.0)]));
    // It came while `a` had series: it is in none that is still there.
    assert_eq!(read(&mut selection, &books), map(&[("b", 0), ("other", 3)]));
    share(&books, "a", 4.0);
    assert_eq!(read(&mut selection, &books), map(&[("b", 0), ("other", 4)]));
    selection.choose(&books, candidates(&[("a", 9.0)]));
    assert_eq!(read(&mut selection, &books), map(&[("a", 2), ("other", 4)]), "it goes on where it was");
}

#[test]
fn who_is_near_the_edge_keeps_its_series_and_an_allowed_worker_has_them_always() {
    let books = Books::default();
    let mut selection = Selection::new(4, BTreeSet::from([Arc::from("vip")]));
    let names = |selection: &Selection| selection.shown.keys().map(ToString::to_string).collect::<Vec<_>>();
    let mut list =
        vec![("a", 9.0), ("b", 8.0), ("c", 7.0), ("d", 6.0), ("e", 5.0), ("vip", 0.0), ("other", 99.0)];
    selection.choose(&books, candidates(&list));
    assert_eq!(names(&selection), ["a", "b", "c", "d", "vip"]);
    list[4].1 = 6.5;
    selection.choose(&books, candidates(&list));
    assert_eq!(names(&selection), ["a", "b", "c", "d", "vip"], "fifth is near enough");
    list.push(("f", 10.0));
    selection.choose(&books, candidates(&list));
    assert_eq!(names(&selection), ["a", "b", "c", "f", "vip"], "sixth is not");
    list.retain(|(name, _)| *name != "a");
    selection.choose(&books, candidates(&list));
    assert_eq!(names(&selection), ["b", "c", "e", "f", "vip"], "who is away is out");
    let mut none = Selection::new(0, BTreeSet::new());
    none.choose(&books, candidates(&list));
    assert_eq!(names(&none), Vec::<String>::new());
}

proptest::proptest! {
    /// In any order of shares, choices and scrapes: no series goes down, and what all series grew by is what came.
    #[test]
    fn no_series_goes_down(steps in proptest::collection::vec((0..3_u8, 0..8_usize, 1..100_u32), 1..200)) {
        const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let books = Books::default();
        let mut selection = Selection::new(3, BTreeSet::from([Arc::from("h")]));
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let (mut came, mut grown) = (0, 0);
        for (what, who, number) in steps {
            match what {
                0 => { share(&books, NAMES[who], f64::from(number)); came += 1; }
                1 => {
                    let some = NAMES.iter().zip(0_u32..).filter(|(_, at)| (number >> at) & 1 == 1);
                    let list: Vec<_> =
                        some.map(|(name, at)| (*name, f64::from(number * 7 % (at + 3)))).collect();
                    // What came since the last scrape is lost to nobody but to Prometheus, if its worker loses its series.
                    for (name, count) in read(&mut selection, &books) {
                        let before = last.insert(name, count).unwrap_or(0);
                        proptest::prop_assert!(count >= before);
                        grown += count - before;
                    }
                    selection.choose(&books, candidates(&list));
                }
                _ => for (name, count) in read(&mut selection, &books) {
                    let before = last.insert(name.clone(), count).unwrap_or(0);
                    proptest::prop_assert!(count >= before, "{name}: {count} after {before}");
                    grown += count - before;
                },
            }
        }
        for (name, count) in read(&mut selection, &books) {
            grown += count - last.insert(name, count).unwrap_or(0);
        }
        proptest::prop_assert_eq!(grown, came);
    }
}
