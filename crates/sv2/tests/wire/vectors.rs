//! The committed vectors, `protocol-fixtures/sv2/messages.json`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sv2::{AnyMessage, FrameHeader};

use crate::case::{Case, Vector, our_frame};
use crate::cases;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol-fixtures/sv2/messages.json");
const COMMITTED: &str = include_str!("../../../../protocol-fixtures/sv2/messages.json");

/// A message's vectors.
pub(crate) fn of<C: Case>() -> Vec<Vector> {
    [("typical", C::typical()), ("smallest", C::smallest())]
        .into_iter()
        .map(|(name, values)| Vector { name, fields: C::to_json(&values), frame: C::their_frame(&values) })
        .collect()
}

/// We read a vector's frame as its fields, and write its fields as its frame.
pub(crate) fn check<C: Case>(fields: &Map<String, Value>, frame: &[u8]) {
    let values = C::from_json(fields);
    let (header, payload, rest) = FrameHeader::split(frame).unwrap();
    assert!(rest.is_empty());
    assert_eq!(C::from_ours(&AnyMessage::decode(&header, payload).unwrap()), values);
    assert_eq!(our_frame::<C>(&values), frame);
}

/// The file, with a vector a line and a message's fields in the order of the wire.
fn rendered() -> String {
    let mut lines = Vec::new();
    for case in cases::all() {
        for Vector { name, fields, frame } in (case.vectors)() {
            let mut line = format!(
                "  {{\"message\": {}, \"vector\": {}, \"source\": {}, \"extension_type\": {}, \"msg_type\": {}, \
                 \"channel_msg\": {}, \"fields\": {{",
                json!(case.name),
                json!(name),
                json!(case.source),
                case.extension_type,
                case.msg_type,
                case.channel_msg,
            );
            for (index, (field, value)) in fields.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(line, "{comma}{}: {value}", json!(field)).unwrap();
            }
            write!(line, "}}, \"frame\": {}}}", json!(hex::encode(frame))).unwrap();
            lines.push(line);
        }
    }
    lines.extend(crate::tlv::vectors());
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn committed() -> Vec<Value> {
    serde_json::from_str(COMMITTED).unwrap()
}

#[test]
fn committed_vectors_are_read_and_written_as_they_stand() {
    let cases = cases::all();
    let vectors = committed();
    for vector in &vectors {
        let named = (
            vector["message"].as_str().unwrap(),
            vector["extension_type"].as_u64().unwrap(),
            vector["msg_type"].as_u64().unwrap(),
            vector["channel_msg"].as_bool().unwrap(),
        );
        let case = cases
            .iter()
            .find(|c| (c.name, c.extension_type.into(), c.msg_type.into(), c.channel_msg) == named)
            .unwrap_or_else(|| panic!("no such message: {named:?}"));
        let frame = hex::decode(vector["frame"].as_str().unwrap()).unwrap();
        if vector["user_identity"].is_null() {
            (case.check_vector)(vector["fields"].as_object().unwrap(), &frame);
        } else {
            crate::tlv::check_vector(vector, &frame);
        }
    }
    assert_eq!(vectors.len(), 2 * cases.len() + 2, "two vectors a message, and two with a worker's name");
}

#[test]
fn committed_vectors_are_what_the_published_crates_write_today() {
    assert!(
        rendered() == COMMITTED,
        "{PATH} is out of date: cargo test -p adit-sv2 --test wire -- --ignored write_vectors"
    );
}

#[test]
#[ignore = "rewrites protocol-fixtures/sv2/messages.json from the published crates"]
fn write_vectors() {
    std::fs::write(PATH, rendered()).unwrap();
}
