//! How a source came to where it is.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::SourceState;
use crate::events::unix_ms;

/// The most changes of a source that are kept.
pub const STATE_CHANGES_MAX: usize = 100;

/// A source went into a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StateChange {
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// The state.
    pub state: SourceState,
    /// Why the link had ended or could not be made; `None` in states that follow from all being well.
    pub reason: Option<String>,
}

/// The last changes of one source.
#[derive(Debug, Default)]
pub struct StateHistory(Mutex<VecDeque<StateChange>>);

impl StateHistory {
    /// It stands like this now: noted if it did not before.
    pub fn note(&self, state: SourceState, reason: impl FnOnce() -> Option<String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.back().is_some_and(|last| last.state == state) {
            return;
        }
        if kept.len() >= STATE_CHANGES_MAX {
            kept.pop_front();
        }
        kept.push_back(StateChange { unix_ms: unix_ms(), state, reason: reason() });
    }

    /// The oldest first.
    #[must_use]
    pub fn read(&self) -> Vec<StateChange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_noted_and_the_oldest_go() {
        let history = StateHistory::default();
        for n in 0..STATE_CHANGES_MAX {
            for _ in 0..3 {
                history.note(SourceState::Connecting, || None);
            }
            for _ in 0..3 {
                history.note(SourceState::Waiting, || Some(n.to_string()));
            }
        }
        let kept = history.read();
        assert_eq!(kept.len(), STATE_CHANGES_MAX);
        assert_eq!((kept[0].state, kept[1].reason.as_deref()), (SourceState::Connecting, Some("50")));
        assert!(kept.windows(2).all(|pair| pair[0].state != pair[1].state));
    }
}
