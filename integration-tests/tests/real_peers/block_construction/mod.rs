//! Coinbases and blocks as Adit builds them, judged by Bitcoin Core: templates of the real node by RPC and by IPC, blocks
//! handed back on every way that there is, each of them the node's tip in the end, or refused for the reason expected.
//!
//! - [`transactions`]: keys and transactions of the tests' own, since the node has no wallet.
//! - [`workshop`]: a template provider on one of the ways, a block of its templates, and the node's word on it.

#![expect(clippy::panic, reason = "what is not as expected ends the test, with its reason")]

mod coinbases;
mod headers;
mod heights;
mod mempools;
mod room;
mod solo;
mod transactions;
mod twice;
mod workshop;
