//! Promises of the whole crate.

mod calibration;
mod chance;
mod draft;
mod fixtures;
mod forgeries;
mod merging;
mod sizes;
mod written;
