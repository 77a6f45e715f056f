//! One connection of the load generator.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memchr;
use mio::net::TcpStream;
use serde_json::Value;

use super::job_cache::{ConnectionJob, JobCache};
use super::options::{Mode, Options};
use super::share_maker::{ShareMaker, hashes_per_share};
use super::sv2::{News, Sv2Failure, Sv2Side};
use super::{MAX_HASHES_PER_SHARE, reply};
use crate::histogram::Histogram;
use crate::line_buffer::MAX_LINE;
use crate::pow::Target;
use crate::sv1_wire::{
    ReplyError, ServerLine, Subscription, push_hex, read_server_line, read_subscription, read_version_mask,
};

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const FIRST_SUBMIT: u32 = 16;

/// Unsent bytes at which no further shares are queued.
pub(super) const MAX_UNSENT: usize = 64 * 1_024;

/// SV2 jobs that are told apart.
const SV2_JOBS: usize = 8;

/// Capacity of an emptied send buffer that is worth keeping.
const KEEP_CAPACITY: usize = 512;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// TCP is not up yet.
    Dialling,
    /// Requests sent, nothing answered yet.
    Waiting,
    /// Something was answered.
    Greeted,
    /// Has a job.
    Working,
}

/// What ended a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("closed by the server")]
    Closed,
    #[error("{0}")]
    Wire(#[from] crate::sv1_wire::WireError),
    #[error("a line of more than {MAX_LINE} bytes")]
    LineTooLong,
    #[error("{0}")]
    Sv2(#[from] Sv2Failure),
    #[error("{request} refused: {reason}")]
    Refused { request: &'static str, reason: String },
}

/// A share whose answer has not come.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: u32,
    /// When it was due, after the beginning of the run.
    due: Duration,
}

/// What happened to shares, for all connections of a thread.
#[derive(Debug, Default)]
pub(super) struct ShareTally {
    pub(super) submitted: u64,
    pub(super) accepted: u64,
    pub(super) rejected: std::collections::BTreeMap<String, u64>,
    /// Open when its connection ended.
    pub(super) lost: u64,
    pub(super) latency: Histogram,
}

/// Counters and caches that all connections of a thread use.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) began: Instant,
    pub(super) cache: JobCache,
    pub(super) fanouts: super::fanout::Fanouts,
    pub(super) jobs: usize,
    pub(super) shares: ShareTally,
    pub(super) flood: ShareTally,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) notifies: u64,
    /// The difficulty of the first connection whose shares would have to be mined.
    pub(super) too_hard: Option<f64>,
    /// Such connections, at this moment.
    pub(super) hard: usize,
    /// Smallest and largest difficulty that was set.
    pub(super) difficulty: Option<(f64, f64)>,
    pub(super) scratch: Box<[u8]>,
    /// The newest SV2 jobs by what they have in common, with their numbers.
    sv2_jobs: VecDeque<(Box<[u8]>, usize)>,
    /// Seconds since 1970 when the run began, for certificates.
    pub(super) began_unix: u64,
}

impl Common {
    pub(super) fn new(began: Instant, began_unix: u64, scratch: usize) -> Common {
        Common {
            began,
            cache: JobCache::default(),
            fanouts: super::fanout::Fanouts::default(),
            jobs: 0,
            shares: ShareTally::default(),
            flood: ShareTally::default(),
            bytes_sent: 0,
            bytes_received: 0,
            notifies: 0,
            too_hard: None,
            hard: 0,
            difficulty: None,
            scratch: vec![0; scratch].into(),
            sv2_jobs: VecDeque::new(),
            began_unix,
        }
    }

    /// The number of an SV2 job.
    fn number(&mut self, key: &[u8]) -> usize {
        if let Some((_, number)) = self.sv2_jobs.iter().find(|(known, _)| **known == *key) {
            return *number;
        }
        if self.sv2_jobs.len() == SV2_JOBS {
            self.sv2_jobs.pop_front();
        }
        let number = self.jobs;
        self.jobs += 1;
        self.sv2_jobs.push_back((key.into(), number));
        number
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) stage: Stage,
    /// The flood comes from here.
    pub(super) floods: bool,
    /// Whether it stands in the list of connections to be flushed.
    pub(super) touched: bool,
    /// When it was dialled, or should have been.
    pub(super) dialled: Instant,
    number: u32,
    next_id: u32,
    partial: Vec<u8>,
    unsent: Vec<u8>,
    open: VecDeque<Open>,
    /// For the next job.
    difficulty: f64,
    target: Target,
    pub(super) hard: bool,
    job: Option<ConnectionJob>,
    maker: Option<Box<ShareMaker>>,
    /// Granted by `mining.configure`.
    version_mask: Option<u32>,
    sv2: Option<Box<Sv2Side>>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, number: u32, floods: bool, dialled: Instant) -> Connection {
        Connection {
            stream,
            stage: Stage::Dialling,
            floods,
            touched: false,
            dialled,
            number,
            next_id: FIRST_SUBMIT,
            partial: Vec::new(),
            unsent: Vec::new(),
            open: VecDeque::new(),
            difficulty: 1.0,
            target: Target::from_difficulty(1.0),
            hard: false,
            job: None,
            maker: None,
            version_mask: None,
            sv2: None,
        }
    }

    /// TCP is up: asks for work.
    pub(super) fn greet(&mut self, options: &Options, common: &mut Common) -> Result<(), Failure> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error.into());
        }
        self.stage = Stage::Waiting;
        if let Some(sv2) = &options.sv2 {
            let (side, act1) = Sv2Side::new(sv2, options, self.number);
            self.sv2 = Some(Box::new(side));
            self.unsent.extend_from_slice(&act1);
            return self.flush(common);
        }
        if options.version_rolling {
            self.unsent.extend_from_slice(
                br#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]}
"#,
            );
        }
        self.unsent
            .extend_from_slice(b"{\"id\":2,\"method\":\"mining.subscribe\",\"params\":[\"adit-load\"]}\n");
        writeln!(
            self.unsent,
            r#"{{"id":3,"method":"mining.authorize","params":["{}.{}","{}"]}}"#,
            options.user, self.number, options.password
        )?;
        self.flush(common)
    }

    /// Unanswered shares.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether another share may be queued.
    pub(super) fn has_room(&self, options: &Options) -> bool {
        self.stage == Stage::Working
            && !self.hard
            && self.open.len() < options.max_unanswered
            && self.unsent.len() < MAX_UNSENT
    }

    /// Finds a share and puts its line into the send buffer. `false`: there was none to be found.
    pub(super) fn queue_share(&mut self, due: Instant, options: &Options, common: &mut Common) -> bool {
        if let Some(sv2) = &mut self.sv2 {
            let Some(id) = sv2.share(&mut self.unsent) else { return false };
            self.open.push_back(Open { id, due: due.saturating_duration_since(common.began) });
            self.tally(common).submitted += 1;
            return true;
        }
        let (Some(job), Some(maker)) = (&self.job, &mut self.maker) else {
            return false;
        };
        let Some(nonce) = maker.find(job, &self.target) else {
            return false;
        };
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(FIRST_SUBMIT);
        let line = &mut self.unsent;
        line.extend_from_slice(b"{\"id\":");
        push_decimal(line, id);
        line.extend_from_slice(b",\"method\":\"mining.submit\",\"params\":[\"");
        line.extend_from_slice(options.user.as_bytes());
        line.push(b'.');
        push_decimal(line, self.number);
        line.extend_from_slice(b"\",\"");
        line.extend_from_slice(&job.job_id);
        maker.push_params(job, nonce, line);
        line.extend_from_slice(b"]}\n");
        self.open.push_back(Open { id, due: due.saturating_duration_since(common.began) });
        self.tally(common).submitted += 1;
        true
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self, common: &mut Common) -> Result<(), Failure> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(0) => return Err(Failure::Closed),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        common.bytes_sent += sent as u64;
        if sent == self.unsent.len() {
            self.unsent.clear();
            if self.unsent.capacity() > KEEP_CAPACITY && !self.floods {
                self.unsent = Vec::new();
            }
        } else {
            self.unsent.drain(..sent);
        }
        Ok(())
    }

    /// Whether something waits for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads all that is there.
    pub(super) fn read(
        &mut self,
        options: &Options,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), Failure> {
        // Taken out so that lines can point into it while counters change.
        let mut scratch = std::mem::take(&mut common.scratch);
        let result = self.read_into(&mut scratch, options, common, now);
        common.scratch = scratch;
        result
    }

    fn read_into(
        &mut self,
        scratch: &mut [u8],
        options: &Options,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), Failure> {
        loop {
            let got = match self.stream.read(scratch) {
                Ok(0) => return Err(Failure::Closed),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            common.bytes_received += got as u64;
            let mut bytes = &scratch[..got];
            if self.sv2.is_some() {
                self.sv2_bytes(bytes, options, common, now)?;
                bytes = &[];
            }
            while let Some(end) = memchr(b'\n', bytes) {
                if self.partial.is_empty() {
                    self.line(&bytes[..end], options, common, now)?;
                } else {
                    let mut whole = std::mem::take(&mut self.partial);
                    whole.extend_from_slice(&bytes[..end]);
                    self.line(&whole, options, common, now)?;
                }
                bytes = &bytes[end + 1..];
            }
            self.partial.extend_from_slice(bytes);
            if self.partial.len() > MAX_LINE {
                return Err(Failure::LineTooLong);
            }
            // A short read empties a stream socket; the next bytes bring another event.
            if got < scratch.len() {
                return Ok(());
            }
        }
    }

    fn sv2_bytes(
        &mut self,
        bytes: &[u8],
        options: &Options,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), Failure> {
        let Some(mut side) = self.sv2.take() else { return Ok(()) };
        let unix = common.began_unix + now.saturating_duration_since(common.began).as_secs();
        let mut news = Vec::new();
        let mut out = std::mem::take(&mut self.unsent);
        let result = side.bytes(bytes, unix, &mut out, |one| news.push(one));
        self.unsent = out;
        self.sv2 = Some(side);
        for one in news {
            self.sv2_news(one, options, common, now);
        }
        result?;
        self.flush(common)
    }

    fn sv2_news(&mut self, news: News, options: &Options, common: &mut Common, now: Instant) {
        match news {
            News::Greeted => self.stage = self.stage.max(Stage::Greeted),
            News::Job { hashes, prev_hash, key } => {
                common.notifies += 1;
                let number = common.number(&key);
                common.fanouts.arrived(number, now, || {
                    let (mut shown, mut hash) = (Vec::new(), prev_hash);
                    hash.reverse();
                    push_hex(&mut shown, &hash);
                    (String::from_utf8_lossy(&shown).into_owned(), key)
                });
                let difficulty = hashes / 4_294_967_296.0;
                let (low, high) = common.difficulty.unwrap_or((difficulty, difficulty));
                common.difficulty = Some((low.min(difficulty), high.max(difficulty)));
                let hard = hashes > MAX_HASHES_PER_SHARE && options.mode != Mode::Idle;
                if hard {
                    common.too_hard.get_or_insert(difficulty);
                }
                common.hard = common.hard + usize::from(hard) - usize::from(self.hard);
                self.hard = hard;
                self.stage = Stage::Working;
            }
            News::Accepted(count) => {
                for _ in 0..count {
                    let Some(open) = self.open.front().copied() else { break };
                    self.answered(open.id, None, common, now);
                }
            }
            News::Rejected(id, code) => self.answered(id, Some(code), common, now),
        }
    }

    fn line(
        &mut self,
        line: &[u8],
        options: &Options,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), Failure> {
        if let Some(id) = reply::accepted_id(line)
            && id >= FIRST_SUBMIT
        {
            self.answered(id, None, common, now);
            return Ok(());
        }
        if reply::is_notify(line) {
            return self.notify(line, options, common, now);
        }
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match read_server_line(line)? {
            ServerLine::Reply { id, result, error } => {
                self.reply(id, &result, error, options, common, now)?
            }
            ServerLine::SetDifficulty(difficulty) => {
                self.difficulty = difficulty;
                let (low, high) = common.difficulty.unwrap_or((difficulty, difficulty));
                common.difficulty = Some((low.min(difficulty), high.max(difficulty)));
            }
            ServerLine::SetExtranonce { extranonce1, extranonce2_size } => {
                self.subscribed(Subscription { extranonce1, extranonce2_size }, options);
            }
            ServerLine::SetVersionMask(mask) if options.version_rolling => {
                self.version_mask = Some(mask);
            }
            _ => {}
        }
        Ok(())
    }

    fn notify(
        &mut self,
        line: &[u8],
        options: &Options,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), Failure> {
        common.notifies += 1;
        let last = self.job.as_ref().map(|last| last.common.number);
        let (job, _) = common.cache.read(line, last)?;
        let number = job.common.number;
        common.jobs = common.jobs.max(number + 1);
        let seen = self.job.as_ref().is_some_and(|last| Arc::ptr_eq(&last.common, &job.common));
        if !seen {
            common.fanouts.arrived(number, now, || {
                let mut shown = Vec::new();
                let mut hash = job.common.job.prev_hash;
                hash.reverse();
                push_hex(&mut shown, &hash);
                (String::from_utf8_lossy(&shown).into_owned(), job.common.key().into())
            });
        }
        self.job = Some(job);
        self.target = Target::from_difficulty(self.difficulty);
        let hard = hashes_per_share(self.difficulty) > MAX_HASHES_PER_SHARE && options.mode != Mode::Idle;
        if hard {
            common.too_hard.get_or_insert(self.difficulty);
        }
        common.hard = common.hard + usize::from(hard) - usize::from(self.hard);
        self.hard = hard;
        if let Some(maker) = &mut self.maker {
            maker.version_mask = self.version_mask;
            maker.job_changed();
        }
        if self.stage != Stage::Working {
            self.stage = Stage::Working;
        }
        Ok(())
    }

    fn reply(
        &mut self,
        id: u64,
        result: &Value,
        error: Option<ReplyError>,
        options: &Options,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), Failure> {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Greeted;
        }
        let refused = |request, error: Option<ReplyError>| Failure::Refused {
            request,
            reason: error.map_or_else(|| result.to_string(), |error| error.message),
        };
        match id {
            CONFIGURE => self.version_mask = read_version_mask(result),
            SUBSCRIBE if error.is_some() => return Err(refused("mining.subscribe", error)),
            SUBSCRIBE => self.subscribed(read_subscription(result)?, options),
            AUTHORIZE if result.as_bool() != Some(true) => return Err(refused("mining.authorize", error)),
            _ => {
                if let Ok(id) = u32::try_from(id)
                    && id >= FIRST_SUBMIT
                {
                    let reason = match (result.as_bool(), error) {
                        (Some(true), None) => None,
                        (_, Some(error)) => Some(format!("{} {}", error.code, error.message)),
                        (_, None) => Some("20 no reason".to_owned()),
                    };
                    self.answered(id, reason, common, now);
                }
            }
        }
        Ok(())
    }

    fn subscribed(&mut self, subscription: Subscription, options: &Options) {
        // Idle connections never look for shares.
        if options.mode != Mode::Idle {
            self.maker = Some(Box::new(ShareMaker::new(
                subscription.extranonce1,
                subscription.extranonce2_size,
                self.version_mask,
            )));
        }
    }

    fn answered(&mut self, id: u32, refused: Option<String>, common: &mut Common, now: Instant) {
        // Answers nearly always come in order.
        let Some(position) = self.open.iter().position(|open| open.id == id) else {
            return;
        };
        let Some(open) = self.open.remove(position) else {
            return;
        };
        if self.open.is_empty() && !self.floods && self.open.capacity() > 16 {
            self.open = VecDeque::new();
        }
        let latency = now.saturating_duration_since(common.began + open.due);
        let tally = self.tally(common);
        tally.latency.record(latency);
        match refused {
            None => tally.accepted += 1,
            Some(reason) => {
                let known = tally.rejected.contains_key(&reason) || tally.rejected.len() < 64;
                *tally.rejected.entry(if known { reason } else { "other".to_owned() }).or_default() += 1;
            }
        }
    }

    /// Books the shares that will never be answered.
    pub(super) fn give_up_open(&mut self, common: &mut Common) {
        let lost = self.open.len() as u64;
        self.open = VecDeque::new();
        self.tally(common).lost += lost;
    }

    fn tally<'a>(&self, common: &'a mut Common) -> &'a mut ShareTally {
        if self.floods { &mut common.flood } else { &mut common.shares }
    }
}

fn push_decimal(out: &mut Vec<u8>, mut value: u32) {
    let mut digits = [0_u8; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for value in [0, 7, 10, 4_096, u32::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
