//! A miner for tests: says and does exactly what it is told to, and keeps what it hears.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::pow::{HeaderHasher, Target};
use lab::sv1_wire::{NotifiedJob, ServerLine, push_hex, read_server_line, read_subscription};

/// Nothing takes longer, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a Stratum V1 server. It blocks.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    user: String,
    /// As it was told at subscribe.
    pub(crate) extranonce1: Vec<u8>,
    /// Likewise.
    pub(crate) extranonce2_size: usize,
    difficulty: f64,
    job: Option<(NotifiedJob, f64)>,
    next_id: u64,
    next_extranonce2: u64,
    /// Shares that a new tip made worthless on their way.
    pub(crate) stale: u64,
    /// Why shares were not taken, those among them too.
    pub(crate) refusals: Vec<String>,
    /// Lines with `client.show_message`.
    pub(crate) messages: Vec<String>,
}

impl Client {
    /// Connects, and says nothing.
    pub(crate) fn connect(address: SocketAddr, user: &str) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self {
            reader: BufReader::with_capacity(4096, stream),
            user: user.to_owned(),
            extranonce1: Vec::new(),
            extranonce2_size: 0,
            difficulty: 0.0,
            job: None,
            next_id: 1,
            next_extranonce2: 0,
            stale: 0,
            refusals: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Connects, subscribes, authorises and waits for a job.
    pub(crate) fn mining(address: SocketAddr, user: &str) -> Self {
        Self::subscribing(address, user, "")
    }

    /// The same as this firmware.
    #[allow(dead_code, reason = "two test programs use this file")]
    pub(crate) fn mining_as(address: SocketAddr, user: &str, user_agent: &str) -> Self {
        Self::subscribing(address, user, &format!("\"{user_agent}\""))
    }

    fn subscribing(address: SocketAddr, user: &str, agent: &str) -> Self {
        Self::let_in(address, user, agent).expect("the server stays")
    }

    /// The same; nothing if the server has no place.
    #[allow(dead_code, reason = "two test programs use this file")]
    pub(crate) fn let_in(address: SocketAddr, user: &str, agent: &str) -> Option<Self> {
        let mut client = Self::connect(address, user);
        client.send(&format!("{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[{agent}]}}"));
        client.send(&format!("{{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{user}\",\"x\"]}}"));
        client.next_id = 3;
        while client.job.is_none() {
            match client.read()? {
                ServerLine::Reply { id: 1, result, .. } => {
                    let subscription = read_subscription(&result).expect("a subscription");
                    client.extranonce1 = subscription.extranonce1;
                    client.extranonce2_size = subscription.extranonce2_size;
                }
                ServerLine::Reply { result, error, .. } => {
                    assert_eq!(result.as_bool(), Some(true), "{error:?}");
                }
                _ => {}
            }
        }
        Some(client)
    }

    /// At which it works now.
    #[allow(dead_code, reason = "two test programs use this file")]
    pub(crate) fn difficulty(&self) -> f64 {
        self.difficulty
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\n").as_bytes());
    }

    /// Sends bytes.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        // Should the server have closed already, the next read says so.
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// The next line; `None` when the server has closed.
    pub(crate) fn read(&mut self) -> Option<ServerLine> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("nothing came: {error}"),
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let line = read_server_line(line.trim_ascii_end()).expect("a line of Stratum V1");
        match &line {
            ServerLine::SetDifficulty(difficulty) => self.difficulty = *difficulty,
            ServerLine::Notify(job) => self.job = Some(((**job).clone(), self.difficulty)),
            ServerLine::Other { method, .. } if method == "client.show_message" => self.messages.push(text),
            _ => {}
        }
        Some(line)
    }

    /// Reads what has come, and waits for nothing: what is mined from then on is for the newest job.
    #[allow(dead_code, reason = "two test programs use this file")]
    pub(crate) fn catch_up(&mut self) {
        loop {
            if self.reader.buffer().is_empty() {
                let stream = self.reader.get_ref();
                stream.set_nonblocking(true).expect("it can be set");
                let there = stream.peek(&mut [0]);
                stream.set_nonblocking(false).expect("it can be set");
                if !matches!(there, Ok(1..)) {
                    return;
                }
            }
            // Lines come whole, if in pieces.
            if self.read().is_none() {
                return;
            }
        }
    }

    /// Finds a share of the newest job and hands it in, another one where a new tip came between. Whether it was
    /// taken; `None` when the server has closed.
    pub(crate) fn mine(&mut self) -> Option<bool> {
        for _ in 0..20 {
            let tip = self.job.as_ref().map(|(job, _)| job.prev_hash);
            let taken = self.mine_once()?;
            if taken || tip == self.job.as_ref().map(|(job, _)| job.prev_hash) {
                return Some(taken);
            }
            self.stale += 1;
        }
        Some(false)
    }

    fn mine_once(&mut self) -> Option<bool> {
        let (job, difficulty) = self.job.clone().expect("a job");
        let target = Target::from_difficulty(difficulty);
        let number = self.next_extranonce2.to_be_bytes();
        self.next_extranonce2 += 1;
        let extranonce2 = &number[number.len() - self.extranonce2_size..];
        let hasher = HeaderHasher::new(&job.header(&self.extranonce1, extranonce2));
        let nonce = (0..u32::MAX).find(|nonce| hasher.hash(*nonce).meets(&target)).expect("a share");
        let mut hex = Vec::new();
        push_hex(&mut hex, extranonce2);
        let extranonce2 = String::from_utf8(hex).expect("hex");
        let id = self.next_id;
        self.next_id += 1;
        let (user, job_id, ntime) = (self.user.clone(), &job.job_id, job.ntime);
        self.send(&format!(
            "{{\"id\":{id},\"method\":\"mining.submit\",\"params\":[\"{user}\",\"{job_id}\",\"{extranonce2}\",\
             \"{ntime:08x}\",\"{nonce:08x}\"]}}"
        ));
        loop {
            match self.read()? {
                ServerLine::Reply { id: answered, result, error } if answered == id => {
                    if let Some(error) = error {
                        self.refusals.push(error.message);
                    }
                    return Some(result.as_bool() == Some(true));
                }
                _ => {}
            }
        }
    }

    /// Reads until the server closes.
    pub(crate) fn read_to_end(&mut self) {
        while self.read().is_some() {}
    }
}
