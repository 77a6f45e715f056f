//! A miner's line to a typed request.

use std::borrow::Cow;

use crate::envelope::Envelope;
use crate::error::excerpt;
use crate::json::{Kind, List, Value};
use crate::{Configure, Id, RequestError, RequestErrorKind, Submit, Subscribe, submit};

/// Most parameters that are looked at; more are skipped. `mining.submit` has six.
const MAX_PARAMS: usize = 8;

/// The parameters of a request.
pub(crate) type Params<'a> = List<'a, MAX_PARAMS>;

/// A request, a notification or a reply that a miner sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// To be echoed in the answer.
    pub id: Id<'a>,
    /// What is asked.
    pub method: Method<'a>,
}

/// What a miner asks, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Method<'a> {
    /// `mining.configure` (BIP 310).
    Configure(Configure<'a>),
    /// `mining.subscribe`.
    Subscribe(Subscribe<'a>),
    /// `mining.authorize`.
    Authorize {
        /// The user name, often `account.worker`.
        user: Cow<'a, str>,
        /// The password; "" if none was sent. Hints for the difficulty may be in it: [`crate::password`].
        password: Cow<'a, str>,
    },
    /// `mining.submit`.
    Submit(Submit<'a>),
    /// `mining.suggest_difficulty`: a finite number above 0.
    SuggestDifficulty(f64),
    /// `mining.suggest_target`: the target, most significant byte first (as its text is read).
    SuggestTarget([u8; 32]),
    /// `mining.extranonce.subscribe`.
    ExtranonceSubscribe,
    /// `mining.ping`.
    Ping,
    /// `pong`: ESP-Miner's answer to a `mining.ping` is written as a request. Needs no answer.
    Pong,
    /// `mining.multi_version`.
    MultiVersion,
    /// `mining.get_transactions`.
    GetTransactions,
    /// A method that is not known: to be answered with [`crate::write_unknown_method`].
    Unknown(Cow<'a, str>),
    /// A reply to one of our requests (`client.get_version` and the like), told by having no method.
    /// Needs no answer.
    Response {
        /// JSON text of `result`; `None` if missing or null.
        result: Option<&'a str>,
        /// JSON text of `error`; `None` if missing or null.
        error: Option<&'a str>,
    },
}

impl Method<'_> {
    /// The method's name, from a small fixed set: fit for a metric's label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Configure(_) => CONFIGURE,
            Self::Subscribe(_) => "mining.subscribe",
            Self::Authorize { .. } => AUTHORIZE,
            Self::Submit(_) => submit::METHOD,
            Self::SuggestDifficulty(_) => SUGGEST_DIFFICULTY,
            Self::SuggestTarget(_) => SUGGEST_TARGET,
            Self::ExtranonceSubscribe => "mining.extranonce.subscribe",
            Self::Ping => "mining.ping",
            Self::Pong => "pong",
            Self::MultiVersion => "mining.multi_version",
            Self::GetTransactions => "mining.get_transactions",
            Self::Unknown(_) => "unknown",
            Self::Response { .. } => "response",
        }
    }
}

const CONFIGURE: &str = "mining.configure";
const AUTHORIZE: &str = "mining.authorize";
const SUGGEST_DIFFICULTY: &str = "mining.suggest_difficulty";
const SUGGEST_TARGET: &str = "mining.suggest_target";

/// Parses one line of a miner, without its line end.
///
/// `mining.submit` in the shapes that firmware prints is read in place without allocation; everything else
/// goes the general way ([`parse_request_general`]), and both give the same result.
///
/// # Errors
/// [`RequestError`] says what was expected and what came, and keeps the id if there was one. An unknown
/// method is no error ([`Method::Unknown`]).
#[inline]
pub fn parse_request(line: &[u8]) -> Result<Request<'_>, RequestError<'_>> {
    match submit::parse_fast(line) {
        Some((id, submit)) => Ok(Request {
            id,
            method: Method::Submit(submit),
        }),
        None => parse_request_general(line),
    }
}

/// [`parse_request`] without its fast path: accepts keys in any order, escapes, white space anywhere, unknown
/// members. Public so that the two can be compared.
///
/// # Errors
/// As [`parse_request`].
pub fn parse_request_general(line: &[u8]) -> Result<Request<'_>, RequestError<'_>> {
    let (id, envelope) = Envelope::parse(line)?;
    match parse_method(&envelope) {
        Ok(method) => Ok(Request { id, method }),
        Err(kind) => Err(RequestError {
            id: (!id.is_missing()).then_some(id),
            kind,
        }),
    }
}

fn parse_method<'a>(envelope: &Envelope<'a>) -> Result<Method<'a>, RequestErrorKind> {
    let Some(method) = envelope.method.filter(|method| !method.is_null()) else {
        if envelope.result.is_none() && envelope.error.is_none() {
            return Err(RequestErrorKind::MissingMethod);
        }
        let raw = |value: Option<Value<'a>>| value.filter(|value| !value.is_null()).map(Value::text);
        return Ok(Method::Response {
            result: raw(envelope.result),
            error: raw(envelope.error),
        });
    };
    let Some(name) = method.string() else {
        return Err(RequestErrorKind::BadMethod {
            got: excerpt(method.text()),
        });
    };
    // Parameters that a method does not need are not looked at: whatever they are does no harm.
    let params = |method| params_of(envelope, method);
    Ok(match &*name {
        submit::METHOD => Method::Submit(Submit::from_params(&params(submit::METHOD)?)?),
        CONFIGURE => Method::Configure(Configure::from_params(&params(CONFIGURE)?)),
        "mining.subscribe" => Method::Subscribe(Subscribe::from_params(
            &params_of(envelope, "mining.subscribe").unwrap_or(List::EMPTY),
        )),
        AUTHORIZE => authorize(&params(AUTHORIZE)?)?,
        SUGGEST_DIFFICULTY => Method::SuggestDifficulty(suggested_difficulty(&params(SUGGEST_DIFFICULTY)?)?),
        SUGGEST_TARGET => Method::SuggestTarget(suggested_target(&params(SUGGEST_TARGET)?)?),
        "mining.extranonce.subscribe" => Method::ExtranonceSubscribe,
        "mining.ping" => Method::Ping,
        "pong" | "mining.pong" => Method::Pong,
        "mining.multi_version" => Method::MultiVersion,
        "mining.get_transactions" => Method::GetTransactions,
        _ => Method::Unknown(name),
    })
}

fn params_of<'a>(envelope: &Envelope<'a>, method: &'static str) -> Result<Params<'a>, RequestErrorKind> {
    let Some(params) = envelope.params else {
        return Ok(List::EMPTY);
    };
    match params.kind() {
        Kind::Null => Ok(List::EMPTY),
        _ => params.list().ok_or_else(|| RequestErrorKind::BadParams {
            method,
            got: excerpt(params.text()),
        }),
    }
}

fn authorize<'a>(params: &Params<'a>) -> Result<Method<'a>, RequestErrorKind> {
    let (method, param) = (AUTHORIZE, "user name");
    let user = params.get(0).ok_or(RequestErrorKind::MissingParam {
        method,
        param,
        index: 0,
    })?;
    Ok(Method::Authorize {
        user: user.name().ok_or_else(|| bad(method, param, "a string", user))?,
        password: params.get(1).and_then(Value::name).unwrap_or_default(),
    })
}

fn suggested_difficulty(params: &Params<'_>) -> Result<f64, RequestErrorKind> {
    let (method, param) = (SUGGEST_DIFFICULTY, "difficulty");
    let value = params.get(0).ok_or(RequestErrorKind::MissingParam {
        method,
        param,
        index: 0,
    })?;
    value
        .number()
        .filter(|difficulty| *difficulty > 0.0)
        .ok_or_else(|| bad(method, param, "a number above 0", value))
}

fn suggested_target(params: &Params<'_>) -> Result<[u8; 32], RequestErrorKind> {
    let (method, param) = (SUGGEST_TARGET, "target");
    let value = params.get(0).ok_or(RequestErrorKind::MissingParam {
        method,
        param,
        index: 0,
    })?;
    target_from_hex(value).ok_or_else(|| bad(method, param, "1 to 64 hex digits", value))
}

fn target_from_hex(value: Value<'_>) -> Option<[u8; 32]> {
    let text = value.string()?;
    let digits = text.strip_prefix("0x").unwrap_or(&text).as_bytes();
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    // Short text is a number without its leading zeros.
    let mut padded = [b'0'; 64];
    padded[64 - digits.len()..].copy_from_slice(digits);
    let mut target = [0; 32];
    crate::hex::decode(&padded, &mut target)?;
    Some(target)
}

/// A parameter that is not what it has to be.
pub(crate) fn bad(
    method: &'static str,
    param: &'static str,
    expected: &'static str,
    got: Value<'_>,
) -> RequestErrorKind {
    RequestErrorKind::BadParam {
        method,
        param,
        expected,
        got: excerpt(got.text()),
    }
}
