//! One connection of SV2 miners: its socket, its encryption, its state machine, and the news of its groups.
//!
//! As with SV1, an idle connection holds no buffer: bytes are read into, decrypted in, and encrypted from buffers of the
//! thread that happens to run it. What one read brings is answered with one encrypted write.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use engine::miner::sv2::{JoinWish, MAX_PAYLOAD};
use engine::miner::{CloseReason, JdcSetup, ReplyMode, Sv2Io, Sv2Miner};
use engine::router::JoinRequest;
use engine::{Answer, GroupId, MinerRef};
use futures_util::FutureExt;
use noise::{OpenError, Opener, Sealer, Transport};
use sv2::FrameHeader;
use tokio::io::Interest;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{debug, error};

use super::groups::{ChannelMoves, Groups};
use super::handshake::{Failed, shake_hands};
use super::identity::Sv2Identity;
use super::jdc::{self, Wire};
use crate::downstream::connection::{JOIN_DEADLINE, READ_AT_ONCE, next_answer};
use crate::downstream::context::{Doors, ListenerContext};
use crate::downstream::opening::Opened;
use crate::downstream::outbox::{Full, Outbox};
use crate::downstream::roster::Attached;
use crate::upstream::{GroupNews, Joined, Moved, RouterMessage};

/// `SubmitSharesStandard` and `SubmitSharesExtended`.
const SHARES: std::ops::RangeInclusive<u8> = 0x1a..=0x1b;

/// A thread's buffers.
struct Buffers {
    read: Box<[u8]>,
    /// What came and was not decrypted yet.
    cipher: BytesMut,
    /// Frames to be sent.
    plain: BytesMut,
    /// The same, encrypted.
    sealed: BytesMut,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        read: vec![0; READ_AT_ONCE].into(),
        cipher: BytesMut::with_capacity(READ_AT_ONCE),
        plain: BytesMut::with_capacity(READ_AT_ONCE),
        sealed: BytesMut::with_capacity(READ_AT_ONCE),
    });
}

/// Why a connection has ended.
enum End {
    /// The miner left.
    Left,
    /// Adit closes it.
    Close(CloseReason),
    /// It goes on as something else: a job declarator client's.
    HandOver(JdcSetup),
}

impl From<CloseReason> for End {
    fn from(why: CloseReason) -> Self {
        Self::Close(why)
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

struct Connection<'a> {
    context: &'a ListenerContext,
    stream: &'a Attached,
    machine: Sv2Miner,
    sealer: Sealer,
    opener: Opener,
    /// Ciphertext that is not a whole message yet; nearly always empty and without memory.
    input: BytesMut,
    outbox: Outbox,
    groups: Groups,
    moves: ChannelMoves,
    answers: Option<mpsc::Receiver<Answer>>,
    /// The places of all channels but the first, which has the connection's.
    places: Vec<OwnedSemaphorePermit>,
    /// Channels that are mining.
    mining: u64,
    me: MinerRef,
    address: IpAddr,
}

/// Shakes hands; nothing when the connection is over before it is encrypted.
pub(in crate::downstream) async fn begin(
    opened: &Opened,
    identity: &Sv2Identity,
    context: &ListenerContext,
) -> Option<Transport> {
    let Opened { stream, address, began, .. } = opened;
    let now = context.clock.now();
    let deadline = context.clock.instant(began.mono + context.policy.setup_deadline);
    let deadline = deadline.min(context.clock.instant(now.mono + context.handshake));
    match tokio::time::timeout_at(deadline, shake_hands(stream, identity, now.unix)).await {
        Ok(Ok(transport)) => {
            context.figures.noise.done.fetch_add(1, Relaxed);
            return Some(transport);
        }
        Ok(Err(Failed::Left)) => match stream.why_closed() {
            Some(why) => context.say_closed(*address, why, "before the Noise handshake"),
            None => context.say_left(*address),
        },
        Ok(Err(Failed::Handshake(error))) => {
            context.figures.noise.failed.fetch_add(1, Relaxed);
            context.say_closed(*address, CloseReason::Handshake, &error.to_string());
        }
        Err(_) => {
            context.figures.noise.failed.fetch_add(1, Relaxed);
            context.say_closed(*address, CloseReason::Handshake, "not in time");
        }
    }
    None
}

/// Serves a connection until one side has enough.
pub(in crate::downstream) async fn serve(opened: &Opened, transport: Transport, context: &ListenerContext) {
    let Opened { stream, me, address, began } = opened;
    let me = *me;
    let (sealer, opener) = transport.split();
    let mut connection = Connection {
        context,
        stream,
        machine: Sv2Miner::new(Arc::clone(&context.policy), Arc::clone(&context.books), me, *began),
        sealer,
        opener,
        input: BytesMut::new(),
        outbox: Outbox::default(),
        groups: Groups::default(),
        moves: ChannelMoves::default(),
        answers: None,
        places: Vec::new(),
        mining: 0,
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
        Ok(End::HandOver(setup)) => {
            let Connection { sealer, opener, input, outbox, .. } = connection;
            let wire = Wire { stream, sealer, opener, input, outbox };
            // Few are, and it would make every connection's task larger.
            return Box::pin(jdc::serve(opened, setup, wire, context)).await;
        }
        Ok(End::Left) => context.say_left(*address),
        Ok(End::Close(why)) => {
            connection.say_last_words(why);
            context.say_closed(*address, why, "");
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

    /// Waits for one thing to happen, does what it asks for, and so on. News of the groups come before what the miner
    /// sends.
    async fn run_until_end(&mut self) -> Result<Infallible, End> {
        let clock = self.context.clock;
        let mut armed = self.deadline();
        // One timer for the connection's whole life, as for SV1.
        let mut sleep = pin!(tokio::time::sleep_until(clock.instant(armed)));
        loop {
            while let Some(wish) = self.machine.wants_to_join() {
                self.join(wish).await?;
            }
            self.part().await;
            let deadline = self.deadline();
            if deadline < armed {
                armed = deadline;
                sleep.as_mut().reset(clock.instant(armed));
            }
            let idle = self.outbox.is_empty();
            let interest = if idle { Interest::READABLE } else { Interest::WRITABLE };
            tokio::select! {
                biased;
                // Before the news: those of a group that was left may have ended.
                (miner, moved) = self.moves.next(), if idle => self.on_move(miner, moved)?,
                // While the miner does not take what it was sent, newer work replaces older.
                news = self.groups.next(), if idle => {
                    // The router has ended, and the process with it.
                    let (group, news) = news.ok_or(CloseReason::ShuttingDown)?;
                    self.on_news(group, news)?;
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
                    if idle {
                        self.on_readable()?;
                    } else {
                        self.outbox.flush(self.stream, clock.now().mono)?;
                    }
                }
            }
        }
    }

    fn deadline(&self) -> Duration {
        let stall = self.outbox.stalled_since().map(|t| t + self.context.write_stall);
        engine::earliest(self.machine.deadline(), stall).unwrap_or(Duration::MAX)
    }

    /// Gives the next channel a place.
    async fn join(&mut self, wish: JoinWish) -> Result<(), End> {
        let context = self.context;
        let mut wish = wish;
        if self.mining > 0 {
            let Some(place) = context.admission.further() else {
                return self.step(|machine, io| {
                    machine.not_joined(sv2::error_code::CHANNEL_CAPACITY_EXHAUSTED, io);
                    Ok(())
                });
            };
            self.places.push(place);
        }
        if wish.hashrate == 0.0
            && let Some(difficulty) = context.memory.recall(&wish.identity)
        {
            self.machine.remember(difficulty);
            wish = self.machine.wants_to_join().unwrap_or(wish);
        }
        let policy = &context.policy;
        let miner = MinerRef(context.next_miner.fetch_add(1, Relaxed));
        let (reply, joined) = oneshot::channel();
        let hashrate = wish.hashrate;
        let route = context.routes.of(&wish.identity, self.address);
        self.machine.take_route(route);
        let request = JoinRequest {
            miner,
            route,
            goal: None,
            hashrate,
            identity: wish.identity,
            miner_id_size: policy.extranonce1_size,
            extranonce2_size: policy.extranonce2_size,
            space: self.machine.pending_miner_id().map_or(0, |id| id.space()),
        };
        let sent = context.router.send(RouterMessage::Join { request, reply }).await;
        let joined = match sent {
            Ok(()) => tokio::time::timeout(JOIN_DEADLINE, joined).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        let Some(Joined { group, meter, mut news, moves }) = joined else {
            self.step(|machine, io| {
                machine.not_joined("no-source", io);
                Ok(())
            })?;
            self.places.truncate(usize::try_from(self.mining.saturating_sub(1)).unwrap_or(0));
            return Err(CloseReason::NoSource.into());
        };
        if policy.reply == ReplyMode::Source && self.answers.is_none() {
            self.answers = Some(context.mailboxes.open(self.me));
        }
        let feed = news.borrow_and_update().feed.clone();
        self.groups.watch(group, news);
        if let Some(moves) = moves {
            self.moves.watch(miner, moves);
        }
        if self.mining == 0 {
            context.figures.mining.fetch_add(1, Relaxed);
            let agent = self.machine.take_user_agent();
            self.stream.introduce(|| context.presence(self.address, true, agent));
        }
        self.mining += 1;
        self.step(|machine, io| {
            machine.joined((miner, group), meter, hashrate, feed.as_ref(), io);
            Ok(())
        })?;
        context.figures.names_cut.fetch_add(self.machine.take_names_cut() as u64, Relaxed);
        self.show();
        Ok(())
    }

    /// Gives back what ended channels had.
    async fn part(&mut self) {
        let context = self.context;
        let refused = self.machine.take_refused();
        if refused > 0 {
            context.figures.channels_refused.fetch_add(refused, Relaxed);
        }
        let left = self.machine.take_left();
        if left.is_empty() {
            return;
        }
        self.show();
        for left in left {
            context.take_back(left.miner_id, left.learnt.is_some());
            if let Some(difficulty) = left.learnt {
                context.memory.remember(&left.identity, difficulty);
            }
            let Some((miner, group)) = left.place else { continue };
            self.mining -= 1;
            self.places.truncate(usize::try_from(self.mining.saturating_sub(1)).unwrap_or(0));
            if self.mining == 0 {
                context.figures.mining.fetch_sub(1, Relaxed);
            }
            let _ = context.router.send(RouterMessage::Leave(miner, group)).await;
            let machine = &self.machine;
            self.groups.keep(|kept| machine.groups().any(|group| group == kept));
        }
    }

    /// A channel is in another group: it is counted there, and gets its work.
    fn on_move(&mut self, miner: MinerRef, moved: Moved) -> Result<(), End> {
        let Moved { group, meter, mut news } = moved;
        let feed = news.borrow_and_update().feed.clone();
        self.groups.watch(group, news);
        self.step(|machine, io| {
            machine.moved(miner, group, meter, feed.as_ref(), io);
            Ok(())
        })?;
        let machine = &self.machine;
        self.groups.keep(|kept| machine.groups().any(|group| group == kept));
        self.show();
        Ok(())
    }

    fn on_news(&mut self, group: GroupId, news: GroupNews) -> Result<(), End> {
        let GroupNews { feed, fanout, farewell } = news;
        if farewell.is_some() {
            return Err(CloseReason::NoSource.into());
        }
        let Some(feed) = feed else { return Ok(()) };
        let relief = self.context.roster.relief();
        self.step(|machine, io| {
            machine.relieve(relief);
            machine.feed(group, &feed, io);
            Ok(())
        })?;
        self.show();
        if let Some(fanout) = fanout.filter(|_| self.outbox.is_empty()) {
            fanout.written(Instant::now());
        }
        Ok(())
    }

    fn show(&self) {
        let machine = &self.machine;
        self.stream.show(machine.is_mining(), machine.hashrate(), machine.last_share());
        self.stream.show_workers(|tell| machine.each_worker(tell));
    }

    fn on_answer(&mut self, answer: Option<Answer>) -> Result<(), End> {
        let Some(first) = answer else {
            self.answers = None;
            return Ok(());
        };
        // Those that came together are told together.
        let mut answers = vec![first];
        if let Some(mailbox) = &mut self.answers {
            while let Ok(answer) = mailbox.try_recv() {
                answers.push(answer);
            }
        }
        self.step(|machine, io| {
            answers.into_iter().for_each(|answer| machine.answer(answer, io.out));
            Ok(())
        })
    }

    fn on_deadline(&mut self) -> Result<(), End> {
        let now = self.context.clock.now().mono;
        if self.outbox.stalled_since().is_some_and(|t| now.saturating_sub(t) >= self.context.write_stall) {
            return Err(CloseReason::SlowReader.into());
        }
        self.step(Sv2Miner::timer)
    }

    /// Runs the state machine with the thread's buffers, and sends what it wrote.
    fn step(
        &mut self,
        work: impl FnOnce(&mut Sv2Miner, &mut Sv2Io<'_>) -> Result<(), CloseReason>,
    ) -> Result<(), End> {
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers { plain, sealed, .. } = buffers;
            plain.clear();
            let mut io = Sv2Io {
                now: self.context.clock.now(),
                out: plain,
                shares: &mut Doors(&self.context.doors),
                ids: &mut self.context.miner_ids(),
            };
            let result = work(&mut self.machine, &mut io);
            self.send(plain, sealed)?;
            Ok(result?)
        })
    }

    fn on_readable(&mut self) -> Result<(), End> {
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers { read, cipher, plain, sealed } = buffers;
            let n = match self.stream.try_read(read) {
                Ok(0) => return Err(self.stream.why_closed().map_or(End::Left, End::Close)),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            let began = Instant::now();
            plain.clear();
            cipher.clear();
            cipher.extend_from_slice(&self.input);
            cipher.extend_from_slice(&read[..n]);
            let mut shares = 0_u32;
            let result = self.frames(cipher, plain, &mut shares);
            self.input = if cipher.is_empty() { BytesMut::new() } else { BytesMut::from(&cipher[..]) };
            self.send(plain, sealed)?;
            let took = began.elapsed();
            for _ in 0..shares {
                self.context.latencies.share_to_reply().observe(took);
            }
            result
        })
    }

    /// Takes all frames that are whole.
    fn frames(&mut self, cipher: &mut BytesMut, plain: &mut BytesMut, shares: &mut u32) -> Result<(), End> {
        let mut io = Sv2Io {
            now: self.context.clock.now(),
            out: plain,
            shares: &mut Doors(&self.context.doors),
            ids: &mut self.context.miner_ids(),
        };
        loop {
            let frame = match self.opener.open(cipher, MAX_PAYLOAD) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(OpenError::TooLong { .. }) => return Err(CloseReason::LineTooLong.into()),
                Err(error) => {
                    debug!(listener = self.context.name, %error, "cannot decrypt");
                    return Err(CloseReason::NotAuthentic.into());
                }
            };
            let header = FrameHeader::parse(&frame.header);
            *shares += u32::from(SHARES.contains(&header.msg_type));
            self.machine.frame(&header, &frame.payload, &mut io)?;
            if let Some(setup) = self.machine.hand_over() {
                return Err(End::HandOver(setup));
            }
        }
    }

    /// Answers what is to be answered, encrypts it all, and writes it at once.
    fn send(&mut self, plain: &mut BytesMut, sealed: &mut BytesMut) -> Result<(), End> {
        self.machine.flush(plain);
        if plain.is_empty() {
            return Ok(());
        }
        sealed.clear();
        if let Err(error) = self.sealer.seal(plain, sealed) {
            // 2^64 messages were sent, or a mistake of ours: the miner connects anew.
            error!(listener = self.context.name, %error, "cannot encrypt");
            return Err(CloseReason::NotAuthentic.into());
        }
        let clock = self.context.clock;
        let sent = self.outbox.send(self.stream, sealed, self.context.outbox, || clock.now().mono)?;
        Ok(sent.map_err(|Full| CloseReason::SlowReader)?)
    }

    /// What is to be said before closing, as far as the socket takes it at once.
    fn say_last_words(&mut self, why: CloseReason) {
        let (mut plain, mut sealed) = (BytesMut::new(), BytesMut::new());
        self.machine.tell(why.as_str(), &mut plain);
        if !plain.is_empty() && self.sealer.seal(&mut plain, &mut sealed).is_ok() {
            self.outbox.last_words().extend_from_slice(&sealed);
        }
        let _ = self.outbox.flush(self.stream, self.context.clock.now().mono);
    }

    async fn clean_up(&mut self) {
        self.machine.ended();
        if self.answers.is_some() {
            self.context.mailboxes.close(self.me);
        }
        self.part().await;
    }
}
