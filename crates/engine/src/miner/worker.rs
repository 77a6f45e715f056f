//! Workers' names.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashMap;
use sv2::extensions::UserIdentity;

use super::identity::{IdentityRule, rewrite_identity};
use crate::books::{AccountKey, Books, Tally};

/// Bytes of a worker's name that are kept.
pub const MAX_WORKER_NAME: usize = 128;

/// A worker that was authorised on a connection.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    /// As it calls itself, at most [`MAX_WORKER_NAME`] bytes.
    pub(super) given: Arc<str>,
    /// As the listener's rules rewrite that, at most [`MAX_WORKER_NAME`] bytes.
    pub(super) name: Arc<str>,
    /// As it goes up with its shares (extension 0x0002), at most 32 bytes.
    pub(super) wire: Arc<str>,
    /// Where its last share was counted: most come for one source. Nothing before its first.
    pub(super) tally: Option<Arc<Tally>>,
}

impl Worker {
    pub(super) fn new(given: &str, rules: &[IdentityRule]) -> Self {
        let given: Arc<str> = Arc::from(cut(given, MAX_WORKER_NAME));
        let name = match rewrite_identity(rules, &given) {
            Cow::Borrowed(_) => Arc::clone(&given),
            Cow::Owned(name) => Arc::from(cut(&name, MAX_WORKER_NAME)),
        };
        let wire = match wire_name(&name) {
            Cow::Borrowed(_) => Arc::clone(&name),
            Cow::Owned(short) => Arc::from(short),
        };
        Self { given, name, wire, tally: None }
    }

    /// Where its shares in this account are counted.
    pub(super) fn tally(&mut self, books: &Books, key: AccountKey) -> &Arc<Tally> {
        self.finder(books, key).0
    }

    /// The same, and its name as it goes up.
    pub(super) fn finder(&mut self, books: &Books, key: AccountKey) -> (&Arc<Tally>, &Arc<str>) {
        if self.tally.as_ref().is_some_and(|tally| tally.key() != key) {
            self.tally = None;
        }
        let Self { given, name, wire, tally } = self;
        let tally = tally.get_or_insert_with(|| {
            let tally = books.tally(name, key);
            let kept = tally.worker().name();
            if kept == name {
                // One text for all who know the worker.
                let all = [given, &mut *wire].into_iter().filter(|other| Arc::ptr_eq(other, name));
                all.for_each(|other| *other = Arc::clone(kept));
                *name = Arc::clone(kept);
            }
            tally
        });
        (tally, wire)
    }

    /// Who the books say that it is, once it has brought a share.
    pub(super) fn known(&self) -> Option<&crate::books::Worker> {
        self.tally.as_ref().map(|tally| &**tally.worker())
    }

    /// The name is too long for extension 0x0002.
    pub(super) fn is_cut(&self) -> bool {
        self.wire.len() != self.name.len()
    }
}

/// Workers' names that a connection keeps; beyond it all are forgotten, and kept again as they come.
const MAX_NAMES: usize = 4_096;

/// Workers whose names came with shares (extension 0x0002): each made once for all its shares.
#[derive(Debug)]
pub(super) struct NamedWorkers {
    places: HashMap<Arc<str>, usize, foldhash::fast::FixedState>,
    workers: Vec<Worker>,
}

impl NamedWorkers {
    /// None yet.
    pub(super) fn new(seed: u64) -> Self {
        let places = HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed));
        Self { places, workers: Vec::new() }
    }

    /// The worker of a name, as these rules rewrite it.
    pub(super) fn worker(&mut self, name: &UserIdentity<'_>, rules: &[IdentityRule]) -> &mut Worker {
        let text = String::from_utf8_lossy(name.as_bytes());
        let at = match self.places.get(&*text) {
            Some(at) => *at,
            None => {
                if self.workers.len() >= MAX_NAMES {
                    self.places.clear();
                    self.workers.clear();
                }
                let worker = Worker::new(&text, rules);
                self.places.insert(Arc::clone(&worker.given), self.workers.len());
                self.workers.push(worker);
                self.workers.len() - 1
            }
        };
        &mut self.workers[at]
    }

    /// The worker of a name that has come before.
    pub(super) fn find(&mut self, name: &UserIdentity<'_>) -> Option<&mut Worker> {
        let at = *self.places.get(&*String::from_utf8_lossy(name.as_bytes()))?;
        self.workers.get_mut(at)
    }
}

/// The name as it fits extension 0x0002: cut on a character boundary, with a suffix made from the whole name,
/// so that two long names that begin alike stay two workers.
fn wire_name(name: &str) -> Cow<'_, str> {
    if name.len() <= UserIdentity::MAX {
        return Cow::Borrowed(name);
    }
    // Always the same for the same name, on every machine and after every restart.
    let hash = foldhash::quality::FixedState::with_seed(0).hash_one(name.as_bytes());
    let suffix = format!("~{:08x}", hash >> 32);
    Cow::Owned(format!("{}{suffix}", cut(name, UserIdentity::MAX - suffix.len())))
}

/// The longest part of `text` with at most `max` bytes that ends on a character boundary.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_on_a_character_and_stay_distinct() {
        let long = |end: &str| Worker::new(&format!("account.{}{end}", "\u{e9}".repeat(20)), &[]);
        let (a, b) = (long("1"), long("2"));
        assert!(a.is_cut() && b.is_cut());
        assert!(a.wire.len() <= UserIdentity::MAX && a.wire.starts_with("account.\u{e9}"));
        assert_ne!(a.wire, b.wire);
        assert_eq!(a.wire, long("1").wire);
        let short = Worker::new("account.worker", &[]);
        assert!(!short.is_cut() && short.wire == short.name);
    }

    #[test]
    fn whoever_knows_a_worker_has_the_same_text() {
        let books = Books::new(2);
        let key = AccountKey { listener: 0, route: 0, source: None };
        let mut first = Worker::new("account.worker", &[]);
        let mut second = Worker::new("account.worker", &[]);
        let kept = Arc::clone(first.tally(&books, key).worker().name());
        second.tally(&books, key);
        for worker in [&first, &second] {
            assert!(
                [&worker.given, &worker.name, &worker.wire].into_iter().all(|name| Arc::ptr_eq(name, &kept))
            );
        }
        // What is rewritten, cut or counted with others keeps its own.
        let rules = [IdentityRule::new("*", "a.*").expect("a rule")];
        let mut rewritten = Worker::new("worker", &rules);
        rewritten.tally(&books, key);
        assert_eq!((&*rewritten.given, &*rewritten.name), ("worker", "a.worker"));
        let mut third = Worker::new("third", &[]);
        assert_eq!(&**third.tally(&books, key).worker().name(), "other");
        assert_eq!((&*third.given, &*third.name, &*third.wire), ("third", "third", "third"));
    }

    #[test]
    fn a_rewritten_name_goes_up_and_the_given_one_is_known() {
        let rules = [IdentityRule::new("*", &format!("{}*", "e".repeat(20))).expect("a rule")];
        let worker = Worker::new("account.worker", &rules);
        assert_eq!(&*worker.given, "account.worker");
        assert_eq!(&*worker.name, "eeeeeeeeeeeeeeeeeeeeaccount.worker");
        assert!(worker.is_cut() && worker.wire.len() <= UserIdentity::MAX);
        let long = Worker::new(&"w".repeat(200), &rules);
        assert_eq!((long.given.len(), long.name.len()), (MAX_WORKER_NAME, MAX_WORKER_NAME));
    }
}
