//! What happened, for people: a bounded list of the last events.
//!
//! It is no log: the log says more, and keeps it. What happens often is told a few times and then counted, so that one
//! pool that comes and goes does not push everything else out.

mod compare;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

/// The most events that are kept.
pub const EVENTS_MAX: usize = 1000;
/// The longest subject, bytes.
const SUBJECT_MAX: usize = 128;
/// The longest text, bytes.
const TEXT_MAX: usize = 512;
/// Of one kind and subject so many are told at once,
const BURST: f64 = 10.0;
/// and then one more in this time.
const ONE_MORE: Duration = Duration::from_secs(10);
/// Kinds with subjects that are counted apart; more share one count.
const PACED_MAX: usize = 1024;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Adit has started.
    Started,
    /// Adit stops: no new miners.
    Stopping,
    /// An alarm has begun to hold.
    AlarmBegan,
    /// An alarm holds no longer.
    AlarmEnded,
    /// A source can be mined on.
    SourceReady,
    /// A source cannot be mined on any more.
    SourceDown,
    /// A source has come with a new configuration.
    SourceAdded,
    /// A source is taken out of the configuration.
    SourceRemoved,
    /// A route mines on another source.
    RouteSwitched,
    /// Declaring templates to a pool stands otherwise.
    Declaration,
    /// A goal may have work from now on, or may not for now.
    GoalTime,
    /// A goal has had all the work that it was to have.
    GoalEnded,
    /// A template provider gives templates.
    TemplateUp,
    /// A template provider gives none any more.
    TemplateDown,
    /// Miners have found blocks.
    BlockFound,
    /// A node has taken a block.
    BlockTaken,
    /// No node takes a block.
    BlockRefused,
    /// A listener had to turn miners away, or something went wrong in it.
    Listener,
    /// Something is done, or no longer done, because memory is short.
    Overload,
    /// The configuration was read anew.
    Reloaded,
    /// A new configuration was refused.
    ReloadRefused,
    /// Goals were changed over the API.
    GoalsChanged,
}

/// How much an event should worry whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventLevel {
    /// Good to know.
    Info,
    /// To be looked at.
    Warning,
    /// Costs money now, or may.
    Error,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Event {
    /// Grows with each, over restarts too as long as the clock does not go back.
    pub id: u64,
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// What.
    pub kind: EventKind,
    /// The listener, route, source or else that it is about; empty when it is Adit itself.
    pub subject: String,
    /// In words.
    pub text: String,
    /// How bad.
    pub level: EventLevel,
}

/// The list. Whoever notes something waits for nobody.
#[derive(Debug)]
pub struct Events {
    state: Mutex<State>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    next: u64,
    kept: VecDeque<Event>,
    paces: HashMap<(EventKind, String), Pace>,
}

/// A bucket of events that may be told.
#[derive(Debug)]
struct Pace {
    left: f64,
    at: Instant,
    left_out: u64,
}

impl Default for Events {
    fn default() -> Self {
        // Ids of this run are above those of the one before, and fit into a float of a browser.
        let next = unix_ms() / 1000 * 1_000_000;
        let state = State { next, kept: VecDeque::new(), paces: HashMap::new() };
        Self { state: Mutex::new(state), newest: watch::Sender::new(next) }
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Events {
    /// Something has happened.
    pub fn note(
        &self,
        kind: EventKind,
        level: EventLevel,
        subject: &str,
        text: impl Into<Cow<'static, str>>,
    ) {
        self.note_at(kind, level, subject, text.into(), Instant::now());
    }

    fn note_at(
        &self,
        kind: EventKind,
        level: EventLevel,
        subject: &str,
        text: Cow<'static, str>,
        now: Instant,
    ) {
        let mut state = self.lock();
        let Some(left_out) = state.pace(kind, subject, now) else { return };
        let mut text = text.into_owned();
        if left_out > 0 {
            text.push_str(&format!(" ({left_out} more of the kind were left out before)"));
        }
        state.next += 1;
        let id = state.next;
        if state.kept.len() >= EVENTS_MAX {
            state.kept.pop_front();
        }
        state.kept.push_back(Event {
            id,
            unix_ms: unix_ms(),
            kind,
            subject: cut(subject.to_owned(), SUBJECT_MAX),
            text: cut(text, TEXT_MAX),
            level,
        });
        drop(state);
        self.newest.send_replace(id);
    }

    /// Those after the one with this id, the oldest first, at most so many.
    #[must_use]
    pub fn after(&self, id: u64, limit: usize) -> Vec<Event> {
        let state = self.lock();
        let from = state.kept.partition_point(|event| event.id <= id);
        state.kept.iter().skip(from).take(limit).cloned().collect()
    }

    /// The newest, the oldest of them first, at most so many.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Event> {
        let state = self.lock();
        state.kept.iter().skip(state.kept.len().saturating_sub(limit)).cloned().collect()
    }

    /// The newest id, and who changes it is told.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether it may be told, with how many alike were left out before it.
    fn pace(&mut self, kind: EventKind, subject: &str, now: Instant) -> Option<u64> {
        let mut key = (kind, subject.to_owned());
        if self.paces.len() >= PACED_MAX && !self.paces.contains_key(&key) {
            key.1.clear();
        }
        let pace = self.paces.entry(key).or_insert(Pace { left: BURST, at: now, left_out: 0 });
        let passed = now.saturating_duration_since(pace.at);
        pace.left = (pace.left + passed.as_secs_f64() / ONE_MORE.as_secs_f64()).min(BURST);
        pace.at = now;
        if pace.left < 1.0 {
            pace.left_out += 1;
            return None;
        }
        pace.left -= 1.0;
        Some(std::mem::take(&mut pace.left_out))
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(events: &Events, subject: &str, text: &'static str, now: Instant) {
        events.note_at(EventKind::SourceDown, EventLevel::Warning, subject, text.into(), now);
    }

    #[test]
    fn the_last_thousand_are_kept_and_ids_grow() {
        let events = Events::default();
        for n in 0..EVENTS_MAX + 20 {
            events.note(EventKind::SourceDown, EventLevel::Warning, &n.to_string(), "gone");
        }
        let all = events.newest(usize::MAX);
        assert_eq!((all.len(), all[0].subject.as_str()), (EVENTS_MAX, "20"));
        assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(events.after(all[989].id, 5), all[990..995]);
        assert_eq!(events.after(u64::MAX, 5), []);
        assert_eq!(events.newest(2), all[EVENTS_MAX - 2..]);
        assert!(all[0].id < 1 << 53, "a browser reads it exactly");
    }

    #[test]
    fn who_makes_many_is_told_a_few_times_and_then_counted_and_nobody_else_is() {
        let events = Events::default();
        let now = Instant::now();
        for _ in 0..100 {
            note(&events, "flapping", "gone", now);
        }
        note(&events, "another", "gone", now);
        assert_eq!(events.newest(100).len(), 11);
        note(&events, "flapping", "gone", now + ONE_MORE + Duration::from_millis(1));
        assert_eq!(events.newest(1)[0].text, "gone (90 more of the kind were left out before)");
    }

    #[test]
    fn nothing_grows_without_bound() {
        let events = Events::default();
        for n in 0..PACED_MAX * 2 {
            events.note(EventKind::Listener, EventLevel::Info, &n.to_string(), "x".repeat(10_000));
        }
        assert!(events.lock().paces.len() <= PACED_MAX + 1);
        events.note(EventKind::Stopping, EventLevel::Info, &"ä".repeat(1000), "x".repeat(10_000));
        let last = events.newest(1).remove(0);
        assert!(last.text.len() <= TEXT_MAX + 3 && last.subject.len() <= SUBJECT_MAX + 3);
    }
}
