//! One connection to an SV1 pool: one extranonce space.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use work::{Difficulty, Seconds, Target};

use super::{ANSWER_DEADLINE, IDLE_CONNECTION, JOB_SILENCE, protocol};
use crate::feed::ChannelState;
use crate::source::event::DownReason;
use crate::source::ready_job::ReadyJob;
use crate::source::settle::OpenShares;

/// Jobs whose shares can still be sent. Pools keep fewer.
pub(super) const MAX_JOBS: usize = 64;

/// A step of the set-up, named after what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Configure,
    Subscribe,
    Authorize,
    FirstJob,
}

impl Step {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Configure => "mining.configure",
            Self::Subscribe => "mining.subscribe",
            Self::Authorize => "mining.authorize",
            Self::FirstJob => "mining.subscribe with a job",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneState {
    /// To be dialled.
    Wanted,
    /// The caller dials.
    Dialling,
    SettingUp {
        step: Step,
        deadline: Duration,
    },
    Ready,
}

/// How a connection's extranonce2 is split: bytes of miner id and of the miners' own extranonce2.
pub(super) type Sizes = (u8, u8);

/// Whose connection it is: no two miners of these have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Miners {
    pub(super) sizes: Sizes,
    pub(super) space: u8,
}

/// A job that shares may still come of.
#[derive(Debug)]
pub(super) struct JobName {
    pub(super) id: u32,
    /// The pool's.
    pub(super) name: Box<str>,
    /// The bits that could be rolled when it came.
    pub(super) mask: u32,
}

/// The newest job.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) ready: ReadyJob,
    pub(super) extranonce1: sv1::Extranonce,
    pub(super) extranonce2_size: usize,
    pub(super) target: Target,
    pub(super) generation: u32,
    pub(super) received: Seconds,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) state: LaneState,
    /// Whom it was authorised for.
    pub(super) identity: Arc<str>,
    /// Whose miners are on it; once there were any, it is for nobody else: another's would search what they have searched.
    pub(super) miners: Option<Miners>,
    pub(super) extranonce1: sv1::Extranonce,
    pub(super) extranonce2_size: usize,
    pub(super) mask: u32,
    /// In force for jobs to come.
    pub(super) target: Target,
    pub(super) current: Option<Current>,
    pub(super) jobs: VecDeque<JobName>,
    /// Of every channel that was on it and that miners still know: a closed channel's shares are as good as any, as long as
    /// the connection is there.
    pub(super) states: Vec<Arc<ChannelState>>,
    pub(super) open: OpenShares,
    /// Since when it has no channel.
    pub(super) idle_since: Option<Duration>,
    pub(super) last_job: Duration,
    pub(super) last_answer: Duration,
    pub(super) ready_since: Duration,
    pub(super) bad_lines: u32,
}

impl Lane {
    pub(super) fn new(identity: Arc<str>, miners: Option<Miners>) -> Self {
        Self {
            state: LaneState::Wanted,
            identity,
            miners,
            extranonce1: sv1::Extranonce::new(&[]).expect("nothing fits"),
            extranonce2_size: 0,
            mask: 0,
            // What holds until the pool says otherwise.
            target: Target::DIFFICULTY_1,
            current: None,
            jobs: VecDeque::new(),
            states: Vec::new(),
            open: OpenShares::default(),
            idle_since: None,
            last_job: Duration::ZERO,
            last_answer: Duration::ZERO,
            ready_since: Duration::ZERO,
            bad_lines: 0,
        }
    }

    /// It has ended, and with it every channel that was ever on it.
    pub(super) fn end(&self) {
        self.states.iter().for_each(|state| state.end());
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == LaneState::Ready
    }

    /// The caller has a connection for it.
    pub(super) fn is_linked(&self) -> bool {
        matches!(self.state, LaneState::SettingUp { .. } | LaneState::Ready)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            LaneState::Wanted | LaneState::Dialling => None,
            LaneState::SettingUp { deadline, .. } => Some(deadline),
            LaneState::Ready => {
                let ends = self.last_job + JOB_SILENCE;
                let idle = self.idle_since.map_or(ends, |at| at + IDLE_CONNECTION);
                let answer = self.open.oldest().map_or(ends, |sent| sent + ANSWER_DEADLINE);
                Some(ends.min(idle).min(answer))
            }
        }
    }

    /// `mining.set_difficulty`.
    pub(super) fn set_difficulty(&mut self, difficulty: f64) -> Result<(), DownReason> {
        let target = Difficulty::new(difficulty).map_err(|error| protocol(error.to_string()))?.target();
        if target.is_zero() {
            return Err(protocol(format!("a difficulty of {difficulty}, which no hash can meet")));
        }
        self.target = target;
        Ok(())
    }
}
