//! An SV1 miner: set-up in any order, jobs down, shares up.
//!
//! A plain state machine: the caller reads bytes, cuts lines and calls [`Sv1Miner::line`]; gives the newest
//! [`Feed`] to [`Sv1Miner::feed`]; calls [`Sv1Miner::timer`] at [`Sv1Miner::deadline`]; and writes what
//! [`Io::out`] holds.

mod jobs;
pub(super) mod setup;
mod submit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sv1::RequestErrorKind;
use work::MinerId;

use super::mining::{METER_AT_LEAST, Mining};
use super::policy::{CloseReason, ListenerPolicy, MinerIdSource};
use super::standing::WorkerStanding;
use super::strikes::Strikes;
use super::worker::Worker;
use crate::books::{AccountKey, Books, Final, RejectReason};
use crate::ids::{MinerRef, RouteId, SourceId};
use crate::now::{Now, earliest};
use crate::share::{Answer, ShareSink};

/// Workers that one connection may authorise.
pub const MAX_WORKERS: usize = 32;
/// Submits of one miner that may wait for the source's answer; with more, the oldest is answered from
/// Adit's own verdict.
pub const MAX_WAITING: usize = 512;

/// What the state machine works with during one call.
pub struct Io<'a> {
    /// The time.
    pub now: Now,
    /// Lines for the miner are appended here.
    pub out: &'a mut Vec<u8>,
    /// Takes good shares.
    pub shares: &'a mut dyn ShareSink,
    /// Gives miner ids.
    pub ids: &'a mut dyn MinerIdSource,
}

/// A submit that waits for the source's answer.
#[derive(Debug)]
struct Waiting {
    token: u32,
    id: sv1::IdBuf,
}

/// See the module.
#[derive(Debug)]
pub struct Sv1Miner {
    policy: Arc<ListenerPolicy>,
    route: RouteId,
    books: Arc<Books>,
    me: MinerRef,
    miner_id: Option<MinerId>,
    setup: setup::Setup,
    /// The first is who the connection mines for where only one name can be told.
    workers: Vec<Worker>,
    mining: Option<Box<Mining>>,
    strikes: Strikes,
    since: Duration,
    last_share: Duration,
    /// It has brought a good share.
    shared: bool,
    waiting: VecDeque<Waiting>,
    next_token: u32,
}

impl Sv1Miner {
    /// A miner that has just connected.
    #[must_use]
    pub fn new(policy: Arc<ListenerPolicy>, books: Arc<Books>, me: MinerRef, now: Now) -> Self {
        Self {
            setup: setup::Setup::default(),
            route: policy.route,
            policy,
            books,
            me,
            miner_id: None,
            workers: Vec::new(),
            mining: None,
            strikes: Strikes::default(),
            since: now.mono,
            last_share: now.mono,
            shared: false,
            waiting: VecDeque::new(),
            next_token: 0,
        }
    }

    /// Takes one line, without its line end.
    ///
    /// # Errors
    /// Why the connection is to be closed, after `io.out` was written.
    pub fn line(&mut self, line: &[u8], io: &mut Io<'_>) -> Result<(), CloseReason> {
        match sv1::parse_request(line) {
            Ok(request) => match request.method {
                sv1::Method::Submit(submit) => self.submit(request.id, &submit, io),
                method => self.set_up(request.id, method, io),
            },
            Err(error) => {
                // A request that is understood but for a parameter is answered; what is no request at all
                // is the mark of something that is no miner.
                let stranger = matches!(
                    error.kind,
                    RequestErrorKind::NotUtf8 { .. }
                        | RequestErrorKind::NotJson { .. }
                        | RequestErrorKind::NotAnObject
                        | RequestErrorKind::MissingMethod
                );
                sv1::write_request_error(io.out, &error);
                if is_submit(&error.kind) {
                    let why = RejectReason::Malformed;
                    self.count_rejected(None, None, why);
                }
                let enough = if stranger {
                    self.strikes.bad_line()
                } else {
                    self.strikes.bad_share(self.policy.vardiff.shares_per_minute, io.now.mono)
                };
                if enough { Err(CloseReason::Garbage) } else { Ok(()) }
            }
        }
    }

    /// A line was longer than the limit and is dropped.
    ///
    /// # Errors
    /// Always: firmware never sends such a line.
    pub fn line_too_long(&mut self) -> Result<(), CloseReason> {
        Err(CloseReason::LineTooLong)
    }

    /// Ready for work and not yet in a group: the caller joins it to one and calls [`Sv1Miner::joined`].
    #[must_use]
    pub fn wants_to_join(&self) -> bool {
        self.mining.is_none() && self.miner_id.is_some() && !self.workers.is_empty()
    }

    /// Subscribed and authorised.
    #[must_use]
    pub fn is_mining(&self) -> bool {
        self.mining.is_some()
    }

    /// The name of its firmware, where it is known.
    #[must_use]
    pub fn firmware(&self) -> Option<&Arc<str>> {
        self.setup.firmware.as_ref().map(|firmware| &firmware.name)
    }

    /// The first worker's name.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<str>> {
        self.workers.first().map(|w| &w.name)
    }

    /// Everybody who mines over this connection.
    pub fn each_worker(&self, tell: &mut dyn FnMut(WorkerStanding)) {
        let alone = self.workers.len() == 1;
        for worker in &self.workers {
            tell(WorkerStanding {
                name: Arc::clone(&worker.name),
                route: self.route,
                source: self
                    .mining
                    .as_ref()
                    .and_then(|mining| mining.feed.as_ref())
                    .map(|feed| feed.source()),
                standard: false,
                since: self.since,
                difficulty: self.difficulty().unwrap_or(0.0),
                hashrate: alone.then(|| self.hashrate()),
            });
        }
    }

    /// What it said that it is, once: for whoever keeps it.
    #[must_use]
    pub fn take_user_agent(&mut self) -> Option<Box<str>> {
        self.setup.user_agent.take()
    }

    /// Worker names that are too long for extension 0x0002 and go up cut.
    #[must_use]
    pub fn names_cut(&self) -> usize {
        self.workers.iter().filter(|w| w.is_cut()).count()
    }

    /// The route that the miner takes, where it is not the listener's: its shares are counted there.
    pub fn take_route(&mut self, route: RouteId) {
        self.route = route;
    }

    /// The id that was allocated, to be given back when the connection ends.
    #[must_use]
    pub fn miner_id(&self) -> Option<MinerId> {
        self.miner_id
    }

    /// It has brought a good share: another with its id could find the same again while the jobs of now live.
    #[must_use]
    pub fn has_shared(&self) -> bool {
        self.shared
    }

    /// It is one that may only want to see whether somebody is there, and has brought nothing.
    #[must_use]
    pub fn only_looked(&self) -> bool {
        let probes = self.setup.firmware.as_ref().is_some_and(|firmware| firmware.probe);
        probes && !self.has_shared()
    }

    /// The newest difficulty that the miner was told.
    #[must_use]
    pub fn difficulty(&self) -> Option<f64> {
        self.mining.as_ref().map(|m| m.told).filter(|d| *d > 0.0)
    }

    /// Hashes per second, as vardiff estimates them.
    #[must_use]
    pub fn hashrate(&self) -> f64 {
        self.mining.as_ref().map_or(0.0, |m| m.metered)
    }

    /// The difficulty that vardiff has learnt, to be remembered for the worker's next connection.
    #[must_use]
    pub fn learnt_difficulty(&self) -> Option<f64> {
        self.mining.as_ref().filter(|_| self.last_share > self.since).map(|m| m.vardiff.difficulty())
    }

    /// When the last good share came; when the miner joined, or connected, before the first.
    #[must_use]
    pub fn last_share(&self) -> Duration {
        self.last_share
    }

    /// From the next job on the miner's difficulty is `factor` times what vardiff wishes, so that it brings fewer
    /// shares while Adit is short of something; never above the source's nor the listener's highest. A difficulty
    /// that the miner fixed stays. 1 ends it.
    pub fn relieve(&mut self, factor: f64) {
        if self.setup.fixed.is_none()
            && self.policy.vardiff_enabled
            && let Some(mining) = &mut self.mining
        {
            mining.relief = factor.max(1.0);
        }
    }

    /// When [`Sv1Miner::timer`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if self.setup.unfit {
            return Some(Duration::ZERO);
        }
        let Some(mining) = &self.mining else {
            return Some(self.since + self.policy.setup_deadline);
        };
        let vardiff =
            self.policy.vardiff_enabled.then(|| mining.vardiff.deadline(&self.policy.vardiff)).flatten();
        // Where vardiff has nothing to do, the hashrate is looked at all the same.
        let meter = (vardiff.is_none() && mining.metered > 0.0).then(|| mining.metered_at + METER_AT_LEAST);
        earliest(Some(self.last_share + self.policy.idle_deadline), earliest(vardiff, meter))
    }

    /// A deadline has come.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub fn timer(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        if self.setup.unfit {
            return Err(CloseReason::Firmware);
        }
        let Some(mining) = &mut self.mining else {
            return if io.now.reached(self.since + self.policy.setup_deadline) {
                Err(CloseReason::SetupDeadline)
            } else {
                Ok(())
            };
        };
        if io.now.reached(self.last_share + self.policy.idle_deadline) {
            return Err(CloseReason::Idle);
        }
        let vardiff = &mut mining.vardiff;
        if self.policy.vardiff_enabled
            && vardiff.deadline(&self.policy.vardiff).is_some_and(|t| io.now.reached(t))
            && vardiff.on_deadline(&self.policy.vardiff, io.now.mono).is_some()
        {
            self.retarget(io);
        }
        if let Some(mining) = &mut self.mining
            && io.now.reached(mining.metered_at + METER_AT_LEAST)
        {
            let guess = mining.guess(self.policy.vardiff.shares_per_minute);
            mining.meter_hashrate(guess, io.now.mono);
        }
        Ok(())
    }

    /// The source's answer to a share that waited for it.
    pub fn answer(&mut self, answer: Answer, out: &mut Vec<u8>) {
        let Some(at) = self.waiting.iter().position(|w| w.token == answer.token) else {
            return;
        };
        let Some(waiting) = self.waiting.remove(at) else {
            return;
        };
        let id = waiting.id.as_id();
        match answer.end {
            Final::Acknowledged | Final::Local => sv1::write_true(out, id),
            Final::Refused(code) => {
                let (number, text) = submit::refused_as_sv1(code);
                sv1::write_error(out, id, number, text);
            }
            Final::Unsent(why) => sv1::write_error(out, id, sv1::ErrorCode::Other, submit::unsent_text(why)),
            Final::Unknown => {
                sv1::write_error(
                    out,
                    id,
                    sv1::ErrorCode::Other,
                    "The pool's answer was lost with its connection",
                );
            }
            Final::Rejected(_) => sv1::write_error(out, id, sv1::ErrorCode::Other, "Rejected"),
        }
    }

    /// The route has had no source for too long, or the process ends: says so before the connection closes.
    pub fn tell(&self, text: &str, out: &mut Vec<u8>) {
        if self.setup.subscribed {
            sv1::write_show_message(out, text);
        }
    }

    /// The connection has ended: takes this miner out of its group's sums.
    pub fn ended(&mut self) {
        if let Some(mining) = &mut self.mining {
            mining.ended();
        }
    }

    /// The account of this listener's shares on a source.
    fn key(&self, source: Option<SourceId>) -> AccountKey {
        AccountKey { listener: self.policy.id.0, route: self.route.0, source: source.map(|source| source.0) }
    }

    /// Counts a rejected share for the worker that it names, by its place, or the first; where there is none, for nobody.
    fn count_rejected(&mut self, worker: Option<usize>, source: Option<SourceId>, why: RejectReason) {
        let key = self.key(source);
        let end = Final::Rejected(why);
        match self.workers.get_mut(worker.unwrap_or(0)) {
            Some(worker) => worker.tally(&self.books, key).settle_at_once(self.me, end, 0.0, false),
            None => self.books.tally(&Arc::from(""), key).settle_at_once(self.me, end, 0.0, false),
        }
    }
}

/// Whether what could not be read was a share.
fn is_submit(kind: &RequestErrorKind) -> bool {
    let method = match kind {
        RequestErrorKind::BadParams { method, .. }
        | RequestErrorKind::MissingParam { method, .. }
        | RequestErrorKind::BadParam { method, .. } => method,
        _ => return false,
    };
    *method == "mining.submit"
}

#[cfg(test)]
mod tests;
