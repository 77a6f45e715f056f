//! The one value that everything served comes from.

mod books;
mod history;
mod job;
mod ledger;
mod listener;
mod nats;
mod receipt;
mod route;
mod source;
mod template;
mod worker;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use schemars::JsonSchema;
use serde::Serialize;

pub use books::{BooksSnapshot, Reasons, WorkSnapshot};
pub use history::{STATE_CHANGES_MAX, StateChange, StateHistory};
pub use job::{JobOutput, JobSnapshot};
pub use ledger::LedgerSnapshot;
pub use listener::{HandshakesSnapshot, ListenerSnapshot, MinersSnapshot, RetargetsSnapshot};
pub use nats::NatsSnapshot;
pub use receipt::{ReceiptSnapshot, ReceiptsSnapshot, RootSnapshot, TermsSnapshot};
pub use route::{GoalSnapshot, LeaseSnapshot, Readiness, RouteSnapshot, RouteSourceSnapshot};
pub use source::{
    DeclarationSnapshot, DeclarationState, LeaseTagSnapshot, SourceKind, SourceSnapshot, SourceState,
};
pub use template::{BlocksSnapshot, TemplateSnapshot};
pub use worker::{
    ListedWorker, Protocols, ProtocolsNow, WorkerList, WorkerSeries, WorkerSnapshot, Workers, WorkersInSeries,
};

/// The books of one listener's miners on one route and one source: the only place where shares are handed
/// in. Every other sum is made from these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct AccountSnapshot {
    /// The listener's name.
    pub listener: String,
    /// The route's name.
    pub route: String,
    /// The source's name; `None` for shares that came while the route had none.
    pub source: Option<String>,
    /// The shares.
    pub books: BooksSnapshot,
}

/// Something that a person should look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlarmSnapshot {
    /// What it is about, one word from Adit's code, such as `source_refuses_shares`.
    pub name: Cow<'static, str>,
    /// The listener, route or source concerned; empty when it is Adit itself.
    pub subject: String,
    /// It holds now. Alarms that do not hold are listed too, so that a dashboard knows them.
    pub active: bool,
    /// What to know and what to do.
    pub detail: String,
}

/// Something that can be filled up by peers, and its bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LimitSnapshot {
    /// What is bounded, one word from Adit's code, such as `connections`.
    pub name: Cow<'static, str>,
    /// How much of it is in use.
    pub used: u64,
    /// The most that may be.
    pub max: u64,
}

/// Something that Adit does to spare a resource that runs short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OverloadSnapshot {
    /// What it does, one word from Adit's code, such as `stop_accepting`.
    pub rung: Cow<'static, str>,
    /// It does it now. Those that it does not do are listed too.
    pub active: bool,
}

/// Adit at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Adit's version.
    pub version: Cow<'static, str>,
    /// Seconds since the process started.
    pub uptime_seconds: f64,
    /// When the snapshot was taken, Unix seconds.
    pub unix_time: u64,
    /// The embedded development pool is in use: nothing that is mined earns anything.
    pub dev_mode: bool,
    /// Whether miners can be sent here. [`Readiness::judge`] decides it by the usual rule.
    pub readiness: Readiness,
    /// Where miners connect.
    pub listeners: Vec<ListenerSnapshot>,
    /// Where work comes from.
    pub sources: Vec<SourceSnapshot>,
    /// Where templates come from.
    pub templates: Vec<TemplateSnapshot>,
    /// Blocks that Adit hands in by itself.
    pub blocks: BlocksSnapshot,
    /// The ledger; nothing where none is kept.
    pub ledger: Option<LedgerSnapshot>,
    /// How it is published to NATS; nothing where it is not.
    pub nats: Option<NatsSnapshot>,
    /// What binds listeners and sources.
    pub routes: Vec<RouteSnapshot>,
    /// All shares. Derived from the accounts: leave it empty.
    pub books: BooksSnapshot,
    /// Shares by listener, route and source.
    pub accounts: Vec<AccountSnapshot>,
    /// Messages of an unknown type that sources sent and that were passed over.
    pub unknown_messages_total: u64,
    /// Answers from sources that belong to no open share.
    pub stray_answers_total: u64,
    /// Other rare things that are only counted, each by a word from Adit's code, such as `connection_panic`
    /// or `worker_name_shortened`.
    pub events_total: Reasons,
    /// Alarms, holding or not.
    pub alarms: Vec<AlarmSnapshot>,
    /// Limits and how far they are used.
    pub limits: Vec<LimitSnapshot>,
    /// What is done because memory runs short, in the order in which it begins.
    pub overload: Vec<OverloadSnapshot>,
}

impl Snapshot {
    /// Makes all sums from the accounts: `books` and those of every listener, source and route. What stood
    /// there is replaced. Accounts of the same listener, route and source become one. The server calls it on
    /// every snapshot; calling it twice changes nothing.
    ///
    /// An account of a listener, route or source that is not listed (any more) counts in `books` all the
    /// same.
    #[must_use]
    pub fn with_sums(mut self) -> Self {
        self.accounts = merged(self.accounts);
        let sum = |belongs: &dyn Fn(&AccountSnapshot) -> bool| {
            let mut books = BooksSnapshot::default();
            self.accounts.iter().filter(|a| belongs(a)).for_each(|a| books.add(&a.books));
            books
        };
        self.books = sum(&|_| true);
        for listener in &mut self.listeners {
            listener.books = sum(&|a| a.listener == listener.name);
        }
        for route in &mut self.routes {
            route.books = sum(&|a| a.route == route.name);
        }
        for source in &mut self.sources {
            source.books = sum(&|a| a.source.as_ref() == Some(&source.name));
        }
        self
    }

    /// Whether every account balances. With `false` something was counted twice or not at all.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.accounts.iter().all(|a| a.books.is_balanced())
    }
}

fn merged(accounts: Vec<AccountSnapshot>) -> Vec<AccountSnapshot> {
    let mut by_key = BTreeMap::<_, BooksSnapshot>::new();
    for AccountSnapshot { listener, route, source, books } in accounts {
        match by_key.entry((listener, route, source)) {
            Entry::Vacant(entry) => {
                entry.insert(books);
            }
            Entry::Occupied(mut entry) => entry.get_mut().add(&books),
        }
    }
    let account = |((listener, route, source), books)| AccountSnapshot { listener, route, source, books };
    by_key.into_iter().map(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(listener: &str, route: &str, source: Option<&str>, acknowledged: u64) -> AccountSnapshot {
        AccountSnapshot {
            listener: listener.into(),
            route: route.into(),
            source: source.map(Into::into),
            books: BooksSnapshot { acknowledged, ..Default::default() }.with_totals(),
        }
    }

    #[test]
    fn every_sum_comes_from_the_accounts_whatever_the_caller_wrote() {
        let wrong = BooksSnapshot { acknowledged: 999, ..Default::default() };
        let snapshot = Snapshot {
            listeners: vec![ListenerSnapshot {
                name: "l".into(),
                books: wrong.clone(),
                ..Default::default()
            }],
            routes: vec![RouteSnapshot { name: "r".into(), books: wrong.clone(), ..Default::default() }],
            sources: vec![SourceSnapshot { name: "s".into(), books: wrong.clone(), ..Default::default() }],
            books: wrong,
            accounts: vec![
                account("l", "r", Some("s"), 1),
                account("l", "r", None, 2),
                account("l", "gone", Some("s"), 4),
                account("gone", "r", Some("gone"), 8),
            ],
            ..Default::default()
        }
        .with_sums();
        assert_eq!(snapshot.books.acknowledged, 15);
        assert_eq!(snapshot.listeners[0].books.acknowledged, 7);
        assert_eq!(snapshot.routes[0].books.acknowledged, 11);
        assert_eq!(snapshot.sources[0].books.acknowledged, 5);
        assert!(snapshot.is_balanced() && snapshot.books.is_balanced());
        assert_eq!(snapshot.clone().with_sums(), snapshot);
    }
    #[test]
    fn an_account_that_is_there_twice_becomes_one() {
        let accounts =
            vec![account("l", "r", Some("s"), 1), account("l", "r", None, 2), account("l", "r", None, 4)];
        let snapshot = Snapshot { accounts, ..Default::default() }.with_sums();
        let acknowledged: Vec<_> = snapshot.accounts.iter().map(|a| a.books.acknowledged).collect();
        assert_eq!(acknowledged, [6, 1]);
        assert!(snapshot.is_balanced());
    }
}
