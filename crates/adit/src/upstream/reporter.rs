//! How a source's task shows how it is: the newest, and how it came there.

use std::sync::Arc;

use engine::source::{DownReason, SourceState as State};
use telemetry::{SourceState, StateHistory};
use tokio::sync::watch;

use super::messages::SourceReport;

/// The newest report, and the changes of state on the way.
#[derive(Debug)]
pub struct Reporter {
    newest: watch::Sender<SourceReport>,
    history: Arc<StateHistory>,
}

impl Reporter {
    /// Shows in this cell, and notes changes there.
    #[must_use]
    pub fn new(newest: watch::Sender<SourceReport>, history: Arc<StateHistory>) -> Self {
        Self { newest, history }
    }

    /// It is like this now.
    pub(super) fn show(&self, report: SourceReport) {
        let status = &report.status;
        let went_wrong = matches!(status.state, State::Off | State::Waiting { .. });
        self.history.note(state_word(&status.state), || {
            (went_wrong && status.last_down != DownReason::NotStarted).then(|| status.last_down.to_string())
        });
        self.newest.send_replace(report);
    }
}

/// The word for a state in metrics and API.
pub(crate) fn state_word(state: &State) -> SourceState {
    match state {
        State::Off => SourceState::Off,
        State::Waiting { .. } => SourceState::Waiting,
        State::Dialling => SourceState::Connecting,
        State::SettingUp { .. } => SourceState::SettingUp,
        State::Negotiating { .. } => SourceState::Negotiating,
        State::AwaitingDeclarator => SourceState::AwaitingDeclarator,
        State::AwaitingTemplate => SourceState::AwaitingTemplate,
        State::Ready => SourceState::Ready,
    }
}
