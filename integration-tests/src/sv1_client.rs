//! An SV1 client that hashes nothing: it subscribes, authorises, and keeps every line with its time.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::wait;

/// How long the proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line and when it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// What.
    pub message: Value,
}

impl Heard {
    /// The method of a notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.message["method"].as_str()
    }

    /// The coinbase of a `mining.notify` as far as the pool makes it: everything but the extranonces.
    #[must_use]
    pub fn coinbase(&self) -> Option<String> {
        let part = |at: usize| self.message["params"][at].as_str();
        (self.method() == Some("mining.notify"))
            .then(|| format!("{}{}", part(2).unwrap_or(""), part(3).unwrap_or("")))
    }
}

#[derive(Debug, Default)]
struct Record {
    heard: Vec<Heard>,
    closed: Option<Instant>,
}

/// A connection.
#[derive(Debug)]
pub struct Sv1Client {
    stream: TcpStream,
    record: Arc<Mutex<Record>>,
    reader: Option<JoinHandle<()>>,
    extranonce1: String,
    next_id: u64,
}

impl Sv1Client {
    /// Connects, subscribes and authorises.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn connect(port: u16, user: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the proxy takes connections");
        let _ = stream.set_nodelay(true);
        let record = Arc::new(Mutex::new(Record::default()));
        let lines = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
        let own = Arc::clone(&record);
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let at = Instant::now();
                let message = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lock(&own).heard.push(Heard { at, message });
            }
            lock(&own).closed = Some(Instant::now());
        });
        let mut client =
            Self { stream, record, reader: Some(reader), extranonce1: String::new(), next_id: 1 };
        let subscribed = client.call("mining.subscribe", &json!(["adit-test/1"]));
        client.extranonce1 = subscribed["result"][1].as_str().expect("an extranonce1").to_owned();
        let authorised = client.call("mining.authorize", &json!([user, "x"]));
        assert_eq!(authorised["result"], true, "{authorised}");
        client
    }

    /// Sends a request and gives the answer to it.
    ///
    /// # Panics
    /// When none comes.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.call_or_end(method, params);
        answer.unwrap_or_else(|| panic!("the connection ended before an answer to {method}"))
    }

    /// The same; nothing when the connection ends before the answer.
    ///
    /// # Panics
    /// When neither comes.
    pub fn call_or_end(&mut self, method: &str, params: &Value) -> Option<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"id": id, "method": method, "params": params});
        // Should it have ended already, the record says so.
        let _ = writeln!(self.stream, "{request}");
        wait::until(&format!("an answer to {method}"), PATIENCE, || {
            let record = lock(&self.record);
            let mut newest_first = record.heard.iter().rev().map(|heard| &heard.message);
            let answer = newest_first.find(|m| m["id"] == id && m["method"].is_null());
            (answer.is_some() || record.closed.is_some()).then(|| answer.cloned())
        })
    }

    /// The number that the proxy gave this client.
    #[must_use]
    pub fn extranonce1(&self) -> &str {
        &self.extranonce1
    }

    /// Everything heard so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.record).heard.clone()
    }

    /// When the connection ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<Instant> {
        lock(&self.record).closed
    }

    /// Waits for the first job whose coinbase holds `hex` and that came at or after `since`.
    pub fn wait_job(&self, hex: &str, since: Instant, limit: Duration) -> Heard {
        wait::until(&format!("a job with {hex} in its coinbase"), limit, || {
            let record = lock(&self.record);
            let mut later = record.heard.iter().filter(|heard| heard.at >= since);
            later.find(|heard| heard.coinbase().is_some_and(|coinbase| coinbase.contains(hex))).cloned()
        })
    }

    /// How many jobs came so far.
    #[must_use]
    pub fn jobs(&self) -> usize {
        lock(&self.record).heard.iter().filter(|heard| heard.coinbase().is_some()).count()
    }

    /// Notifications other than new jobs and difficulties: what a miner that stays must never hear.
    #[must_use]
    pub fn disturbances(&self) -> Vec<Value> {
        let record = lock(&self.record);
        let methods = ["mining.set_difficulty", "mining.notify"];
        let other =
            record.heard.iter().filter(|h| h.method().is_some_and(|method| !methods.contains(&method)));
        other.map(|heard| heard.message.clone()).collect()
    }
}

impl Drop for Sv1Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    // A list of lines stays usable whatever happened to the thread that held it.
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
