//! A new Adit takes the ports of the one that runs, without a service manager: the one that runs gives its open ports away over
//! a Unix socket, so that no connection is ever refused. `docs/upgrading.md` has it from the operator's side.
//!
//! The successor connects and is sent the ports, which both have open from then on. Then it says a word:
//!
//! - `serves`: it has work and takes miners now. The one before takes no more, and parts with those that it has as it does at
//!   any end.
//! - `end`: it needs what only one process may have (the state directory). The one before parts with its miners quickly and
//!   ends; they wait at the open ports for the successor, which begins when the link ends, as it does with the process.
//!
//! A successor that ends without a word leaves everything as it was.

mod message;
mod offer;
mod predecessor;

#[cfg(test)]
mod tests;

pub(crate) use offer::{Offer, OpenPorts, Successor};
pub(crate) use predecessor::{HandoverError, Predecessor};

/// What a successor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It takes miners now.
    Serves,
    /// It waits for the end of the one before.
    End,
}

impl Word {
    const fn text(self) -> &'static str {
        match self {
            Self::Serves => "serves",
            Self::End => "end",
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        [Self::Serves, Self::End].into_iter().find(|word| word.text() == text)
    }
}
