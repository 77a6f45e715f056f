//! One miner's connection: its socket, its state machine, and the news of its group.
//!
//! While a miner is idle its task holds no buffer: bytes are read into, and lines written from, buffers of the
//! thread that happens to run it. Only what the socket does not take at once is kept.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::miner::{CloseReason, Io, ReplyMode, Sv1Miner};
use engine::router::JoinRequest;
use engine::{Answer, GroupId, MinerRef};
use futures_util::FutureExt;
use tokio::io::Interest;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info};

use super::context::{Doors, ListenerContext};
use super::end::End;
use super::opening::Opened;
use super::outbox::{Full, Outbox};
use super::roster::{Attached, farewell};
use super::tls::TlsSession;
use crate::upstream::{GroupNews, Joined, Moved, RouterMessage};

/// Bytes read at once, and so the most that one connection gets done before others have their turn.
pub(super) const READ_AT_ONCE: usize = 16 * 1024;
/// A join is answered within this, or the router is gone.
pub(super) const JOIN_DEADLINE: Duration = Duration::from_secs(10);

/// A thread's buffers.
struct Buffers {
    read: Box<[u8]>,
    write: Vec<u8>,
    /// What came by TLS, and what is to go by it.
    text: Vec<u8>,
    wire: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        read: vec![0; READ_AT_ONCE].into(),
        write: Vec::with_capacity(READ_AT_ONCE),
        text: Vec::new(),
        wire: Vec::new(),
    });
}

struct Connection<'a> {
    context: &'a ListenerContext,
    stream: &'a Attached,
    /// Where lines come by TLS.
    tls: Option<Box<TlsSession>>,
    machine: Sv1Miner,
    lines: sv1::LineReader,
    outbox: Outbox,
    news: Option<watch::Receiver<GroupNews>>,
    moves: Option<watch::Receiver<Option<Moved>>>,
    group: Option<GroupId>,
    answers: Option<mpsc::Receiver<Answer>>,
    me: MinerRef,
    address: IpAddr,
}

/// Serves a Stratum V1 miner until one side has enough.
pub(super) async fn serve(opened: &Opened, tls: Option<Box<TlsSession>>, context: &ListenerContext) {
    let Opened { stream, me, address, began } = opened;
    let me = *me;
    let machine = Sv1Miner::new(Arc::clone(&context.policy), Arc::clone(&context.books), me, *began);
    let mut connection = Connection {
        context,
        stream,
        tls,
        machine,
        lines: sv1::LineReader::default(),
        outbox: Outbox::default(),
        news: None,
        moves: None,
        group: None,
        answers: None,
        me,
        address: address.ip(),
    };
    // A mistake of ours costs one connection, not the process, and leaves nothing behind.
    let end = AssertUnwindSafe(connection.run()).catch_unwind().await;
    // Closed from outside while it did not read: that was no leaving.
    let end = end.map(|end| match (end, connection.stream.why_closed()) {
        (End::Left, Some(why)) => End::Close(why),
        (end, _) => end,
    });
    match end {
        Ok(End::Left | End::Close(CloseReason::SetupDeadline)) if connection.machine.only_looked() => {
            context.say_looked(*address);
        }
        Ok(End::Left) => context.say_left(*address),
        Ok(End::Close(why)) => {
            connection.flush_last_words();
            context.figures.count_close(why);
            if context.quiet.may_log(Some(address.ip())) {
                let firmware = connection.machine.firmware().map(|name| &**name);
                info!(listener = context.name, %address, firmware, reason = %why, "connection closed");
            }
        }
        Err(_) => {
            context.say_panicked(*address);
        }
    }
    connection.clean_up().await;
}

impl Connection<'_> {
    async fn run(&mut self) -> End {
        match self.run_until_end().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Waits for one thing to happen, does what it asks for, and so on. News of the group come before what the
    /// miner sends.
    async fn run_until_end(&mut self) -> Result<Infallible, End> {
        let clock = self.context.clock;
        let mut armed = self.deadline();
        // One timer for the connection's whole life. It is moved when a deadline comes nearer, not when it goes
        // away, as it does with every share: then it rings too early once, and is set anew.
        let mut sleep = pin!(tokio::time::sleep_until(clock.instant(armed)));
        loop {
            if self.machine.wants_to_join() {
                self.join().await?;
            }
            let deadline = self.deadline();
            if deadline < armed {
                armed = deadline;
                sleep.as_mut().reset(clock.instant(armed));
            }
            let idle = self.outbox.is_empty();
            let interest = if idle { Interest::READABLE } else { Interest::WRITABLE };
            tokio::select! {
                biased;
                // Before the news: those of a group that it has left may have ended.
                Some(()) = moved(self.moves.as_mut()), if idle => self.on_move()?,
                // While the miner does not take what it was sent, newer work replaces older.
                changed = changed(self.news.as_mut()), if idle => {
                    if changed.is_err() {
                        // The router has ended, and the process with it.
                        return Err(CloseReason::ShuttingDown.into());
                    }
                    self.on_news()?;
                }
                answer = next_answer(self.answers.as_mut()), if idle => self.on_answer(answer)?,
                () = sleep.as_mut() => {
                    if clock.now().reached(self.deadline()) {
                        self.on_deadline()?;
                    }
                    armed = self.deadline();
                    sleep.as_mut().reset(clock.instant(armed));
                }
                ready = self.stream.ready(interest) => {
                    ready?;
                    if idle { self.on_readable()? } else { self.on_writable()? }
                }
            }
        }
    }

    fn deadline(&self) -> Duration {
        let stall = self.outbox.stalled_since().map(|t| t + self.context.write_stall);
        let deadline = engine::earliest(self.machine.deadline(), stall);
        let deadline = engine::earliest(deadline, self.handshake_deadline());
        deadline.unwrap_or(Duration::MAX)
    }

    fn handshake_deadline(&self) -> Option<Duration> {
        self.tls.as_ref().and_then(|tls| tls.deadline())
    }

    async fn join(&mut self) -> Result<(), End> {
        let policy = &self.context.policy;
        let identity = self.machine.identity().cloned().unwrap_or_default();
        if let Some(difficulty) = self.context.memory.recall(&identity) {
            self.machine.remember(difficulty);
        }
        let hashrate = self.machine.first_hashrate();
        let route = self.context.routes.of(&identity, self.address);
        self.machine.take_route(route);
        let (reply, joined) = oneshot::channel();
        let request = JoinRequest {
            miner: self.me,
            route,
            goal: None,
            hashrate,
            identity,
            miner_id_size: policy.extranonce1_size,
            extranonce2_size: policy.extranonce2_size,
            space: self.machine.miner_id().map_or(0, |id| id.space()),
        };
        let sent = self.context.router.send(RouterMessage::Join { request, reply }).await;
        let joined = match sent {
            Ok(()) => tokio::time::timeout(JOIN_DEADLINE, joined).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        let Some(Joined { group, meter, mut news, moves }) = joined else {
            self.tell("No pool is reachable: use your backup pool");
            return Err(CloseReason::NoSource.into());
        };
        self.group = Some(group);
        if policy.reply == ReplyMode::Source {
            self.answers = Some(self.context.mailboxes.open(self.me));
        }
        let feed = news.borrow_and_update().feed.clone();
        self.news = Some(news);
        self.moves = moves;
        self.context.figures.mining.fetch_add(1, Relaxed);
        self.context.figures.names_cut.fetch_add(self.machine.names_cut() as u64, Relaxed);
        let agent = self.machine.take_user_agent();
        self.stream.introduce(|| self.context.presence(self.address, false, agent));
        self.step(|machine, io| {
            machine.joined(meter, hashrate, feed, io);
            Ok(())
        })?;
        self.show();
        Ok(())
    }

    /// The miner is in another group: it is counted there, and gets its work.
    fn on_move(&mut self) -> Result<(), End> {
        let moved = self.moves.as_mut().and_then(|moves| moves.borrow_and_update().clone());
        let Some(Moved { group, meter, news }) = moved else { return Ok(()) };
        (self.group, self.news) = (Some(group), Some(news));
        self.machine.moved(meter);
        self.on_news()
    }

    fn on_news(&mut self) -> Result<(), End> {
        let Some(news) = &mut self.news else { return Ok(()) };
        let GroupNews { feed, fanout, farewell } = news.borrow_and_update().clone();
        if let Some(text) = farewell {
            self.tell(text);
            return Err(CloseReason::NoSource.into());
        }
        let Some(feed) = feed else { return Ok(()) };
        let relief = self.context.roster.relief();
        self.step(|machine, io| {
            machine.relieve(relief);
            machine.feed(&feed, io);
            Ok(())
        })?;
        self.show();
        if let Some(fanout) = fanout.filter(|_| self.outbox.is_empty()) {
            fanout.written(Instant::now());
        }
        Ok(())
    }

    fn on_answer(&mut self, answer: Option<Answer>) -> Result<(), End> {
        let Some(answer) = answer else {
            self.answers = None;
            return Ok(());
        };
        self.step(|machine, io| {
            machine.answer(answer, io.out);
            Ok(())
        })
    }

    fn on_deadline(&mut self) -> Result<(), End> {
        let now = self.context.clock.now().mono;
        if self.outbox.stalled_since().is_some_and(|t| now.saturating_sub(t) >= self.context.write_stall) {
            return Err(CloseReason::SlowReader.into());
        }
        if self.handshake_deadline().is_some_and(|until| now >= until) {
            self.context.figures.tls.failed.fetch_add(1, Relaxed);
            return Err(CloseReason::Tls.into());
        }
        self.step(Sv1Miner::timer)
    }

    /// Runs the state machine with the thread's write buffer, and sends what it wrote.
    fn step(
        &mut self,
        work: impl FnOnce(&mut Sv1Miner, &mut Io<'_>) -> Result<(), CloseReason>,
    ) -> Result<(), End> {
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers { write: out, wire, .. } = buffers;
            out.clear();
            let mut io = Io {
                now: self.context.clock.now(),
                out,
                shares: &mut Doors(&self.context.doors),
                ids: &mut self.context.miner_ids(),
            };
            let result = work(&mut self.machine, &mut io);
            self.send(out, wire)?;
            Ok(result?)
        })
    }

    fn on_readable(&mut self) -> Result<(), End> {
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers { read, write, text, wire } = buffers;
            let n = match self.stream.try_read(read) {
                Ok(0) => return Err(self.end_of_input()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            let began = Instant::now();
            write.clear();
            let mut io = Io {
                now: self.context.clock.now(),
                out: write,
                shares: &mut Doors(&self.context.doors),
                ids: &mut self.context.miner_ids(),
            };
            let mut chunk: &[u8] = match &mut self.tls {
                None => &read[..n],
                Some(tls) => {
                    text.clear();
                    wire.clear();
                    let shaking = tls.deadline().is_some();
                    let result = tls.read(&mut read[..n], text, wire);
                    if shaking {
                        let figures = &self.context.figures.tls;
                        let ended = match &result {
                            Err(_) => Some(&figures.failed),
                            Ok(()) => tls.deadline().is_none().then_some(&figures.done),
                        };
                        if let Some(count) = ended {
                            count.fetch_add(1, Relaxed);
                        }
                    }
                    // What the handshake asks for; after an error, what is wrong.
                    self.send_bytes(wire)?;
                    if let Err(error) = result {
                        debug!(listener = self.context.name, miner = self.me.0, %error, "TLS");
                        return Err(CloseReason::Tls.into());
                    }
                    text
                }
            };
            let mut result = Ok(());
            let mut lines = 0u32;
            while result.is_ok() {
                match self.lines.next_line(&mut chunk, self.context.max_line) {
                    Ok(Some(line)) => {
                        lines += 1;
                        #[cfg(any(test, feature = "test-hooks"))]
                        super::test_hooks::line(line);
                        result = self.machine.line(line, &mut io);
                    }
                    Ok(None) => break,
                    Err(sv1::LineError::TooLong { .. }) => result = self.machine.line_too_long(),
                }
            }
            self.send(write, wire)?;
            if self.machine.is_mining() {
                let took = began.elapsed();
                for _ in 0..lines {
                    self.context.latencies.share_to_reply().observe(took);
                }
            }
            result?;
            match &self.tls {
                Some(tls) if tls.is_over() => Err(self.end_of_input()),
                _ => Ok(()),
            }
        })
    }

    fn on_writable(&mut self) -> Result<(), End> {
        Ok(self.outbox.flush(self.stream, self.context.clock.now().mono)?)
    }

    /// Sends text, by TLS where that is spoken: `wire` is for its records.
    fn send(&mut self, text: &[u8], wire: &mut Vec<u8>) -> Result<(), End> {
        match &mut self.tls {
            None => self.send_bytes(text),
            Some(_) if text.is_empty() => Ok(()),
            Some(tls) => {
                wire.clear();
                tls.write(text, wire).map_err(|_| CloseReason::Tls)?;
                self.send_bytes(wire)
            }
        }
    }

    /// Puts a message behind what waits to be sent.
    fn tell(&mut self, text: &str) {
        match &mut self.tls {
            None => self.machine.tell(text, self.outbox.last_words()),
            Some(tls) => {
                let mut line = Vec::new();
                self.machine.tell(text, &mut line);
                // In the handshake there is nobody to tell.
                let _ = tls.write(&line, self.outbox.last_words());
            }
        }
    }

    /// Writes at once what the socket takes; the rest waits in the outbox.
    fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), End> {
        let clock = self.context.clock;
        let sent = self.outbox.send(self.stream, bytes, self.context.outbox, || clock.now().mono)?;
        Ok(sent.map_err(|Full| CloseReason::SlowReader)?)
    }

    /// Shows others what has become of the miner.
    fn show(&self) {
        let machine = &self.machine;
        self.stream.show(machine.is_mining(), machine.hashrate(), machine.last_share());
        self.stream.show_workers(|tell| machine.each_worker(tell));
    }

    /// The miner has left, or was closed from outside its task.
    fn end_of_input(&mut self) -> End {
        let Some(why) = self.stream.why_closed() else { return End::Left };
        self.tell(farewell(why));
        End::Close(why)
    }

    /// What was to be said before closing, as far as the socket takes it at once.
    fn flush_last_words(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(self.outbox.last_words());
        }
        let _ = self.outbox.flush(self.stream, self.context.clock.now().mono);
    }

    /// By reference: a task that owned it twice would be as large.
    async fn clean_up(&mut self) {
        let context = self.context;
        self.machine.ended();
        if self.answers.is_some() {
            context.mailboxes.close(self.me);
        }
        if let Some(id) = self.machine.miner_id() {
            context.take_back(id, self.machine.has_shared());
        }
        if let (Some(worker), Some(difficulty)) = (self.machine.identity(), self.machine.learnt_difficulty())
        {
            context.memory.remember(worker, difficulty);
        }
        if let Some(group) = self.group {
            context.figures.mining.fetch_sub(1, Relaxed);
            let _ = context.router.send(RouterMessage::Leave(self.me, group)).await;
        }
    }
}

async fn changed(news: Option<&mut watch::Receiver<GroupNews>>) -> Result<(), watch::error::RecvError> {
    match news {
        Some(news) => news.changed().await,
        None => std::future::pending().await,
    }
}

/// Never, when the miner cannot be moved or the router has ended.
async fn moved(moves: Option<&mut watch::Receiver<Option<Moved>>>) -> Option<()> {
    match moves {
        Some(moves) => moves.changed().await.ok(),
        None => std::future::pending().await,
    }
}

pub(super) async fn next_answer(answers: Option<&mut mpsc::Receiver<Answer>>) -> Option<Answer> {
    match answers {
        Some(answers) => answers.recv().await,
        None => std::future::pending().await,
    }
}
