//! A pool's answers to our requests.

use std::borrow::Cow;

use super::message::{Field, ServerError};
use crate::envelope::Envelope;
use crate::json::{Kind, List, Value};
use crate::{ErrorCode, Extranonce, Id, hex};

/// The answer to a request of ours, found by its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Response<'a> {
    /// The request's id.
    pub id: Id<'a>,
    /// JSON text of `result`; `None` if missing or null.
    pub result: Option<&'a str>,
    /// Why not. Read from `error` as a list, an object or a string, or from `reject-reason`.
    pub error: Option<PeerError<'a>>,
}

/// A pool's reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerError<'a> {
    /// Its number, if it has one: 20 to 25 are [`ErrorCode`]s.
    pub code: Option<i64>,
    /// Its words; "" if it has none.
    pub text: Cow<'a, str>,
}

impl PeerError<'_> {
    /// The code as one that SV1 knows.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        self.code.and_then(ErrorCode::from_code)
    }
}

/// The result of `mining.subscribe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeReply<'a> {
    /// The session's name, to resume it: the id of the subscription to `mining.notify`.
    pub session_id: Option<Cow<'a, str>>,
    /// The miner's `extranonce1`.
    pub extranonce1: Extranonce,
    /// Size of `extranonce2` in bytes, at most [`crate::MAX_EXTRANONCE`].
    pub extranonce2_size: usize,
}

/// The result of `mining.configure`, as far as it was granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConfigureReply {
    /// The mask if version rolling is granted.
    pub version_rolling: Option<u32>,
    /// `minimum-difficulty` is granted.
    pub minimum_difficulty: bool,
    /// `subscribe-extranonce` is granted.
    pub subscribe_extranonce: bool,
}

impl<'a> Response<'a> {
    pub(super) fn from_envelope(id: Id<'a>, envelope: &Envelope<'a>) -> Option<Self> {
        if envelope.result.is_none() && envelope.error.is_none() {
            return None;
        }
        let result = envelope.result.filter(|result| !result.is_null()).map(Value::text);
        let error = envelope.error.filter(|error| !error.is_null()).map(peer_error).or_else(|| {
            let text = envelope.reject_reason?.name()?;
            Some(PeerError { code: None, text })
        });
        Some(Self { id, result, error })
    }

    /// Whether the request was granted, the share accepted: a result that is neither null nor false, and no error.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.error.is_none() && self.result.is_some_and(|result| result != "false")
    }

    /// Reads the result of `mining.subscribe`.
    ///
    /// # Errors
    /// If it is no list of subscriptions, `extranonce1` and its size.
    pub fn subscribe_result(&self) -> Result<SubscribeReply<'a>, ServerError> {
        let list: List<'a, 3> =
            self.result.and_then(Value::parse).and_then(Value::list).unwrap_or(List::EMPTY);
        let field =
            |index, param| Field { method: "result of mining.subscribe", param, value: list.get(index) };
        Ok(SubscribeReply {
            session_id: list.get(0).and_then(session_id),
            extranonce1: field(1, "extranonce1").extranonce()?,
            extranonce2_size: field(2, "extranonce2 size").extranonce_size()?,
        })
    }

    /// Reads the result of `mining.configure`; what is missing is not granted.
    #[must_use]
    pub fn configure_result(&self) -> ConfigureReply {
        let (mut reply, mut rolling, mut mask) = (ConfigureReply::default(), false, None);
        let result = self.result.and_then(Value::parse).unwrap_or(Value::NULL);
        result.for_each_member(|key, value| {
            let granted = value.kind() == Kind::Bool(true);
            match key {
                "version-rolling" => rolling = granted,
                "version-rolling.mask" => {
                    mask = value.string().and_then(|text| hex::parse_prefixed_u32(text.as_bytes()));
                }
                "minimum-difficulty" => reply.minimum_difficulty = granted,
                "subscribe-extranonce" => reply.subscribe_extranonce = granted,
                _ => {}
            }
        });
        reply.version_rolling = mask.filter(|_| rolling);
        reply
    }
}

/// The id of the subscription to `mining.notify`: pairs in a list, or one bare pair.
fn session_id(subscriptions: Value<'_>) -> Option<Cow<'_, str>> {
    let pair = |value: Value<'_>| -> bool {
        value
            .list::<2>()
            .and_then(|pair| pair.get(0))
            .and_then(Value::string)
            .is_some_and(|name| name == "mining.notify")
    };
    let mut found = pair(subscriptions).then_some(subscriptions);
    subscriptions.for_each(|entry| {
        if found.is_none() && pair(entry) {
            found = Some(entry);
        }
        found.is_none()
    });
    found?.list::<2>()?.get(1)?.name()
}

fn peer_error(error: Value<'_>) -> PeerError<'_> {
    let code = |value: Value<'_>| value.text().parse().ok();
    match error.kind() {
        Kind::List => {
            let list: List<'_, 2> = error.list().unwrap_or(List::EMPTY);
            PeerError {
                code: list.get(0).and_then(code),
                text: list.get(1).and_then(Value::name).unwrap_or_default(),
            }
        }
        Kind::Object => {
            let mut read = PeerError { code: None, text: Cow::Borrowed("") };
            error.for_each_member(|key, value| match key {
                "code" => read.code = code(value),
                "message" => read.text = value.name().unwrap_or_default(),
                _ => {}
            });
            read
        }
        _ => PeerError { code: None, text: error.name().unwrap_or_default() },
    }
}
