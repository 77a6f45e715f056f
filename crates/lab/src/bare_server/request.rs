//! The least that reads a request: strings are found, not parsed.

use std::io::Write;

use memchr::memmem;

use super::job::{EXTRANONCE2_SIZE, Refusal, VERSION_MASK};
use crate::sv1_wire::push_hex;

/// Parameters that are looked at.
const PARAMS: usize = 6;

/// A request; everything points into its line.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    /// The id as it stands in the line.
    id: &'a [u8],
    pub(super) method: &'a [u8],
    /// Strings among the parameters, in their order; empty where there are fewer.
    pub(super) params: [&'a [u8]; PARAMS],
}

/// Reads a request; `None` if it has no id or no method.
pub(super) fn read(line: &[u8]) -> Option<Request<'_>> {
    let id = after(line, br#""id":"#)?.trim_ascii_start();
    let id_end = id.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    let method = after(line, br#""method":"#)?;
    let (method, _) = string(method)?;
    let mut request = Request { id: &id[..id_end], method, params: [b""; PARAMS] };
    let mut rest = after(line, br#""params":"#).unwrap_or_default();
    // Up to the closing bracket; nested lists (`mining.configure`) do not matter here.
    rest = &rest[..memchr::memchr(b']', rest).unwrap_or(0)];
    for param in &mut request.params {
        let Some((text, behind)) = string(rest) else { break };
        (*param, rest) = (text, behind);
    }
    Some(request)
}

fn after<'a>(line: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    memmem::find(line, what).map(|at| &line[at + what.len()..])
}

/// The next string and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = memchr::memchr(b'"', bytes)? + 1;
    let end = start + memchr::memchr(b'"', &bytes[start..])?;
    Some((&bytes[start..end], &bytes[end + 1..]))
}

impl Request<'_> {
    pub(super) fn answer(&self, verdict: Result<(), Refusal>, out: &mut Vec<u8>) {
        self.begin(out);
        match verdict {
            Ok(()) => out.extend_from_slice(b"true,\"error\":null}\n"),
            Err((code, text)) => {
                writeln!(out, r#"null,"error":[{code},"{text}",null]}}"#).expect("a Vec takes every write")
            }
        }
    }

    pub(super) fn answer_subscribe(&self, extranonce1: [u8; 4], out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(br#"[[["mining.notify","1"],["mining.set_difficulty","1"]],""#);
        push_hex(out, &extranonce1);
        writeln!(out, r#"",{EXTRANONCE2_SIZE}],"error":null}}"#).expect("a Vec takes every write");
    }

    pub(super) fn answer_configure(&self, out: &mut Vec<u8>) {
        self.begin(out);
        writeln!(
            out,
            r#"{{"version-rolling":true,"version-rolling.mask":"{VERSION_MASK:08x}"}},"error":null}}"#
        )
        .expect("a Vec takes every write");
    }

    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"id":"#);
        out.extend_from_slice(self.id);
        out.extend_from_slice(br#","result":"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submit_is_taken_apart() {
        let request =
            read(br#"{"id": 7,"method":"mining.submit","params":["w","j","00000001","65","ff","2000"]}"#)
                .unwrap();
        assert_eq!((request.id, request.method), (&b"7"[..], &b"mining.submit"[..]));
        assert_eq!(request.params, [&b"w"[..], b"j", b"00000001", b"65", b"ff", b"2000"]);
        let mut out = Vec::new();
        request.answer(Err((23, "Low")), &mut out);
        assert_eq!(out, b"{\"id\":7,\"result\":null,\"error\":[23,\"Low\",null]}\n");
    }

    #[test]
    fn anything_else_is_left_alone_without_a_panic() {
        for line in
            [&b""[..], b"{", b"\"id\":", b"\"id\":1,", b"\"id\":1,\"method\":\"", b"\xff\"id\":\"params\":["]
        {
            assert!(read(line).is_none());
        }
        assert_eq!(read(br#"{"id":1,"method":"x","params":"#).unwrap().params, [b""; PARAMS]);
    }
}
