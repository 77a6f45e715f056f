//! What a person should look at: each alarm holds or does not hold, for a listener, a route, a source or Adit itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use telemetry::{AlarmSnapshot, BooksSnapshot, NatsSnapshot, Snapshot};

/// Counts are compared with those of this long ago, seconds.
const WINDOW: f64 = 300.0;
/// A broker may be away for so long: a new start of it is no alarm.
const NATS_AWAY: f64 = 30.0;
/// Counts are noted this often, seconds.
const NOTED_EVERY: f64 = 5.0;
/// Refusals, or rejections, that are too few to mean anything.
const FEW: u64 = 10;
/// The part of all answers from which on refusals, or rejections, are an alarm.
const TOO_MANY: f64 = 0.05;
/// The part of all shares from which on lost ones are an alarm: a tip that changes while shares are under way costs a few.
const TOO_MANY_LOST: f64 = 0.01;

/// Judges snapshots, each by what it says and by what changed in the last five minutes.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    noted: Mutex<VecDeque<Noted>>,
}

/// By name: what there is may come and go.
type Counts = BTreeMap<String, (u64, u64)>;

/// Counts as they stood.
#[derive(Clone, Debug, Default)]
struct Noted {
    /// Seconds since the start.
    at: f64,
    /// Shares lost after `true`, and all.
    shares: (u64, u64),
    /// Gaps in what is published.
    gaps: u64,
    /// By source and by listener: bad ones and all.
    sources: Counts,
    listeners: Counts,
}

impl Noted {
    fn of(snapshot: &Snapshot) -> Self {
        let refused = |books: &BooksSnapshot| (books.refused_total, books.refused_total + books.acknowledged);
        let rejected = |books: &BooksSnapshot| (books.rejected_total, books.submitted);
        Self {
            at: snapshot.uptime_seconds,
            shares: (snapshot.books.told_true_lost, snapshot.books.submitted),
            gaps: snapshot.nats.as_ref().map_or(0, |nats| nats.gaps_total),
            sources: snapshot
                .sources
                .iter()
                .map(|source| (source.name.clone(), refused(&source.books)))
                .collect(),
            listeners: snapshot.listeners.iter().map(|of| (of.name.clone(), rejected(&of.books))).collect(),
        }
    }
}

impl Alarms {
    /// Every alarm there is, whether it holds or not. The snapshot's sums must be made.
    pub(crate) fn judge(&self, snapshot: &Snapshot, insecure: &[bool]) -> Vec<AlarmSnapshot> {
        let now = Noted::of(snapshot);
        let then = self.before(&now);
        let since = now.at - then.at;
        let (lost, shares) = (now.shares.0 - then.shares.0, now.shares.1 - then.shares.1);
        let trouble = snapshot.ledger.as_ref().and_then(|ledger| ledger.trouble.as_deref());
        let mut alarms = vec![
            alarm("books_unbalanced", "", !snapshot.is_balanced(), || {
                "a share was counted twice or not at all: a mistake of Adit, please report it".to_owned()
            }),
            alarm("dev_pool", "", snapshot.dev_mode, || {
                "the embedded development pool is mined for: nobody is paid".to_owned()
            }),
            alarm("memory_short", "", snapshot.overload.iter().any(|step| step.active), || {
                let doing =
                    snapshot.overload.iter().filter(|step| step.active).map(|step| step.rung.as_ref());
                format!(
                    "doing: {}; give Adit more memory (limits.memory, the service's or container's limit) or fewer miners",
                    doing.collect::<Vec<_>>().join(", ")
                )
            }),
            alarm("ledger_degraded", "", trouble.is_some(), || {
                format!(
                    "{}; mining goes on, sums are kept in memory and written when the disk takes them again, evidence \
                     has room for a while",
                    trouble.unwrap_or_default()
                )
            }),
            alarm("shares_lost", "", many(lost, shares, TOO_MANY_LOST), || {
                format!(
                    "{lost} of {shares} shares in {since:.0} s ended unsent, refused or unknown after miners were told \
                     that they are good; see the sources' last_down and refused"
                )
            }),
        ];
        if let Some(nats) = &snapshot.nats {
            alarms.extend(published(nats, now.gaps.saturating_sub(then.gaps)));
        }
        for (at, source) in snapshot.sources.iter().enumerate() {
            let (refused, answered) = grown(&now.sources, &then.sources, &source.name);
            alarms.push(alarm("source_refuses_shares", &source.name, many(refused, answered, TOO_MANY), || {
                format!("{refused} of {answered} answers in {since:.0} s were refusals; the codes are in its books")
            }));
            let insecure = insecure.get(at).is_some_and(|insecure| *insecure);
            alarms.push(alarm("source_unauthenticated", &source.name, insecure, || {
                "insecure = true: whoever is on the way can take the hashrate; set its authority key"
                    .to_owned()
            }));
        }
        for listener in &snapshot.listeners {
            let (rejected, submitted) = grown(&now.listeners, &then.listeners, &listener.name);
            alarms.push(alarm("miners_send_bad_shares", &listener.name, many(rejected, submitted, TOO_MANY), || {
                format!("{rejected} of {submitted} shares in {since:.0} s were rejected; the reasons are in its books")
            }));
        }
        if !snapshot.templates.is_empty() {
            let waiting = snapshot.blocks.waiting_on_disk;
            alarms.push(alarm("blocks_waiting", "", waiting > 0, || {
                format!(
                    "{waiting} found blocks are on disk and no node has them: bring a node up, or hand one in with \
                     bitcoin-cli -stdin submitblock < FILE.block (in blocks, below the state directory)"
                )
            }));
        }
        for template in &snapshot.templates {
            alarms.push(alarm("template_down", &template.name, !template.up, || {
                template.last_down.clone().unwrap_or_else(|| "it has not answered yet".to_owned())
            }));
        }
        for route in &snapshot.routes {
            alarms.push(alarm("route_without_source", &route.name, route.active.is_none(), || {
                let why = |source: &telemetry::RouteSourceSnapshot| {
                    format!("{}: {}", source.name, source.reason.as_deref().unwrap_or("not yet tried"))
                };
                route.sources.iter().map(why).collect::<Vec<_>>().join("; ")
            }));
            let first = route.sources.first();
            let fallback =
                route.active.as_ref().filter(|active| first.is_some_and(|first| &first.name != *active));
            alarms.push(alarm("route_on_fallback", &route.name, fallback.is_some(), || {
                let why = first.and_then(|first| first.reason.as_deref()).unwrap_or("it is usable again");
                let name = first.map_or("", |first| first.name.as_str());
                format!("mines for {}, not for {name} ({why})", fallback.map_or("", String::as_str))
            }));
        }
        alarms
    }

    /// The oldest counts within the window, and notes the present ones.
    fn before(&self, now: &Noted) -> Noted {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        // The one before the window's begin stays: it is the latest that is at least as old as the window.
        while noted.get(1).is_some_and(|next| now.at - next.at >= WINDOW) {
            noted.pop_front();
        }
        if noted.back().is_none_or(|last| now.at - last.at >= NOTED_EVERY) {
            noted.push_back(now.clone());
        }
        // Nothing was counted before the start.
        noted.front().filter(|first| now.at - first.at > 0.0 && now.at >= WINDOW).cloned().unwrap_or_default()
    }
}

/// What is published to NATS, with so many gaps of late.
fn published(nats: &NatsSnapshot, gaps: u64) -> [AlarmSnapshot; 2] {
    let away = nats.trouble.is_some() && nats.trouble_seconds >= NATS_AWAY;
    [
        alarm("nats_degraded", "", away, || {
            format!(
                "{}; {:.0} s of it; {} bytes wait in the ledger, the oldest for {:.0} s",
                nats.trouble.as_deref().unwrap_or_default(),
                nats.trouble_seconds,
                nats.waiting_bytes.values().sum::<u64>(),
                nats.waiting_seconds,
            )
        }),
        alarm("nats_gap", "", gaps > 0, || {
            format!(
                "{gaps} parts of the ledger were not published; the stream has a note of each, the log says why"
            )
        }),
    ]
}

fn alarm(name: &'static str, subject: &str, active: bool, detail: impl FnOnce() -> String) -> AlarmSnapshot {
    let detail = if active { detail() } else { String::new() };
    AlarmSnapshot { name: name.into(), subject: subject.to_owned(), active, detail }
}

fn many(bad: u64, of: u64, limit: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let part = bad as f64 / of.max(1) as f64;
    bad >= FEW && part > limit
}

fn grown(now: &Counts, then: &Counts, name: &str) -> (u64, u64) {
    let of = |counts: &Counts| counts.get(name).copied().unwrap_or_default();
    let (now, then) = (of(now), of(then));
    (now.0.saturating_sub(then.0), now.1.saturating_sub(then.1))
}

#[cfg(test)]
mod tests {
    use telemetry::{AccountSnapshot, RouteSnapshot, RouteSourceSnapshot, SourceSnapshot, TemplateSnapshot};

    use super::*;

    fn snapshot(at: f64, acknowledged: u64, refused: u64, lost: u64) -> Snapshot {
        let books = BooksSnapshot {
            submitted: acknowledged + refused,
            forwarded: acknowledged + refused,
            acknowledged,
            refused_total: refused,
            refused: [("stale-share".into(), refused)].into(),
            told_true_lost: lost,
            ..BooksSnapshot::default()
        };
        let account =
            AccountSnapshot { listener: "l".into(), route: "r".into(), source: Some("s".into()), books };
        let usable = |name: &str| RouteSourceSnapshot { name: name.into(), usable: true, reason: None };
        Snapshot {
            uptime_seconds: at,
            accounts: vec![account],
            sources: vec![SourceSnapshot { name: "s".into(), ..SourceSnapshot::default() }],
            routes: vec![RouteSnapshot {
                name: "r".into(),
                active: Some("s".into()),
                sources: vec![usable("first"), usable("s")],
                ..RouteSnapshot::default()
            }],
            ..Snapshot::default()
        }
        .with_sums()
    }

    fn holding(alarms: &[AlarmSnapshot]) -> Vec<&str> {
        alarms.iter().filter(|alarm| alarm.active).map(|alarm| alarm.name.as_ref()).collect()
    }

    #[test]
    fn refusals_and_lost_shares_alarm_while_they_are_recent() {
        let alarms = Alarms::default();
        let at = |seconds, acknowledged, refused, lost| {
            let judged = alarms.judge(&snapshot(seconds, acknowledged, refused, lost), &[false]);
            holding(&judged).join(" ")
        };
        assert_eq!(at(10.0, 1_000, 9, 0), "route_on_fallback", "nine refusals are few");
        assert_eq!(at(400.0, 1_500, 12, 9), "route_on_fallback", "three more, and nine lost, are few");
        assert_eq!(at(420.0, 1_510, 60, 30), "shares_lost source_refuses_shares route_on_fallback");
        assert_eq!(at(700.0, 1_520, 60, 30), "shares_lost source_refuses_shares route_on_fallback");
        assert_eq!(at(730.0, 1_530, 60, 30), "route_on_fallback", "five minutes after the last");
    }

    #[test]
    fn a_node_that_is_away_and_blocks_that_wait_for_it_are_alarms() {
        let mut snapshot = snapshot(1.0, 0, 0, 0);
        let template = |name: &str, up| TemplateSnapshot {
            name: name.into(),
            up,
            last_down: Some("connection refused".into()),
            ..TemplateSnapshot::default()
        };
        snapshot.templates = vec![template("near", true), template("far", false)];
        snapshot.blocks.waiting_on_disk = 2;
        let alarms = Alarms::default().judge(&snapshot, &[false]);
        assert_eq!(holding(&alarms), ["blocks_waiting", "template_down", "route_on_fallback"]);
        let down = alarms.iter().find(|alarm| alarm.name == "template_down" && alarm.active);
        assert_eq!(down.map(|alarm| (&*alarm.subject, &*alarm.detail)), Some(("far", "connection refused")));
    }

    #[test]
    fn a_route_without_source_and_an_insecure_source_are_named() {
        let mut snapshot = snapshot(1.0, 0, 0, 0);
        snapshot.routes[0].active = None;
        snapshot.routes[0].sources[0].reason = Some("connection refused".into());
        let alarms = Alarms::default().judge(&snapshot, &[true]);
        assert_eq!(holding(&alarms), ["source_unauthenticated", "route_without_source"]);
        let detail = alarms.iter().find(|a| a.name == "route_without_source").map(|a| a.detail.as_str());
        assert_eq!(detail, Some("first: connection refused; s: not yet tried"));
        let quiet: Vec<_> = alarms.iter().filter(|alarm| !alarm.active).collect();
        assert!(quiet.iter().all(|alarm| alarm.detail.is_empty()) && quiet.len() == 7, "{quiet:?}");
    }
}
