//! Publishing: what the lanes hand out is sent, a bounded number of messages at a time, until each is acknowledged. Whatever
//! goes wrong, everything that is not is sent again over a new connection; the stream knows again what it has.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::broker::{Acknowledgement, Broker, IN_FLIGHT, Trouble, trouble};
use super::cursor::{CursorFile, Progress};
use super::figures::NatsFigures;
use super::lane::{Item, Lane, Next};
use super::settings::{NatsSettings, Subject};

/// The ledger's files are looked at this often while nothing waits.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Bytes of messages that are not acknowledged, at most.
const BYTES_IN_FLIGHT: usize = 8 << 20;
/// How far it is is noted at most this often.
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// The first pause after trouble, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// At the end what is left may take so long.
pub(super) const END_WITHIN: Duration = Duration::from_secs(2);
/// The same trouble is logged this often at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Publisher {
    settings: Arc<NatsSettings>,
    cursor: CursorFile,
    figures: Arc<NatsFigures>,
    lanes: Vec<Lane>,
    /// What was last noted differs, and when that was.
    noted: Option<Instant>,
    unnoted: bool,
    logged: Option<Instant>,
}

/// A message that is under way.
struct Flight {
    lane: usize,
    item: Item,
    acknowledgement: Acknowledgement,
}

/// How long to wait before the next try.
struct Pause(Duration);

impl Pause {
    /// Twice as long as the last one, and not at the same moment as everybody else's.
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSES.1);
        pause.mul_f64(rand::random_range(0.5..1.0))
    }
}

impl Publisher {
    /// Takes it up where it ended.
    pub(super) fn new(
        directory: &Path,
        settings: Arc<NatsSettings>,
        cursor: CursorFile,
        figures: Arc<NatsFigures>,
        now_ms: u64,
    ) -> Self {
        let (mut noted, damaged) = match cursor.read() {
            Ok(noted) => (noted, false),
            Err(error) => {
                warn!(%error, file = super::cursor::NAME, "how far the ledger is published cannot be read: it is published anew as far as spool_age goes");
                (BTreeMap::new(), true)
            }
        };
        let mut wanted = Vec::new();
        wanted.extend(settings.sums.then_some(Subject::Sums));
        wanted.extend(settings.evidence.then_some(Subject::Evidence));
        figures.begin(&wanted, &settings.stream.name);
        let lanes = wanted.into_iter().map(|stream| {
            let done = noted.remove(stream.word()).or(damaged.then(Progress::default));
            Lane::new(directory, stream, &settings, done, now_ms)
        });
        let lanes = lanes.collect();
        // One that is not published any more begins anew when it is again: what comes between is not wanted.
        Self { settings, cursor, figures, lanes, noted: None, unnoted: false, logged: None }
    }

    /// Publishes until the end; that of `end` gives what is left a moment.
    pub(super) async fn run(&mut self, end: &CancellationToken) {
        let mut pause = Pause(PAUSES.0);
        loop {
            let mut acknowledged = false;
            let why = match self.session(end, &mut acknowledged).await {
                Ok(()) => break,
                Err(why) => why,
            };
            self.lanes.iter_mut().for_each(Lane::rewind);
            self.note(true);
            let why = why.to_string();
            let news = self.figures.failed(&why);
            if end.is_cancelled() {
                break;
            }
            if news && self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                warn!(reason = why, "the ledger is not published; what comes waits in it");
                self.logged = Some(Instant::now());
            }
            if acknowledged {
                pause = Pause(PAUSES.0);
            }
            if self.rest(pause.next(), end).await {
                // Once more for the last of it: somebody may be there again.
                let _ = timeout(END_WITHIN, self.session(end, &mut acknowledged)).await;
                break;
            }
        }
        self.note(true);
    }

    /// Waits; true where the end comes first.
    async fn rest(&mut self, pause: Duration, end: &CancellationToken) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.measure();
            let slice = (until - Instant::now()).min(Duration::from_secs(1));
            if end.run_until_cancelled(sleep(slice)).await.is_none() {
                return true;
            }
        }
        false
    }

    /// One connection, as long as it does what it should.
    async fn session(&mut self, end: &CancellationToken, acknowledged: &mut bool) -> Result<(), Trouble> {
        let mut broker = if end.is_cancelled() {
            Broker::connect(&self.settings).await?
        } else {
            match end.run_until_cancelled(Broker::connect(&self.settings)).await {
                Some(broker) => broker?,
                None => return Ok(()),
            }
        };
        let message_max = broker.message_max();
        self.lanes.iter_mut().for_each(|lane| lane.set_message_max(message_max));
        self.figures.connected(broker.server());
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut more = true;
        let mut deadline = None;
        loop {
            if more {
                more = self.send(&broker, &mut flights).await?;
            }
            self.figures.in_flight(flights.len());
            if !more && flights.is_empty() {
                if self.figures.well() {
                    self.is_well();
                }
                if deadline.is_some() {
                    return Ok(());
                }
            }
            let bytes: usize = flights.iter().map(|flight| flight.item.message.body.len()).sum();
            let room = flights.len() < IN_FLIGHT && bytes < BYTES_IN_FLIGHT;
            tokio::select! {
                biased;
                why = broker.ended() => return Err(why),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return Ok(()),
                () = end.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + END_WITHIN);
                    more = true;
                }
                answer = first(&mut flights) => {
                    let Some(flight) = flights.pop_front() else { continue };
                    let answer = answer.map_err(|error| trouble(&error))?;
                    *acknowledged = true;
                    self.acknowledged(&flight, answer.duplicate);
                }
                _ = look.tick() => {
                    more |= room;
                    self.measure();
                }
                () = std::future::ready(()), if more && room => {}
            }
            self.note(false);
        }
    }

    /// Sends what there is room for. True where there may be more.
    async fn send(&mut self, broker: &Broker, flights: &mut VecDeque<Flight>) -> Result<bool, Trouble> {
        let mut bytes: usize = flights.iter().map(|flight| flight.item.message.body.len()).sum();
        let mut more = vec![true; self.lanes.len()];
        let mut at = 0;
        while more.contains(&true) {
            if flights.len() >= IN_FLIGHT || bytes >= BYTES_IN_FLIGHT {
                return Ok(true);
            }
            // In turn, so that none waits for the other.
            let lane = at % self.lanes.len();
            at += 1;
            if !more[lane] {
                continue;
            }
            match self.lanes[lane].next(unix_ms()).map_err(Trouble::Ledger)? {
                Next::Nothing => more[lane] = false,
                Next::Later => tokio::task::yield_now().await,
                Next::Item(item) => {
                    let acknowledgement = broker.send(&item.message).await?;
                    bytes += item.message.body.len();
                    flights.push_back(Flight { lane, item: *item, acknowledgement });
                }
            }
        }
        Ok(false)
    }

    fn acknowledged(&mut self, flight: &Flight, duplicate: bool) {
        let Flight { lane, item, .. } = flight;
        self.lanes[*lane].acknowledged(item);
        self.unnoted = true;
        if let Some(gap) = item.gap.filter(|_| !duplicate) {
            warn!(
                stream = gap.stream.word(),
                reason = gap.why.word(),
                records = gap.records,
                from_ms = gap.from_ms,
                to_ms = gap.to_ms,
                "a part of the ledger is not published: the stream has a note of it"
            );
        }
        if self.figures.acknowledged(item.message.subject, duplicate, item.gap.as_ref()) {
            self.is_well();
        }
    }

    fn is_well(&mut self) {
        info!("the ledger is published again");
        self.logged = None;
    }

    fn measure(&mut self) {
        let now_ms = unix_ms();
        for lane in &mut self.lanes {
            let backlog = lane.backlog(now_ms);
            self.figures.waiting(lane.stream(), backlog);
        }
    }

    /// Notes how far it is, now or when it is time.
    fn note(&mut self, now: bool) {
        let due = now || self.noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY);
        if !self.unnoted || !due {
            return;
        }
        // Where nothing was published yet, there is nothing to go on from.
        let begun = self.lanes.iter().filter(|lane| *lane.done() != Progress::default());
        let streams = begun.map(|lane| (lane.stream().word().to_owned(), lane.done().clone()));
        let streams: BTreeMap<String, Progress> = streams.collect();
        self.noted = Some(Instant::now());
        match self.cursor.write(&streams) {
            Ok(()) => self.unnoted = false,
            Err(error) => {
                // Publishing goes on: at worst more is sent again, and known again.
                let why = Trouble::Cursor { error }.to_string();
                if self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    warn!(reason = why, "how far the ledger is published is not noted");
                    self.logged = Some(Instant::now());
                }
            }
        }
    }
}

/// The acknowledgement of the first that is under way.
async fn first(
    flights: &mut VecDeque<Flight>,
) -> Result<async_nats::jetstream::publish::PublishAck, async_nats::jetstream::context::PublishError> {
    match flights.front_mut() {
        Some(flight) => flight.acknowledgement.as_mut().await,
        None => std::future::pending().await,
    }
}

pub(super) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
