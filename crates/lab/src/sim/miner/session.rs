//! A miner's session: set-up in its own order, jobs, shares and their answers.

use super::find::Wish;
use super::{Asked, ClientJob, Expect, FIRST_SUBMIT, Found, JOBS, Miner, MinerAct, MinerIo, Sent};
use crate::pow::Target;
use crate::sim::link::LinkId;
use crate::sim::pool::job::{EXTRANONCE_AT, JobTag, VERSION_MASK};
use crate::sim::tally::Message;
use crate::sv1_wire::{self, NotifiedJob, ReplyError, ServerLine};

/// Jobs behind the newest that Adit still knows.
const RING: u64 = 14;

impl Miner {
    /// The connection stands: the set-up begins.
    pub(in crate::sim) fn connected(&mut self, link: LinkId, io: &mut MinerIo<'_>) {
        self.link = Some(link);
        self.session += 1;
        self.input.clear();
        self.asked.clear();
        self.extranonce1.clear();
        self.subscribed = false;
        self.authorized = false;
        self.mask = None;
        self.difficulty = None;
        self.jobs.clear();
        self.epoch = 0;
        self.notifies = 0;
        self.submits.clear();
        self.aim += 1;
        self.last_line = None;
        self.misbehaved = false;
        self.farewell = false;
        self.reads = true;
        self.was_slow = false;
        self.last_given = None;
        self.mines_for = None;
        self.outbox.clear();
        self.connected_at = io.now;
        self.next_id = self.next_id.next_multiple_of(100) + 1;
        if self.next_id >= FIRST_SUBMIT {
            self.next_id = 1;
        }
        if self.silent {
            // Not a word of set-up, but a share of nothing.
            self.misbehaved = true;
            self.send_submit("[\"farm\",\"1\",\"00\",\"00000000\",\"00000000\"]", Expect::NotTrue, io);
            return;
        }
        self.version_rolls = self.plan.mask.is_none() && io.rng.chance(0.2);
        self.next_step(io);
    }

    /// The connection is gone.
    pub(in crate::sim) fn disconnected(&mut self) {
        self.link = None;
        self.aim += 1;
        self.submits.clear();
        self.jobs.clear();
    }

    /// The next request of the set-up, or all of them.
    fn next_step(&mut self, io: &mut MinerIo<'_>) {
        loop {
            let at = self.next_id % 100;
            let Some((asked, method, params)) = self.step(at) else {
                return;
            };
            let id = self.next_id;
            self.next_id += 1;
            if let Some((asked, params)) = asked.zip(params) {
                self.asked.insert(id, asked);
                let line = format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n");
                io.tally.message(message_of(method));
                io.out.extend_from_slice(line.as_bytes());
                if !self.plan.pipelined {
                    return;
                }
            }
        }
    }

    /// The set-up's steps; `None` behind the last.
    fn step(&self, at: u64) -> Option<(Option<Asked>, &'static str, Option<String>)> {
        let chatty = self.plan.chatty;
        let (first, second) = if self.plan.authorizes_first { (6, 3) } else { (3, 6) };
        let none = (None, "", None);
        let other = |method, params: &str| (Some(Asked::Other), method, Some(params.to_owned()));
        Some(match at {
            1 => match self.plan.mask {
                Some(mask) => {
                    let options = format!(
                        "[[\"version-rolling\",\"minimum-difficulty\",\"x-strange\"],{{\"version-rolling.mask\":\
                         \"{mask:08x}\",\"version-rolling.min-bit-count\":2,\"minimum-difficulty.value\":0.0000000003}}]"
                    );
                    (Some(Asked::Configure), "mining.configure", Some(options))
                }
                None => none,
            },
            2 if chatty => other("mining.multi_version", "[1]"),
            4 if chatty => other("mining.extranonce.subscribe", "[]"),
            5 if chatty => other("mining.ping", "[]"),
            7 if chatty => other("mining.get_transactions", "[\"1\"]"),
            8 if chatty => other("mining.teapot", "[\"short\",\"stout\"]"),
            9 => match self.plan.suggests {
                Some(difficulty) if self.plan.suggests_target => {
                    let mut target = Target::from_difficulty(difficulty).to_le_bytes();
                    target.reverse();
                    let text: String = target.iter().map(|byte| format!("{byte:02x}")).collect();
                    other("mining.suggest_target", &format!("[\"{text}\"]"))
                }
                Some(difficulty) => other("mining.suggest_difficulty", &format!("[{difficulty:.14}]")),
                None => none,
            },
            n if n == first => {
                (Some(Asked::Subscribe), "mining.subscribe", Some("[\"sim/1.0\",null]".to_owned()))
            }
            n if n == second => {
                let params = format!("[\"{}\",\"{}\"]", self.plan.name, self.plan.password);
                (Some(Asked::Authorize), "mining.authorize", Some(params))
            }
            n if n < 10 => none,
            _ => return None,
        })
    }

    /// Bytes came.
    pub(in crate::sim) fn input(&mut self, bytes: &[u8], io: &mut MinerIo<'_>) {
        let mut input = std::mem::take(&mut self.input);
        if input.is_empty() {
            input = bytes.to_vec();
        } else {
            input.extend_from_slice(bytes);
        }
        let mut rest = input.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            match sv1_wire::read_server_line(line) {
                Ok(line) => self.line(line, io),
                Err(error) => {
                    let text = String::from_utf8_lossy(line);
                    io.acts.push(MinerAct::Broken("sv1", format!("not SV1: {error}: {text}")));
                }
            }
        }
        self.input = rest.to_vec();
    }

    fn line(&mut self, line: ServerLine, io: &mut MinerIo<'_>) {
        match line {
            ServerLine::Reply { id, result, error } => {
                if let Some(asked) = self.asked.remove(&id) {
                    self.on_step(asked, &result, error.as_ref(), io);
                } else if id >= FIRST_SUBMIT && id != u64::MAX {
                    self.on_share_answer(id, result.as_bool() == Some(true), error, io);
                } else if !self.misbehaved {
                    io.acts.push(MinerAct::Broken("sv1", format!("an answer to nothing: {id} {error:?}")));
                }
            }
            ServerLine::Notify(job) => self.on_notify(*job, io),
            ServerLine::SetDifficulty(difficulty) => {
                io.tally.message(Message::SetDifficulty);
                self.difficulty = Some(difficulty);
            }
            ServerLine::Other { method, .. } if method == "client.show_message" => {
                io.tally.message(Message::ShowMessage);
                self.farewell = true;
            }
            other => io.acts.push(MinerAct::Broken("sv1", format!("Adit sent {other:?}"))),
        }
    }

    fn on_step(
        &mut self,
        asked: Asked,
        result: &serde_json::Value,
        error: Option<&ReplyError>,
        io: &mut MinerIo<'_>,
    ) {
        match asked {
            Asked::Configure => {
                io.tally.message(Message::ConfigureResult);
                self.mask = sv1_wire::read_version_mask(result);
                let asked = self.plan.mask.unwrap_or(0);
                if self.mask.is_some_and(|mask| mask & !(asked & VERSION_MASK) != 0) {
                    io.acts.push(MinerAct::Broken("mask", format!("granted {:?}", self.mask)));
                }
            }
            Asked::Subscribe => match sv1_wire::read_subscription(result) {
                Ok(subscription) => {
                    io.tally.message(Message::SubscribeResult);
                    self.extranonce1 = subscription.extranonce1;
                    self.extranonce2_size = subscription.extranonce2_size;
                    self.subscribed = true;
                }
                Err(_) => {
                    if error.is_none_or(|error| !error.message.starts_with("Full")) {
                        let text = format!("no subscription: {result} {error:?}");
                        io.acts.push(MinerAct::Broken("sv1", text));
                    }
                }
            },
            Asked::Authorize => {
                self.authorized = result.as_bool() == Some(true);
                if !self.authorized {
                    io.acts.push(MinerAct::Broken("sv1", format!("not authorised: {error:?}")));
                }
            }
            Asked::Other => {}
        }
        if !self.plan.pipelined {
            self.next_step(io);
        }
        if self.has_work() {
            io.acts.push(MinerAct::Aim);
        }
    }

    fn on_notify(&mut self, job: NotifiedJob, io: &mut MinerIo<'_>) {
        io.tally.message(Message::Notify);
        let Some(difficulty) = self.difficulty else {
            io.acts.push(MinerAct::Broken("sv1", "mining.notify before mining.set_difficulty".into()));
            return;
        };
        let tag = JobTag::read(&job.coinb1);
        let wants_clean = self.jobs.back().is_none_or(|last| {
            last.job.prev_hash != job.prev_hash || last.tag.map(|tag| tag.pool) != tag.map(|tag| tag.pool)
        });
        // An SV1 pool calls all earlier jobs off as it likes, and with each new connection.
        let may_be_clean =
            wants_clean || tag.is_some_and(|tag| self.plan.sv1_pool == Some(usize::from(tag.pool)));
        if wants_clean && !job.clean_jobs || job.clean_jobs && !may_be_clean {
            let text = format!("clean_jobs is {} for {tag:?}", job.clean_jobs);
            io.acts.push(MinerAct::Broken("clean-jobs", text));
        }
        if job.clean_jobs {
            self.epoch += 1;
        }
        if self.jobs.iter().any(|known| known.job.job_id == job.job_id) {
            io.acts.push(MinerAct::Broken("job-id", format!("job id {} given twice", job.job_id)));
        }
        self.notifies += 1;
        self.notified_at = io.now;
        io.acts.push(MinerAct::Job {
            tag,
            prefix_at: job.coinb1.get(EXTRANONCE_AT..).unwrap_or_default().to_vec(),
            prev_hash: job.prev_hash,
            ntime: job.ntime,
            difficulty,
        });
        if self.jobs.len() == JOBS {
            self.jobs.pop_front();
        }
        self.jobs.push_back(ClientJob {
            target: Target::from_difficulty(difficulty),
            difficulty,
            tag,
            came: io.now,
            epoch: self.epoch,
            job,
        });
        io.acts.push(MinerAct::Aim);
    }

    /// The time has come to find a share of the newest job.
    pub(in crate::sim) fn find(&mut self, io: &mut MinerIo<'_>) {
        if !self.has_work() {
            return;
        }
        let Some(job) = self.jobs.pop_back() else { return };
        let number = self.next_extranonce2;
        self.next_extranonce2 += 1;
        let ntime = self.ntime(&job, io.now);
        let found = self.search(&job, &self.extranonce1, number, ntime, Wish::Meets(job.target), io.rng);
        if let Some(found) = &found {
            self.send_found(&job, found, Expect::Good, io);
        }
        self.jobs.push_back(job);
        io.acts.push(MinerAct::Aim);
    }

    /// Finds a block on the newest job, as happens now and then.
    pub(in crate::sim) fn find_block(&mut self, io: &mut MinerIo<'_>) {
        if !self.has_work() {
            return;
        }
        let Some(job) = self.jobs.pop_back() else { return };
        let number = self.next_extranonce2;
        self.next_extranonce2 += 1;
        let ntime = self.ntime(&job, io.now);
        let wish = Wish::Meets(super::find::network_target());
        if let Some(found) = self.search(&job, &self.extranonce1, number, ntime, wish, io.rng) {
            self.send_found(&job, &found, Expect::Good, io);
        }
        self.jobs.push_back(job);
    }

    pub(super) fn send_found(
        &mut self,
        job: &ClientJob,
        found: &Found,
        expect: Expect,
        io: &mut MinerIo<'_>,
    ) {
        if found.is_block
            && matches!(expect, Expect::Good | Expect::LateBlock)
            && let Some(tag) = job.tag
        {
            let prefix_at = job.job.coinb1.get(EXTRANONCE_AT..).unwrap_or_default().to_vec();
            io.acts.push(MinerAct::Block { tag, prefix_at, nonce: found.nonce, hash: found.hash });
        }
        let params = self.submit_params(&job.job.job_id, found);
        let id = self.send_submit(&params, expect, io);
        if expect == Expect::Good {
            self.last_line = Some(params.into_bytes());
            if let (Some(sent), Some(tag)) = (self.submits.get_mut(&id), job.tag) {
                sent.hash = Some(found.hash);
                let prefix_at = job.job.coinb1.get(EXTRANONCE_AT..).unwrap_or_default().to_vec();
                io.acts.push(MinerAct::Good { tag, prefix_at, hash: found.hash });
            }
        }
    }

    /// The parameters of `mining.submit`.
    pub(super) fn submit_params(&self, job_id: &str, found: &Found) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(96);
        let _ = write!(text, "[\"{}\",\"{job_id}\",\"", self.plan.name);
        for byte in &found.extranonce2 {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, "\",\"{:08x}\",\"{:08x}\"", found.ntime, found.nonce);
        if let Some(bits) = found.version_bits {
            let _ = write!(text, ",\"{bits:08x}\"");
        }
        text.push(']');
        text
    }

    pub(super) fn send_submit(&mut self, params: &str, expect: Expect, io: &mut MinerIo<'_>) -> u64 {
        use std::io::Write;
        let id = self.next_submit;
        self.next_submit += 1;
        io.tally.message(Message::Submit);
        let _ = writeln!(io.out, "{{\"id\":{id},\"method\":\"mining.submit\",\"params\":{params}}}");
        let sent = Sent { expect, at: io.now, epoch: self.epoch, notifies: self.notifies, hash: None };
        self.submits.insert(id, sent);
        id
    }

    fn on_share_answer(&mut self, id: u64, taken: bool, error: Option<ReplyError>, io: &mut MinerIo<'_>) {
        let Some(sent) = self.submits.remove(&id) else {
            io.acts.push(MinerAct::Broken("sv1", format!("submit {id} answered twice")));
            return;
        };
        let code = error.as_ref().map_or(0, |error| error.code);
        let text = error.map(|error| error.message).unwrap_or_default();
        io.tally.message(match (taken, code) {
            (true, _) => Message::ShareTaken,
            (_, 21) => Message::ShareStale,
            (_, 22) => Message::ShareDuplicate,
            (_, 23) => Message::ShareLow,
            (_, 24) => Message::ShareUnauthorized,
            _ => Message::ShareOther,
        });
        self.taken += u64::from(taken);
        if let Some(hash) = sent.hash {
            io.acts.push(MinerAct::Answered { hash, taken });
        }
        if taken {
            self.found_at = self.found_at.max(sent.at);
        }
        // A clean job, or too many jobs, came between.
        let is_old = sent.epoch != self.epoch || self.notifies > sent.notifies + RING;
        // Words for what became of a good share on its way up.
        let upstream = ["No pool", "Overloaded", "The pool", "Stale share", "Refused by"];
        let is_upstream = text.contains("(pool)") || upstream.iter().any(|words| text.starts_with(words));
        let fine = match sent.expect {
            Expect::Good => {
                taken
                    || is_upstream && code != 21
                    || is_upstream && text.contains("(pool)")
                    || code == 21 && is_old
            }
            // An easier target that was told while the share was under way holds for it, too.
            Expect::Code(23) if taken => self.notifies > sent.notifies,
            Expect::Code(expected) => !taken && (code == expected || code == 21 && is_old),
            Expect::Stale => !taken && code == 21,
            Expect::OldJob => taken || code == 21 || is_upstream,
            Expect::LateBlock => taken || is_upstream || self.epoch > sent.epoch,
            Expect::NotTrue => !taken,
        };
        if !fine {
            let verdict = if taken { "true".to_owned() } else { format!("{code} {text}") };
            let what = format!("{:?} was answered {verdict} (old: {is_old})", sent.expect);
            let code = if taken { "I2" } else { "answer" };
            io.acts.push(MinerAct::Broken(code, format!("miner {} submit {id}: {what}", self.index)));
        }
    }
}

fn message_of(method: &str) -> Message {
    match method {
        "mining.configure" => Message::Configure,
        "mining.subscribe" => Message::Subscribe,
        "mining.authorize" => Message::Authorize,
        "mining.suggest_difficulty" => Message::SuggestDifficulty,
        "mining.suggest_target" => Message::SuggestTarget,
        "mining.extranonce.subscribe" => Message::ExtranonceSubscribe,
        "mining.ping" => Message::Ping,
        "mining.multi_version" => Message::MultiVersion,
        "mining.get_transactions" => Message::GetTransactions,
        _ => Message::UnknownMethod,
    }
}
