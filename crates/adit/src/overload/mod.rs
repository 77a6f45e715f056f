//! What Adit does when memory runs short: less and less, in a fixed order, before the system ends it.
//!
//! | rung | from | what happens |
//! | --- | --- | --- |
//! | 1 | 80 % | no more miners than there are, less one in sixteen; a few more when memory has not grown for a while |
//! | 2 | 90 % | miners that are not authorised or bring nothing are sent away; the others work harder |
//! | 3 | 95 % | miners with the least hashrate are sent away, a fiftieth at a time, while memory still grows |

mod ladder;
mod memory;
mod warden;

pub use ladder::{Ladder, RUNGS};
pub use memory::{Budget, BudgetFrom, resident};
pub use warden::{OverloadFigures, Warden};
