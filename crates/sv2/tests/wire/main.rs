//! Every message against the reference implementation's published crates, in both directions, against
//! hostile bytes, and against the committed vectors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "clippy takes helpers of tests for production code")]

mod case;
mod cases;
mod cross_check;
mod hostile;
mod kind;
mod section_8;
mod tlv;
mod vectors;
