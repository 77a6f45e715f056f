//! A pool's line to a typed message.

use std::borrow::Cow;

use thiserror::Error;

use super::reply::Response;
use crate::envelope::Envelope;
use crate::error::excerpt;
use crate::json::{Kind, List, Value};
use crate::{Extranonce, Id, RequestErrorKind, hex};

/// Limit of one line from a pool, in bytes: a notify carries the whole coinbase in hex (a coinbase with the
/// outputs of a few hundred miners is 10 to 20 kB).
pub const MAX_SERVER_LINE: usize = 64 * 1024;

/// Most steps of a merkle path: enough for more transactions than a block can hold.
pub const MAX_MERKLE_PATH: usize = 32;

/// Parameters that are looked at; `mining.notify` has nine, and some pools put more before the last.
const MAX_PARAMS: usize = 12;

type Params<'a> = List<'a, MAX_PARAMS>;

/// What a pool sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage<'a> {
    /// `mining.notify`: a job.
    Notify(Notify<'a>),
    /// `mining.set_difficulty`: finite, above 0; holds from the next job on.
    SetDifficulty(f64),
    /// `mining.set_version_mask`.
    SetVersionMask(u32),
    /// `mining.set_extranonce`: holds from the next job on.
    SetExtranonce {
        /// The new `extranonce1`.
        extranonce1: Extranonce,
        /// Size of `extranonce2` in bytes.
        extranonce2_size: usize,
    },
    /// `client.reconnect`. Whether to follow is for the caller to decide: only to the same domain.
    Reconnect {
        /// Host; `None` means the same.
        host: Option<Cow<'a, str>>,
        /// Port; `None` means the same.
        port: Option<u16>,
        /// Seconds to wait before.
        wait: u64,
    },
    /// `client.show_message`.
    ShowMessage(Cow<'a, str>),
    /// `client.get_version`: to be answered with [`super::write_version`].
    GetVersion {
        /// To be echoed.
        id: Id<'a>,
    },
    /// `mining.ping`: to be answered with [`super::write_pong`].
    Ping {
        /// To be echoed.
        id: Id<'a>,
    },
    /// The answer to a request of ours.
    Response(Response<'a>),
    /// A method that is not known; nothing is expected of us.
    Unknown {
        /// Its name.
        method: Cow<'a, str>,
    },
}

/// `mining.notify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify<'a> {
    /// Any string; to be sent back with shares.
    pub job_id: Cow<'a, str>,
    /// In internal order, as it stands in the header; the wire's word order is undone.
    pub prev_hash: [u8; 32],
    /// The coinbase transaction before `extranonce1`.
    pub coinb1: Vec<u8>,
    /// The coinbase transaction after `extranonce2`.
    pub coinb2: Vec<u8>,
    /// Merkle path, each hash in internal order.
    pub merkle_path: Vec<[u8; 32]>,
    /// The header's version.
    pub version: u32,
    /// The header's target in compact form.
    pub nbits: u32,
    /// The header's time, Unix seconds.
    pub ntime: u32,
    /// Earlier jobs are worth nothing any more.
    pub clean_jobs: bool,
}

/// A pool's line that is no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerError {
    /// It is no JSON object, or has neither method nor result.
    #[error("not a Stratum V1 message: {0}")]
    NotAMessage(RequestErrorKind),
    /// A parameter is missing or not what it has to be.
    #[error("{method}: {param} must be {expected}, got {got}")]
    BadParam {
        /// The method.
        method: &'static str,
        /// The parameter's name.
        param: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// The beginning of what came; "nothing" if it is missing.
        got: Box<str>,
    },
}

/// Parses one line of a pool, without its line end.
///
/// # Errors
/// [`ServerError`] says what was expected and what came.
pub fn parse_message(line: &[u8]) -> Result<ServerMessage<'_>, ServerError> {
    let (id, envelope) = Envelope::parse(line).map_err(|error| ServerError::NotAMessage(error.kind))?;
    let Some(method) = envelope.method.filter(|method| !method.is_null()) else {
        return Response::from_envelope(id, &envelope)
            .map(ServerMessage::Response)
            .ok_or(ServerError::NotAMessage(RequestErrorKind::MissingMethod));
    };
    let Some(method) = method.string() else {
        return Err(ServerError::NotAMessage(RequestErrorKind::BadMethod { got: excerpt(method.text()) }));
    };
    let params: Params<'_> = envelope.params.and_then(Value::list).unwrap_or(List::EMPTY);
    Ok(match &*method {
        "mining.notify" => ServerMessage::Notify(notify(&params)?),
        "mining.set_difficulty" => {
            let field = Field { method: "mining.set_difficulty", param: "difficulty", value: params.get(0) };
            ServerMessage::SetDifficulty(
                field.read("a number above 0", |value| value.number().filter(|number| *number > 0.0))?,
            )
        }
        "mining.set_version_mask" => {
            let field = Field { method: "mining.set_version_mask", param: "mask", value: params.get(0) };
            ServerMessage::SetVersionMask(field.hex_u32()?)
        }
        "mining.set_extranonce" => {
            let field =
                |index, param| Field { method: "mining.set_extranonce", param, value: params.get(index) };
            ServerMessage::SetExtranonce {
                extranonce1: field(0, "extranonce1").extranonce()?,
                extranonce2_size: field(1, "extranonce2 size").extranonce_size()?,
            }
        }
        "client.reconnect" => ServerMessage::Reconnect {
            host: params.get(0).and_then(Value::string).filter(|host| !host.is_empty()),
            port: params
                .get(1)
                .and_then(Value::integer)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
            wait: params.get(2).and_then(Value::integer).unwrap_or(0),
        },
        "client.show_message" => {
            ServerMessage::ShowMessage(params.get(0).and_then(Value::name).unwrap_or_default())
        }
        "client.get_version" => ServerMessage::GetVersion { id },
        "mining.ping" => ServerMessage::Ping { id },
        _ => ServerMessage::Unknown { method },
    })
}

fn notify<'a>(params: &Params<'a>) -> Result<Notify<'a>, ServerError> {
    let field = |index, param| Field { method: "mining.notify", param, value: params.get(index) };
    let mut prev_hash = [0; 32];
    field(1, "prev_hash").read("a string of 64 hex digits", |value| {
        let len = hex::decode(value.string()?.as_bytes(), &mut prev_hash)?;
        (len == 32).then_some(())
    })?;
    for word in prev_hash.chunks_exact_mut(4) {
        word.reverse();
    }
    let coinbase =
        |index, param| field(index, param).read("a string of an even number of hex digits", hex_bytes);
    Ok(Notify {
        job_id: field(0, "job id").read("a string", Value::name)?,
        prev_hash,
        coinb1: coinbase(2, "coinb1")?,
        coinb2: coinbase(3, "coinb2")?,
        merkle_path: field(4, "merkle path")
            .read("a list of at most 32 strings of 64 hex digits", merkle_path)?,
        version: field(5, "version").hex_u32()?,
        nbits: field(6, "nbits").hex_u32()?,
        ntime: field(7, "ntime").hex_u32()?,
        // The last one, as ESP-Miner reads it: some pools put another parameter before it.
        clean_jobs: params.len() > 8 && params.last().is_some_and(|last| last.kind() == Kind::Bool(true)),
    })
}

fn hex_bytes(value: Value<'_>) -> Option<Vec<u8>> {
    hex::decode_vec(value.string()?.as_bytes())
}

fn merkle_path(value: Value<'_>) -> Option<Vec<[u8; 32]>> {
    if value.kind() != Kind::List {
        return None;
    }
    let (mut path, mut good) = (Vec::new(), true);
    value.for_each(|step| {
        let mut hash = [0; 32];
        let len = step.string().and_then(|text| hex::decode(text.as_bytes(), &mut hash));
        good = len == Some(32) && path.len() < MAX_MERKLE_PATH;
        path.push(hash);
        good
    });
    good.then_some(path)
}

/// A parameter to be read, with the names for the error.
pub(super) struct Field<'a> {
    pub(super) method: &'static str,
    pub(super) param: &'static str,
    pub(super) value: Option<Value<'a>>,
}

impl<'a> Field<'a> {
    fn read<T>(
        &self,
        expected: &'static str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<T, ServerError> {
        self.value.and_then(read).ok_or_else(|| ServerError::BadParam {
            method: self.method,
            param: self.param,
            expected,
            got: self.value.map_or_else(|| "nothing".into(), |value| excerpt(value.text())),
        })
    }

    pub(super) fn hex_u32(&self) -> Result<u32, ServerError> {
        self.read("a string of 1 to 8 hex digits", |value| {
            hex::parse_prefixed_u32(value.string()?.as_bytes())
        })
    }

    pub(super) fn extranonce(&self) -> Result<Extranonce, ServerError> {
        self.read("a string of an even number of hex digits, at most 64", |value| {
            Extranonce::from_hex(value.string()?.as_bytes())
        })
    }

    pub(super) fn extranonce_size(&self) -> Result<usize, ServerError> {
        self.read("a size of at most 32 bytes", |value| {
            usize::try_from(value.integer()?).ok().filter(|size| *size <= crate::MAX_EXTRANONCE)
        })
    }
}
