//! `mining.subscribe`.

use std::borrow::Cow;

use crate::json::Value;
use crate::request::Params;

/// `mining.subscribe [user agent, session id, host, port]`, every part optional.
///
/// Firmware leaves parts out, sends null for them, or puts numbers where text belongs; nothing of that
/// makes a subscription wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Name and version of the miner's software.
    pub user_agent: Option<Cow<'a, str>>,
    /// The session (or `extranonce1`) that the miner would like to resume.
    pub session_id: Option<Cow<'a, str>>,
    /// The host name that the miner connected to.
    pub host: Option<Cow<'a, str>>,
    /// The port that the miner connected to.
    pub port: Option<u16>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn from_params(params: &Params<'a>) -> Self {
        let text = |index| params.get(index).and_then(Value::name).filter(|text| !text.is_empty());
        Self {
            user_agent: text(0),
            session_id: text(1),
            host: text(2),
            port: params.get(3).and_then(Value::integer).and_then(|port| u16::try_from(port).ok()),
        }
    }
}
