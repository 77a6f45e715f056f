//! What a ledger promises, on a disk that fills up, fails and loses its power.

mod disk;
mod evidence;
mod keys;
mod leases;
mod sums;
mod tail;
mod thresholds;
