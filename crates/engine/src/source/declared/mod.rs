//! The farm's own templates, declared to a pool, as a source (specification sections 5.3.18 to 5.3.20 and 6).
//!
//! Three things together: a connection to the pool with work selection ([`Sv2Pool`]), a connection to its job declarator
//! server ([`JobDeclarator`]), and templates. Miners start on a template at once; until the pool has acknowledged its job
//! their shares are `held`. A block goes out on every way first, whatever was acknowledged.
//!
//! When declaring does not work, the source goes down with the reason, so that the route takes the next one (the same
//! pool's own jobs, as a rule), and comes up again by itself after a while. What is not the pool's fault, such as a tip
//! that its node hears of later than ours, is tried again for [`UNACKNOWLEDGED_AT_MOST`] and no longer: until then miners
//! work for shares that nobody has promised to pay.

mod declare;
mod job;
mod shares;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use sv2::FrameHeader;
use work::CoinbaseConstraints;
use work::coinbase::Output;

use job::{CustomJobs, Given, Stage};

use super::backoff::Backoff;
use super::event::{DownReason, Effects, SourceCommand, SourceEvent};
use super::jds::{JdsEffects, JdsEvent, JdsSettings, JdsState, JobDeclarator};
use super::solo::FoundBlock;
use super::status::SourceStatus;
use super::sv2_pool::{LinkSecurity, SourceSettings, Sv2Pool};
use crate::ids::SourceId;
use crate::now::{Now, earliest};

/// `SetCustomMiningJob` is answered within this.
pub const SET_CUSTOM_JOB_DEADLINE: Duration = Duration::from_secs(5);
/// With no job on the present tip acknowledged for this long, the pool is left. A job of a channel that has another one
/// waits no longer either: its shares were told to be good.
pub const UNACKNOWLEDGED_AT_MOST: Duration = Duration::from_secs(15);
/// Within this after a tip has changed, a refusal may come of that and is no reason to leave the pool the first time.
const TIP_RACE: Duration = Duration::from_secs(2);
/// Shares held at most, of all jobs together: the pool's first answer takes milliseconds, and its target lets few through.
const HELD_AT_MOST: usize = 4_096;
/// Templates made for less room are not declared; this much is asked for until the pool has said what it wants.
const LEAST_ROOM: CoinbaseConstraints = CoinbaseConstraints { additional_size: 100, additional_sigops: 16 };

/// How templates are declared to a pool.
#[derive(Clone, Debug)]
pub struct DeclaredSettings {
    /// The connection to the pool; [`SourceSettings::work_selection`] is set by [`Declared::new`].
    pub pool: SourceSettings,
    /// The connection to its job declarator server, which says whether whole templates are declared or coinbases only.
    pub jds: JdsSettings,
    /// Follows the height in `script_sig`: a push of the farm's signature text, or nothing.
    pub tag: Vec<u8>,
    /// Outputs after the pool's own. What they pay is missing from the pool's payout.
    pub extra_outputs: Vec<Output>,
}

/// What comes out of the machine; the caller empties it after each call.
#[derive(Debug, Default)]
pub struct DeclaredEffects {
    /// Of the connection to the pool, and for router and miners.
    pub pool: Effects,
    /// Of the connection to the declarator server. Its events are for the machine, and taken.
    pub jds: JdsEffects,
    /// Found blocks: to be sent on every way there is, before all else.
    pub blocks: Vec<FoundBlock>,
    /// Templates from now on must have this much room.
    pub constraints: Option<CoinbaseConstraints>,
    /// From the template to the pool's acknowledgement of its job.
    pub acknowledged_after: Vec<Duration>,
}

/// Where the source stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredState {
    /// Not wanted.
    Off,
    /// It has failed, and is tried again.
    Resting {
        /// When.
        until: Duration,
    },
    /// The pool is not connected.
    NoPool,
    /// The declarator server is not connected, or has given no token.
    NoDeclarator,
    /// There is no template with room for the pool's outputs.
    NoTemplate,
    /// Ready, with no channel to declare for.
    Ready,
    /// Miners work on a job that the pool has not acknowledged.
    Declaring,
    /// Miners work on a job that the pool has acknowledged.
    Acknowledged,
}

impl DeclaredState {
    /// The word for it in metrics and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Resting { .. } => "resting",
            Self::NoPool => "no_pool",
            Self::NoDeclarator => "no_declarator",
            Self::NoTemplate => "no_template",
            Self::Ready => "ready",
            Self::Declaring => "declaring",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// What there is to show of declaring.
#[derive(Clone, Debug)]
pub struct DeclaredStatus {
    /// Where it stands.
    pub state: DeclaredState,
    /// The connection to the declarator server.
    pub jds: JdsState,
    /// Why that was last down.
    pub jds_last_down: DownReason,
    /// Jobs that were acknowledged, ever.
    pub acknowledged: u64,
    /// Jobs that the pool or its declarator server refused, ever; those that a change of tip was to blame for too.
    pub refused: u64,
    /// Shares that wait for an acknowledgement.
    pub held: usize,
}

/// A channel that jobs are declared for.
#[derive(Debug)]
struct Channel {
    /// A job on the present tip was acknowledged.
    acknowledged: bool,
    /// Since when miners have had to do without.
    since: Duration,
    /// The job that its miners were given last.
    mined: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub struct Declared {
    tag: Vec<u8>,
    extra_outputs: Vec<Output>,
    full_template: bool,
    ntime_slack: u32,
    pool: Sv2Pool,
    jds: JobDeclarator,
    wanted: bool,
    /// The router was told that it is ready.
    up: bool,
    resting: Option<Duration>,
    backoff: Backoff,
    template: Option<Given>,
    /// When the present tip was heard of.
    tip_since: Duration,
    /// What the pool wants in coinbases.
    outputs: Option<Arc<[Output]>>,
    channels: HashMap<u32, Channel, foldhash::fast::FixedState>,
    jobs: CustomJobs,
    next_block: u64,
    jds_last_down: DownReason,
    /// Why the router was last told that it is down.
    last_down: DownReason,
    /// When it last came up or went down.
    since: Duration,
    acknowledged: u64,
    refused: u64,
}

impl Declared {
    /// A source that is off. `seed` decides jitter and hashing.
    #[must_use]
    pub fn new(settings: DeclaredSettings, seed: u64) -> Self {
        let DeclaredSettings { mut pool, jds, tag, extra_outputs } = settings;
        pool.work_selection = true;
        Self {
            tag,
            extra_outputs,
            full_template: jds.full_template,
            ntime_slack: pool.ntime_slack,
            pool: Sv2Pool::new(pool, seed),
            jds: JobDeclarator::new(jds, seed ^ 0x0000_9d5e),
            wanted: false,
            up: false,
            resting: None,
            backoff: Backoff::new(seed ^ 0x00de_c1a7),
            template: None,
            tip_since: Duration::ZERO,
            outputs: None,
            channels: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            jobs: CustomJobs::default(),
            next_block: 0,
            jds_last_down: DownReason::NotStarted,
            last_down: DownReason::NotStarted,
            since: Duration::ZERO,
            acknowledged: 0,
            refused: 0,
        }
    }

    /// Which source it is.
    #[must_use]
    pub fn id(&self) -> SourceId {
        self.pool.id()
    }

    /// The connection to the pool: whether to make or to keep it, and how many more shares it takes.
    #[must_use]
    pub fn pool(&self) -> &Sv2Pool {
        &self.pool
    }

    /// The connection to the declarator server: whether to make or to keep it.
    #[must_use]
    pub fn jds(&self) -> &JobDeclarator {
        &self.jds
    }

    /// The source as it is shown.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        let pool = self.pool.status();
        SourceStatus {
            state: self.source_state(),
            since: pool.since.max(self.since),
            last_down: self.last_down.clone(),
            open_shares: pool.open_shares + self.jobs.held(),
            open_shares_max: pool.open_shares_max + HELD_AT_MOST,
            declared: Some(DeclaredStatus {
                state: self.state(),
                jds: self.jds.state(),
                jds_last_down: self.jds_last_down.clone(),
                acknowledged: self.acknowledged,
                refused: self.refused,
                held: self.jobs.held(),
            }),
            ..pool
        }
    }

    /// When [`timer`](Self::timer) must be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let jobs = self.jobs.iter().filter_map(job::CustomJob::deadline).min();
        let channels = self.channels.values().filter(|channel| !channel.acknowledged && self.up);
        let channels = channels.map(|channel| channel.since + UNACKNOWLEDGED_AT_MOST).min();
        let links = earliest(self.pool.deadline(), self.jds.deadline());
        earliest(earliest(links, self.resting), earliest(jobs, channels))
    }

    /// Does what the router says.
    pub fn command(&mut self, command: SourceCommand, now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        let changes_tag = matches!(command, SourceCommand::SetTag(_));
        match &command {
            SourceCommand::Start => {
                self.wanted = true;
                self.jds.start();
                fx.constraints = Some(self.room());
            }
            SourceCommand::Stop => {
                self.wanted = false;
                self.jds.stop(&mut fx.jds);
            }
            SourceCommand::Close { channel_id } => {
                // No more jobs; shares of those it has are taken while it drains.
                self.channels.remove(channel_id);
            }
            SourceCommand::Open(_) | SourceCommand::Update { .. } | SourceCommand::SetTag(_) => {}
        }
        self.pool.command(command, now, &mut fx.pool);
        self.settle_in(told, now, fx);
        if changes_tag {
            self.on_tag(now, fx);
        }
    }

    /// The link to the pool stands.
    pub fn pool_connected(&mut self, security: LinkSecurity, now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.pool.connected(security, now, &mut fx.pool);
        self.settle_in(told, now, fx);
    }

    /// The link to the pool could not be made, or has ended.
    pub fn pool_disconnected(&mut self, why: DownReason, now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.pool.disconnected(why, now, &mut fx.pool);
        self.settle_in(told, now, fx);
    }

    /// Takes one frame from the pool.
    pub fn pool_frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.pool.frame(header, payload, now, &mut fx.pool);
        self.settle_in(told, now, fx);
    }

    /// The link to the declarator server stands.
    pub fn jds_connected(&mut self, security: LinkSecurity, now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.jds.connected(security, now, &mut fx.jds);
        self.settle_in(told, now, fx);
    }

    /// The link to the declarator server could not be made, or has ended.
    pub fn jds_disconnected(&mut self, why: DownReason, now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.jds.disconnected(why, now, &mut fx.jds);
        self.settle_in(told, now, fx);
    }

    /// Takes one frame from the declarator server.
    pub fn jds_frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.jds.frame(header, payload, now, &mut fx.jds);
        self.settle_in(told, now, fx);
    }

    /// A deadline has come.
    pub fn timer(&mut self, now: Now, fx: &mut DeclaredEffects) {
        let told = fx.pool.events.len();
        self.pool.timer(now, &mut fx.pool);
        self.jds.timer(now, &mut fx.jds);
        self.settle_in(told, now, fx);
        let late = |stage: &Stage| matches!(stage, Stage::Setting { deadline, .. } if now.reached(*deadline));
        if self.up && self.jobs.iter().any(|job| late(&job.stage)) {
            self.fall(DownReason::Silent("SetCustomMiningJob"), now, fx);
        }
        let waited =
            |channel: &Channel| !channel.acknowledged && now.since(channel.since) >= UNACKNOWLEDGED_AT_MOST;
        if self.up && self.channels.values().any(waited) {
            self.fall(DownReason::Unacknowledged(UNACKNOWLEDGED_AT_MOST), now, fx);
        }
        // Requests on a tip that is gone; nobody waits for them any more.
        for job in self.jobs.iter_mut().filter(|job| late(&job.stage)) {
            job.stage = Stage::Over;
        }
        for id in self.jobs.ids(|job| job.is_given_up(now)) {
            self.give_up(id, now, fx);
        }
        self.resting.take_if(|until| now.reached(*until));
        self.rise(now, fx);
        self.advance(now, fx);
    }

    /// What the two connections have said is taken to heart. `told`: events for the router that were there before.
    fn settle_in(&mut self, told: usize, now: Now, fx: &mut DeclaredEffects) {
        for event in fx.pool.events.split_off(told) {
            self.on_pool(event, now, fx);
        }
        for channel_id in std::mem::take(&mut fx.pool.new_prefixes) {
            self.on_prefix(channel_id, now, fx);
        }
        for answer in std::mem::take(&mut fx.pool.custom_jobs) {
            self.on_custom_job(answer, now, fx);
        }
        if let Some(code) = fx.pool.refuses_shares.take()
            && self.up
        {
            self.fall(DownReason::RefusesShares(code), now, fx);
        }
        let mut events = std::mem::take(&mut fx.jds.events);
        for event in events.drain(..) {
            self.on_jds(event, now, fx);
        }
        // Kept, so that it need not be made anew.
        fx.jds.events = events;
        self.leave_closed_channels(fx);
    }

    fn on_pool(&mut self, event: SourceEvent, now: Now, fx: &mut DeclaredEffects) {
        match event {
            // Only when all three are there.
            SourceEvent::Ready { .. } => self.rise(now, fx),
            SourceEvent::Down(why) => {
                self.channels.clear();
                self.end_open_jobs(crate::books::UnsentReason::NoSource, fx);
                self.up = false;
                self.since = now.mono;
                self.last_down = why.clone();
                fx.pool.events.push(SourceEvent::Down(why));
            }
            SourceEvent::Opened { request, channel, target } => {
                let channel_id = channel.key.channel_id;
                fx.pool.events.push(SourceEvent::Opened { request, channel, target });
                self.channels
                    .insert(channel_id, Channel { acknowledged: false, since: now.mono, mined: None });
                self.pool.new_generation(channel_id);
                self.begin(channel_id, now, fx);
                self.advance(now, fx);
            }
            SourceEvent::Closed { channel_id, reason } => {
                self.channels.remove(&channel_id);
                fx.pool.events.push(SourceEvent::Closed { channel_id, reason });
            }
            SourceEvent::Work(_) => debug_assert!(false, "with work selection the pool's jobs are not mined"),
            event @ (SourceEvent::NotOpened { .. } | SourceEvent::TargetChanged { .. }) => {
                fx.pool.events.push(event);
            }
        }
    }

    fn on_jds(&mut self, event: JdsEvent, now: Now, fx: &mut DeclaredEffects) {
        match event {
            JdsEvent::Outputs(outputs) => self.on_outputs(outputs, now, fx),
            JdsEvent::Token => {
                self.rise(now, fx);
                self.go_on(now, fx);
            }
            JdsEvent::Declared { number, token } => {
                self.on_declared(number, &token, now, fx);
                // There is room for what waited until fewer declarations were under way.
                self.go_on(now, fx);
            }
            JdsEvent::NotDeclared { number, why } => {
                self.on_not_declared(number, &why, now, fx);
                self.go_on(now, fx);
            }
            JdsEvent::Down(why) => self.on_jds_down(&why, now, fx),
        }
    }
}

#[cfg(test)]
mod tests;
