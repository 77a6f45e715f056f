//! What a pool sends is read, what a miner asks is understood by our own server side.

use super::*;
use crate::{ErrorCode, Id, JobId, Method, Submit, Subscribe, VersionRolling, parse_request};
use proptest::prelude::*;

fn message(line: &str) -> ServerMessage<'_> {
    parse_message(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn response(line: &str) -> Response<'_> {
    match message(line) {
        ServerMessage::Response(response) => response,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_way_of_refusing_is_read_as_a_refusal() {
    for (line, code, text) in [
        (r#"{"id":5,"result":null,"error":[21,"Job not found",""]}"#, Some(21), "Job not found"),
        (r#"{"id":5,"result":null,"error":[21,"Stale share",null]}"#, Some(21), "Stale share"),
        (r#"{"result":false,"error":"Stale","id":5}"#, None, "Stale"),
        (
            r#"{"jsonrpc":"2.0","error":{"code":22,"message":"duplicate share","data":null},"id":5}"#,
            Some(22),
            "duplicate share",
        ),
        (r#"{"reject-reason":"Above target 2","result":false,"error":null,"id":5}"#, None, "Above target 2"),
        (r#"{"id":5,"result":null,"error":[]}"#, None, ""),
        (r#"{"id":5,"result":true,"error":[20,"no",null]}"#, Some(20), "no"),
    ] {
        let response = response(line);
        assert!(!response.is_granted(), "{line}");
        assert_eq!(response.id, Id::number(5));
        let error = response.error.unwrap();
        assert_eq!((error.code, &*error.text), (code, text), "{line}");
        assert_eq!(error.error_code(), code.and_then(ErrorCode::from_code));
    }
    for line in [r#"{"id":5,"result":false,"error":null}"#, r#"{"id":5,"result":null,"error":null}"#] {
        assert!(!response(line).is_granted() && response(line).error.is_none());
    }
    assert!(response(r#"{"id":5,"result":true,"error":null}"#).is_granted());
    assert!(response(r#"{"id":5,"result":true}"#).is_granted());
}

#[test]
fn a_subscription_is_read_whatever_its_list_looks_like() {
    for (list, session) in [
        (r#"[["mining.notify","s1"]]"#, Some("s1")),
        (r#"[["mining.set_difficulty","s0"],["mining.notify","s1"]]"#, Some("s1")),
        (r#"["mining.notify","s1"]"#, Some("s1")),
        (r#"[["mining.set_difficulty","s0"]]"#, None),
        ("[]", None),
        ("null", None),
    ] {
        let line = format!(r#"{{"id":1,"result":[{list},"08000002",4],"error":null}}"#);
        let reply = response(&line).subscribe_result().unwrap();
        assert_eq!(reply.session_id.as_deref(), session, "{list}");
        assert_eq!((reply.extranonce1.as_slice(), reply.extranonce2_size), (&[8, 0, 0, 2][..], 4));
    }
    for result in
        ["null", "[]", r#"[[],"abc",4]"#, r#"[[],"ab",-4]"#, r#"[[],"ab",33]"#, r#"[[],7,4]"#, "true"]
    {
        let line = format!(r#"{{"id":1,"result":{result},"error":null}}"#);
        assert!(response(&line).subscribe_result().is_err(), "{result}");
    }
}

#[test]
fn version_rolling_is_granted_only_with_a_mask() {
    let rolling = |result: &str| {
        let line = format!(r#"{{"id":1,"result":{result},"error":null}}"#);
        response(&line).configure_result().version_rolling
    };
    assert_eq!(rolling(r#"{"version-rolling":true,"version-rolling.mask":"1fffe000"}"#), Some(0x1fff_e000));
    assert_eq!(rolling(r#"{"version-rolling.mask":"1fffe000","version-rolling":true}"#), Some(0x1fff_e000));
    for result in [
        r#"{"version-rolling":false,"version-rolling.mask":"1fffe000"}"#,
        r#"{"version-rolling":"no","version-rolling.mask":"1fffe000"}"#,
        r#"{"version-rolling":true}"#,
        r#"{"version-rolling":true,"version-rolling.mask":7}"#,
        "[]",
        "null",
        "true",
    ] {
        assert_eq!(rolling(result), None, "{result}");
    }
}

#[test]
fn notifications_are_read() {
    assert_eq!(
        message(r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#),
        ServerMessage::SetDifficulty(0.5)
    );
    assert_eq!(
        message(r#"{"method":"mining.set_version_mask","params":["1fffe000"]}"#),
        ServerMessage::SetVersionMask(0x1fff_e000)
    );
    assert_eq!(
        message(r#"{"id":null,"method":"mining.set_extranonce","params":["6351117f64",3]}"#),
        ServerMessage::SetExtranonce {
            extranonce1: crate::Extranonce::from_hex(b"6351117f64").unwrap(),
            extranonce2_size: 3
        }
    );
    assert_eq!(
        message(r#"{"id":null,"method":"client.reconnect","params":["b.example.com","3334",10]}"#),
        ServerMessage::Reconnect { host: Some("b.example.com".into()), port: Some(3334), wait: 10 }
    );
    assert_eq!(
        message(r#"{"id":null,"method":"client.reconnect","params":[]}"#),
        ServerMessage::Reconnect { host: None, port: None, wait: 0 }
    );
    assert_eq!(
        message(r#"{"id":1,"method":"client.show_message","params":["hello"]}"#),
        ServerMessage::ShowMessage("hello".into())
    );
    assert_eq!(
        message(r#"{"id":9,"method":"client.get_version"}"#),
        ServerMessage::GetVersion { id: Id::number(9) }
    );
    assert_eq!(message(r#"{"id":9,"method":"mining.ping"}"#), ServerMessage::Ping { id: Id::number(9) });
    assert_eq!(
        message(r#"{"method":"mining.set_goal","params":[1]}"#),
        ServerMessage::Unknown { method: "mining.set_goal".into() }
    );
}

#[test]
fn a_pool_that_makes_no_sense_is_an_error() {
    let hash = "00".repeat(32);
    let path = |steps: usize| format!("[{}]", vec![format!("\"{hash}\""); steps].join(","));
    let notify = |params: &str| {
        let line = format!(r#"{{"method":"mining.notify","params":[{params}]}}"#);
        parse_message(line.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
    };
    let with = |prev: &str, coinb: &str, path: &str, ntime: &str| {
        notify(&format!(r#""j","{prev}","{coinb}","",{path},"20000000","1d00ffff",{ntime},true"#))
    };
    assert_eq!(with(&hash, "00", &path(MAX_MERKLE_PATH), "\"00000001\""), Ok(()));
    for (result, words) in [
        (notify(""), "prev_hash must be a string of 64 hex digits, got nothing"),
        (with(&hash[1..], "00", "[]", "\"1\""), "prev_hash must be"),
        (with(&hash[2..], "00", "[]", "\"1\""), "prev_hash must be"),
        (with(&hash, "0", "[]", "\"1\""), "coinb1 must be"),
        (with(&hash, "00", "{}", "\"1\""), "merkle path must be"),
        (with(&hash, "00", "[\"00\"]", "\"1\""), "merkle path must be"),
        (with(&hash, "00", "[7]", "\"1\""), "merkle path must be"),
        (with(&hash, "00", &path(MAX_MERKLE_PATH + 1), "\"1\""), "merkle path must be"),
        (with(&hash, "00", "[]", "1"), "ntime must be"),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    for line in [
        r#"{"method":"mining.set_difficulty","params":[0]}"#,
        r#"{"method":"mining.set_difficulty","params":[-1]}"#,
        r#"{"method":"mining.set_difficulty","params":[1e999]}"#,
        r#"{"method":"mining.set_difficulty"}"#,
        r#"{"method":"mining.set_extranonce","params":["00",33]}"#,
        r#"{"method":"mining.set_extranonce","params":["00",-1]}"#,
        r#"{"id":1}"#,
        r#"{"id":1,"method":7}"#,
        "[]",
    ] {
        assert!(parse_message(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn what_we_ask_is_what_our_server_side_reads() {
    let mut out = Vec::new();
    write_configure(&mut out, 1, 0x1fff_e000, 2);
    write_subscribe(&mut out, 2, "adit/0.1", None);
    write_subscribe(&mut out, 3, "adit/0.1", Some("s\"1"));
    write_authorize(&mut out, 4, "account.worker", "x,d=\\1");
    write_suggest_difficulty(&mut out, 5, 0.000_35);
    write_extranonce_subscribe(&mut out, 6);
    write_pong(&mut out, Id::number(7));
    write_version(&mut out, Id::number(8), "adit/0.1");
    let rolling = Some(VersionRolling { mask: 0x1fff_e000, min_bit_count: 2 });
    let subscribe = |session_id: Option<&'static str>| {
        Method::Subscribe(Subscribe {
            user_agent: Some("adit/0.1".into()),
            session_id: session_id.map(Into::into),
            ..Subscribe::default()
        })
    };
    let expected = [
        Method::Configure(crate::Configure { version_rolling: rolling, ..crate::Configure::default() }),
        subscribe(None),
        subscribe(Some("s\"1")),
        Method::Authorize { user: "account.worker".into(), password: "x,d=\\1".into() },
        Method::SuggestDifficulty(0.000_35),
        Method::ExtranonceSubscribe,
        Method::Response { result: Some("\"pong\""), error: None },
        Method::Response { result: Some("\"adit/0.1\""), error: None },
    ];
    let lines: Vec<_> = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), expected.len());
    for ((line, expected), id) in lines.into_iter().zip(expected).zip(1..) {
        let request = parse_request(line).unwrap();
        assert_eq!((request.id, request.method), (Id::number(id), expected));
    }
}

#[test]
fn a_foreign_job_id_goes_back_as_it_came() {
    let mut out = Vec::new();
    write_submit(&mut out, 9, "w", "1b4c3d9041", &[1, 2], 3, 4, Some(0x2000));
    assert_eq!(
        String::from_utf8(out.clone()).unwrap(),
        "{\"id\":9,\"method\":\"mining.submit\",\"params\":[\"w\",\"1b4c3d9041\",\"0102\",\"00000003\",\"00000004\",\
         \"00002000\"]}\n"
    );
    let Method::Submit(Submit { job_id, .. }) = parse_request(&out).unwrap().method else {
        panic!("no submit")
    };
    assert_eq!(job_id, JobId::Unparsable);
}

proptest! {
    #[test]
    fn no_bytes_make_the_client_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_message(&line);
    }

    #[test]
    fn no_damage_to_a_pool_line_makes_the_client_panic(
        which in 0..4_usize,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut line = [
            r#"{"id":1,"result":[[["mining.notify","s1"]],"08000002",4],"error":null}"#,
            r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":[21,"x",null]}"#,
            r#"{"method":"mining.notify","params":["j","00","00","00",["00"],"20000000","1d00ffff","00000001",true]}"#,
            r#"{"method":"mining.set_extranonce","params":["6351117f64",3]}"#,
        ][which].as_bytes().to_vec();
        let at = at.index(line.len());
        line[at] = byte;
        if let Ok(ServerMessage::Response(response)) = parse_message(&line) {
            let _ = (response.subscribe_result(), response.configure_result(), response.is_granted());
        }
    }
}
