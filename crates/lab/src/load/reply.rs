//! Reading the answer to a share cheaply.

use memchr::memmem;

/// Lines longer than this are no plain answers.
const MAX_PLAIN: usize = 256;

/// The id of an answer that says `true` without an error; `None`: read it in full.
pub(super) fn accepted_id(line: &[u8]) -> Option<u32> {
    if line.len() > MAX_PLAIN {
        return None;
    }
    let at = memmem::find(line, b"\"id\":")? + 5;
    let mut id: u32 = 0;
    let mut digits = 0;
    for byte in line[at..].iter().skip_while(|byte| **byte == b' ') {
        if !byte.is_ascii_digit() {
            break;
        }
        id = id.checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
        digits += 1;
    }
    let at = memmem::find(line, b"\"result\":")? + 9;
    let is_true = line[at..].trim_ascii_start().starts_with(b"true");
    // An error beside a `true` is looked at in full.
    let plain = match memmem::find(line, b"\"error\":") {
        Some(at) => line[at + 8..].trim_ascii_start().starts_with(b"null"),
        None => true,
    };
    (digits > 0 && is_true && plain).then_some(id)
}

/// Whether a line is a job. (The answer to `mining.subscribe` names `mining.notify` too.)
pub(super) fn is_notify(line: &[u8]) -> bool {
    memmem::find(line, b"\"mining.notify\"").is_some_and(|at| {
        let before = line[..at].trim_ascii_end();
        before.strip_suffix(b":").is_some_and(|before| before.trim_ascii_end().ends_with(b"\"method\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_true_is_taken_for_one() {
        for (line, id) in [
            (r#"{"id":17,"result":true,"error":null}"#, Some(17)),
            (r#"{"error": null, "id": 4, "result": true}"#, Some(4)),
            (r#"{"id":5,"result":true}"#, Some(5)),
            (r#"{"id":5,"result":false,"error":null}"#, None),
            (r#"{"id":5,"result":null,"error":[23,"low",null]}"#, None),
            (r#"{"id":5,"result":true,"error":[20,"no",null]}"#, None),
            (r#"{"id":null,"result":true,"error":null}"#, None),
            (r#"{"id":99999999999,"result":true,"error":null}"#, None),
            ("", None),
        ] {
            assert_eq!(accepted_id(line.as_bytes()), id, "{line}");
        }
    }

    #[test]
    fn the_answer_to_a_subscription_is_no_job() {
        for (line, is) in [
            (r#"{"id":null,"method":"mining.notify","params":[]}"#, true),
            (r#"{"params": [], "method" : "mining.notify"}"#, true),
            (r#"{"id":2,"result":[[["mining.notify","1"]],"aa",4],"error":null}"#, false),
            (r#""mining.notify""#, false),
        ] {
            assert_eq!(is_notify(line.as_bytes()), is, "{line}");
        }
    }
}
