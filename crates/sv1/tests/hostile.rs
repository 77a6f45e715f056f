//! What no peer can do with a line: make us panic, recurse, hold memory or answer with something that is
//! not one line of JSON.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sv1::client::{ConfigureReply, ServerMessage};
use sv1::{LineError, LineReader, MAX_LINE, Method, parse_request, parse_request_general};

/// Parses and answers as a server would; returns the answer.
fn answer(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match parse_request(line) {
        Ok(request) => match request.method {
            Method::Unknown(name) => sv1::write_unknown_method(&mut out, request.id, &name),
            _ => sv1::write_true(&mut out, request.id),
        },
        Err(error) => sv1::write_request_error(&mut out, &error),
    }
    out
}

fn check(line: &[u8]) {
    assert_eq!(parse_request(line), parse_request_general(line));
    let out = answer(line);
    assert!(out.len() < 512, "an answer of {} bytes", out.len());
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    // The id comes back as it was, even if it is a number or a string that fits no type.
    let reply: BTreeMap<String, &serde_json::value::RawValue> = serde_json::from_slice(&out)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)));
    assert!(reply.contains_key("id") && reply.contains_key("result") && reply.contains_key("error"));
}

#[test]
fn nesting_a_hundred_thousand_deep_overflows_no_stack() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for value in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        check(value.as_bytes());
        for key in ["id", "method", "params", "result", "error", "x"] {
            check(format!(r#"{{"method":"mining.submit","{key}":{value}}}"#).as_bytes());
            check(format!(r#"{{"{key}":{value},"method":"mining.configure"}}"#).as_bytes());
        }
        for method in [
            "mining.configure",
            "mining.subscribe",
            "mining.authorize",
            "mining.submit",
            "mining.suggest_target",
        ] {
            check(format!(r#"{{"method":"{method}","params":[{value},{value}]}}"#).as_bytes());
        }
        let reply = format!(r#"{{"id":1,"result":{value},"error":{value}}}"#);
        if let Ok(ServerMessage::Response(response)) = sv1::client::parse_message(reply.as_bytes()) {
            assert!(response.subscribe_result().is_err());
            assert_eq!(response.configure_result(), ConfigureReply::default());
        }
    }
}

#[test]
fn a_hundred_thousand_members_or_elements_are_walked_once() {
    let members: Vec<_> = (0..100_000).map(|number| format!("\"k{number}\":{number}")).collect();
    check(format!("{{{}}}", members.join(",")).as_bytes());
    check(
        format!(r#"{{"method":"mining.configure","params":[["info"],{{{}}}]}}"#, members.join(","))
            .as_bytes(),
    );
    let elements = vec!["\"a\""; 100_000].join(",");
    for method in ["mining.configure", "mining.subscribe", "mining.submit"] {
        check(format!(r#"{{"id":1,"method":"{method}","params":[{elements}]}}"#).as_bytes());
        check(format!(r#"{{"id":1,"method":"{method}","params":[[{elements}]]}}"#).as_bytes());
    }
    let twice = vec!["\"id\":1"; 100_000].join(",");
    check(format!("{{{twice}}}").as_bytes());
}

#[test]
fn numbers_beyond_every_type_are_only_text() {
    let digits = "9".repeat(10_000);
    for number in [digits.as_str(), "-0", "1e999999", "-1e-999999", "0.1e+5", "18446744073709551616"] {
        check(format!(r#"{{"id":{number},"method":"mining.ping"}}"#).as_bytes());
        for method in ["mining.submit", "mining.suggest_difficulty", "mining.subscribe", "mining.authorize"] {
            let params = [number; 6].join(",");
            check(format!(r#"{{"id":1,"method":"{method}","params":[{params}]}}"#).as_bytes());
        }
        check(
            format!(
                r#"{{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty"],
                {{"version-rolling.mask":{number},"version-rolling.min-bit-count":{number},"minimum-difficulty.value":{number}}}]}}"#
            )
            .as_bytes(),
        );
    }
}

#[test]
fn broken_text_is_answered_not_followed() {
    for line in [
        &b"\xff\xfe\xfd"[..],
        b"\0",
        b"{\"id\":\"\xc3\x28\",\"method\":\"mining.ping\"}",
        br#"{"id":"\ud800","method":"\udc00"}"#,
        br#"{"id":1,"method":"mining.authorize","params":["\ud800","x"]}"#,
        br#"{"id":1,"method":"mining.configure","params":[["\ud800"],{"\ud800":1}]}"#,
        br#"{"\ud800":1,"id":1,"method":"mining.ping"}"#,
        "{\"id\":1,\"method\":\"\u{202e}\u{2028}\u{0}\"}".as_bytes(),
        "\u{feff}{\"id\":1,\"method\":\"mining.ping\"}".as_bytes(),
    ] {
        check(line);
    }
}

/// Splits, parses and answers everything that the reads bring.
fn converse(reads: &[&[u8]], limit: usize) -> (usize, usize, usize) {
    let mut reader = LineReader::new();
    let (mut answers, mut too_long, mut most) = (0, 0, 0);
    for read in reads {
        let mut chunk = *read;
        loop {
            match reader.next_line(&mut chunk, limit) {
                Ok(Some(line)) => answers += usize::from(!answer(line).is_empty()),
                Ok(None) => break,
                Err(LineError::TooLong { .. }) => too_long += 1,
            }
        }
        most = most.max(reader.allocated());
    }
    (answers, too_long, most)
}

#[test]
fn a_stream_of_every_kind_of_junk_costs_at_most_one_line_of_memory() {
    let junk: Vec<u8> =
        (0..200_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let reads: Vec<_> = junk.chunks(1500).collect();
    let (answers, _, most) = converse(&reads, MAX_LINE);
    assert!(answers > 100);
    assert!(most <= MAX_LINE + 1);
    let no_newline = vec![b'a'; 5 * MAX_LINE];
    let reads: Vec<_> = no_newline.chunks(1).collect();
    let (answers, too_long, most) = converse(&reads, MAX_LINE);
    assert_eq!((answers, too_long), (0, 1));
    assert!(most <= MAX_LINE + 1);
}

const METHODS: [&str; 11] = [
    "mining.configure",
    "mining.subscribe",
    "mining.authorize",
    "mining.submit",
    "mining.suggest_difficulty",
    "mining.suggest_target",
    "mining.extranonce.subscribe",
    "mining.ping",
    "mining.multi_version",
    "mining.get_transactions",
    "eth_submitWork",
];

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| if value.is_finite() { value.to_string() } else { "1e999".to_owned() }),
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[0-9a-fA-F]{0,70}".prop_map(|text| format!("\"{text}\"")),
        prop::sample::select(
            &["\"version-rolling\"", "\"info\"", "\"minimum-difficulty\"", "\"\\ud800\""][..]
        )
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 20, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(
                (
                    prop::sample::select(
                        &["id", "version-rolling.mask", "minimum-difficulty.value", "a"][..]
                    ),
                    inner
                ),
                0..4
            )
            .prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_bytes_are_answered_with_one_line(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&line);
    }

    #[test]
    fn any_json_in_any_place_is_answered_with_one_line(
        id in json(),
        method in prop::sample::select(&METHODS[..]),
        params in json(),
        other in json(),
        whole in prop::bool::weighted(0.1),
    ) {
        let line = if whole {
            other
        } else {
            format!(r#"{{"id":{id},"method":"{method}","params":{params},"x":{other}}}"#)
        };
        check(line.as_bytes());
    }

    #[test]
    fn any_stream_is_cut_and_answered(
        reads in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..100), 0..20),
        limit in 1..64_usize,
    ) {
        let reads: Vec<&[u8]> = reads.iter().map(Vec::as_slice).collect();
        let (_, _, most) = converse(&reads, limit);
        prop_assert!(most <= limit + 1);
    }
}
