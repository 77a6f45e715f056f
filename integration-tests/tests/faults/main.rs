//! Faults, one file a topic, with the released program as it runs: `adit run` in front of `adit pool`, each a process of
//! its own, and something between them or beside them that breaks things. docs/faults.md lists what is promised.
//!
//! All are ignored by `cargo test`, because they need the release build; `integration-tests/run` builds it and runs
//! them: topics that mostly wait three tests at a time, the others one by one. Those whose names begin with `long_` run
//! with `--long` alone.

#![expect(clippy::panic, reason = "what is not as expected ends the test, with its reason")]

mod certificates;
mod clocks;
mod declaring;
mod evidence;
mod farm;
mod half_open;
mod junk;
mod ledger;
mod ledger_handover;
mod link_ends;
mod loads;
mod reconnect_storm;
mod refused_shares;
mod reloading;
mod resources;
mod rotation;
mod shutdown;
mod silence;
mod slow_connections;
mod slow_reader;
mod soak;
mod stalled_headers;
mod tampering;
mod too_fast;
mod upgrade;

use std::time::Duration;

/// How long anything may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
