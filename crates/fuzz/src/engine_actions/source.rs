//! A source's task: the machine, its link's other end, and the queue of shares before it.

use std::collections::VecDeque;

use engine::source::{DownReason, Effects, LinkSecurity, SourceCommand, Sv2Pool};
use engine::{Now, OutgoingShare};
use sv2::FrameHeader;

use super::pool::Pool;

/// Timers in a row that may leave a deadline in the past.
const SPINS: usize = 3;

/// See the module.
pub(super) struct Source {
    pub(super) machine: Sv2Pool,
    pub(super) fx: Effects,
    pub(super) queue: VecDeque<OutgoingShare>,
    pub(super) pool: Option<Pool>,
}

impl Source {
    pub(super) fn new(machine: Sv2Pool) -> Self {
        Self { machine, fx: Effects::default(), queue: VecDeque::new(), pool: None }
    }

    pub(super) fn command(&mut self, command: SourceCommand, now: Now) {
        self.machine.command(command, now, &mut self.fx);
        self.sent();
    }

    pub(super) fn link(&mut self, how: u8, now: Now) {
        if self.machine.wants_connection() {
            if how % 8 == 7 {
                let why = DownReason::Connect("refused".into());
                self.machine.disconnected(why, now, &mut self.fx);
            } else {
                let authenticated = how % 8 != 6;
                let security =
                    if authenticated { LinkSecurity::Authenticated } else { LinkSecurity::Unauthenticated };
                self.pool = Some(Pool::default());
                self.machine.connected(security, now, &mut self.fx);
            }
        } else if self.pool.is_some() && how % 4 == 3 {
            self.machine.disconnected(DownReason::Lost("reset".into()), now, &mut self.fx);
            self.pool = None;
        }
        self.sent();
    }

    /// The pool says something.
    pub(super) fn pool_says(&mut self, now: Now, say: impl FnOnce(&mut Pool) -> Vec<bytes::BytesMut>) {
        let Some(pool) = &mut self.pool else { return };
        for frame in say(pool) {
            let (header, payload, _) = FrameHeader::split(&frame).expect("a whole frame");
            if !self.frame(&header, payload, now) {
                break;
            }
        }
    }

    /// Gives a frame to the machine; says whether the link is still there.
    pub(super) fn frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now) -> bool {
        if self.pool.is_none() {
            return false;
        }
        self.machine.frame(header, payload, now, &mut self.fx);
        self.sent();
        self.pool.is_some()
    }

    /// Takes shares out of the queue, as many as there is room for.
    pub(super) fn pump(&mut self, count: usize, now: Now) {
        for _ in 0..count {
            let is_block = self.queue.front().is_some_and(|share| share.is_block);
            if self.pool.is_some() && self.machine.room() == 0 && !is_block {
                break;
            }
            let Some(share) = self.queue.pop_front() else { break };
            self.machine.share(&share, now, &mut self.fx);
        }
        self.sent();
    }

    pub(super) fn timer(&mut self, now: Now) {
        for _ in 0..SPINS {
            if self.machine.wants_connection() || self.machine.deadline().is_none_or(|at| at > now.mono) {
                return;
            }
            self.machine.timer(now, &mut self.fx);
            self.sent();
        }
        assert!(
            self.machine.wants_connection() || self.machine.deadline().is_none_or(|at| at > now.mono),
            "a source's deadline {:?} stays in the past of {:?}",
            self.machine.deadline(),
            now.mono
        );
    }

    /// What the machine wrote reaches the pool; a link that it gave up is gone.
    fn sent(&mut self) {
        let frames = self.fx.frames.split();
        if let Some(pool) = &mut self.pool {
            pool.receive(&frames);
        } else {
            assert!(frames.is_empty(), "frames without a link");
        }
        if std::mem::take(&mut self.fx.hang_up) {
            self.pool = None;
        }
        assert_eq!(self.pool.is_some(), self.machine.has_connection(), "the machine's link and the real one");
    }
}
