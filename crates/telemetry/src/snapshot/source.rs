//! A source at one moment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::BooksSnapshot;

/// How far a source is on its way to giving work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
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
    /// Waits for the job declarator server.
    AwaitingDeclarator,
    /// Waits for a template.
    AwaitingTemplate,
    /// Channels can be opened.
    Ready,
    /// It was taken out of the configuration: its miners go elsewhere, and answers to its shares are waited for.
    Leaving,
    /// It was taken out of the configuration, and is no more than its figures.
    Removed,
}

impl SourceState {
    /// Every state, in the order in which a source goes through them.
    pub const ALL: [Self; 10] = [
        Self::Off,
        Self::Waiting,
        Self::Connecting,
        Self::SettingUp,
        Self::Negotiating,
        Self::AwaitingDeclarator,
        Self::AwaitingTemplate,
        Self::Ready,
        Self::Leaving,
        Self::Removed,
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
            Self::AwaitingDeclarator => "awaiting_declarator",
            Self::AwaitingTemplate => "awaiting_template",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
            Self::Removed => "removed",
        }
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A pool that gives its own jobs.
    #[default]
    Pool,
    /// A pool that takes the farm's own templates.
    Declared,
    /// The farm's own templates, for itself.
    Solo,
}

/// How far declaring templates to a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeclarationState {
    /// Not wanted.
    #[default]
    Off,
    /// It has failed, and is tried again after a while.
    Resting,
    /// The pool is not connected.
    NoPool,
    /// The job declarator server is not connected, or has given no token.
    NoDeclarator,
    /// There is no template with room for the pool's outputs.
    NoTemplate,
    /// Nothing to declare for: no channel.
    Ready,
    /// Miners work on a job that the pool has not acknowledged.
    Declaring,
    /// Miners work on a job that the pool has acknowledged.
    Acknowledged,
}

impl DeclarationState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Off,
        Self::Resting,
        Self::NoPool,
        Self::NoDeclarator,
        Self::NoTemplate,
        Self::Ready,
        Self::Declaring,
        Self::Acknowledged,
    ];

    /// The word for it in metrics and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Resting => "resting",
            Self::NoPool => "no_pool",
            Self::NoDeclarator => "no_declarator",
            Self::NoTemplate => "no_template",
            Self::Ready => "ready",
            Self::Declaring => "declaring",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// What a source that declares templates has besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct DeclarationSnapshot {
    /// How far it is.
    pub state: DeclarationState,
    /// Where the job declarator server is, `host:port`.
    pub jds_address: String,
    /// It is connected.
    pub jds_up: bool,
    /// Why its connection ended, or could not be made, the last time; `None` if that never happened.
    pub jds_last_down: Option<String>,
    /// Jobs that the pool has acknowledged since the start.
    pub acknowledged_total: u64,
    /// Jobs that the pool or its server has refused since the start, those that only came too early or late with them.
    pub refused_total: u64,
    /// Shares that wait for their job's acknowledgement.
    pub held_shares: u64,
}

/// The lease whose shares a source's are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct LeaseTagSnapshot {
    /// The bytes that stand in each share's extranonce, behind those that the source fixed: the first of the hash of the
    /// lease's terms, hex.
    pub tag: String,
    /// Channels that have no room for it: their shares carry none.
    pub channels_without_room: u64,
    /// Bytes that the one of those with the least room has; absent where all have room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_bytes: Option<u8>,
}

/// Anything upstream that gives work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
    /// The lease whose shares it makes. Absent where there is none, or its terms want no tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_tag: Option<LeaseTagSnapshot>,
    /// What only a source that declares has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declaration: Option<DeclarationSnapshot>,
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
    /// Seconds spent in each state since the start, by the state's word; one that it never was in is not there.
    pub state_seconds_total: BTreeMap<&'static str, f64>,
    /// Seconds by which the time in its newest job was ahead of this machine's clock when it came; `None` before the first.
    pub clock_offset_seconds: Option<f64>,
    /// Handshakes with it that failed.
    pub handshakes_failed_total: u64,
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
        for state in DeclarationState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
