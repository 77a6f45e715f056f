//! Adit against real peers.
