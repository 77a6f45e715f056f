//! A miner's bytes, and a pool's: cut into lines, read into typed messages, answered.
//!
//! Input: a byte for the line limit, a byte for where the reads are cut, then the stream.
//!
//! Promises:
//! - lines are the same however the bytes arrive, and nothing beyond one line's limit is held;
//! - the fast way of reading a submit and the general one agree;
//! - what was read and is written again reads back as itself (NUL apart, which is never written);
//! - every answer is one line that a Stratum client can read, of bounded length.

use sv1::client::{self, ServerMessage};
use sv1::{JobId, LineReader, MAX_LINE, Method, parse_request, parse_request_general};

/// The longest answer to a request that is not understood, in bytes.
const MAX_ANSWER: usize = 4_096;

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the worker's name of a submit is cut by a character before it is compared.
pub(crate) fn check(data: &[u8], planted: bool) {
    let [limit, cuts, stream @ ..] = data else { return };
    let limit = [8, 64, 512, MAX_LINE][usize::from(limit % 4)];
    let expected = split(stream, limit);
    let got = read_in_pieces(stream, limit, *cuts);
    let got: Vec<Option<&[u8]>> = got.iter().map(Option::as_deref).collect();
    assert_eq!(got, expected, "lines depend on how the bytes arrive");
    for line in expected.into_iter().flatten() {
        request(line, planted);
        pool_line(line);
    }
    // What no connection lets through is no danger either.
    request(stream, planted);
    pool_line(stream);
    let text = String::from_utf8_lossy(stream);
    let hints = sv1::password::PasswordHints::parse(&text);
    for hint in [hints.start, hints.minimum, hints.fixed].into_iter().flatten() {
        assert!(hint > 0.0 && hint <= sv1::MAX_DIFFICULTY, "a password asks for {hint}");
    }
}

/// What the reader has to give, said as simply as possible. `None` stands for a line that is too long.
fn split(stream: &[u8], limit: usize) -> Vec<Option<&[u8]>> {
    let mut lines = Vec::new();
    let mut rest = stream;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        rest = &rest[end + 1..];
        if line.len() > limit {
            lines.push(None);
        } else if !line.iter().all(u8::is_ascii_whitespace) {
            lines.push(Some(line));
        }
    }
    // Of an unfinished line it is not known yet whether its last byte is a carriage return that does not count.
    if rest.len() > limit + 1 {
        lines.push(None);
    }
    lines
}

fn read_in_pieces(stream: &[u8], limit: usize, cuts: u8) -> Vec<Option<Vec<u8>>> {
    let mut reader = LineReader::new();
    let mut lines = Vec::new();
    let mut rest = stream;
    let mut state = u32::from(cuts);
    while !rest.is_empty() {
        // 0: all at once; else pieces of 1 to 64 bytes, another size each time.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let piece = if cuts == 0 { rest.len() } else { ((state >> 24) as usize % 64 + 1).min(rest.len()) };
        let (mut chunk, later) = rest.split_at(piece);
        rest = later;
        loop {
            match reader.next_line(&mut chunk, limit) {
                Ok(Some(line)) => lines.push(Some(line.to_vec())),
                Ok(None) => break,
                Err(_) => lines.push(None),
            }
        }
        assert!(reader.allocated() <= limit + 1, "{} bytes held for a line", reader.allocated());
    }
    lines
}

/// A NUL in a string, however it is spelled.
fn has_nul(line: &[u8]) -> bool {
    line.contains(&0) || line.windows(6).any(|six| six == b"\\u0000")
}

fn request(line: &[u8], planted: bool) {
    if has_nul(line) {
        // Read like anything else, but never written again: the C parsers in firmware refuse it.
        let _ = parse_request(line);
        return;
    }
    let (fast, general) = (parse_request(line), parse_request_general(line));
    let request = match (fast, general) {
        (Ok(fast), Ok(general)) => {
            assert_eq!(fast, general, "the fast way and the general one differ");
            fast
        }
        (Err(fast), Err(general)) => {
            assert_eq!(format!("{fast:?}"), format!("{general:?}"));
            let mut out = Vec::new();
            sv1::write_request_error(&mut out, &fast);
            answer(&out);
            return;
        }
        (fast, general) => panic_of_two(&fast, &general),
    };
    let mut out = Vec::new();
    match &request.method {
        Method::Submit(submit) => {
            let JobId::Number(number) = submit.job_id else { return };
            let mut worker = submit.worker.clone().into_owned();
            if planted {
                worker.pop();
            }
            let (job, extranonce2) = (format!("{number:x}"), submit.extranonce2.as_slice());
            let (ntime, nonce, bits) = (submit.ntime, submit.nonce, submit.version_bits);
            client::write_submit(&mut out, 1, &worker, &job, extranonce2, ntime, nonce, bits);
        }
        Method::Authorize { user, password } => client::write_authorize(&mut out, 1, user, password),
        Method::Subscribe(subscribe) => {
            let Some(user_agent) = &subscribe.user_agent else { return };
            client::write_subscribe(&mut out, 1, user_agent, subscribe.session_id.as_deref());
            let again = reread(&out);
            let Method::Subscribe(again) = again else { return wrong("subscribe", &again) };
            assert_eq!(
                (&again.user_agent, &again.session_id),
                (&subscribe.user_agent, &subscribe.session_id),
                "subscribe reads back as another one"
            );
            return;
        }
        Method::SuggestDifficulty(difficulty) => {
            assert!(difficulty.is_finite() && *difficulty > 0.0);
            client::write_suggest_difficulty(&mut out, 1, *difficulty);
        }
        Method::Configure(configure) => {
            let result = sv1::ConfigureResult {
                version_rolling: Some(sv1::VersionRollingResult::Refused),
                minimum_difficulty: Some(true),
                subscribe_extranonce: Some(true),
                info: Some(true),
                unknown: &configure.unknown,
            };
            sv1::write_configure_result(&mut out, request.id, &result);
            answer(&out);
            return;
        }
        Method::Unknown(name) => {
            sv1::write_unknown_method(&mut out, request.id, name);
            answer(&out);
            return;
        }
        _ => {
            sv1::write_true(&mut out, request.id);
            answer(&out);
            return;
        }
    }
    assert_eq!(reread(&out), request.method, "what was read and written again reads as something else");
}

fn reread(out: &[u8]) -> Method<'_> {
    let line = out.strip_suffix(b"\n").expect("a written line ends with a line feed");
    parse_request(line).expect("what we write can be read").method
}

/// What we answer is one line, and a client reads it as an answer.
fn answer(out: &[u8]) {
    assert!(out.len() <= MAX_ANSWER, "an answer of {} bytes", out.len());
    let line = out.strip_suffix(b"\n").expect("an answer ends with a line feed");
    assert!(!line.contains(&b'\n'), "an answer of two lines");
    let message = client::parse_message(line).expect("an answer is a Stratum message");
    assert!(matches!(message, ServerMessage::Response(_)), "an answer reads as {message:?}");
}

/// The other side of the wire: what a pool may send us.
fn pool_line(line: &[u8]) {
    match client::parse_message(line) {
        Ok(ServerMessage::Notify(notify)) => {
            let held = notify.coinb1.len() + notify.coinb2.len() + 32 * notify.merkle_path.len();
            assert!(held <= line.len(), "a job holds more than its line had");
            assert!(notify.merkle_path.len() <= client::MAX_MERKLE_PATH);
        }
        Ok(ServerMessage::SetDifficulty(difficulty)) => assert!(difficulty.is_finite() && difficulty > 0.0),
        Ok(ServerMessage::Response(response)) => {
            let _ = (response.subscribe_result(), response.configure_result(), response.is_granted());
        }
        Ok(_) => {}
        Err(error) => assert!(error.to_string().len() <= MAX_ANSWER, "an error longer than its use"),
    }
}

fn wrong(expected: &str, got: &Method<'_>) {
    assert!(matches!(got, Method::Pong), "expected {expected}, got {got:?}");
}

#[expect(clippy::panic, reason = "a broken promise")]
fn panic_of_two(fast: &dyn std::fmt::Debug, general: &dyn std::fmt::Debug) -> ! {
    panic!("one way reads it and the other does not: {fast:?} {general:?}")
}
