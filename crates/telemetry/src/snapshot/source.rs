//! A source at one moment.

use serde::Serialize;

use super::BooksSnapshot;

/// How far a source is on its way to giving work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Not wanted: no route needs it.
    #[default]
    Off,
    /// Waits before it dials again.
    Waiting,
    /// Dials, or is in the Noise handshake.
    Connecting,
    /// `SetupConnection` is sent.
    SettingUp,
    /// Extensions are being negotiated.
    Negotiating,
    /// Waits for a template.
    AwaitingTemplate,
    /// Channels can be opened.
    Ready,
}

impl SourceState {
    /// Every state, in the order in which a source goes through them.
    pub const ALL: [Self; 7] = [
        Self::Off,
        Self::Waiting,
        Self::Connecting,
        Self::SettingUp,
        Self::Negotiating,
        Self::AwaitingTemplate,
        Self::Ready,
    ];

    /// The word for it in metrics and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::SettingUp => "setting_up",
            Self::Negotiating => "negotiating",
            Self::AwaitingTemplate => "awaiting_template",
            Self::Ready => "ready",
        }
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A pool that gives its own jobs.
    #[default]
    Pool,
    /// The farm's own templates, for itself.
    Solo,
}

/// Anything upstream that gives work.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Where it is, `host:port`: no user, no password, no key. Absent where there is no link: its templates are listed
    /// apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How far it is.
    pub state: SourceState,
    /// Seconds since that state was entered.
    pub state_since_seconds: f64,
    /// Why the link ended, or could not be made, the last time; `None` if that never happened.
    pub last_down: Option<String>,
    /// Links made after the first one, since the start; of a source without a link, times of being ready again.
    pub reconnects_total: u64,
    /// Channels open now.
    pub channels: u64,
    /// Shares sent and not answered yet.
    pub open_shares: u64,
    /// The most that may be open.
    pub open_shares_max: u64,
    /// Shares that wait to be sent.
    pub queue_depth: u64,
    /// Worker names go up: the source took extension 0x0002. Absent where there is nobody to tell them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_names: Option<bool>,
    /// Jobs received since the start.
    pub jobs_total: u64,
    /// Changes of prev_hash received since the start.
    pub tips_total: u64,
    /// Seconds since the last job came; `None` before the first.
    pub job_age_seconds: Option<f64>,
    /// Seconds since the last prev_hash came; `None` before the first.
    pub prev_hash_age_seconds: Option<f64>,
    /// End of the validity of the certificate that it showed, Unix seconds; `None` before the first handshake,
    /// and without encryption.
    pub certificate_expires_unix: Option<u64>,
    /// Shares for its jobs. Derived from the accounts: leave it empty.
    pub books: BooksSnapshot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_and_the_metrics_use_one_word_for_a_state() {
        for state in SourceState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
