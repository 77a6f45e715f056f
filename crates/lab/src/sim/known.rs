//! Expected failures: violations that a known mistake of the engine causes, until it is mended. Each entry names the
//! mistake; a run that only breaks what is listed counts as known, and is reported as such.

use super::witness::Violation;

/// A violation that is expected.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The violation's code.
    pub code: &'static str,
    /// A part of its text.
    pub text: &'static str,
    /// The mistake.
    pub bug: &'static str,
}

/// Every expected violation.
pub const KNOWN: &[Known] = &[Known {
    code: "spin",
    text: "stays in the past after its timer",
    bug: "E1: Sv2Pool::deadline lies in the past while a channel drains",
}];

/// The known mistake behind a violation, if there is one.
#[must_use]
pub fn explain(violation: &Violation) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.code == violation.code && violation.text.contains(known.text))
}
