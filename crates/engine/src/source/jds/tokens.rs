//! Tokens in stock, so that a declaration never waits for one.

use std::collections::VecDeque;
use std::time::Duration;

use work::coinbase::Output;

/// Tokens in stock and on their way together.
const STOCK: usize = 2;
/// A token is answered within this.
pub(super) const TOKEN_DEADLINE: Duration = Duration::from_secs(10);
/// A token that was not used for this long is not relied on any more: servers forget them.
const TOKEN_AGE: Duration = Duration::from_secs(60);

/// Makes one job eligible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) bytes: Vec<u8>,
    /// When it came.
    pub(super) since: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Oldest first.
    stock: VecDeque<Token>,
    /// Requests without answer, with the last moment for it.
    asked: VecDeque<(u32, Duration)>,
    outputs: Option<Vec<Output>>,
}

impl Tokens {
    pub(super) fn has_any(&self) -> bool {
        !self.stock.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Token> {
        self.stock.pop_front()
    }

    pub(super) fn clear_stock(&mut self) {
        self.stock.clear();
    }

    /// Takes one in. Where the pool wants other outputs than before, the older ones are of no use any more: they came with
    /// what it wanted then.
    pub(super) fn put(&mut self, token: Token, outputs: Vec<Output>) {
        if self.outputs.as_ref().is_some_and(|before| *before != outputs) {
            self.stock.clear();
        }
        self.stock.push_back(token);
        self.outputs = Some(outputs);
    }

    /// What the pool wants in coinbases; none before the first token.
    pub(super) fn outputs(&self) -> Option<&[Output]> {
        self.outputs.as_deref()
    }

    pub(super) fn is_first_in_stock(&self) -> bool {
        self.stock.len() == 1
    }

    pub(super) fn wants_more(&self) -> bool {
        self.stock.len() + self.asked.len() < STOCK
    }

    pub(super) fn asked(&mut self, request_id: u32, deadline: Duration) {
        self.asked.push_back((request_id, deadline));
    }

    /// True: the request was open.
    pub(super) fn answered(&mut self, request_id: u32) -> bool {
        let at = self.asked.iter().position(|(id, _)| *id == request_id);
        at.and_then(|at| self.asked.remove(at)).is_some()
    }

    /// A request is not answered in time.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.asked.iter().any(|(_, deadline)| now >= *deadline)
    }

    pub(super) fn forget_aged(&mut self, now: Duration) {
        while self.stock.front().is_some_and(|token| now >= token.since + TOKEN_AGE) {
            self.stock.pop_front();
        }
    }

    /// When something is to be done about them.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let overdue = self.asked.iter().map(|(_, deadline)| *deadline).min();
        crate::now::earliest(overdue, self.stock.front().map(|token| token.since + TOKEN_AGE))
    }
}
