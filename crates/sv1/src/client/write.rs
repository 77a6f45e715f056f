//! A miner's requests. Each function appends one line, line end included, to a buffer.

use crate::id::push_decimal;
use crate::write::{push_number, push_string};
use crate::{Id, hex};

/// `mining.configure` for version rolling (BIP 310): the bits that the miner can roll and the least number
/// that it needs.
pub fn write_configure(out: &mut Vec<u8>, id: u64, mask: u32, min_bit_count: u8) {
    head(out, id, b"mining.configure");
    out.extend_from_slice(b"[\"version-rolling\"],{\"version-rolling.mask\":\"");
    hex::push_u32(out, mask);
    out.extend_from_slice(b"\",\"version-rolling.min-bit-count\":");
    push_decimal(out, min_bit_count.into());
    out.push(b'}');
    tail(out);
}

/// `mining.subscribe`, with the name of a session to resume if there is one.
pub fn write_subscribe(out: &mut Vec<u8>, id: u64, user_agent: &str, session_id: Option<&str>) {
    head(out, id, b"mining.subscribe");
    push_string(out, user_agent);
    if let Some(session_id) = session_id {
        out.push(b',');
        push_string(out, session_id);
    }
    tail(out);
}

/// `mining.authorize`.
pub fn write_authorize(out: &mut Vec<u8>, id: u64, user: &str, password: &str) {
    head(out, id, b"mining.authorize");
    push_string(out, user);
    out.push(b',');
    push_string(out, password);
    tail(out);
}

/// `mining.submit`. `version_bits` are the rolled bits only, `None` if version rolling was not granted.
#[expect(clippy::too_many_arguments, reason = "the parameters of mining.submit, in their order")]
#[inline]
pub fn write_submit(
    out: &mut Vec<u8>,
    id: u64,
    worker: &str,
    job_id: &str,
    extranonce2: &[u8],
    ntime: u32,
    nonce: u32,
    version_bits: Option<u32>,
) {
    head(out, id, b"mining.submit");
    push_string(out, worker);
    out.push(b',');
    push_string(out, job_id);
    out.extend_from_slice(b",\"");
    hex::push(out, extranonce2);
    for number in [Some(ntime), Some(nonce), version_bits].into_iter().flatten() {
        out.extend_from_slice(b"\",\"");
        hex::push_u32(out, number);
    }
    out.push(b'"');
    tail(out);
}

/// `mining.suggest_difficulty`; the number is written as it is, 0 for one that is not finite.
pub fn write_suggest_difficulty(out: &mut Vec<u8>, id: u64, difficulty: f64) {
    head(out, id, b"mining.suggest_difficulty");
    push_number(out, if difficulty.is_finite() { difficulty } else { 0.0 });
    tail(out);
}

/// `mining.extranonce.subscribe`: the client understands `mining.set_extranonce`.
pub fn write_extranonce_subscribe(out: &mut Vec<u8>, id: u64) {
    head(out, id, b"mining.extranonce.subscribe");
    tail(out);
}

/// The answer to a pool's `client.get_version`.
pub fn write_version(out: &mut Vec<u8>, id: Id<'_>, user_agent: &str) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":");
    push_string(out, user_agent);
    out.extend_from_slice(b",\"error\":null}\n");
}

/// The answer to a pool's `mining.ping`.
pub fn write_pong(out: &mut Vec<u8>, id: Id<'_>) {
    crate::write_pong(out, id);
}

#[inline]
fn head(out: &mut Vec<u8>, id: u64, method: &[u8]) {
    out.extend_from_slice(b"{\"id\":");
    push_decimal(out, id);
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(method);
    out.extend_from_slice(b"\",\"params\":[");
}

#[inline]
fn tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}\n");
}
