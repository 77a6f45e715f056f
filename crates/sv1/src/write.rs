//! Lines to a miner. Each function appends one line, line end included, to a buffer.

use std::fmt::Write as _;

use crate::error::cut;
use crate::{ConfigureResult, ErrorCode, Id, RequestError, VersionRollingResult, hex, written_difficulty};

/// Longest method name that a reply repeats, in bytes.
pub const MAX_ECHOED_NAME: usize = 64;

/// `{"id":_,"result":true,"error":null}`: the request is granted, the share accepted.
#[inline]
pub fn write_true(out: &mut Vec<u8>, id: Id<'_>) {
    reply(out, id, b"true");
}

/// `{"id":_,"result":false,"error":null}`: not supported (`mining.multi_version`,
/// `mining.extranonce.subscribe`). Not for shares: those get [`write_error`].
pub fn write_false(out: &mut Vec<u8>, id: Id<'_>) {
    reply(out, id, b"false");
}

/// `{"id":_,"result":[],"error":null}`: no transactions (`mining.get_transactions`).
pub fn write_empty_list(out: &mut Vec<u8>, id: Id<'_>) {
    reply(out, id, b"[]");
}

/// `{"id":_,"result":"pong","error":null}`: the answer to `mining.ping`, as cgminer writes it.
pub fn write_pong(out: &mut Vec<u8>, id: Id<'_>) {
    reply(out, id, b"\"pong\"");
}

/// `{"id":_,"result":null,"error":[21,"Stale share",null]}`.
///
/// `result` is null, as in the original description of the protocol. Both null and false were looked for in the
/// firmware: cgminer and cpuminer take every result that is not `true` for a refused share and the second
/// element of `error` for the reason; ESP-Miner looks at `error` first if it is a list of two or more;
/// cgminer's `auth_stratum` wants either a false result or an error that is not null.
pub fn write_error(out: &mut Vec<u8>, id: Id<'_>, code: ErrorCode, text: &str) {
    error_head(out, id);
    out.extend_from_slice(code.code().to_string().as_bytes());
    out.push(b',');
    push_string(out, text);
    error_tail(out);
}

/// The reply to a line that could not be understood: code 20 with the error's own words, under its id
/// (null if it had none that could be read).
pub fn write_request_error(out: &mut Vec<u8>, error: &RequestError<'_>) {
    error_head(out, error.id.unwrap_or(Id::MISSING));
    out.extend_from_slice(error.code().code().to_string().as_bytes());
    out.extend_from_slice(b",\"");
    // Writing into a vector cannot fail.
    let _ = write!(Escaped(out), "{error}");
    out.push(b'"');
    error_tail(out);
}

/// `{"id":_,"result":null,"error":[-3,"Method 'x' not found",null]}`: the reply to a method that is not known.
///
/// Slush's original pool software answered so, and firmware has met it ever since; JSON-RPC 2.0's error
/// objects (`{"code":-32601,...}`) are read by newer ESP-Miner but not by cgminer and cpuminer, which look
/// for a list. Names longer than [`MAX_ECHOED_NAME`] are cut.
pub fn write_unknown_method(out: &mut Vec<u8>, id: Id<'_>, name: &str) {
    error_head(out, id);
    out.extend_from_slice(b"-3,\"Method '");
    push_escaped(out, cut(name, MAX_ECHOED_NAME));
    out.extend_from_slice(b"' not found\"");
    error_tail(out);
}

/// The result of `mining.subscribe`: `[[["mining.notify",session_id]],extranonce1,extranonce2_size]`.
///
/// One subscription only, `mining.notify`, as ckpool answers: miners were found that take the first entry
/// for it without looking (shufps/piaxe-miner#3). `extranonce1` is written in hex. cgminer takes
/// `extranonce2_size` from 2 to 16, NiceHash from 4 on.
pub fn write_subscribe_result(
    out: &mut Vec<u8>,
    id: Id<'_>,
    session_id: &str,
    extranonce1: &[u8],
    extranonce2_size: u8,
) {
    head(out, id);
    out.extend_from_slice(b"[[[\"mining.notify\",");
    push_string(out, session_id);
    out.extend_from_slice(b"]],\"");
    hex::push(out, extranonce1);
    out.extend_from_slice(b"\",");
    out.extend_from_slice(extranonce2_size.to_string().as_bytes());
    out.push(b']');
    tail(out);
}

/// The result of `mining.configure`: an entry for each extension that is `Some`, `false` for each unknown one.
pub fn write_configure_result(out: &mut Vec<u8>, id: Id<'_>, result: &ConfigureResult<'_>) {
    head(out, id);
    let mut separator = b'{';
    let mut entry = |out: &mut Vec<u8>, name: &str, granted: bool| {
        out.push(separator);
        separator = b',';
        push_string(out, name);
        out.extend_from_slice(if granted { b":true" } else { b":false" });
    };
    match result.version_rolling {
        Some(VersionRollingResult::Granted { mask }) => {
            entry(out, "version-rolling", true);
            out.extend_from_slice(b",\"version-rolling.mask\":\"");
            hex::push_u32(out, mask);
            out.push(b'"');
        }
        Some(VersionRollingResult::Refused) => entry(out, "version-rolling", false),
        None => {}
    }
    if let Some(granted) = result.minimum_difficulty {
        entry(out, "minimum-difficulty", granted);
    }
    if let Some(granted) = result.subscribe_extranonce {
        entry(out, "subscribe-extranonce", granted);
    }
    if let Some(granted) = result.info {
        entry(out, "info", granted);
    }
    for name in result.unknown {
        entry(out, name, false);
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    tail(out);
}

/// `mining.set_difficulty`, with the number that [`written_difficulty`] gives, without exponent, whole
/// numbers without a point. Returns the number as written: the one to judge shares by.
///
/// Write it at most once before each notify: cgminer gives the first difficulty to the next job, and a second
/// one that came before that job only to the job after it.
pub fn write_set_difficulty(out: &mut Vec<u8>, difficulty: f64) -> f64 {
    let difficulty = written_difficulty(difficulty);
    out.extend_from_slice(b"{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[");
    push_number(out, difficulty);
    out.extend_from_slice(b"]}\n");
    difficulty
}

/// `mining.set_version_mask` (BIP 310): the miner may roll the bits of `mask` from now on.
///
/// To be written only after `mining.authorize` was answered: a firmware of Antminer's S21+ drops the connection if
/// it comes earlier (OCEAN-xyz/datum_gateway#105).
pub fn write_set_version_mask(out: &mut Vec<u8>, mask: u32) {
    out.extend_from_slice(b"{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"");
    hex::push_u32(out, mask);
    out.extend_from_slice(b"\"]}\n");
}

/// `client.show_message`: a line for the miner's log or display.
pub fn write_show_message(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"id\":null,\"method\":\"client.show_message\",\"params\":[");
    push_string(out, text);
    out.extend_from_slice(b"]}\n");
}

#[inline]
fn reply(out: &mut Vec<u8>, id: Id<'_>, result: &[u8]) {
    head(out, id);
    out.extend_from_slice(result);
    tail(out);
}

#[inline]
fn head(out: &mut Vec<u8>, id: Id<'_>) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":");
}

#[inline]
fn tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"error\":null}\n");
}

fn error_head(out: &mut Vec<u8>, id: Id<'_>) {
    head(out, id);
    out.extend_from_slice(b"null,\"error\":[");
}

fn error_tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b",null]}\n");
}

/// Appends a finite number without exponent.
pub(crate) fn push_number(out: &mut Vec<u8>, number: f64) {
    // Display of a float has no exponent and no point for whole numbers, and reads back as the same double.
    let _ = write!(Escaped(out), "{number}");
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` with what JSON wants escaped. NUL becomes U+FFFD: the C parsers in firmware refuse it.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            1..b' ' => {
                out.extend_from_slice(b"\\u00");
                hex::push(out, &[byte]);
            }
            _ => out.push(byte),
        }
    }
}

/// Formats into the inside of a JSON string.
struct Escaped<'o>(&'o mut Vec<u8>);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RequestErrorKind, parse_request};
    use proptest::prelude::*;

    fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn replies_are_written_exactly_so() {
        let id = Id::number(7);
        assert_eq!(line(|out| write_true(out, id)), "{\"id\":7,\"result\":true,\"error\":null}\n");
        assert_eq!(line(|out| write_false(out, id)), "{\"id\":7,\"result\":false,\"error\":null}\n");
        assert_eq!(line(|out| write_pong(out, id)), "{\"id\":7,\"result\":\"pong\",\"error\":null}\n");
        assert_eq!(line(|out| write_empty_list(out, id)), "{\"id\":7,\"result\":[],\"error\":null}\n");
        assert_eq!(
            line(|out| write_error(out, Id::MISSING, ErrorCode::JobNotFound, "Stale share")),
            "{\"id\":null,\"result\":null,\"error\":[21,\"Stale share\",null]}\n"
        );
        assert_eq!(
            line(|out| write_unknown_method(out, id, "mining.x\"\u{0}")),
            "{\"id\":7,\"result\":null,\"error\":[-3,\"Method 'mining.x\\\"\u{fffd}' not found\",null]}\n"
        );
        assert_eq!(
            line(|out| write_subscribe_result(out, id, "ab12", &[0xde, 0xad, 0xbe, 0xef], 4)),
            "{\"id\":7,\"result\":[[[\"mining.notify\",\"ab12\"]],\"deadbeef\",4],\"error\":null}\n"
        );
    }

    #[test]
    fn only_the_extensions_that_were_asked_for_are_answered() {
        let answer = |result: ConfigureResult<'_>| {
            let line = line(|out| write_configure_result(out, Id::number(1), &result));
            let inside = line.strip_prefix("{\"id\":1,\"result\":").unwrap();
            inside.strip_suffix(",\"error\":null}\n").unwrap().to_owned()
        };
        assert_eq!(answer(ConfigureResult::default()), "{}");
        let version_rolling = Some(VersionRollingResult::Granted { mask: 0x1fff_e000 });
        assert_eq!(
            answer(ConfigureResult { version_rolling, ..ConfigureResult::default() }),
            r#"{"version-rolling":true,"version-rolling.mask":"1fffe000"}"#
        );
        assert_eq!(
            answer(ConfigureResult {
                version_rolling: Some(VersionRollingResult::Refused),
                minimum_difficulty: Some(true),
                subscribe_extranonce: Some(false),
                info: Some(true),
                unknown: &["x-\"y".into()],
            }),
            r#"{"version-rolling":false,"minimum-difficulty":true,"subscribe-extranonce":false,"info":true,"x-\"y":false}"#
        );
    }

    #[test]
    fn notifications_are_written_exactly_so() {
        for (difficulty, text) in [
            (1.0, "1"),
            (8192.0, "8192"),
            (8192.9, "8192"),
            (0.5, "0.5"),
            (1e-10, "0.0000000001"),
            (1e300, "9007199254740992"),
            (f64::NAN, "0.00000000001"),
        ] {
            let mut written = 0.0;
            let line = line(|out| written = write_set_difficulty(out, difficulty));
            assert_eq!(
                line,
                format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{text}]}}\n")
            );
            assert!((text.parse::<f64>().unwrap() - written).abs() <= 0.0);
        }
        assert_eq!(
            line(|out| write_set_version_mask(out, 0x1fff_e000)),
            "{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"1fffe000\"]}\n"
        );
        assert_eq!(
            line(|out| write_show_message(out, "no pool\nis up\t\u{1}")),
            "{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"no pool\\nis up\\t\\u0001\"]}\n"
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_answered_under_its_id() {
        let error =
            parse_request(br#"{"id":"a","method":"mining.authorize","params":[{"x":"\\"}]}"#).unwrap_err();
        assert!(matches!(error.kind, RequestErrorKind::BadParam { .. }));
        assert_eq!(
            line(|out| write_request_error(out, &error)),
            "{\"id\":\"a\",\"result\":null,\"error\":[20,\"mining.authorize: user name must be a string, got \
             {\\\"x\\\":\\\"\\\\\\\\\\\"}\",null]}\n"
        );
    }

    proptest! {
        #[test]
        fn whatever_text_is_written_stays_one_line_of_json(text: String, name: String) {
            for line in [
                line(|out| write_error(out, Id::number(1), ErrorCode::Other, &text)),
                line(|out| write_unknown_method(out, Id::number(1), &name)),
                line(|out| write_show_message(out, &text)),
                line(|out| write_subscribe_result(out, Id::number(1), &text, text.as_bytes(), 8)),
            ] {
                prop_assert_eq!(line.matches('\n').count(), 1);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
                prop_assert!(!line.contains("\\u0000"));
            }
            let shown = line(|out| write_show_message(out, &text));
            let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(value["params"][0].as_str().unwrap(), text.replace('\0', "\u{fffd}"));
        }
    }
}
