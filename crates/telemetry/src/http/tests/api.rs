//! The API: every answer is what its description says, and lists are bounded.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::access::{Access, Tokens};
use super::super::details::Details;
use super::super::paths::Path;
use super::super::receipts::Receipts;
use super::*;
use crate::events::{EventKind, EventLevel, Events};
use crate::snapshot::{
    AccountSnapshot, AlarmSnapshot, BooksSnapshot, DeclarationSnapshot, GoalSnapshot, JobOutput, JobSnapshot,
    LeaseSnapshot, LimitSnapshot, ListedWorker, ListenerSnapshot, OverloadSnapshot, ReceiptSnapshot,
    ReceiptsSnapshot, RootSnapshot, RouteSnapshot, RouteSourceSnapshot, SourceSnapshot, SourceState,
    StateChange, TemplateSnapshot, TermsSnapshot, WorkerList, WorkerSnapshot,
};

/// With something in every list.
fn full() -> Snapshot {
    let source = |name: &str| SourceSnapshot {
        name: name.into(),
        address: Some("pool.example:3336".into()),
        state: SourceState::Ready,
        declaration: Some(DeclarationSnapshot::default()),
        job_age_seconds: Some(1.5),
        ..SourceSnapshot::default()
    };
    let books =
        BooksSnapshot { acknowledged: 7, rejected: [("stale".into(), 2)].into(), ..Default::default() };
    Snapshot {
        version: "1.2.3".into(),
        listeners: vec![ListenerSnapshot { name: "sv1".into(), ..Default::default() }],
        sources: vec![source("pool"), source("ä/b")],
        templates: vec![TemplateSnapshot {
            name: "node".into(),
            height: Some(900_000),
            ..Default::default()
        }],
        routes: vec![RouteSnapshot {
            name: "main".into(),
            active: Some("pool".into()),
            sources: vec![RouteSourceSnapshot { name: "pool".into(), usable: true, reason: None }],
            goals: vec![GoalSnapshot { lease: Some(LeaseSnapshot::default()), ..Default::default() }],
            ..Default::default()
        }],
        accounts: vec![AccountSnapshot {
            listener: "sv1".into(),
            route: "main".into(),
            source: Some("pool".into()),
            books: books.with_totals(),
        }],
        alarms: vec![AlarmSnapshot { name: Cow::Borrowed("shares_lost"), ..Default::default() }],
        limits: vec![LimitSnapshot { name: "connections".into(), used: 3, max: 9 }],
        overload: vec![OverloadSnapshot { rung: "shed".into(), active: false }],
        ..Default::default()
    }
}

struct Known;

impl Receipts for Known {
    fn list(&self, offset: usize, limit: usize) -> ReceiptsSnapshot {
        let named = |name: usize| ReceiptSnapshot {
            name: format!("friend-{name}.receipt"),
            subject: "lease".into(),
            ..Default::default()
        };
        let terms = vec![TermsSnapshot { name: "friend.terms".into(), ..Default::default() }];
        let receipts = (1..=3).rev().map(named).skip(offset).take(limit).collect();
        let roots = vec![RootSnapshot { name: "friend-2.root".into(), shares: 5, ..Default::default() }];
        ReceiptsSnapshot { issues: true, total: 3, receipts, terms, roots }
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        (name == "friend-1.receipt").then(|| b"ADITRC".to_vec())
    }

    fn verify(&self, file: &[u8]) -> Value {
        json!({ "outcome": if file == b"ADITRC" { "holds" } else { "unreadable" } })
    }

    fn keep_counter(&self, file: &[u8]) -> Result<String, String> {
        if file == b"ADITRC" { Ok("friend-2-5.counter".into()) } else { Err("it is none".into()) }
    }
}

impl Details for Known {
    fn history(&self, source: &str) -> Vec<StateChange> {
        let change = StateChange { unix_ms: 5, state: SourceState::Waiting, reason: Some("refused".into()) };
        if source == "pool" { vec![change] } else { Vec::new() }
    }

    fn jobs(&self) -> Vec<JobSnapshot> {
        let outputs =
            vec![JobOutput { value_sat: 312_500_000, script_pubkey: "0014ab".into(), ..Default::default() }];
        vec![JobSnapshot { route: "main".into(), height: Some(900_000), outputs, ..Default::default() }]
    }

    fn config(&self) -> Value {
        json!({ "version": 1, "http": { "read_token": "***" } })
    }
}

/// A worker of each number.
fn workers(count: usize) -> Vec<WorkerSnapshot> {
    let worker = |n: usize| WorkerSnapshot {
        name: format!("account.{n:05}"),
        listener: "sv1".into(),
        route: "main".into(),
        source: Some(if n.is_multiple_of(2) { "pool" } else { "spare" }.into()),
        connections: 1,
        protocol: "sv1",
        user_agent: Some("bosminer/1".into()),
        hashrate_hs: (n % 100) as f64 * 1e12,
        last_share_seconds: Some(n as f64),
        books: BooksSnapshot { acknowledged: n as u64, ..Default::default() }.with_totals(),
        minutes: vec![1e12; 60],
        ..Default::default()
    };
    (0..count).map(worker).collect()
}

/// All that there is to say of each.
struct Given(Vec<ListedWorker>, Vec<WorkerSnapshot>);

impl WorkerList for Given {
    fn workers(&self) -> &[ListedWorker] {
        &self.0
    }

    fn snapshot(&self, at: usize) -> WorkerSnapshot {
        self.1[at].clone()
    }
}

fn list(count: usize) -> Arc<dyn WorkerList> {
    let all = workers(count);
    let listed = |worker: &WorkerSnapshot| ListedWorker {
        name: worker.name.as_str().into(),
        listener: worker.listener.as_str().into(),
        route: worker.route.as_str().into(),
        source: worker.source.as_deref().map(Into::into),
        user_agent: worker.user_agent.as_deref().map(Into::into),
        address: None,
        connections: worker.connections,
        hashrate_hs: worker.hashrate_hs,
        last_share_seconds: worker.last_share_seconds,
        acknowledged: worker.books.acknowledged,
        rejected: worker.books.rejected_total,
    };
    Arc::new(Given(all.iter().map(listed).collect(), all))
}

fn lab(count: usize) -> (Lab, Arc<Events>) {
    let events = Arc::new(Events::default());
    let shown = events.clone();
    let lab = Lab::start_full(full, move |server| {
        server
            .with_workers(Arc::new(move || list(count)))
            .with_events(shown)
            .with_details(Arc::new(Known))
            .with_receipts(Arc::new(Known))
            .with_history(crate::history::History::default())
    });
    (lab, events)
}

async fn get(lab: &Lab, path: &str) -> Value {
    let answer = lab.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// What a path's description says of its answer, with all that it refers to.
fn schema_of(document: &Value, path: &str) -> Value {
    let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
    let mut schema = content["application/json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    schema
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_what_the_description_says() {
    let (lab, events) = lab(3);
    events.note(EventKind::SourceDown, EventLevel::Warning, "pool", "gone");
    let document = get(&lab, "/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let described: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut served: Vec<&str> = Path::served().map(Path::as_str).collect();
    served.sort_unstable();
    assert_eq!(described, served, "what is served, and nothing else");
    for path in served {
        let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
        if content.get("application/json").is_none() {
            continue;
        }
        let asked = path.replace("workers/{name}", "workers/account.00001").replace("{name}", "pool");
        let answer = get(&lab, &asked).await;
        let validator = jsonschema::draft202012::new(&schema_of(&document, path)).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&answer).map(|e| format!("{e} at {}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{asked}: {errors:?}\n{answer:#}");
    }
    // That it can fail.
    let wrong = json!({ "workers": [], "total": "many", "offset": 0, "limit": 1 });
    let validator = jsonschema::draft202012::new(&schema_of(&document, "/api/v1/workers")).unwrap();
    assert!(!validator.is_valid(&wrong));
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_what_the_description_says() {
    let (lab, _) = lab(3);
    let document = get(&lab, "/api/v1/openapi.json").await;
    let mut schema = document["components"]["schemas"]["Problem"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for (path, status) in [
        ("/api/v1/workers?limit=0", 400),
        ("/api/v1/workers?limit=1001", 400),
        ("/api/v1/workers?limit=many", 400),
        ("/api/v1/workers?sort=age", 400),
        ("/api/v1/workers?unknown=1", 400),
        ("/api/v1/workers/nobody", 404),
        ("/api/v1/workers/%ff", 400),
        ("/api/v1/workers/", 404),
        ("/api/v1/sources/none", 404),
        ("/api/v1/events?after=-1", 400),
        ("/api/v1/events?limit=100000", 400),
        ("/api/v1/stream?after=x", 400),
        ("/api/v1/none", 404),
    ] {
        let answer = lab.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(validator.is_valid(&body), "{path}: {body}");
    }
    let long = format!("/api/v1/workers?search={}", "x".repeat(257));
    assert_eq!(lab.get(&long).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn workers_come_in_pages_sorted_and_searched() {
    let (lab, _) = lab(250);
    let names = |answer: &Value| -> Vec<String> {
        let workers = answer["workers"].as_array().unwrap().iter();
        workers.map(|worker| worker["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = get(&lab, "/api/v1/workers").await;
    assert_eq!((first["total"].as_u64(), names(&first).len()), (Some(250), 100));
    assert_eq!(names(&first)[..2], ["account.00000", "account.00001"]);
    let last = get(&lab, "/api/v1/workers?offset=248&limit=10").await;
    assert_eq!(names(&last), ["account.00248", "account.00249"]);
    assert_eq!(names(&get(&lab, "/api/v1/workers?offset=9999").await), [""; 0]);
    let best = get(&lab, "/api/v1/workers?sort=-hashrate&limit=3").await;
    assert_eq!(names(&best), ["account.00099", "account.00199", "account.00098"]);
    let newest = get(&lab, "/api/v1/workers?sort=last_share&limit=2").await;
    assert_eq!(names(&newest), ["account.00000", "account.00001"]);
    let found = get(&lab, "/api/v1/workers?search=ACCOUNT.0024&source=spare&sort=-acknowledged").await;
    assert_eq!(
        names(&found),
        ["account.00249", "account.00247", "account.00245", "account.00243", "account.00241"]
    );
    assert_eq!(get(&lab, "/api/v1/workers?listener=none").await["total"], 0);
    assert_eq!(get(&lab, "/api/v1/workers/account.00007").await["books"]["acknowledged"], 7);
}

#[tokio::test(start_paused = true)]
async fn details_are_found_by_name_whatever_is_in_it() {
    let (lab, events) = lab(1);
    let pool = get(&lab, "/api/v1/sources/pool").await;
    assert_eq!((&pool["state"], &pool["history"][0]["reason"]), (&json!("ready"), &json!("refused")));
    assert_eq!(get(&lab, "/api/v1/sources/%C3%A4%2Fb").await["history"], json!([]));
    assert_eq!(get(&lab, "/api/v1/jobs").await["jobs"][0]["height"], 900_000);
    let books = get(&lab, "/api/v1/books").await;
    assert_eq!((&books["total"]["submitted"], &books["balanced"]), (&json!(9), &json!(true)));
    assert_eq!(get(&lab, "/api/v1/config").await["http"]["read_token"], "***");

    for n in 0..5 {
        events.note(EventKind::RouteSwitched, EventLevel::Info, &n.to_string(), "from a to b");
    }
    let all = get(&lab, "/api/v1/events").await;
    assert_eq!(all["events"].as_array().unwrap().len(), 5);
    let second = all["events"][1]["id"].as_u64().unwrap();
    let rest = get(&lab, &format!("/api/v1/events?after={second}&limit=2")).await;
    let subjects: Vec<_> = rest["events"].as_array().unwrap().iter().map(|e| e["subject"].clone()).collect();
    assert_eq!(subjects, ["2", "3"]);
}

/// Of a page of the default length and of the longest one, with 10,000 workers; in a release build the first takes
/// some hundredths of a second. What the provider takes for its part is not in it.
#[tokio::test(start_paused = true)]
async fn ten_thousand_workers_are_answered_fast_and_within_bounds() {
    let list = list(10_000);
    let lab = Lab::start_full(full, move |server| server.with_workers(Arc::new(move || Arc::clone(&list))));
    for (path, kilobytes) in [
        ("/api/v1/workers?sort=-hashrate&search=account", 250),
        ("/api/v1/workers?sort=-last_share&limit=1000", 2500),
        ("/api/v1/workers?offset=5000&limit=100", 250),
    ] {
        let started = std::time::Instant::now();
        let answer = lab.get(path).await;
        let took = started.elapsed();
        println!("figure: {path}: {took:?}, {} bytes", answer.body.len());
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() < kilobytes * 1000, "{path}: {} bytes", answer.body.len());
        assert!(took < Duration::from_secs(20), "{path}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn roots_are_listed_and_what_counter_signs_one_is_kept_for_an_admin_and_nothing_else() {
    let tokens = Tokens { admin: Some("admin-0123456789abcdef".into()), ..Tokens::default() };
    let access = Arc::new(Access::new(tokens));
    let lab = Lab::start_with(move |server| server.with_access(access).with_receipts(Arc::new(Known)));
    assert_eq!(get(&lab, "/api/v1/receipts").await["roots"][0]["name"], "friend-2.root");
    let admin = "authorization: Bearer admin-0123456789abcdef\r\n";
    let send = async |token: &str, kind: &str, length: usize, body: &str| {
        lab.ask(&format!(
            "POST /api/v1/receipts/counter HTTP/1.1\r\nHost: localhost\r\n{token}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    };
    let kind = "application/octet-stream";
    let kept = send(admin, kind, 6, "ADITRC").await;
    assert_eq!((kept.status, &*kept.body), (200, r#"{"name":"friend-2-5.counter"}"#));
    assert_eq!(send("", kind, 6, "ADITRC").await.status, 401);
    let refused = send(admin, kind, 1, "x").await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert_eq!(serde_json::from_str::<Value>(&refused.body).unwrap()["message"], "it is none");
    assert_eq!(send(admin, "application/json", 6, "ADITRC").await.status, 415);
    assert_eq!(send(admin, kind, crate::COUNTER_LENGTH_MAX + 1, "").await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn receipts_are_listed_given_and_verified_and_long_ones_are_refused() {
    let (lab, _) = lab(0);
    let listed = get(&lab, "/api/v1/receipts").await;
    assert_eq!((&listed["receipts"][0]["name"], &listed["total"]), (&json!("friend-3.receipt"), &json!(3)));
    assert_eq!(listed["terms"][0]["name"], "friend.terms");
    assert_eq!(listed["verified_bytes_max"], crate::RECEIPT_LENGTH_MAX);
    let part = get(&lab, "/api/v1/receipts?offset=1&limit=1").await;
    assert_eq!((&part["receipts"][0]["name"], &part["offset"]), (&json!("friend-2.receipt"), &json!(1)));
    assert_eq!(part["receipts"].as_array().unwrap().len(), 1);
    for refused in ["limit=0", "limit=101", "offset=-1", "page=2"] {
        assert_eq!(lab.get(&format!("/api/v1/receipts?{refused}")).await.status, 400, "{refused}");
    }
    assert_eq!(lab.get("/api/v1/receipts/friend-1.receipt").await.body, "ADITRC");
    for missing in ["/api/v1/receipts/other", "/api/v1/receipts/..%2Ffriend-1.receipt"] {
        assert_eq!(lab.get(missing).await.status, 404, "{missing}");
    }
    let verify = async |kind: &str, body: &str| {
        let length = body.len();
        lab.ask(&format!(
            "POST /api/v1/receipts/verify HTTP/1.1\r\nHost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    };
    let kind = "application/octet-stream";
    for (body, outcome) in [("ADITRC", "holds"), ("", "unreadable"), (&"x".repeat(100_000), "unreadable")] {
        let answer = verify(kind, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["outcome"], outcome);
    }
    assert_eq!(verify("text/plain", "ADITRC").await.status, 415);
    let asked = lab.get("/api/v1/receipts/verify").await;
    assert_eq!((asked.status, asked.headers["allow"].as_str()), (405, "POST"));
    let too_long = crate::RECEIPT_LENGTH_MAX + 1;
    let refused = lab
        .ask(&format!(
            "POST /api/v1/receipts/verify HTTP/1.1\r\nHost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {too_long}\r\n\r\n"
        ))
        .await;
    assert_eq!(refused.status, 413, "{}", refused.body);
}
