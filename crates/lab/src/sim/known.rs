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
    /// It is only expected when this mistake showed before in the run: a consequence.
    pub after: Option<&'static str>,
}

const E9: &str = "E9: a block on a job older than the newest eight stale ones (tips less than a second apart) is answered as an \
                  unknown job: memory for each miner is bounded";

/// Every expected violation.
pub const KNOWN: &[Known] = &[Known { code: "I8", text: "two tips back or more", bug: E9, after: None }];

/// The known mistake behind a violation, if there is one. `seen` says whether a mistake has shown before in the run.
#[must_use]
pub fn explain(violation: &Violation, seen: impl Fn(&str) -> bool) -> Option<&'static Known> {
    KNOWN.iter().find(|known| {
        known.code == violation.code && violation.text.contains(known.text) && known.after.is_none_or(&seen)
    })
}
