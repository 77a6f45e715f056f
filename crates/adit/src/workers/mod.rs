//! Workers: who they are, how they do, and which of them have series of their own.
//!
//! What is counted stands in the books, who is connected in the roster. Here is what comes of looking at both from time to
//! time: nothing of it is touched for a share.

mod directory;
mod listing;
mod minutes;
mod series;

pub(crate) use directory::{Directory, watch};
