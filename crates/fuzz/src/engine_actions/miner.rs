//! A miner's connection, and what it was told.

use std::sync::Arc;

use engine::books::UnsentReason;
use engine::miner::{CloseReason, Io, MinerIdSource, Sv1Miner};
use engine::{Feed, GroupId, MinerRef, Now, OutgoingShare, ShareSink};
use sv1::client::{self, ServerMessage};
use sv1::{Method, RequestErrorKind, parse_request};
use work::MinerId;

use super::source::Source;

/// Jobs that a miner remembers, newest last.
const REMEMBERED: usize = 6;

/// A connection.
#[derive(Debug)]
pub(super) struct Miner {
    pub(super) me: MinerRef,
    pub(super) machine: Sv1Miner,
    pub(super) group: Option<GroupId>,
    /// News of the group that its task has not looked at.
    pub(super) news: Option<Arc<Feed>>,
    jobs: Vec<(String, u32)>,
}

/// Ids for the machines: every one is given out twice, in one space and in another.
pub(super) struct Ids {
    pub(super) size: u8,
    /// Twice the next id, and its space.
    pub(super) next: u32,
    /// Of miners that are there.
    pub(super) live: usize,
}

impl MinerIdSource for Ids {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        assert_eq!(size, self.size, "an id of another size than the listener's");
        let (number, space) = ((self.next / 2).to_be_bytes(), u8::from(!self.next.is_multiple_of(2)));
        self.next = self.next.wrapping_add(1);
        self.live += 1;
        let id = MinerId::from_bytes(&number[number.len() - usize::from(size)..]).ok()?;
        Some(id.in_space(space))
    }
}

/// The sources' queues.
pub(super) struct Doors<'a> {
    pub(super) sources: &'a mut [Source; 2],
    pub(super) queue: usize,
    pub(super) taken: u64,
    pub(super) planted: bool,
}

impl ShareSink for Doors<'_> {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason> {
        let source =
            self.sources.get_mut(usize::from(share.channel.source.0)).ok_or(UnsentReason::NoSource)?;
        if source.queue.len() >= self.queue {
            return Err(UnsentReason::QueueFull);
        }
        if !(self.planted && share.nonce % 7 == 6) {
            source.queue.push_back(share);
        }
        self.taken += 1;
        Ok(())
    }
}

/// What came of one call of a machine.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Shares taken into a source's queue.
    pub(super) taken: u64,
    /// Answers to requests.
    pub(super) answers: u64,
    /// Those of them that say `true`.
    pub(super) trues: u64,
    pub(super) closed: Option<CloseReason>,
}

impl Miner {
    pub(super) fn new(me: MinerRef, machine: Sv1Miner) -> Self {
        Self { me, machine, group: None, news: None, jobs: Vec::new() }
    }

    /// Calls the machine and reads what it wrote.
    pub(super) fn call(
        &mut self,
        doors: &mut Doors<'_>,
        ids: &mut Ids,
        now: Now,
        call: impl FnOnce(&mut Sv1Miner, &mut Io<'_>) -> Result<(), CloseReason>,
    ) -> Outcome {
        let mut out = Vec::new();
        doors.taken = 0;
        let mut io = Io { now, out: &mut out, shares: doors, ids };
        let closed = call(&mut self.machine, &mut io).err();
        let mut outcome = Outcome { taken: doors.taken, closed, ..Outcome::default() };
        self.read(&out, &mut outcome);
        outcome
    }

    fn read(&mut self, out: &[u8], outcome: &mut Outcome) {
        let Some(lines) = out.strip_suffix(b"\n") else {
            return assert!(out.is_empty(), "a line without its end");
        };
        for line in lines.split(|byte| *byte == b'\n') {
            match client::parse_message(line).expect("what a miner is told is Stratum") {
                ServerMessage::Response(response) => {
                    outcome.answers += 1;
                    outcome.trues += u64::from(response.result == Some("true"));
                }
                ServerMessage::Notify(notify) => {
                    assert!(
                        self.jobs.last().is_none_or(|(id, _)| *id != notify.job_id),
                        "job id {} twice",
                        notify.job_id
                    );
                    if self.jobs.len() == REMEMBERED {
                        self.jobs.remove(0);
                    }
                    self.jobs.push((notify.job_id.into_owned(), notify.ntime));
                }
                ServerMessage::SetDifficulty(difficulty) => {
                    assert!(difficulty.is_finite() && difficulty > 0.0)
                }
                ServerMessage::ShowMessage(_) | ServerMessage::SetVersionMask(_) => {}
                other => never_told(&other),
            }
        }
    }

    /// A job that it was told, the newest for 0, with its time.
    pub(super) fn job(&self, which: u8) -> (String, u32) {
        let back = usize::from(which) % (self.jobs.len() + 1);
        self.jobs.iter().rev().nth(back).cloned().unwrap_or_else(|| ("7f".to_owned(), 0))
    }
}

#[expect(clippy::panic, reason = "a broken promise")]
fn never_told(message: &ServerMessage<'_>) {
    panic!("a miner is never told {message:?}");
}

/// What a line asks for, as the books and the answers have to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A share, readable or not.
    Share,
    /// Something that is answered.
    Answer,
    /// Something that is not.
    Nothing,
}

impl Asked {
    pub(super) fn of(line: &[u8]) -> Self {
        match parse_request(line) {
            Ok(request) => match request.method {
                Method::Submit(_) => Self::Share,
                Method::Pong | Method::Response { .. } => Self::Nothing,
                _ => Self::Answer,
            },
            Err(error) => match error.kind {
                RequestErrorKind::BadParams { method: "mining.submit", .. }
                | RequestErrorKind::MissingParam { method: "mining.submit", .. }
                | RequestErrorKind::BadParam { method: "mining.submit", .. } => Self::Share,
                _ => Self::Answer,
            },
        }
    }
}
