//! What a load run found out. Serializes to JSON; every field says its unit in its name.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Shared;
use super::connection::ShareTally;
use super::event_loop::{Coming, Outcome};
use super::fanout::{self, Spread};
use super::options::Mode;
use super::process::Observed;
use crate::histogram::Quantiles;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the connections did.
    pub mode: Mode,
    /// Connections asked for.
    pub miners: usize,
    /// Shares per second asked for.
    pub shares_per_second: f64,
    /// Unix time of the first dialling, seconds.
    pub began_unix: f64,
    /// How long shares were sent (or connections held).
    pub seconds: f64,
    /// Setting up, the first time.
    pub connect: ConnectReport,
    /// Each time that all connections were closed at once and came back.
    pub storms: Vec<StormReport>,
    /// Paced shares.
    pub shares: SharesReport,
    /// The flooding connection's shares.
    pub flood: Option<FloodReport>,
    /// Jobs that came after all connections had one, in their order.
    pub fanouts: Vec<FanoutReport>,
    /// Traffic of the whole run.
    pub bytes: BytesReport,
    /// What the load generator itself used.
    pub own: OwnReport,
    /// What the observed process used.
    pub server: Option<ServerReport>,
}

/// How the connections came up.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectReport {
    /// TCP connections that came up.
    pub connected: u64,
    /// Connections that got a job.
    pub with_work: u64,
    /// Connections that did not.
    pub failed: u64,
    /// Connections that ended after they had a job.
    pub closed_later: u64,
    /// What went wrong first.
    pub first_failure: Option<String>,
    /// From the first dialling to the last connection's first job.
    pub seconds_to_all: f64,
    /// From dialling (or its due time) to TCP being up.
    pub tcp_ms: Quantiles,
    /// From dialling (or its due time) to the first `mining.notify`.
    pub first_job_ms: Quantiles,
    /// Smallest difficulty that the server set; `None`: it set none.
    pub difficulty_min: Option<f64>,
    /// Largest difficulty that the server set.
    pub difficulty_max: Option<f64>,
}

/// How the connections came back after all of them had been closed at once.
#[derive(Clone, Debug, Serialize)]
pub struct StormReport {
    /// Connections that got a job.
    pub with_work: u64,
    /// Connections that did not.
    pub failed: u64,
    /// From their closing to the last connection's first job.
    pub seconds_to_all: f64,
    /// From dialling (or its due time) to the first job.
    pub first_job_ms: Quantiles,
}

/// What became of the paced shares: `due = submitted + not_sent`,
/// `submitted = accepted + rejected + unanswered`.
#[derive(Clone, Debug, Serialize)]
pub struct SharesReport {
    /// Shares that were due.
    pub due: u64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares that were due but not sent: no connection could take them, or the one in turn had too many
    /// unanswered.
    pub not_sent: u64,
    /// Answered `true`.
    pub accepted: u64,
    /// Refused, by `code message`.
    pub rejected: BTreeMap<String, u64>,
    /// Never answered, drain included.
    pub unanswered: u64,
    /// Accepted shares per second.
    pub accepted_per_second: f64,
    /// From the due time to the answer.
    pub latency_ms: Quantiles,
}

/// What became of the flood.
#[derive(Clone, Debug, Serialize)]
pub struct FloodReport {
    /// Shares sent.
    pub submitted: u64,
    /// Answered `true`.
    pub accepted: u64,
    /// Refused, by `code message`.
    pub rejected: BTreeMap<String, u64>,
    /// Never answered.
    pub unanswered: u64,
    /// Answers per second of the run.
    pub answered_per_second: f64,
    /// From sending to the answer.
    pub latency_ms: Quantiles,
}

/// How one job spread.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutReport {
    /// The job's parent, as hashes are written.
    pub prev_hash: String,
    /// Unix time of the first arrival, seconds.
    pub first_unix: f64,
    /// Unix time of the last arrival, seconds.
    pub last_unix: f64,
    /// Connections that got it.
    pub receivers: usize,
    /// From the first to the median arrival.
    pub p50_ms: f64,
    /// From the first arrival to that of 99 % of the receivers.
    pub p99_ms: f64,
    /// From the first to the last arrival.
    pub last_ms: f64,
}

/// Traffic, as the generator's sockets saw it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BytesReport {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// `mining.notify` lines received.
    pub notifies: u64,
}

/// What the load generator itself used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OwnReport {
    /// Threads.
    pub threads: usize,
    /// CPU time of its threads while connecting, seconds.
    pub cpu_connecting_seconds: f64,
    /// CPU time of its threads while sending, seconds. On loopback this includes the kernel's work of delivering
    /// to the server.
    pub cpu_running_seconds: f64,
    /// That, per share sent (flood included), microseconds; 0 without shares.
    pub cpu_us_per_share: f64,
    /// Resident memory of the process when all connections had work, bytes.
    pub rss_bytes: Option<u64>,
}

/// What the observed process used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerReport {
    /// CPU time while connecting (and settling), seconds.
    pub cpu_connecting_seconds: Option<f64>,
    /// CPU time while shares were sent, seconds.
    pub cpu_running_seconds: Option<f64>,
    /// That, per share sent (flood included), microseconds.
    pub cpu_us_per_share: Option<f64>,
    /// Resident memory before the first connection, bytes.
    pub rss_before_bytes: Option<u64>,
    /// Resident memory when all connections had work, bytes.
    pub rss_connected_bytes: Option<u64>,
    /// Resident memory at the end, bytes.
    pub rss_end_bytes: Option<u64>,
    /// Growth while connecting, per connection with work, bytes.
    pub rss_bytes_per_connection: Option<f64>,
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome {
            comings: Vec::new(),
            closed_later: 0,
            first_failure: None,
            shares: ShareTally::default(),
            flood: ShareTally::default(),
            due: 0,
            not_sent: 0,
            spreads: Vec::new(),
            bytes_sent: 0,
            bytes_received: 0,
            notifies: 0,
            too_hard: None,
            difficulty: None,
            cpu_connecting: Duration::ZERO,
            cpu_running: Duration::ZERO,
            run_time: Duration::ZERO,
        }
    }
}

/// Observations before, at the start and at the end of the run.
type Observations = ((Observed, Observed), Observed);

pub(super) fn build(
    shared: &Shared,
    outcomes: Vec<Outcome>,
    own_rss: Option<u64>,
    observed: Option<Observations>,
) -> Report {
    let options = &shared.options;
    let mut all = Outcome::default();
    let mut spreads = Vec::new();
    for outcome in outcomes {
        spreads.push(add(&mut all, outcome));
    }
    let seconds = all.run_time.as_secs_f64();
    let sent = all.shares.submitted + all.flood.submitted;
    let mut comings = std::mem::take(&mut all.comings).into_iter();
    let first = comings.next().unwrap_or_default();
    Report {
        mode: options.mode,
        miners: options.miners,
        shares_per_second: options.shares_per_second,
        began_unix: shared.began_unix.as_secs_f64(),
        seconds,
        connect: ConnectReport {
            connected: first.connected,
            with_work: first.with_work,
            failed: first.failed,
            closed_later: all.closed_later,
            first_failure: all.first_failure,
            seconds_to_all: first.to_all.as_secs_f64(),
            tcp_ms: first.tcp_up.quantiles(),
            first_job_ms: first.first_job.quantiles(),
            difficulty_min: all.difficulty.map(|(low, _)| low),
            difficulty_max: all.difficulty.map(|(_, high)| high),
        },
        storms: comings.map(|coming| storm_report(&coming)).collect(),
        shares: SharesReport {
            due: all.due,
            submitted: all.shares.submitted,
            not_sent: all.not_sent,
            accepted: all.shares.accepted,
            accepted_per_second: per(all.shares.accepted, seconds),
            latency_ms: all.shares.latency.quantiles(),
            rejected: all.shares.rejected,
            unanswered: all.shares.lost,
        },
        flood: (options.mode == Mode::Flood).then(|| FloodReport {
            submitted: all.flood.submitted,
            accepted: all.flood.accepted,
            unanswered: all.flood.lost,
            answered_per_second: per(all.flood.latency.quantiles().count, seconds),
            latency_ms: all.flood.latency.quantiles(),
            rejected: all.flood.rejected,
        }),
        fanouts: fanout::merge(spreads).into_iter().map(|spread| fanout_report(shared, spread)).collect(),
        bytes: BytesReport { sent: all.bytes_sent, received: all.bytes_received, notifies: all.notifies },
        own: OwnReport {
            threads: options.threads,
            cpu_connecting_seconds: all.cpu_connecting.as_secs_f64(),
            cpu_running_seconds: all.cpu_running.as_secs_f64(),
            cpu_us_per_share: us_per_share(all.cpu_running, sent).unwrap_or(0.0),
            rss_bytes: own_rss,
        },
        server: observed.map(|observed| server_report(observed, sent, first.with_work)),
    }
}

/// Adds one thread's figures; returns its fan-out records.
fn add(all: &mut Outcome, outcome: Outcome) -> Vec<Spread> {
    for (at, coming) in outcome.comings.into_iter().enumerate() {
        match all.comings.get_mut(at) {
            Some(known) => add_coming(known, &coming),
            None => all.comings.push(coming),
        }
    }
    all.closed_later += outcome.closed_later;
    all.first_failure = all.first_failure.take().or(outcome.first_failure);
    add_shares(&mut all.shares, outcome.shares);
    add_shares(&mut all.flood, outcome.flood);
    all.due += outcome.due;
    all.not_sent += outcome.not_sent;
    all.bytes_sent += outcome.bytes_sent;
    all.bytes_received += outcome.bytes_received;
    all.notifies += outcome.notifies;
    all.difficulty = match (all.difficulty, outcome.difficulty) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (mine, theirs) => mine.or(theirs),
    };
    all.cpu_connecting += outcome.cpu_connecting;
    all.cpu_running += outcome.cpu_running;
    all.run_time = all.run_time.max(outcome.run_time);
    outcome.spreads
}

fn add_coming(all: &mut Coming, coming: &Coming) {
    all.connected += coming.connected;
    all.with_work += coming.with_work;
    all.failed += coming.failed;
    all.tcp_up.merge(&coming.tcp_up);
    all.first_job.merge(&coming.first_job);
    all.to_all = all.to_all.max(coming.to_all);
}

fn storm_report(coming: &Coming) -> StormReport {
    StormReport {
        with_work: coming.with_work,
        failed: coming.failed,
        seconds_to_all: coming.to_all.as_secs_f64(),
        first_job_ms: coming.first_job.quantiles(),
    }
}

fn add_shares(all: &mut ShareTally, tally: ShareTally) {
    all.submitted += tally.submitted;
    all.accepted += tally.accepted;
    all.lost += tally.lost;
    all.latency.merge(&tally.latency);
    for (reason, count) in tally.rejected {
        *all.rejected.entry(reason).or_default() += count;
    }
}

fn fanout_report(shared: &Shared, mut spread: Spread) -> FanoutReport {
    spread.after_us.sort_unstable();
    let after = &spread.after_us;
    let at = |percent: usize| {
        let index = (after.len() * percent).div_ceil(100).saturating_sub(1);
        f64::from(after.get(index).copied().unwrap_or(0)) / 1_000.0
    };
    let first_unix = (shared.began_unix + (spread.first - shared.began)).as_secs_f64();
    FanoutReport {
        prev_hash: spread.prev_hash,
        first_unix,
        last_unix: first_unix + at(100) / 1_000.0,
        receivers: after.len(),
        p50_ms: at(50),
        p99_ms: at(99),
        last_ms: at(100),
    }
}

fn server_report(((before, start), end): Observations, sent: u64, connections: u64) -> ServerReport {
    let cpu = |from: Observed, to: Observed| Some(to.cpu?.saturating_sub(from.cpu?));
    let running = cpu(start, end);
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
    let growth = before.rss.zip(start.rss).map(|(before, after)| after as f64 - before as f64);
    #[expect(clippy::cast_precision_loss, reason = "at most 20,000 connections")]
    let connections = connections as f64;
    ServerReport {
        cpu_connecting_seconds: cpu(before, start).map(|cpu| cpu.as_secs_f64()),
        cpu_running_seconds: running.map(|cpu| cpu.as_secs_f64()),
        cpu_us_per_share: running.and_then(|cpu| us_per_share(cpu, sent)),
        rss_before_bytes: before.rss,
        rss_connected_bytes: start.rss,
        rss_end_bytes: end.rss,
        rss_bytes_per_connection: growth.filter(|_| connections > 0.0).map(|growth| growth / connections),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn us_per_share(cpu: Duration, shares: u64) -> Option<f64> {
    (shares > 0).then(|| cpu.as_secs_f64() * 1e6 / shares as f64)
}
