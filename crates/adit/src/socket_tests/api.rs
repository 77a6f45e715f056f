//! The API over a whole proxy: what a miner, a pool and a configuration really come to there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use super::{Farm, apart};
use crate::top;

const READ: &str = "read-0123456789abcdef";
const ADMIN: &str = "admin-0123456789abcdef";

/// Asks once; status and body.
fn ask(address: SocketAddr, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("it serves");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: farm.example\r\nConnection: close\r\n{token}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// Asks until the answer is as it has to be.
fn until(address: SocketAddr, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, answer) = ask(address, "GET", path, Some(READ), "");
        assert_eq!(status, 200, "{path}: {answer}");
        if is_so(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within a minute: {path}: {answer:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_history_events_and_configuration_are_those_of_the_proxy() {
    let http = format!("listen = \"127.0.0.1:0\"\nread_token = \"{READ}\"\nadmin_token = \"{ADMIN}\"");
    let farm = Farm::start_serving(&http).await;
    let (address, http) = (farm.address(), farm.proxy.http().expect("it serves"));
    apart(move || {
        let mut miner = Client::mining(address, "farm.rig");
        assert_eq!(miner.mine(), Some(true));

        let jobs = until(http, "/api/v1/jobs", |jobs| jobs["jobs"][0]["active"] == true);
        let job = &jobs["jobs"][0];
        assert_eq!(
            (&job["route"], &job["source"], &job["kind"]),
            (&"main".into(), &"pool".into(), &"pool".into())
        );
        assert!(job["height"].as_u64().is_some_and(|height| height > 0), "{job}");
        let tip = job["prev_hash"].as_str().expect("a hash");
        assert!(tip.len() == 64 && job["nbits"] == "1d00ffff" && job["network_difficulty"] == 1.0, "{job}");
        let outputs = job["outputs"].as_array().expect("outputs");
        let paid: u64 = outputs.iter().filter_map(|output| output["value_sat"].as_u64()).sum();
        assert_eq!(job["value_sat"].as_u64(), Some(paid));
        assert!(paid > 0 && job["difficulty"].as_f64().is_some_and(|difficulty| difficulty > 0.0));

        let source = until(http, "/api/v1/sources/pool", |source| source["state"] == "ready");
        let history = source["history"].as_array().expect("a history");
        assert_eq!(history.last().expect("a change")["state"], "ready", "{history:?}");
        assert!(history.iter().any(|change| change["state"] == "connecting"), "{history:?}");
        until(http, "/api/v1/events", |events| {
            let kinds: Vec<_> =
                events["events"].as_array().into_iter().flatten().map(|e| e["kind"].clone()).collect();
            kinds.contains(&"started".into()) && kinds.contains(&"source_ready".into())
        });

        let found = until(http, "/api/v1/workers?search=RIG", |answer| {
            answer["workers"][0]["books"]["submitted"].as_u64().is_some_and(|count| count > 0)
        });
        let worker = &found["workers"][0];
        assert_eq!(
            (&found["total"], &worker["name"], &worker["protocol"]),
            (&1.into(), &"farm.rig".into(), &"sv1".into())
        );
        assert_eq!(until(http, "/api/v1/workers/farm.rig", |_| true)["connections"], 1);

        let (_, config) = ask(http, "GET", "/api/v1/config", Some(READ), "");
        assert_eq!((&config["http"]["read_token"], &config["version"]), (&"***".into(), &1.into()));
        assert_eq!(config["source"]["pool"]["user_identity"], "farm");
        assert!(!config.to_string().contains(READ));

        let goals = "{\"goals\":{}}";
        assert_eq!(ask(http, "GET", "/api/v1/status", None, "").0, 401);
        assert_eq!(ask(http, "PATCH", "/api/v1/routes", Some(READ), goals).0, 403);
        // From any name of this machine, with the token.
        assert_eq!(
            ask(http, "PATCH", "/api/v1/routes", Some(ADMIN), goals),
            (200, serde_json::json!({"changed": true}))
        );
        until(http, "/api/v1/events", |events| events.to_string().contains("goals_changed"));
    })
    .await;

    let client = top::Client::new(&format!("http://{http}"), Some(READ.to_owned())).expect("a URL");
    let screen = top::once(client).await.expect("an answer");
    assert!(screen.contains("farm.rig") && screen.contains("source_ready pool: ready"), "{screen}");
    let stranger = top::Client::new(&format!("http://{http}"), None).expect("a URL");
    let refused = top::once(stranger).await.expect_err("no token");
    assert!(refused.contains("--token-file"), "{refused}");
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
