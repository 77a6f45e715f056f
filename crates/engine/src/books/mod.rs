//! The books: every share ends in exactly one state, with a reason, and the sums always balance.
//!
//! `submitted = rejected + local + held + unsent + forwarded`,
//! `forwarded = acknowledged + refused + unknown + pending`.
//!
//! Only the states that a share enters are stored, each as a counter that never goes down; `submitted`,
//! `forwarded` and what is open are sums and differences of them. So no snapshot can be out of balance,
//! however the counters move while it is taken.

mod account;
mod state;
mod totals;

pub use account::{Account, AccountId, AccountKey, Books, MAX_ACCOUNTS};
pub use state::{Final, RefuseCode, RejectReason, UnsentReason};
pub use totals::Totals;
