//! Tokens: allocated ones make one job eligible for declaration (or name it to the pool, coinbase-only), active ones
//! name a declared job. Each is used once, and ends with the connection that it was given to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bitcoin::TxOut;

use super::{DeclaredJob, JdsOptions};

/// Active tokens of one connection at a time: each holds a whole block.
const MAX_ACTIVE: usize = 4;

/// Declarations of one connection whose tokens are remembered as being under way.
const MAX_DECLARING: usize = 8;

/// A token as it stands in messages.
pub(super) type Token = [u8; 8];

/// A token that was given.
#[derive(Debug)]
struct Allocated {
    token: Token,
    since: Instant,
    full_template: bool,
    outputs: Arc<[TxOut]>,
}

/// The token of a declared job.
#[derive(Debug)]
struct Active {
    token: Token,
    since: Instant,
    job: Arc<DeclaredJob>,
}

#[derive(Debug, Default)]
struct Owned {
    /// Oldest first.
    allocated: VecDeque<Allocated>,
    declaring: VecDeque<Token>,
    active: VecDeque<Active>,
}

/// What a token stands for towards the pool.
#[derive(Debug)]
pub(in crate::dev_pool) enum TokenUse {
    /// A job that was declared.
    Declared(Arc<DeclaredJob>),
    /// A job that nobody else was shown, whose coinbase has these outputs.
    CoinbaseOnly(Arc<[TxOut]>),
    /// A declaration is under way with it.
    NotYet,
    /// Nothing, or nothing any more.
    Unknown,
}

/// All tokens, by the number of their connection.
#[derive(Debug, Default)]
pub(in crate::dev_pool) struct Tokens {
    owners: BTreeMap<u64, Owned>,
}

impl Tokens {
    /// A new token.
    pub(super) fn allocate(
        &mut self,
        owner: u64,
        full_template: bool,
        outputs: Arc<[TxOut]>,
        options: &JdsOptions,
        now: Instant,
    ) -> Token {
        let owned = self.owners.entry(owner).or_default();
        while owned.allocated.len() >= options.max_tokens {
            owned.allocated.pop_front();
        }
        let token = rand::random();
        owned.allocated.push_back(Allocated { token, since: now, full_template, outputs });
        token
    }

    /// A declaration begins with this token: the outputs that its coinbase must have. `None`: it was not given to this
    /// connection, or is too old, or used.
    pub(super) fn declare(
        &mut self,
        owner: u64,
        token: &[u8],
        options: &JdsOptions,
        now: Instant,
    ) -> Option<(Token, Arc<[TxOut]>)> {
        let owned = self.owners.get_mut(&owner)?;
        let at = owned.allocated.iter().position(|known| known.token == token)?;
        let known = owned.allocated.remove(at)?;
        if now.saturating_duration_since(known.since) >= options.allocated_token_time {
            return None;
        }
        if owned.declaring.len() == MAX_DECLARING {
            owned.declaring.pop_front();
        }
        owned.declaring.push_back(known.token);
        Some((known.token, known.outputs))
    }

    /// A declaration has come to nothing.
    pub(super) fn give_up(&mut self, owner: u64, token: Token) {
        if let Some(owned) = self.owners.get_mut(&owner) {
            owned.declaring.retain(|known| *known != token);
        }
    }

    /// A declaration was taken: the token that names its job from now on.
    pub(super) fn activate(
        &mut self,
        owner: u64,
        token: Token,
        job: Arc<DeclaredJob>,
        now: Instant,
    ) -> Token {
        self.give_up(owner, token);
        let owned = self.owners.entry(owner).or_default();
        while owned.active.len() >= MAX_ACTIVE {
            owned.active.pop_front();
        }
        let token = rand::random();
        owned.active.push_back(Active { token, since: now, job });
        token
    }

    /// The pool is shown a token, which is used up by that.
    pub(in crate::dev_pool) fn take(&mut self, token: &[u8], options: &JdsOptions, now: Instant) -> TokenUse {
        for owned in self.owners.values_mut() {
            if let Some(at) = owned.active.iter().position(|known| known.token == token)
                && let Some(active) = owned.active.remove(at)
            {
                let is_old = now.saturating_duration_since(active.since) >= options.active_token_time;
                return if is_old { TokenUse::Unknown } else { TokenUse::Declared(active.job) };
            }
            if owned.declaring.iter().any(|known| known == token) {
                return TokenUse::NotYet;
            }
            // A token of full-template mode has to be declared first: it stays for that.
            let free = |known: &Allocated| known.token == token && !known.full_template;
            if let Some(at) = owned.allocated.iter().position(free)
                && let Some(allocated) = owned.allocated.remove(at)
            {
                let is_old = now.saturating_duration_since(allocated.since) >= options.allocated_token_time;
                return if is_old { TokenUse::Unknown } else { TokenUse::CoinbaseOnly(allocated.outputs) };
            }
        }
        TokenUse::Unknown
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, owner: u64) {
        self.owners.remove(&owner);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options() -> JdsOptions {
        JdsOptions { max_tokens: 3, allocated_token_time: Duration::from_secs(5), ..JdsOptions::default() }
    }

    #[test]
    fn a_token_is_used_once_by_whom_it_was_given_to_and_in_time() {
        let (mut tokens, options, now) = (Tokens::default(), options(), Instant::now());
        let token = tokens.allocate(1, true, Arc::from([]), &options, now);
        assert!(tokens.declare(2, &token, &options, now).is_none(), "another connection's");
        assert!(matches!(tokens.take(&token, &options, now), TokenUse::Unknown), "not declared");
        assert!(tokens.declare(1, &token, &options, now).is_some());
        assert!(tokens.declare(1, &token, &options, now).is_none(), "twice");
        assert!(matches!(tokens.take(&token, &options, now), TokenUse::NotYet));
        tokens.give_up(1, token);
        assert!(matches!(tokens.take(&token, &options, now), TokenUse::Unknown));

        let token = tokens.allocate(1, true, Arc::from([]), &options, now);
        assert!(tokens.declare(1, &token, &options, now + Duration::from_secs(5)).is_none(), "too old");

        let token = tokens.allocate(1, false, Arc::from([]), &options, now);
        assert!(matches!(tokens.take(&token, &options, now), TokenUse::CoinbaseOnly(_)));
        assert!(matches!(tokens.take(&token, &options, now), TokenUse::Unknown));
    }

    #[test]
    fn a_connection_has_so_many_and_leaves_none_behind() {
        let (mut tokens, options, now) = (Tokens::default(), options(), Instant::now());
        let given: Vec<Token> =
            (0..10).map(|_| tokens.allocate(1, false, Arc::from([]), &options, now)).collect();
        assert!(matches!(tokens.take(&given[6], &options, now), TokenUse::Unknown));
        assert!(matches!(tokens.take(&given[7], &options, now), TokenUse::CoinbaseOnly(_)));
        tokens.forget(1);
        assert!(matches!(tokens.take(&given[8], &options, now), TokenUse::Unknown));
        assert!(tokens.owners.is_empty());
    }
}
