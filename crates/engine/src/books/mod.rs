//! The books: every share ends in exactly one state, with a reason, and the sums always balance.
//!
//! `submitted = rejected + local + held + unsent + forwarded`,
//! `forwarded = acknowledged + refused + unknown + pending`.
//!
//! Only the states that a share enters are stored, each as a counter that never goes down; `submitted`,
//! `forwarded` and what is open are sums and differences of them. So no snapshot can be out of balance,
//! however the counters move while it is taken.
//!
//! Shares are counted by listener, route and source, and within these by worker. Both are moved by one call on the
//! worker's [`Tally`], so that they cannot come to differ.

mod account;
mod counters;
mod list;
mod reader;
mod registry;
mod state;
mod tally;
mod totals;
mod worker;

pub use account::AccountKey;
pub use list::{Books, MAX_ACCOUNTS};
pub use reader::{Figures, Grown, Reader};
pub use registry::{DEFAULT_WORKERS_MAX, OTHER, WorkerBooks, WorkerFigures};
pub use state::{Final, RefuseCode, RejectReason, UnsentReason};
pub use tally::Tally;
pub use totals::{Totals, Usual};
pub use worker::Worker;
