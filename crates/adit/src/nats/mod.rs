//! The ledger, published to a NATS JetStream system: docs/nats.md.
//!
//! The spool is the ledger itself. A thread of its own follows the files ([`lane`]), makes a message of each record
//! ([`messages`]), publishes it ([`session`], [`broker`]) and notes how far the servers have acknowledged ([`cursor`]).
//! Neither miners nor the ledger's thread ever wait for it, or know of it.

mod broker;
mod cursor;
mod figures;
mod keeper;
mod lane;
mod messages;
mod session;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use figures::NatsFigures;
pub(crate) use keeper::{NatsControl, NatsKeeper};
pub(crate) use settings::NatsSettings;
