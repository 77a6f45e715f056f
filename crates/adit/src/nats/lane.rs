//! One stream of the ledger on its way: what is to be published next, what is given up, and how far it was acknowledged.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger::{Directory, Gone, GoneWhy, KeptShare, Mark, Stream, Tail, Tailed};

use super::cursor::Progress;
use super::messages::{self, Gap, Message, Why};
use super::settings::{NatsSettings, Subject};

/// After so many records that are given up somebody else has a turn.
const PASSED_AT_ONCE: u32 = 4_096;
/// How much waits is looked at so often, milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;
/// What a message's header may take.
const HEADER_MAX: usize = 1_024;

/// A message, and how far the stream is published once it is acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) after: Progress,
    /// It tells of something that is not published.
    pub(super) gap: Option<Gap>,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Next {
    Item(Box<Item>),
    /// There may be more: ask again.
    Later,
    /// Everything that is written was handed out.
    Nothing,
}

/// What is given up, one record after the other.
#[derive(Debug)]
struct Passing {
    gap: Gap,
    from: Mark,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    stream: Subject,
    tail: Tail,
    adit: String,
    age_ms: u64,
    bytes_max: u64,
    message_max: usize,
    /// Nobody ever published this ledger: what is too old is nobody's loss.
    fresh: bool,
    done: Progress,
    handed: Progress,
    ready: VecDeque<Item>,
    passing: Option<Passing>,
    /// Something was handed out.
    began: bool,
    /// Bytes behind what was handed out, as last seen,
    behind: u64,
    /// and when that was.
    looked_ms: u64,
    /// Since when something waits, Unix milliseconds.
    waits_since_ms: Option<u64>,
}

/// How much is not acknowledged yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) bytes: u64,
    /// How old its oldest record is.
    pub(super) age_ms: u64,
}

impl Lane {
    /// Goes on where it ended; `None` where there was nothing before.
    pub(super) fn new(
        directory: &Path,
        stream: Subject,
        settings: &NatsSettings,
        done: Option<Progress>,
        now_ms: u64,
    ) -> Self {
        let of = if stream == Subject::Evidence { Stream::Evidence } else { Stream::Seconds };
        let fresh = done.is_none();
        let done = done.unwrap_or_default();
        let age_ms = milliseconds(settings.spool_age);
        let tail = Tail::new(Box::new(Directory::existing(directory)), of, done.mark);
        Self {
            stream,
            tail: tail.since(now_ms.saturating_sub(age_ms)),
            adit: settings.name.clone(),
            age_ms,
            bytes_max: settings.spool_max,
            message_max: usize::MAX,
            fresh,
            handed: done.clone(),
            waits_since_ms: (done.at_ms > 0).then_some(done.at_ms),
            done,
            ready: VecDeque::new(),
            passing: None,
            began: false,
            behind: 0,
            looked_ms: 0,
        }
    }

    pub(super) fn stream(&self) -> Subject {
        self.stream
    }

    /// How far it is acknowledged.
    pub(super) fn done(&self) -> &Progress {
        &self.done
    }

    /// The servers take messages of so many bytes, their headers with them.
    pub(super) fn set_message_max(&mut self, bytes: usize) {
        self.message_max = bytes.saturating_sub(HEADER_MAX);
    }

    /// Everything that is not acknowledged is handed out again.
    pub(super) fn rewind(&mut self) {
        self.ready.clear();
        self.passing = None;
        self.began = self.done.mark != Mark::default();
        self.handed = self.done.clone();
        self.tail.rewind(self.done.mark);
    }

    /// An item was acknowledged; they are in the order in which they were handed out.
    pub(super) fn acknowledged(&mut self, item: &Item) {
        self.done = item.after.clone();
    }

    /// How much is not acknowledged yet.
    pub(super) fn backlog(&mut self, now_ms: u64) -> Backlog {
        let bytes = self.tail.bytes_after(self.done.mark).unwrap_or(0);
        if bytes == 0 {
            self.waits_since_ms = None;
            return Backlog::default();
        }
        let since = *self.waits_since_ms.get_or_insert(now_ms);
        Backlog { bytes, age_ms: now_ms.saturating_sub(since.max(self.done.at_ms)) }
    }

    /// What comes next.
    ///
    /// # Errors
    /// The system's: the ledger cannot be read now.
    pub(super) fn next(&mut self, now_ms: u64) -> io::Result<Next> {
        let mut passed = 0;
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Next::Item(Box::new(item)));
            }
            let segment = self.handed.mark.segment;
            let Some(tailed) = self.tail.follow()? else {
                self.tell_passed();
                return Ok(match self.ready.pop_front() {
                    Some(item) => Next::Item(Box::new(item)),
                    None => Next::Nothing,
                });
            };
            let mark = self.tail.mark();
            if mark.segment != segment || now_ms.abs_diff(self.looked_ms) >= LOOK_EVERY_MS {
                self.behind = self.tail.bytes_after(mark)?;
                self.looked_ms = now_ms;
            } else {
                self.behind = self.behind.saturating_sub(mark.offset.saturating_sub(self.handed.mark.offset));
            }
            match tailed {
                Tailed::Span(span) => {
                    let after = Progress { mark, at_ms: span.to_ms, ..Progress::default() };
                    let messages = || messages::sums(&span, &self.adit);
                    match self.too_late(span.to_ms, now_ms).map_or_else(|| self.fitting(messages()), Err) {
                        Ok(messages) => self.hand_out(messages, &after),
                        Err(why) => self.pass(why, after),
                    }
                }
                Tailed::Share(kept) => self.share(&kept, mark, now_ms),
                Tailed::Gone(gone) => self.gone(gone, mark, now_ms),
            }
            passed += 1;
            if passed >= PASSED_AT_ONCE && self.ready.is_empty() {
                return Ok(Next::Later);
            }
        }
    }

    /// Whether a record is given up.
    fn too_late(&self, at_ms: u64, now_ms: u64) -> Option<Why> {
        if now_ms.saturating_sub(at_ms) > self.age_ms {
            Some(Why::Age)
        } else if self.behind > self.bytes_max {
            Some(Why::Size)
        } else {
            None
        }
    }

    /// The servers must take every one of a record's messages.
    fn fitting(&self, messages: Vec<Message>) -> Result<Vec<Message>, Why> {
        let fit = messages.iter().all(|message| message.body.len() <= self.message_max);
        if fit { Ok(messages) } else { Err(Why::TooLong) }
    }

    fn share(&mut self, kept: &KeptShare, mark: Mark, now_ms: u64) {
        let at_ms = kept.share.at_ms;
        // Each segment numbers its jobs anew.
        let of_segment = |mark: Mark| (mark.instance, mark.began_ms, mark.segment);
        if of_segment(self.handed.mark) != of_segment(mark) {
            self.tell_passed();
            let begins = Mark { offset: kept.at.offset, ..mark };
            self.handed = Progress { mark: begins, at_ms: self.handed.at_ms, ..Progress::default() };
        }
        let mut owed = Arc::clone(&self.handed.owed);
        let mut jobs = self.handed.jobs;
        if kept.job > jobs {
            Arc::make_mut(&mut owed).extend(jobs..kept.job);
        }
        let job_is_due = kept.job >= jobs || owed.contains(&kept.job);
        jobs = jobs.max(kept.job + 1);
        let mut made = Vec::new();
        if job_is_due {
            made.push(messages::job(kept, &self.adit));
        }
        made.push(messages::share(kept, &self.adit));
        match self.too_late(at_ms, now_ms).map_or_else(|| self.fitting(made), Err) {
            Ok(mut made) => {
                if owed.contains(&kept.job) {
                    Arc::make_mut(&mut owed).remove(&kept.job);
                }
                let after = Progress { mark, jobs, owed, at_ms };
                if job_is_due {
                    // The job alone is acknowledged: the share comes again, without it.
                    let before =
                        Progress { mark: self.handed.mark, at_ms: self.handed.at_ms, ..after.clone() };
                    self.hand_out(vec![made.remove(0)], &before);
                }
                self.hand_out(made, &after);
            }
            Err(why) => {
                if job_is_due {
                    Arc::make_mut(&mut owed).insert(kept.job);
                }
                self.pass(why, Progress { mark, jobs, owed, at_ms });
            }
        }
    }

    fn gone(&mut self, gone: Gone, mark: Mark, now_ms: u64) {
        self.tell_passed();
        let why = match gone.why {
            GoneWhy::Evicted => Why::Evicted,
            GoneWhy::Damaged => Why::Damaged,
            GoneWhy::Replaced => Why::Replaced,
        };
        let to_ms = if gone.until_ms == 0 { now_ms } else { gone.until_ms };
        let gap = Gap { stream: self.stream, why, records: None, from_ms: self.handed.at_ms, to_ms };
        let from = self.handed.mark;
        self.handed = Progress { mark, at_ms: self.handed.at_ms, ..Progress::default() };
        self.tell(gap, from);
    }

    /// Hands the messages of one record out. It is published when the last is acknowledged.
    fn hand_out(&mut self, messages: Vec<Message>, after: &Progress) {
        self.tell_passed();
        self.began = true;
        let last = messages.len() - 1;
        for (at, message) in messages.into_iter().enumerate() {
            let after = if at == last { after.clone() } else { self.handed.clone() };
            self.ready.push_back(Item { message, after, gap: None });
        }
        self.handed = after.clone();
    }

    /// Gives a record up.
    fn pass(&mut self, why: Why, after: Progress) {
        if self.passing.as_ref().is_some_and(|passing| passing.gap.why != why) {
            self.tell_passed();
        }
        let first = Gap {
            stream: self.stream,
            why,
            records: Some(0),
            from_ms: self.handed.at_ms,
            to_ms: after.at_ms,
        };
        let from = self.handed.mark;
        let passing = self.passing.get_or_insert(Passing { gap: first, from });
        passing.gap.records = passing.gap.records.map(|records| records + 1);
        passing.gap.to_ms = after.at_ms;
        self.handed = after;
    }

    /// Tells of what was given up since the last message.
    fn tell_passed(&mut self) {
        let Some(Passing { gap, from }) = self.passing.take() else { return };
        // Nothing was ever published, and this is older than what could have been.
        if self.fresh && !self.began && gap.why == Why::Age {
            self.done = self.handed.clone();
            return;
        }
        self.tell(gap, from);
    }

    fn tell(&mut self, gap: Gap, from: Mark) {
        let message = messages::gap(&gap, from, self.handed.mark, &self.adit);
        self.ready.push_back(Item { message, after: self.handed.clone(), gap: Some(gap) });
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
