//! How much work goals with a bound (`work_max`) have had, over all runs.

mod journal;
mod keeper;

pub use journal::{Count, Journal};
pub use keeper::{LeaseKeeper, LeaseNote};
