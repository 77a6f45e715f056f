//! Which difficulties hold for miners: what evidence is to be judged by.

use std::time::{Duration, Instant};

use ledger::Ledger;

use super::names::Names;
use super::tally::BooksTally;

/// They are looked at this often. A difficulty that held between two looks is seen at the second.
const EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub(super) struct Seen {
    next: Option<Instant>,
}

impl Seen {
    /// Tells the ledger when it is time. It writes what is new.
    pub(super) fn tell(&mut self, tally: &mut BooksTally, ledger: &mut Ledger, names: &Names, now_ms: u64) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + EVERY);
        let mut looking = ledger.looking(now_ms);
        tally.thresholds(names, &mut looking);
        looking.end();
    }
}
