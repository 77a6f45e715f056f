//! A custom job on its way from a template to the pool's acknowledgement.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use work::coinbase::Coinbase;
use work::{Target, Template, TemplateTransaction};

use super::UNACKNOWLEDGED_AT_MOST;
use crate::feed::Feed;
use crate::now::Now;
use crate::share::OutgoingShare;
use crate::source::ready_job::ReadyJob;

/// Jobs that shares and blocks are still known of. The reference pool keeps 16 of a channel.
const JOBS: usize = 32;

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For the template's transactions, for a token, or for the time of another try.
    Waiting {
        /// Not before.
        until: Duration,
    },
    /// For the declarator server's answer.
    Declaring,
    /// For the pool's answer to `SetCustomMiningJob`.
    Setting {
        /// The request.
        request_id: u32,
        /// The last moment for it.
        deadline: Duration,
    },
    /// The pool rewards it.
    Acknowledged {
        /// The pool's number.
        job_id: u32,
        /// The channel's target when the pool took it.
        target: Target,
    },
    /// It came to nothing.
    Over,
}

impl Stage {
    /// Nobody has decided on it yet.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Declaring | Self::Setting { .. })
    }
}

/// A template as it was given, and as its jobs have it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// As it came: whoever gets a found block knows the template by this.
    pub(super) origin: Arc<Template>,
    /// With its tip's smallest time and, as soon as they are there, with its transactions.
    template: Arc<Template>,
}

impl Given {
    /// A template whose tip has this smallest time.
    pub(super) fn new(origin: Arc<Template>, min_ntime: u32) -> Self {
        let mut template = Arc::clone(&origin);
        if template.min_ntime != min_ntime {
            Arc::make_mut(&mut template).min_ntime = min_ntime;
        }
        Self { origin, template }
    }

    /// The same, with its transactions.
    pub(super) fn with(&self, transactions: Arc<[TemplateTransaction]>) -> Self {
        let mut template = Template::clone(&self.template);
        template.transactions = Some(transactions);
        Self { origin: Arc::clone(&self.origin), template: Arc::new(template) }
    }
}

impl Deref for Given {
    type Target = Template;

    fn deref(&self) -> &Template {
        &self.template
    }
}

/// A job that miners were given.
#[derive(Debug)]
pub(super) struct CustomJob {
    /// Our number for it, which stands in shares.
    pub(super) id: u32,
    pub(super) channel_id: u32,
    pub(super) template: Given,
    pub(super) coinbase: Arc<Coinbase>,
    pub(super) ready: ReadyJob,
    /// As miners were given it last.
    pub(super) feed: Feed,
    /// The channel's target when miners were first given it: shares may come that meet no harder one.
    pub(super) told: Target,
    pub(super) stage: Stage,
    /// Tries that came to nothing, but for those that the tip was to blame for.
    pub(super) tries: u8,
    /// Tries that the tip was to blame for.
    pub(super) stale_tries: u8,
    /// Its token was no good any more, and a new one was asked for.
    pub(super) renewed: bool,
    /// When its template came.
    pub(super) began: Duration,
    /// Shares that wait for its acknowledgement, oldest first.
    pub(super) held: Vec<OutgoingShare>,
}

impl CustomJob {
    /// The request that the pool has not answered yet.
    pub(super) fn request(&self) -> Option<u32> {
        match self.stage {
            Stage::Setting { request_id, .. } => Some(request_id),
            _ => None,
        }
    }

    /// When something is to be done about it.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let given_up = self.began + UNACKNOWLEDGED_AT_MOST;
        match self.stage {
            Stage::Waiting { until } if !until.is_zero() => Some(until.min(given_up)),
            Stage::Waiting { .. } => Some(given_up),
            Stage::Setting { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// What it waits for has not come for so long that nothing will come of it: its template's transactions, as a rule,
    /// which nobody asks for any more when there is a newer template.
    pub(super) fn is_given_up(&self, now: Now) -> bool {
        matches!(self.stage, Stage::Waiting { .. }) && now.since(self.began) >= UNACKNOWLEDGED_AT_MOST
    }
}

/// The jobs of a source, newest last.
#[derive(Debug, Default)]
pub(super) struct CustomJobs {
    jobs: VecDeque<CustomJob>,
    next_id: u32,
}

impl CustomJobs {
    /// The number of the next job.
    pub(super) fn next_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// Takes a job in. Gives the one that is forgotten for it.
    #[must_use]
    pub(super) fn push(&mut self, job: CustomJob) -> Option<CustomJob> {
        let forgotten = if self.jobs.len() == JOBS { self.jobs.pop_front() } else { None };
        self.jobs.push_back(job);
        forgotten
    }

    pub(super) fn get(&self, id: u32) -> Option<&CustomJob> {
        self.jobs.iter().rev().find(|job| job.id == id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut CustomJob> {
        self.jobs.iter_mut().rev().find(|job| job.id == id)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &CustomJob> {
        self.jobs.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut CustomJob> {
        self.jobs.iter_mut()
    }

    /// The numbers of those for which `wanted` holds, oldest first.
    pub(super) fn ids(&self, wanted: impl Fn(&CustomJob) -> bool) -> Vec<u32> {
        self.jobs.iter().filter(|job| wanted(job)).map(|job| job.id).collect()
    }

    /// Shares that wait, of all jobs together.
    pub(super) fn held(&self) -> usize {
        self.jobs.iter().map(|job| job.held.len()).sum()
    }
}
