//! Every message, written out a second time from the specification's pages, with the reference
//! implementation's types and names beside it.

mod common;
mod extensions;
mod job_declaration;
mod mining;
mod template_distribution;

use crate::case::Checks;

/// The checks of every message.
pub(crate) fn all() -> Vec<Checks> {
    [common::all(), mining::all(), job_declaration::all(), template_distribution::all(), extensions::all()]
        .concat()
}
