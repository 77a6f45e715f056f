//! What all template providers have in common: what they tell and what they are told.
//!
//! A provider runs by itself: it connects, reconnects, and says what it has. Whoever holds a [`ProviderHandle`] hears of
//! it and hands in solutions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use work::{CoinbaseConstraints, Header, Template, TemplateTransaction};

/// Events that wait to be taken. A provider never waits for long: a template that was superseded meanwhile is dropped by
/// whoever reads.
pub(crate) const EVENTS: usize = 64;
/// Commands that wait for a provider.
pub(crate) const COMMANDS: usize = 256;
/// What templates leave room for until more is asked for: the defaults of Bitcoin Core.
pub(crate) const DEFAULT_CONSTRAINTS: CoinbaseConstraints =
    CoinbaseConstraints { additional_size: 1_708, additional_sigops: 400 };

/// What a provider tells.
#[derive(Clone, Debug)]
pub enum ProviderEvent {
    /// It gives templates.
    Up {
        /// What it speaks to, for people.
        what: String,
    },
    /// A template: on a new tip, or a better one on the same.
    Template(Arc<Template>),
    /// The transactions of a template that was told without.
    Transactions {
        /// Which.
        template_id: u64,
        /// All but the coinbase, in their order.
        transactions: Arc<[TemplateTransaction]>,
    },
    /// It gives none now; it tries again by itself.
    Down {
        /// Why.
        why: String,
        /// When it tries again.
        again_in: Duration,
    },
}

/// A found block, as far as its template's provider needs it.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Of which template.
    pub template_id: u64,
    /// The header.
    pub header: Header,
    /// The whole coinbase, with its witness.
    pub coinbase: Vec<u8>,
}

impl Solution {
    /// A solution from the 80 bytes of its header.
    #[must_use]
    pub fn from_bytes(template_id: u64, header: &[u8; 80], coinbase: Vec<u8>) -> Solution {
        Solution { template_id, header: Header::from_bytes(header), coinbase }
    }
}

/// What became of a block that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// The node has it.
    Taken,
    /// It was sent whole, and nobody answers: Template Distribution has no word for it. The next tip says what became of
    /// it; where the block is known by another way too, that one shall hand it in as well.
    Sent,
    /// The node does not want it, for this reason.
    Refused(String),
    /// The provider has no way to hand it in: not connected, or the template is no longer held.
    NotPossible(String),
}

impl Submitted {
    /// By a node's word for what it does not take in the ordinary way (BIP 22). It has a block that it knows already,
    /// and one that is not on its best chain; one that it knows as invalid it does not want.
    pub(crate) fn by_reason(reason: &str) -> Self {
        match reason.split(' ').next() {
            Some("duplicate" | "duplicate-inconclusive" | "inconclusive") => Self::Taken,
            _ => Self::Refused(reason.to_owned()),
        }
    }
}

/// What a provider is told.
#[derive(Debug)]
pub(crate) enum ProviderCommand {
    Constraints(CoinbaseConstraints),
    Solution(Solution, oneshot::Sender<Submitted>),
    Block(Arc<[u8]>, oneshot::Sender<Submitted>),
}

/// A running provider; it ends when this is dropped.
#[derive(Debug)]
pub struct ProviderHandle {
    /// What it tells.
    pub events: mpsc::Receiver<ProviderEvent>,
    /// The way to it.
    pub orders: ProviderOrders,
}

/// The way to a provider.
#[derive(Clone, Debug)]
pub struct ProviderOrders(pub(crate) mpsc::Sender<ProviderCommand>);

impl ProviderOrders {
    /// Templates from now on leave this much room. Those that were told before do not.
    pub fn constrain(&self, constraints: CoinbaseConstraints) {
        // A provider that has ended needs to be told nothing.
        let _ = self.0.try_send(ProviderCommand::Constraints(constraints));
    }

    /// Hands in a solution.
    pub async fn submit(&self, solution: Solution) -> Submitted {
        self.order(|reply| ProviderCommand::Solution(solution, reply)).await
    }

    /// Hands in a whole block.
    pub async fn submit_block(&self, block: Arc<[u8]>) -> Submitted {
        self.order(|reply| ProviderCommand::Block(block, reply)).await
    }

    async fn order(&self, command: impl FnOnce(oneshot::Sender<Submitted>) -> ProviderCommand) -> Submitted {
        let (reply, answer) = oneshot::channel();
        let ended = || Submitted::NotPossible("the template provider has ended".to_owned());
        match self.0.send(command(reply)).await {
            Ok(()) => answer.await.unwrap_or_else(|_| ended()),
            Err(_) => ended(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_knows_a_block_has_it_unless_it_knows_it_as_invalid() {
        for word in ["duplicate", "inconclusive", "duplicate-inconclusive", "duplicate already have block"] {
            assert_eq!(Submitted::by_reason(word), Submitted::Taken, "{word}");
        }
        for word in ["duplicate-invalid", "high-hash", "bad-cb-amount too much", ""] {
            assert_eq!(Submitted::by_reason(word), Submitted::Refused(word.to_owned()));
        }
    }
}
