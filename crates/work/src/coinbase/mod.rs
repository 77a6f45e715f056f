//! The coinbase transaction: read as jobs carry it, and built for templates.
//!
//! - [`check`]: a prefix and a suffix around the extranonce, without the fields of BIP 141 (SV2 5.3.15): are they a
//!   coinbase that a node would take?
//! - [`Output`]: outputs, one by one and as the lists that messages carry.
//! - [`PayoutRule`]: does it pay whom it should?
//! - [`Coinbase`]: one coinbase, and all the encodings of it that declaration needs.

mod build;
mod check;
mod output;
mod payout;

pub use build::{BuildError, Coinbase, CoinbaseTemplate, height};
pub use check::{
    CoinbaseError, MAX_MONEY, MAX_SCRIPT_SIG, MIN_SCRIPT_SIG, Summary, check, outputs, script_sig_head,
};
pub use output::{Output, OutputsError, pay_first, read_counted_outputs, read_outputs, write_outputs};

pub use payout::{PayoutError, PayoutMismatch, PayoutRule, WHOLE};

pub(crate) use output::write_compact_size;

use check::Reader;
