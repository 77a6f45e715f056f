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

const E4: &str = "E4: SetGroupChannel loses the future jobs that were sent to the old group";
const E5: &str = "E5: a channel that never gets a job has no deadline";
const E6: &str = "E6: a group that missed its turn to move stays on a worse source";

/// Every expected violation.
pub const KNOWN: &[Known] = &[
    Known { code: "down", text: "which was never sent as a future job", bug: E4, after: None },
    Known { code: "I5", text: "mines for pool", bug: E4, after: Some(E4) },
    Known { code: "I5", text: "still has a job of a connection that ended long ago", bug: E5, after: None },
    Known { code: "I5", text: "has no job", bug: E5, after: None },
    Known { code: "I5", text: "mines for pool", bug: E6, after: None },
];

/// The known mistake behind a violation, if there is one. `seen` says whether a mistake has shown before in the run.
#[must_use]
pub fn explain(violation: &Violation, seen: impl Fn(&str) -> bool) -> Option<&'static Known> {
    KNOWN.iter().find(|known| {
        known.code == violation.code && violation.text.contains(known.text) && known.after.is_none_or(&seen)
    })
}
