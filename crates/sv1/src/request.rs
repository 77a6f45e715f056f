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
        Some((id, submit)) => Ok(Request { id, method: Method::Submit(submit) }),
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
        Err(kind) => Err(RequestError { id: (!id.is_missing()).then_some(id), kind }),
    }
}

fn parse_method<'a>(envelope: &Envelope<'a>) -> Result<Method<'a>, RequestErrorKind> {
    let Some(method) = envelope.method.filter(|method| !method.is_null()) else {
        if envelope.result.is_none() && envelope.error.is_none() {
            return Err(RequestErrorKind::MissingMethod);
        }
        let raw = |value: Option<Value<'a>>| value.filter(|value| !value.is_null()).map(Value::text);
        return Ok(Method::Response { result: raw(envelope.result), error: raw(envelope.error) });
    };
    let Some(name) = method.string() else {
        return Err(RequestErrorKind::BadMethod { got: excerpt(method.text()) });
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
        _ => params.list().ok_or_else(|| RequestErrorKind::BadParams { method, got: excerpt(params.text()) }),
    }
}

fn authorize<'a>(params: &Params<'a>) -> Result<Method<'a>, RequestErrorKind> {
    let (method, param) = (AUTHORIZE, "user name");
    let user = params.get(0).ok_or(RequestErrorKind::MissingParam { method, param, index: 0 })?;
    Ok(Method::Authorize {
        user: user.name().ok_or_else(|| bad(method, param, "a string", user))?,
        password: params.get(1).and_then(Value::name).unwrap_or_default(),
    })
}

fn suggested_difficulty(params: &Params<'_>) -> Result<f64, RequestErrorKind> {
    let (method, param) = (SUGGEST_DIFFICULTY, "difficulty");
    let value = params.get(0).ok_or(RequestErrorKind::MissingParam { method, param, index: 0 })?;
    value
        .number()
        .filter(|difficulty| *difficulty > 0.0)
        .ok_or_else(|| bad(method, param, "a number above 0", value))
}

fn suggested_target(params: &Params<'_>) -> Result<[u8; 32], RequestErrorKind> {
    let (method, param) = (SUGGEST_TARGET, "target");
    let value = params.get(0).ok_or(RequestErrorKind::MissingParam { method, param, index: 0 })?;
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
    RequestErrorKind::BadParam { method, param, expected, got: excerpt(got.text()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(line: &str) -> Method<'_> {
        parse_request(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}")).method
    }

    fn error(line: &[u8]) -> (Option<String>, String) {
        let error = parse_request(line).unwrap_err();
        (error.id.map(|id| id.to_string()), error.to_string())
    }

    #[test]
    fn ids_of_every_kind_are_kept_verbatim() {
        for id in [
            "1",
            "-7",
            "1.5",
            "1e3",
            "\"a\\\"b\"",
            "null",
            "true",
            "[1, 2]",
            "{\"a\": {}}",
            "18446744073709551616",
        ] {
            let line = format!(r#"{{"method":"mining.ping","id":{id}}}"#);
            assert_eq!(parse_request(line.as_bytes()).unwrap().id.to_string(), id);
        }
        assert!(parse_request(br#"{"method":"mining.ping"}"#).unwrap().id.is_missing());
    }

    #[test]
    fn members_come_in_any_order_and_unknown_ones_are_skipped() {
        let subscribe = Method::Subscribe(Subscribe { user_agent: Some("a".into()), ..Subscribe::default() });
        for line in [
            r#"{"id":1,"method":"mining.subscribe","params":["a"]}"#,
            r#"{"params":["a"],"method":"mining.subscribe","id":1}"#,
            r#"{"jsonrpc":"2.0","x":{"params":[[]]},"params":["a"],"y":null,"method":"mining.subscribe","id":1}"#,
            " \t{ \"params\" : [ \"a\" ] , \"\\u006dethod\":\"mining\\u002esubscribe\" } \r",
        ] {
            assert_eq!(method(line), subscribe, "{line}");
        }
    }

    #[test]
    fn subscribe_takes_whatever_stands_for_its_parameters() {
        let subscribe = |params: &str| match method(&format!(r#"{{"method":"mining.subscribe"{params}}}"#)) {
            Method::Subscribe(subscribe) => {
                let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
                (text(subscribe.user_agent), text(subscribe.session_id), text(subscribe.host), subscribe.port)
            }
            other => panic!("{other:?}"),
        };
        let some = |text: &str| Some(text.to_owned());
        for nothing in [
            "",
            r#","params":null"#,
            r#","params":[]"#,
            r#","params":{"a":1}"#,
            r#","params":7"#,
            r#","params":[null,"",[]]"#,
        ] {
            assert_eq!(subscribe(nothing), (None, None, None, None), "{nothing}");
        }
        assert_eq!(subscribe(r#","params":["ua",null]"#), (some("ua"), None, None, None));
        assert_eq!(
            subscribe(r#","params":["ua","s1","pool.example.com",3333]"#),
            (some("ua"), some("s1"), some("pool.example.com"), Some(3333))
        );
        assert_eq!(
            subscribe(r#","params":[1.5,12,null,"3333"]"#),
            (some("1.5"), some("12"), None, Some(3333))
        );
        assert_eq!(subscribe(r#","params":["ua","s",{},99999]"#), (some("ua"), some("s"), None, None));
    }

    #[test]
    fn authorize_needs_a_name_and_nothing_else() {
        for (params, user, password) in [
            (r#"["a.b","x"]"#, "a.b", "x"),
            (r#"["a.b"]"#, "a.b", ""),
            (r#"["a.b",null]"#, "a.b", ""),
            (r#"["",""]"#, "", ""),
            (r#"[12345,678]"#, "12345", "678"),
        ] {
            let line = format!(r#"{{"id":1,"method":"mining.authorize","params":{params}}}"#);
            assert_eq!(
                method(&line),
                Method::Authorize { user: user.into(), password: password.into() },
                "{params}"
            );
        }
        for params in ["[]", "null", "[null]"] {
            let line = format!(r#"{{"id":1,"method":"mining.authorize","params":{params}}}"#);
            let (id, words) = error(line.as_bytes());
            assert_eq!(id.as_deref(), Some("1"));
            assert_eq!(words, "mining.authorize: user name is missing (parameter 1)");
        }
        let (_, words) = error(br#"{"id":1,"method":"mining.authorize","params":{"user":"a"}}"#);
        assert_eq!(words, r#"mining.authorize: params must be a list, got {"user":"a"}"#);
    }

    #[test]
    fn suggestions_are_numbers_above_zero() {
        for (params, difficulty) in
            [("[1024]", 1024.0), ("[0.00015]", 0.00015), ("[\"512\"]", 512.0), ("[1e3, 2]", 1000.0)]
        {
            let line = format!(r#"{{"id":1,"method":"mining.suggest_difficulty","params":{params}}}"#);
            assert_eq!(method(&line), Method::SuggestDifficulty(difficulty));
        }
        for params in ["[]", "[0]", "[-1]", "[1e400]", "[\"x\"]", "[\"inf\"]", "[null]", "[[1]]"] {
            let line = format!(r#"{{"id":1,"method":"mining.suggest_difficulty","params":{params}}}"#);
            assert!(parse_request(line.as_bytes()).is_err(), "{params}");
        }
        let mut target = [0; 32];
        target[4..6].fill(0xff);
        for text in [format!("00000000ffff{}", "0".repeat(52)), format!("0xFFFF{}", "0".repeat(52))] {
            let line = format!(r#"{{"id":1,"method":"mining.suggest_target","params":["{text}"]}}"#);
            assert_eq!(method(&line), Method::SuggestTarget(target));
        }
        for text in ["", "0x", "g", &"0".repeat(65)] {
            let line = format!(r#"{{"id":1,"method":"mining.suggest_target","params":["{text}"]}}"#);
            assert!(parse_request(line.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn methods_without_parameters_do_not_mind_them() {
        for params in ["", r#","params":[]"#, r#","params":null"#, r#","params":{}"#, r#","params":[1,[2]]"#]
        {
            for (name, expected) in [
                ("mining.extranonce.subscribe", Method::ExtranonceSubscribe),
                ("mining.ping", Method::Ping),
                ("pong", Method::Pong),
                ("mining.multi_version", Method::MultiVersion),
                ("mining.get_transactions", Method::GetTransactions),
            ] {
                assert_eq!(method(&format!(r#"{{"id":1,"method":"{name}"{params}}}"#)), expected);
            }
        }
        assert_eq!(method(r#"{"id":1,"method":"eth_submitWork"}"#), Method::Unknown("eth_submitWork".into()));
        assert_eq!(method(r#"{"id":1,"method":""}"#), Method::Unknown("".into()));
    }

    #[test]
    fn a_reply_is_told_by_having_no_method() {
        for line in [
            r#"{"id":3,"result":"cgminer/4.11.1","error":null}"#,
            r#"{"id":3,"method":null,"result":"cgminer/4.11.1"}"#,
        ] {
            assert_eq!(method(line), Method::Response { result: Some("\"cgminer/4.11.1\""), error: None });
        }
        assert_eq!(
            method(r#"{"id":3,"error":[20,"x",null]}"#),
            Method::Response { result: None, error: Some(r#"[20,"x",null]"#) }
        );
        assert_eq!(method(r#"{"id":null,"result":null}"#), Method::Response { result: None, error: None });
    }

    #[test]
    fn configure_knows_bip_310_and_remembers_what_it_does_not_know() {
        let configure =
            |params: &str| match method(&format!(r#"{{"method":"mining.configure","params":{params}}}"#)) {
                Method::Configure(configure) => format!("{configure:?}"),
                other => panic!("{other:?}"),
            };
        let rolling = |mask, min_bit_count| {
            let version_rolling = Some(crate::VersionRolling { mask, min_bit_count });
            format!("{:?}", Configure { version_rolling, ..Configure::default() })
        };
        for (params, expected) in [
            (
                r#"[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]"#,
                rolling(0x1fff_e000, 2),
            ),
            (r#"[["version-rolling"],{"version-rolling.mask":"FFFFFFFF"}]"#, rolling(u32::MAX, 0)),
            (r#"[["version-rolling"]]"#, rolling(u32::MAX, 0)),
            (r#"["version-rolling"]"#, rolling(u32::MAX, 0)),
            (
                r#"[["version-rolling"],{"version-rolling.mask":"zz","version-rolling.min-bit-count":"4"}]"#,
                rolling(u32::MAX, 4),
            ),
            (
                r#"[["version-rolling"],{"version-rolling.mask":8192,"version-rolling.min-bit-count":1000}]"#,
                rolling(8192, 0),
            ),
            (r#"[[],{"version-rolling.mask":"1fffe000"}]"#, format!("{:?}", Configure::default())),
            ("[]", format!("{:?}", Configure::default())),
            ("null", format!("{:?}", Configure::default())),
        ] {
            assert_eq!(configure(params), expected, "{params}");
        }
        let all = configure(
            r#"[["minimum-difficulty","subscribe-extranonce","info","x-new","x-new",7],
                {"minimum-difficulty.value":2048,"info.sw-version":"1.2","info.hw-id":77,"other":[]}]"#,
        );
        let expected = Configure {
            minimum_difficulty: Some(2048.0),
            subscribe_extranonce: true,
            info: Some(crate::Info {
                sw_version: Some("1.2".into()),
                hw_id: Some("77".into()),
                ..crate::Info::default()
            }),
            unknown: vec!["x-new".into()],
            ..Configure::default()
        };
        assert_eq!(all, format!("{expected:?}"));
        for value in ["0", "-4", "null", "\"x\"", "1e999"] {
            let params = format!(r#"[["minimum-difficulty"],{{"minimum-difficulty.value":{value}}}]"#);
            assert!(configure(&params).contains("minimum_difficulty: Some(0.0)"), "{value}");
        }
        let many: Vec<_> = (0..1000).map(|number| format!("\"x-{number}\"")).collect();
        let line = format!(r#"{{"method":"mining.configure","params":[[{}]]}}"#, many.join(","));
        let Method::Configure(read) = method(&line) else { panic!("not configure") };
        assert_eq!(read.unknown.len(), crate::MAX_UNKNOWN_EXTENSIONS);
    }

    #[test]
    fn broken_lines_say_where_and_keep_the_id_that_came_before() {
        for (line, id, words) in [
            (&br#"{"id":7,"method":"mining.authorize","params":["a","x",]}"#[..], Some("7"), "trailing comma"),
            (br#"{"id":7,"method":"mining.authorize","params":["a"],}"#, Some("7"), "trailing comma"),
            (br#"{"id":7,"method":"mining.subscribe","params":["#, Some("7"), "ends in the middle"),
            (br#"{"method":"mining.subscribe","params":[],,"id":7}"#, None, "key must be a string"),
            (br#"{"id":7,"method":"mining.ping"}{"id":8}"#, Some("7"), "one message a line"),
            (br#"{"id":7,"id":8,"method":"mining.ping"}"#, Some("7"), "\"id\" stands twice"),
            (br#"{"id":7,"method":"mining.ping","method":"mining.submit"}"#, Some("7"), "\"method\" stands twice"),
            (b"{\"id\":7,\"method\":\"mining.\xffping\"}", Some("7"), "not UTF-8 at byte 26"),
            (b"{\"id\":7,\"method\":\"mining.ping\0\"}", Some("7"), "control character"),
            (b"\0\0\0", None, "unexpected character at"),
            (br#"{"id":7}"#, Some("7"), "no method"),
            (br#"{"id":7,"method":9}"#, Some("7"), "method is not a string: 9"),
            (br#"{}"#, None, "no method"),
            (br#"[{"id":7,"method":"mining.ping"}]"#, None, "expected a JSON object"),
            (b"7", None, "expected a JSON object"),
            (b"GET / HTTP/1.1", None, "not valid JSON at byte 1"),
            (b"\x03\x00\x00\x2f\x2a\xe0Cookie: mstshash=x", None, "not UTF-8 at byte 6"),
            (b"", None, "ends in the middle"),
            (br#"{"id":"0123456789012345678901234567890123456789012345678901234567890123456789","method":"mining.ping"}"#, None, "id of 72 bytes"),
            (b"{\"id\":[1,\n2],\"method\":\"mining.ping\"}", None, "id of 6 bytes"),
        ] {
            let (got_id, got) = error(line);
            let line = String::from_utf8_lossy(line);
            assert_eq!(got_id.as_deref(), id, "{line}: {got}");
            assert!(got.contains(words.trim_end_matches(" at")), "{line}: {got}");
        }
    }
}
