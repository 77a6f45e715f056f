//! The API's description (OpenAPI 3.1), made of the types that are served.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::answer::{self, JSON};
use super::details::{BooksAnswer, EventsAnswer, JobsAnswer, RoutesAnswer, SourceAnswer, SourcesAnswer};
use super::paths::Path;
use super::receipts::ReceiptsAnswer;
use super::workers::WorkersAnswer;
use crate::history::HistoryAnswer;
use crate::snapshot::{Readiness, Snapshot, WorkerSnapshot};

/// Something that may stand behind the `?`: name, type, what it does.
type Parameter = (&'static str, &'static str, &'static str);

/// What a path answers with.
enum Answer {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// JSON whose shape is not fixed.
    Free,
    Text(&'static str),
}

/// A path's row of the document.
struct Row {
    about: &'static str,
    parameters: &'static [Parameter],
    answer: Answer,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const LIMIT: Parameter = ("limit", "integer", "The most entries that are given, 1 to 1000; 100 by default.");

fn row(path: Path) -> Row {
    let plain = |about, answer| Row { about, parameters: &[], answer };
    match path {
        Path::Metrics => plain("Metrics in Prometheus' text format.", Answer::Text("text/plain")),
        Path::Healthz => plain("200 while the process serves.", Answer::Free),
        Path::Readyz => plain("200 when miners can be sent here, else 503.", Answer::Json(of::<Readiness>)),
        Path::Status => plain("Everything but workers.", Answer::Json(of::<Snapshot>)),
        Path::Workers => Row {
            about: "Workers, a page at a time.",
            parameters: &[
                ("offset", "integer", "So many are left out first."),
                LIMIT,
                (
                    "sort",
                    "string",
                    "name (the default), hashrate, last_share, acknowledged, rejected or connections; with - before it the \
                     other way round.",
                ),
                (
                    "search",
                    "string",
                    "Only those with this text in name, user agent or address, in any case.",
                ),
                ("listener", "string", "Only those of this listener."),
                ("route", "string", "Only those on this route."),
                ("source", "string", "Only those that mine for this source."),
            ],
            answer: Answer::Json(of::<WorkersAnswer>),
        },
        Path::Worker => plain("One worker.", Answer::Json(of::<WorkerSnapshot>)),
        Path::Sources => plain("Where work comes from.", Answer::Json(of::<SourcesAnswer<'_>>)),
        Path::Source => {
            plain("One source, with its last changes of state.", Answer::Json(of::<SourceAnswer<'_>>))
        }
        Path::Routes => plain("What binds listeners and sources.", Answer::Json(of::<RoutesAnswer<'_>>)),
        Path::Jobs => plain("What is mined now.", Answer::Json(of::<JobsAnswer>)),
        Path::Books => plain("All shares by state and reason.", Answer::Json(of::<BooksAnswer<'_>>)),
        Path::Events => Row {
            about: "What happened, the last thousand.",
            parameters: &[
                (
                    "after",
                    "integer",
                    "Only those after the one with this id, the oldest first; without it the newest.",
                ),
                LIMIT,
            ],
            answer: Answer::Json(of::<EventsAnswer>),
        },
        Path::Config => plain("The configuration in force, secrets masked.", Answer::Free),
        Path::Openapi => plain("This document.", Answer::Free),
        Path::Stream => Row {
            about: "Server-sent events: `status` once a second, with the answer of /api/v1/status; `log` for each new event.",
            parameters: &[("after", "integer", "Begin with the events after the one with this id.")],
            answer: Answer::Text("text/event-stream"),
        },
        Path::History => Row {
            about: "Hashrates and shares over time, the last 31 days.",
            parameters: &[
                (
                    "series",
                    "string",
                    "Names with commas between: total, miners, route:NAME, source:NAME, shares:STATE; all by default.",
                ),
                ("from", "integer", "Unix seconds; an hour before to by default."),
                ("to", "integer", "Unix seconds; now by default."),
                ("points", "integer", "About so many points, at most 2000; 360 by default."),
            ],
            answer: Answer::Json(of::<HistoryAnswer>),
        },
        Path::Page => plain("The live page.", Answer::Text("text/html")),
        Path::PageFile => plain("What the live page is made of.", Answer::Text("text/plain")),
        Path::Receipts => Row {
            about: "Receipts that were issued, the newest first; terms that more are issued for; roots of periods that still run.",
            parameters: &[
                ("offset", "integer", "So many are left out first."),
                ("limit", "integer", "The most receipts that are given, 1 to 100; 100 by default."),
            ],
            answer: Answer::Json(of::<ReceiptsAnswer>),
        },
        Path::Receipt => plain("One receipt, as a file.", Answer::Text("application/octet-stream")),
        Path::VerifyReceipt | Path::CounterSign | Path::Other => plain("Nothing.", Answer::Free),
    }
}

/// The document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let mut paths = Map::new();
    for path in Path::served() {
        let mut operations = Map::new();
        let of_receipts = match path {
            Path::VerifyReceipt => Some(post(
                "verify_receipt",
                "Verifies a receipt, without block headers. Nothing of it is kept.",
                "What it proves, and what not; outcome says whether it holds.",
            )),
            Path::CounterSign => Some(post(
                "keep_counter_signature",
                "Keeps a counter-signed root for the receipt that is to come. Anything else is refused.",
                "It is kept; name is its file's.",
            )),
            _ => None,
        };
        match of_receipts {
            Some(operation) => operations.insert("post".to_owned(), operation),
            None => operations.insert("get".to_owned(), get(path, &mut generator)),
        };
        if path == Path::Routes {
            operations.insert("patch".to_owned(), patch());
        }
        paths.insert(path.as_str().to_owned(), Value::Object(operations));
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Adit",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a running Adit says of itself, and what can be changed of it. Tokens are asked for where \
                            http.read_token or http.admin_token is configured.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn get(path: Path, generator: &mut SchemaGenerator) -> Value {
    let Row { about, parameters, answer } = row(path);
    let mut listed: Vec<Value> = parameters
        .iter()
        .map(|(name, kind, about)| {
            json!({ "name": name, "in": "query", "description": about, "schema": { "type": kind } })
        })
        .collect();
    if let Some((_, name)) = path.as_str().split_once('{') {
        let name = name.trim_end_matches('}');
        listed.push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    let content = match answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Answer::Free => json!({ "application/json": { "schema": { "type": "object" } } }),
        Answer::Text(kind) => json!({ kind: { "schema": { "type": "string" } } }),
    };
    let mut responses = json!({ "200": { "description": "As asked for.", "content": content } });
    if path == Path::Readyz {
        responses["503"] = json!({ "description": "Not ready; the reasons.", "content": content });
    }
    responses["default"] = refused();
    json!({ "operationId": operation(path), "description": about, "parameters": listed, "responses": responses })
}

fn patch() -> Value {
    let goals = json!({
        "type": "object",
        "properties": { "goals": { "type": "object", "additionalProperties": { "type": ["object", "null"] } } },
        "required": ["goals"],
    });
    json!({
        "operationId": "change_routes",
        "description": "Changes goals, all at once or nothing; the same keys as in [goal.NAME], null for the default.",
        "requestBody": { "required": true, "content": { "application/json": { "schema": goals } } },
        "responses": {
            "200": {
                "description": "Changed.",
                "content": { "application/json": { "schema": { "type": "object" } } },
            },
            "default": refused(),
        },
    })
}

/// Takes a file.
fn post(operation: &str, about: &str, answer: &str) -> Value {
    json!({
        "operationId": operation,
        "description": about,
        "requestBody": {
            "required": true,
            "content": { "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } },
        },
        "responses": {
            "200": {
                "description": answer,
                "content": { "application/json": { "schema": { "type": "object" } } },
            },
            "default": refused(),
        },
    })
}

fn refused() -> Value {
    json!({
        "description": "Refused; the body says why.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "error": { "type": "string", "description": "One word for programs." },
            "message": { "type": "string", "description": "A sentence for people." },
            "paths": { "type": "array", "items": { "type": "string" }, "description": "What could be asked for instead." },
        },
        "required": ["error", "message"],
    })
}

/// A name for programs that are made from the document.
fn operation(path: Path) -> String {
    let words = path.as_str().trim_start_matches("/api/v1").replace(['{', '}', '.'], "");
    match words.trim_matches('/') {
        "" => "page".to_owned(),
        words => words.replace('/', "_"),
    }
}

/// Asked for.
pub(super) async fn openapi() -> Response {
    /// It is the same as long as the process runs.
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    answer::body(StatusCode::OK, JSON, TEXT.clone())
}
