//! The ledger's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ledger::{Ledger, Stream};
use telemetry::Latencies;
use tracing::{error, info, warn};

use super::evidence::{EvidenceDoor, KeptShare, Records};
use super::figures::LedgerFigures;
use super::names::Names;
use super::place::{Place, PlaceError};
use super::tally::BooksTally;
use super::thresholds::Seen;
use super::{LedgerSettings, unix_ms};

/// Sums are taken and written this often: what the disk takes to have them is within the second, too.
const EVERY: Duration = Duration::from_millis(750);
/// A ledger that cannot be opened is tried again this often.
const REOPEN_EVERY: Duration = Duration::from_secs(10);
/// The same trouble is logged this often at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Shares that wait for the thread at most: those of a second or so at a hundred thousand workers.
const EVIDENCE_QUEUE: usize = 8_192;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Told {
    /// A share is to be kept.
    Share(Box<KeptShare>),
    /// This was all.
    End,
}

/// The ledger, as everybody else sees it.
#[derive(Debug)]
pub(crate) struct LedgerKeeper {
    figures: Arc<LedgerFigures>,
    evidence: Option<EvidenceDoor>,
    told: SyncSender<Told>,
    thread: JoinHandle<()>,
}

impl LedgerKeeper {
    pub(super) fn start(
        settings: LedgerSettings,
        tally: BooksTally,
        seen: Option<Seen>,
        names: Names,
        latencies: Latencies,
    ) -> std::io::Result<Self> {
        let figures = Arc::new(LedgerFigures::default());
        let (told, tells) = sync_channel(EVIDENCE_QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let evidence = settings.evidence.then(|| EvidenceDoor::new(told.clone(), Arc::clone(&lost)));
        let keeping = Keeping {
            settings,
            tally,
            seen,
            names,
            latencies,
            figures: Arc::clone(&figures),
            records: Records::default(),
            lost,
            logged: None,
        };
        let thread =
            std::thread::Builder::new().name("ledger".to_owned()).spawn(move || keeping.run(&tells))?;
        Ok(Self { figures, evidence, told, thread })
    }

    pub(crate) fn figures(&self) -> Arc<LedgerFigures> {
        Arc::clone(&self.figures)
    }

    /// Where miners' tasks put shares that are to be kept; nothing where none are.
    pub(crate) fn evidence(&self) -> Option<EvidenceDoor> {
        self.evidence.clone()
    }

    /// Takes the last of the books, and waits until it is on the disk.
    pub(crate) fn end(self) {
        let _ = self.told.send(Told::End);
        let _ = self.thread.join();
    }
}

struct Keeping {
    settings: LedgerSettings,
    tally: BooksTally,
    /// Where evidence is kept.
    seen: Option<Seen>,
    names: Names,
    latencies: Latencies,
    figures: Arc<LedgerFigures>,
    records: Records,
    /// Shares that had no room in the queue.
    lost: Arc<AtomicU64>,
    /// When trouble was last logged, and which.
    logged: Option<(Instant, String)>,
}

impl Keeping {
    fn run(mut self, tells: &Receiver<Told>) {
        let mut opened = None;
        loop {
            let began = Instant::now();
            let every = match &mut opened {
                Some((_, ledger)) => {
                    self.take(ledger);
                    EVERY
                }
                None => match self.open() {
                    Ok((place, mut ledger)) => {
                        self.take(&mut ledger);
                        opened = Some((place, ledger));
                        EVERY
                    }
                    Err(error) => {
                        self.figures.cannot_open(error.to_string());
                        self.log(&error.to_string());
                        REOPEN_EVERY
                    }
                },
            };
            if !self.listen(tells, began + every, opened.as_mut().map(|(_, ledger)| ledger)) {
                break;
            }
        }
        if let Some((_, mut ledger)) = opened {
            let now_ms = unix_ms();
            self.tally.growth(&self.names, &mut ledger.taking(now_ms));
            ledger.lost(self.lost.swap(0, Relaxed));
            if !ledger.end(now_ms, env!("CARGO_PKG_VERSION")) {
                error!(
                    reason = ledger.standing().trouble,
                    "the last second of the ledger could not be written"
                );
            }
            self.figures.opened(ledger.standing());
        }
    }

    /// Takes shares until it is time. False: this was all.
    fn listen(&mut self, tells: &Receiver<Told>, until: Instant, mut ledger: Option<&mut Ledger>) -> bool {
        loop {
            match tells.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Told::Share(share)) => match &mut ledger {
                    Some(ledger) => ledger.share(self.records.share(&share, &self.names)),
                    None => {
                        self.lost.fetch_add(1, Relaxed);
                    }
                },
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn open(&self) -> Result<(Place, Ledger), PlaceError> {
        let LedgerSettings { directory, bounds, instance, .. } = &self.settings;
        let place = Place::take(directory)?;
        let (ledger, cuts) =
            Ledger::open(&place.storage, *instance, *bounds, unix_ms(), env!("CARGO_PKG_VERSION"))?;
        for cut in cuts {
            warn!(
                file = cut.stream.file_name(cut.segment),
                offset = cut.offset,
                bytes = cut.bytes,
                "a torn end of the ledger was cut off: what was being written when the run before this one ended"
            );
        }
        info!(directory = %directory.display(), "the ledger is kept");
        Ok((place, ledger))
    }

    fn take(&mut self, ledger: &mut Ledger) {
        let now_ms = unix_ms();
        for network in self.names.networks(now_ms) {
            ledger.network(network);
        }
        self.tally.growth(&self.names, &mut ledger.taking(now_ms));
        ledger.lost(self.lost.swap(0, Relaxed));
        if let Some(seen) = &mut self.seen {
            seen.tell(&mut self.tally, ledger, &self.names, now_ms);
        }
        let began = Instant::now();
        let evicted = ledger.standing().evicted.get(&Stream::Hours).copied();
        ledger.flush(now_ms);
        self.latencies.ledger_flush().observe(began.elapsed());
        let standing = ledger.standing();
        self.figures.opened(standing);
        if standing.evicted.get(&Stream::Hours).copied() != evicted {
            warn!("hours were evicted from the ledger: their totals are kept, by source but not by worker");
        }
        match &standing.trouble {
            Some(why) => {
                let why = why.clone();
                self.log(&why);
            }
            None if self.logged.take().is_some() => info!("the ledger is written again"),
            None => {}
        }
    }

    fn log(&mut self, why: &str) {
        let recent = |(at, logged): &(Instant, String)| at.elapsed() < LOG_EVERY && logged == why;
        if !self.logged.as_ref().is_some_and(recent) {
            error!(reason = why, "the ledger cannot be written; mining goes on, and the gap will be marked");
            self.logged = Some((Instant::now(), why.to_owned()));
        }
    }
}
