//! A reader of a JetStream stream that shares nothing with the product: NATS' lines over a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where answers come.
const INBOX: &str = "_INBOX.reader";

/// A message of a stream.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// Its `Nats-Msg-Id`.
    pub id: String,
    /// Its number in the stream.
    pub sequence: u64,
    /// What it says.
    pub body: Value,
}

/// A message as it comes.
struct Came {
    subject: String,
    reply: String,
    headers: String,
    body: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub struct JetStream {
    stream: BufReader<TcpStream>,
    inboxes: u32,
}

impl JetStream {
    /// Connects to a server on this machine.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has time-outs");
        let mut reader = Self { stream: BufReader::new(stream), inboxes: 0 };
        let info = reader.line();
        assert!(info.starts_with("INFO "), "{info}");
        reader.write(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nPING\r\n");
        assert_eq!(reader.line(), "PONG");
        reader
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server takes what it is sent");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        line.trim_end().to_owned()
    }

    /// The next message.
    fn message(&mut self) -> Came {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split_whitespace().collect();
            // MSG subject sid [reply] bytes; HMSG subject sid [reply] bytes-of-headers bytes
            let lengths = match words.first() {
                Some(&"MSG") => 1,
                Some(&"HMSG") => 2,
                Some(&"PING") => {
                    self.write(b"PONG\r\n");
                    continue;
                }
                Some(&"PONG") => continue,
                _ => panic!("the server says {line:?}"),
            };
            let number = |word: &str| word.parse::<usize>().expect("a length");
            let all = number(words[words.len() - 1]);
            let of_headers = if lengths == 2 { number(words[words.len() - 2]) } else { 0 };
            let mut bytes = vec![0; all + 2];
            self.stream.read_exact(&mut bytes).expect("the message is whole");
            bytes.truncate(all);
            let body = bytes.split_off(of_headers);
            let reply = if words.len() == 4 + lengths { words[3] } else { "" };
            return Came {
                subject: words[1].to_owned(),
                reply: reply.to_owned(),
                headers: String::from_utf8(bytes).expect("headers are text"),
                body,
            };
        }
    }

    /// A new inbox that is listened at.
    fn inbox(&mut self) -> String {
        self.inboxes += 1;
        let inbox = format!("{INBOX}.{}", self.inboxes);
        let sid = self.inboxes;
        self.write(format!("SUB {inbox} {sid}\r\n").as_bytes());
        inbox
    }

    /// Asks JetStream.
    ///
    /// # Panics
    /// When it refuses.
    pub fn ask(&mut self, what: &str, request: &Value) -> Value {
        let inbox = self.inbox();
        let body = if request.is_null() { String::new() } else { request.to_string() };
        self.write(format!("PUB $JS.API.{what} {inbox} {}\r\n{body}\r\n", body.len()).as_bytes());
        loop {
            let came = self.message();
            if came.subject == inbox {
                let answer: Value = serde_json::from_slice(&came.body).expect("JSON");
                assert!(answer["error"].is_null(), "{what}: {answer}");
                return answer;
            }
        }
    }

    /// Everything that a stream holds, from its beginning on, as a consumer is given it.
    ///
    /// # Panics
    /// When it is not given.
    pub fn read(&mut self, stream: &str) -> Vec<Stored> {
        let state = self.ask(&format!("STREAM.INFO.{stream}"), &Value::Null);
        if state["state"]["messages"] == 0 {
            return Vec::new();
        }
        let inbox = self.inbox();
        let config = json!({ "deliver_subject": inbox, "deliver_policy": "all", "ack_policy": "none", "replay_policy": "instant" });
        self.ask(&format!("CONSUMER.CREATE.{stream}"), &json!({ "stream_name": stream, "config": config }));
        let mut stored = Vec::new();
        loop {
            let came = self.message();
            // $JS.ACK.stream.consumer.delivered.sequence.number.time.pending
            let Some(place) = came.reply.strip_prefix("$JS.ACK.") else { continue };
            let words: Vec<&str> = place.split('.').collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            let id = came.headers.lines().find_map(|line| line.strip_prefix("Nats-Msg-Id:"));
            stored.push(Stored {
                subject: came.subject,
                id: id.unwrap_or_default().trim().to_owned(),
                sequence: number(3),
                body: serde_json::from_slice(&came.body).expect("JSON"),
            });
            if number(6) == 0 {
                return stored;
            }
        }
    }
}
