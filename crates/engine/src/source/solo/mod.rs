//! Solo mining as a source: templates from the farm's own node, coinbases that pay the farm, blocks handed back to it.
//!
//! A plain state machine like the pool's: templates and commands in, [`Feed`]s and found blocks out. Its channels' target is
//! the network's, so that every share but a block stays `local`. The extranonce prefix holds bytes that are this
//! instance's alone: two Adits on one node must not search the same space.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use work::coinbase::{BuildError, Coinbase, Output};
use work::{
    ChannelJob, ChannelJobError, ChannelTerms, CoinbaseConstraints, ExtranonceSplit, Header, JobError,
    LeaseTag, MAX_EXTRANONCE, Template, merkle, sha256d,
};

use super::event::{ChannelRefusal, DownReason, Effects, OpenChannel, SourceCommand, SourceEvent};
use super::status::{SourceState, SourceStatus};
use super::tag::TagStatus;
use crate::books::{Final, RefuseCode, UnsentReason};
use crate::feed::{ChannelState, Feed};
use crate::ids::{ChannelKey, SourceId};
use crate::now::Now;
use crate::share::OutgoingShare;

/// Jobs that blocks are still taken of, whatever tip they are on.
const JOBS: usize = 32;
/// Bytes of a channel's number in its extranonce prefix.
const CHANNEL_NUMBER: usize = 4;
/// Blocks that wait for the node's word.
const OPEN_BLOCKS: usize = 64;

/// How a farm mines for itself.
#[derive(Clone, Debug)]
pub struct SoloSettings {
    /// Which source it is.
    pub id: SourceId,
    /// The coinbase's outputs, before the template's own; the first gets what the others leave.
    pub outputs: Vec<Output>,
    /// What comes after the height in `script_sig`: a push of the farm's signature text, or nothing.
    pub tag: Vec<u8>,
    /// This instance's alone: random, kept between starts, at least 4 bytes.
    pub instance: Vec<u8>,
    /// How far a share's ntime may run ahead of the clock, seconds.
    pub ntime_slack: u32,
    /// Bytes of each channel's extranonce that are left free for a lease's tag.
    pub tag_room: u8,
}

impl SoloSettings {
    /// The room that templates must leave for the outputs.
    #[must_use]
    pub fn constraints(&self) -> CoinbaseConstraints {
        CoinbaseConstraints::of(&self.outputs)
    }
}

/// A block that a miner found, for every way out that there is.
#[derive(Clone, Debug)]
pub struct FoundBlock {
    /// The machine's number for it, for [`Solo::submitted`].
    pub number: u64,
    /// Its template.
    pub template: Arc<Template>,
    /// Its header.
    pub header: Header,
    /// Its whole coinbase, with the witness.
    pub coinbase: Vec<u8>,
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOutcome {
    /// A node has it.
    Taken,
    /// The nodes do not want it.
    Refused,
    /// No node could be asked.
    NotAsked,
}

/// Why a template gives no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoloError {
    /// With the farm's outputs the block could be too heavy.
    #[error(
        "the template leaves {} bytes and {} signature operations for the coinbase's outputs, {} and {} are needed",
        got.additional_size, got.additional_sigops, needed.additional_size, needed.additional_sigops
    )]
    Room {
        /// What the template leaves.
        got: CoinbaseConstraints,
        /// What the outputs take.
        needed: CoinbaseConstraints,
    },
    /// Its coinbase.
    #[error("the coinbase cannot be built: {0}")]
    Coinbase(#[from] BuildError),
    /// Its job.
    #[error("the template is no job: {0}")]
    Job(#[from] JobError),
    /// Its job on a channel.
    #[error("the template is no job for a channel: {0}")]
    Channel(#[from] ChannelJobError),
}

#[derive(Debug)]
struct Channel {
    state: Arc<ChannelState>,
    split: ExtranonceSplit,
    generation: u32,
    prefix: Vec<u8>,
    /// What its miners were given last.
    newest: Option<Feed>,
}

/// A job that was handed out, for the blocks that may come of it.
#[derive(Debug)]
struct Work {
    id: u32,
    template: Arc<Template>,
    coinbase: Coinbase,
}

#[derive(Debug)]
struct OpenBlock {
    number: u64,
    share: OutgoingShare,
    sent: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Solo {
    settings: SoloSettings,
    /// It is wanted.
    on: bool,
    /// Counts its times of being up.
    session: u32,
    template: Option<Arc<Template>>,
    /// Stands in the fillers.
    lease_tag: LeaseTag,
    /// Since when it is what it is: off, waiting for a template, ready.
    since: Duration,
    last_down: DownReason,
    channels: HashMap<u32, Channel, foldhash::fast::FixedState>,
    next_channel: u32,
    next_generation: u32,
    next_job: u32,
    /// Newest last.
    works: VecDeque<Work>,
    open: VecDeque<OpenBlock>,
    next_block: u64,
}

impl Solo {
    /// A source that is off. `seed` is for its hash map.
    #[must_use]
    pub fn new(settings: SoloSettings, seed: u64) -> Self {
        Self {
            settings,
            on: false,
            session: 0,
            template: None,
            lease_tag: LeaseTag::NONE,
            since: Duration::ZERO,
            last_down: DownReason::NotStarted,
            channels: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            next_channel: 0,
            next_generation: 0,
            next_job: 0,
            works: VecDeque::new(),
            open: VecDeque::new(),
            next_block: 0,
        }
    }

    /// Which source it is.
    #[must_use]
    pub fn id(&self) -> SourceId {
        self.settings.id
    }

    /// It can open channels: it is wanted, and there is a template.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.on && self.template.is_some()
    }

    /// What it shows of itself.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        SourceStatus {
            state: match (self.on, &self.template) {
                (false, _) => SourceState::Off,
                (true, None) => SourceState::AwaitingTemplate,
                (true, Some(_)) => SourceState::Ready,
            },
            since: self.since,
            last_down: self.last_down.clone(),
            connections: self.session,
            channels: self.channels.len(),
            open_shares: self.open.len(),
            open_shares_max: OPEN_BLOCKS,
            tag: TagStatus::of(self.lease_tag, self.channels.values().map(|channel| channel.split.filler)),
            pool: None,
            declared: None,
        }
    }

    /// Blocks that wait for the node's word.
    #[must_use]
    pub fn open_blocks(&self) -> usize {
        self.open.len()
    }

    /// Does what the router says.
    pub fn command(&mut self, command: SourceCommand, now: Now, fx: &mut Effects) {
        match command {
            SourceCommand::Start => {
                if !self.on {
                    self.on = true;
                    self.since = now.mono;
                    self.rise(now, fx);
                }
            }
            SourceCommand::Stop => {
                if self.on {
                    self.on = false;
                    self.fall(DownReason::NotStarted, now, fx);
                }
            }
            SourceCommand::Open(wish) => self.open(&wish, now, fx),
            // Nobody else has to know how much there is.
            SourceCommand::Update { .. } => {}
            SourceCommand::SetTag(tag) => self.set_tag(tag, now, fx),
            SourceCommand::Close { channel_id } => {
                // Blocks of its jobs are taken all the same.
                if let Some(channel) = self.channels.remove(&channel_id) {
                    channel.state.end();
                }
            }
        }
    }

    /// The node has a template: work for every channel.
    ///
    /// # Errors
    /// It cannot be mined on. The work before it stays if it is on the same tip; else it is worth nothing any more, and
    /// the source is down.
    pub fn template(&mut self, template: Arc<Template>, now: Now, fx: &mut Effects) -> Result<(), SoloError> {
        let was_ready = self.is_ready();
        let another_tip = self.template.as_ref().is_none_or(|last| last.prev_hash != template.prev_hash);
        if let Err(error) = self.examine(&template) {
            if another_tip {
                self.lost(DownReason::BadTemplate(error.to_string()), now, fx);
            }
            return Err(error);
        }
        self.template = Some(template);
        if !self.on {
            return Ok(());
        }
        if !was_ready {
            self.rise(now, fx);
        }
        let mut ids: Vec<u32> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if another_tip {
                let generation = self.generation();
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.generation = generation;
                }
            }
            self.publish(id, now, fx);
        }
        Ok(())
    }

    /// Tries a template once before anything is promised, with an extranonce as most listeners have it.
    fn examine(&self, template: &Template) -> Result<(), SoloError> {
        let needed = self.settings.constraints();
        if !template.constraints.hold(needed) {
            return Err(SoloError::Room { got: template.constraints, needed });
        }
        let miners = ExtranonceSplit::DEFAULT_MINER_ID + ExtranonceSplit::DEFAULT_EXTRANONCE2;
        let whole = self.prefix_length() + usize::from(self.space(miners.into()));
        let coinbase = self.coinbase(template, u8::try_from(whole).unwrap_or(u8::MAX))?;
        template.job(0, &coinbase)?;
        Ok(())
    }

    /// There are no templates any more, for this reason.
    pub fn lost(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        if self.template.take().is_some() && self.on {
            self.fall(why, now, fx);
        } else if self.on {
            self.last_down = why;
        }
    }

    /// Takes a share: a block goes out at once, anything else was not to be sent.
    pub fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut Effects) -> Option<FoundBlock> {
        let work = self.works.iter().find(|work| work.id == share.job_id);
        let (Some(work), true) = (work, share.is_block) else {
            share.end(Final::Unsent(UnsentReason::NoSource), &mut fx.answers);
            return None;
        };
        let prefix = self.prefix(share.channel.channel_id);
        let extranonce = [&*prefix, share.extranonce.as_slice()].concat();
        let Some(coinbase) = work.coinbase.transaction(&extranonce) else {
            share.end(Final::Unsent(UnsentReason::JobRefused), &mut fx.answers);
            return None;
        };
        let halves = [&*work.coinbase.prefix(), &*extranonce, &*work.coinbase.suffix()].concat();
        let header = Header {
            version: share.version,
            prev_hash: work.template.prev_hash,
            merkle_root: merkle::root(sha256d::hash(&halves), &work.template.merkle_path),
            ntime: share.ntime,
            nbits: work.template.nbits,
            nonce: share.nonce,
        };
        self.next_block += 1;
        let found =
            FoundBlock { number: self.next_block, template: Arc::clone(&work.template), header, coinbase };
        if self.open.len() == OPEN_BLOCKS
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.share.end(Final::Unknown, &mut fx.answers);
        }
        self.open.push_back(OpenBlock { number: found.number, share: share.clone(), sent: now.mono });
        Some(found)
    }

    /// What became of a block.
    pub fn submitted(&mut self, number: u64, outcome: BlockOutcome, now: Now, fx: &mut Effects) {
        let Some(at) = self.open.iter().position(|open| open.number == number) else { return };
        let Some(open) = self.open.remove(at) else { return };
        let end = match outcome {
            BlockOutcome::Taken => Final::Acknowledged,
            BlockOutcome::Refused => Final::Refused(RefuseCode::Other),
            BlockOutcome::NotAsked => Final::Unknown,
        };
        if end == Final::Acknowledged {
            fx.ack_latencies.push(now.since(open.sent));
        }
        open.share.end(end, &mut fx.answers);
    }

    /// The end: what became of the blocks that are still open will not be heard here any more.
    pub fn end(&mut self, fx: &mut Effects) {
        for open in std::mem::take(&mut self.open) {
            open.share.end(Final::Unknown, &mut fx.answers);
        }
    }

    fn open(&mut self, wish: &OpenChannel, now: Now, fx: &mut Effects) {
        let request = wish.request;
        let Some(template) = self.template.as_ref().filter(|_| self.on) else {
            let why = ChannelRefusal::ByPool("the node has given no template yet".to_owned());
            fx.events.push(SourceEvent::NotOpened { request, why });
            return;
        };
        let space = self.space(u16::from(wish.miner_id_size) + u16::from(wish.extranonce2_size));
        let split = match ExtranonceSplit::for_space(space, wish.miner_id_size, wish.extranonce2_size) {
            Ok(split) => split,
            Err(error) => {
                fx.events.push(SourceEvent::NotOpened { request, why: error.into() });
                return;
            }
        };
        let target = template.network_target;
        self.next_channel = self.next_channel.wrapping_add(1);
        let channel_id = self.next_channel;
        let key = ChannelKey { source: self.settings.id, connection: self.session, channel_id };
        // Blocks of its jobs are blocks even when the node is away: they are kept until it is back.
        let state = Arc::new(ChannelState::of_own_blocks(key));
        let generation = self.generation();
        let prefix = self.prefix(channel_id);
        let newest = None;
        let channel = Channel { state: Arc::clone(&state), split, generation, prefix, newest };
        self.channels.insert(channel_id, channel);
        fx.events.push(SourceEvent::Opened { request, channel: state, target });
        self.publish(channel_id, now, fx);
    }

    /// Makes the present template's work for a channel. One that cannot have any is closed; the others go on.
    fn publish(&mut self, channel_id: u32, now: Now, fx: &mut Effects) {
        match self.work(channel_id, now) {
            Ok(feed) => {
                if let Some(channel) = self.channels.get_mut(&channel_id) {
                    channel.newest.clone_from(&feed);
                }
                fx.events.extend(feed.map(SourceEvent::Work));
            }
            Err(error) => {
                if let Some(channel) = self.channels.remove(&channel_id) {
                    channel.state.end();
                }
                fx.events.push(SourceEvent::Closed { channel_id, reason: error.to_string() });
            }
        }
    }

    fn work(&mut self, channel_id: u32, now: Now) -> Result<Option<Feed>, SoloError> {
        let (Some(template), Some(channel)) = (self.template.clone(), self.channels.get(&channel_id)) else {
            return Ok(None);
        };
        let extranonce = channel.prefix.len() + usize::from(channel.split.extranonce_size());
        let extranonce = u8::try_from(extranonce).unwrap_or(u8::MAX);
        // Channels with the same extranonce size share one job; it was made for the first of them.
        let newest = self.works.iter().rev().take_while(|work| Arc::ptr_eq(&work.template, &template));
        let known = newest.into_iter().find(|work| work.coinbase.extranonce_len() == extranonce);
        let (id, coinbase) = match known {
            Some(work) => (work.id, work.coinbase.clone()),
            None => {
                let coinbase = self.coinbase(&template, extranonce)?;
                self.next_job = self.next_job.wrapping_add(1);
                if self.works.len() == JOBS {
                    self.works.pop_front();
                }
                let (id, template) = (self.next_job, Arc::clone(&template));
                self.works.push_back(Work { id, template, coinbase: coinbase.clone() });
                (id, coinbase)
            }
        };
        let job = Arc::new(template.job(id, &coinbase)?);
        let notify = Arc::new(sv1::notify::render_job(
            &job.prev_hash,
            &job.coinbase_tx_prefix,
            &job.coinbase_tx_suffix,
            &job.merkle_path,
            job.version,
            job.nbits,
        ));
        let filler = channel.split.filler_of(self.lease_tag);
        let terms = ChannelTerms {
            source: work::SourceId(self.settings.id.0),
            generation: channel.generation,
            extranonce_prefix: &channel.prefix,
            filler: filler.as_slice(),
            source_target: template.network_target,
            ntime_slack: self.settings.ntime_slack,
            received_at: now.seconds(),
        };
        Ok(Some(Feed {
            sequence: 0,
            channel: Arc::clone(&channel.state),
            generation: channel.generation,
            job: Arc::new(ChannelJob::new(job, terms)?),
            notify,
            received: now.mono,
        }))
    }

    /// The coinbase of a template: the first output gets what the others leave.
    fn coinbase(&self, template: &Template, extranonce_len: u8) -> Result<Coinbase, BuildError> {
        let mut outputs = self.settings.outputs.clone();
        let others: u64 = outputs.iter().skip(1).fold(0, |sum, output| sum.saturating_add(output.value));
        if let Some(first) = outputs.first_mut() {
            first.value = template.coinbase.value_remaining.saturating_sub(others);
        }
        template.coinbase(&self.settings.tag, extranonce_len, &outputs)
    }

    /// This instance's bytes and the channel's number: no two channels of any two Adits share it.
    fn prefix(&self, channel_id: u32) -> Vec<u8> {
        [&*self.settings.instance, &channel_id.to_be_bytes()].concat()
    }

    /// Bytes of each channel's prefix.
    fn prefix_length(&self) -> usize {
        self.settings.instance.len() + CHANNEL_NUMBER
    }

    /// The rollable space of a channel whose miners need so many bytes: with room for a tag, as far as an extranonce goes.
    fn space(&self, miners: u16) -> u16 {
        let most = MAX_EXTRANONCE.saturating_sub(self.prefix_length());
        let room = usize::from(self.settings.tag_room).min(most.saturating_sub(miners.into()));
        miners.saturating_add(u16::try_from(room).unwrap_or(0))
    }

    /// Another lease's tag from now on, or none. The newest work goes to the miners again with it, as far as it has room.
    fn set_tag(&mut self, tag: LeaseTag, now: Now, fx: &mut Effects) {
        self.lease_tag = tag;
        let mut ids: Vec<u32> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            let filler = channel.split.filler_of(tag);
            let again = channel.newest.as_ref().and_then(|newest| newest.with_filler(filler.as_slice(), now));
            if let Some(feed) = again {
                channel.newest = Some(feed.clone());
                fx.events.push(SourceEvent::Work(feed));
            }
        }
    }

    fn generation(&mut self) -> u32 {
        self.next_generation = self.next_generation.wrapping_add(1);
        self.next_generation
    }

    fn rise(&mut self, now: Now, fx: &mut Effects) {
        if self.is_ready() {
            self.since = now.mono;
            self.session = self.session.wrapping_add(1);
            fx.events.push(SourceEvent::Ready { worker_names: false });
        }
    }

    fn fall(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        self.since = now.mono;
        self.last_down = why.clone();
        for (_, channel) in self.channels.drain() {
            channel.state.end();
        }
        fx.events.push(SourceEvent::Down(why));
    }
}

#[cfg(test)]
mod assembled;
#[cfg(test)]
mod tests;
