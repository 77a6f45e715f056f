//! Replays `protocol-fixtures/sv1`: what firmware and pools really send means what stands beside it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::path::PathBuf;

use serde_json::{Value, json};
use sv1::client::{ServerMessage, parse_message};
use sv1::{JobId, LineReader, MAX_LINE, Method, Request, parse_request, parse_request_general};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../protocol-fixtures/sv1")
}

/// One line of a transcript.
struct Entry {
    place: String,
    from: String,
    mark: String,
    line: String,
    expect: Value,
}

/// Every transcript: its file's name and its lines.
fn transcripts() -> Vec<(String, Vec<Entry>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path)))
        .collect()
}

fn read(path: &PathBuf) -> Vec<Entry> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert!(head["family"].is_string());
    let sources = head["sources"].as_array().unwrap();
    assert!(sources.iter().all(|source| source.as_str().unwrap().starts_with("https://")));
    let entry = |(number, line): (usize, &str)| {
        let place = format!("{}:{}", path.display(), number + 2);
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{place}: {error}"));
        let source = usize::try_from(entry["source"].as_u64().unwrap()).unwrap();
        assert!(source < sources.len(), "{place}: no such source");
        let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{place}: no {key}")).to_owned();
        let (from, mark, line) = (text("from"), text("mark"), text("line"));
        assert!(["recorded", "published", "reconstructed"].contains(&&*mark), "{place}: mark {mark}");
        Entry { place, from, mark, line, expect: entry["expect"].clone() }
    };
    lines.enumerate().map(entry).collect()
}

/// A number as the fixtures write it: whole ones without a point.
fn number(value: f64) -> Value {
    let text = value.to_string();
    serde_json::from_str(&text).unwrap()
}

fn describe_request(request: &Request<'_>) -> Value {
    let mut out = json!({ "id": request.id.to_string(), "method": request.method.name() });
    let fields = match &request.method {
        Method::Configure(configure) => match configure.version_rolling {
            Some(rolling) => json!({ "version_rolling": {
                "mask": format!("{:08x}", rolling.mask),
                "min_bit_count": rolling.min_bit_count,
            }}),
            None => json!({}),
        },
        Method::Subscribe(subscribe) => json!({
            "user_agent": subscribe.user_agent,
            "session_id": subscribe.session_id,
            "host": subscribe.host,
            "port": subscribe.port,
        }),
        Method::Authorize { user, password } => json!({ "user": user, "password": password }),
        Method::Submit(submit) => json!({
            "worker": submit.worker,
            "job_id": match submit.job_id {
                JobId::Number(number) => json!(number),
                JobId::Unparsable => Value::Null,
            },
            "extranonce2": hex::encode(submit.extranonce2),
            "ntime": submit.ntime,
            "nonce": submit.nonce,
            "version_bits": submit.version_bits,
        }),
        Method::SuggestDifficulty(difficulty) => json!({ "difficulty": number(*difficulty) }),
        Method::Response { result, .. } => json!({ "result": result }),
        _ => json!({}),
    };
    out.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    out
}

fn describe_message(message: &ServerMessage<'_>) -> Value {
    match message {
        ServerMessage::SetDifficulty(difficulty) => {
            json!({ "method": "mining.set_difficulty", "difficulty": number(*difficulty) })
        }
        ServerMessage::SetVersionMask(mask) => {
            json!({ "method": "mining.set_version_mask", "mask": format!("{mask:08x}") })
        }
        ServerMessage::SetExtranonce { extranonce1, extranonce2_size } => json!({
            "method": "mining.set_extranonce",
            "extranonce1": hex::encode(extranonce1),
            "extranonce2_size": extranonce2_size,
        }),
        ServerMessage::Response(response) => {
            let mut out = json!({
                "id": response.id.to_string(),
                "response": true,
                "granted": response.is_granted(),
            });
            let mut set = |key: &str, value: Value| out[key] = value;
            if let Some(error) = &response.error {
                set("text", json!(error.text));
                if let Some(code) = error.code {
                    set("code", json!(code));
                }
            }
            if let Some(mask) = response.configure_result().version_rolling {
                set("version_rolling", json!(format!("{mask:08x}")));
            }
            if let Ok(reply) = response.subscribe_result() {
                set("session_id", json!(reply.session_id));
                set("extranonce1", json!(hex::encode(reply.extranonce1)));
                set("extranonce2_size", json!(reply.extranonce2_size));
            }
            out
        }
        other => panic!("the fixtures have no {other:?}"),
    }
}

#[test]
fn every_line_means_what_stands_beside_it() {
    let mut miners = 0;
    for entry in transcripts().into_iter().flat_map(|(_, entries)| entries) {
        let Entry { place, from, line, mut expect, .. } = entry;
        match &*from {
            "miner" => {
                miners += 1;
                let request =
                    parse_request(line.as_bytes()).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(describe_request(&request), expect, "{place}");
                assert_eq!(parse_request_general(line.as_bytes()).as_ref(), Ok(&request), "{place}");
            }
            "pool" => {
                let message =
                    parse_message(line.as_bytes()).unwrap_or_else(|error| panic!("{place}: {error}"));
                if expect.get("method").is_some() {
                    // Of a notification the id says nothing.
                    expect.as_object_mut().unwrap().remove("id");
                }
                assert_eq!(describe_message(&message), expect, "{place}");
            }
            other => panic!("{place}: from {other}?"),
        }
    }
    assert!(miners > 40);
}

#[test]
fn whole_sessions_pass_the_line_reader_however_they_are_cut() {
    for (name, entries) in transcripts() {
        let lines: Vec<_> =
            entries.iter().filter(|entry| entry.from == "miner").map(|entry| entry.line.as_str()).collect();
        for (end, size) in [("\n", 1), ("\r\n", 7), ("\n\n", 1460)] {
            let stream: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            let mut reader = LineReader::new();
            let mut read = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                let mut chunk = chunk;
                while let Some(line) = reader.next_line(&mut chunk, MAX_LINE).unwrap() {
                    read.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(read, lines, "{name}");
            assert_eq!(reader.allocated(), 0);
        }
    }
}

#[test]
fn the_table_of_families_counts_what_is_there() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, entries) in transcripts() {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("README.md has no row for {name}"));
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for (cell, mark) in cells[3..6].iter().zip(["recorded", "published", "reconstructed"]) {
            let count = entries.iter().filter(|entry| entry.mark == mark).count();
            assert_eq!(*cell, count.to_string(), "{name}: {mark}");
        }
    }
}
