//! What was seen to be wrong, and the independent count of shares that the books are held against.

use std::collections::{BTreeMap, VecDeque};

use sv2::{AnyMessage, FrameHeader, MiningMessage};

use engine::source::BlockOutcome;

use super::time::Micros;

/// An invariant was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which: `I1` to `I10`, or a word for a promise beside them.
    pub code: &'static str,
    /// When, in virtual microseconds.
    pub at: Micros,
    /// What was seen.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:.6} s: {}", self.code, self.at as f64 / 1e6, self.text)
    }
}

/// Violations of a run; more than a few say nothing new.
const MOST: usize = 8;

/// Collects violations.
#[derive(Debug, Default)]
pub(super) struct Witness {
    pub(super) violations: Vec<Violation>,
    /// Expected failures that were seen, by the mistake behind them.
    pub(super) known: BTreeMap<&'static str, u64>,
}

impl Witness {
    pub(super) fn broken(&mut self, code: &'static str, at: Micros, text: String) {
        let violation = Violation { code, at, text };
        if let Some(known) = super::known::explain(&violation, |bug| self.known.contains_key(bug)) {
            *self.known.entry(known.bug).or_default() += 1;
        } else if self.violations.len() < MOST {
            self.violations.push(violation);
        }
    }
}

/// One source's shares as seen on its wire, both ways, and at its queue.
#[derive(Debug, Default)]
pub(super) struct SourceLedger {
    /// Taken by the queue.
    pub(super) queued: u64,
    /// Seen to leave for the pool.
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    /// Sent and without an answer when their channel ended.
    pub(super) unknown: u64,
    channels: BTreeMap<u32, ChannelLedger>,
    /// Blocks that the queue has taken and that have not left: their nonces.
    pub(super) blocks_waiting: Vec<u32>,
    /// It sends shares of custom jobs only.
    pub(super) is_custom: bool,
    /// The tip that it was last told of, with how many came before.
    tip: Option<([u8; 32], u32)>,
    /// Custom jobs that were asked for: channel, and the tip's number.
    requests: BTreeMap<u32, (u32, u32)>,
    /// Blocks that were given to the machine and did not leave at once: their nonces.
    pub(super) held_blocks: Vec<u32>,
    /// Solo mining: blocks without the node's word.
    blocks_open: u64,
    /// Targets that came to be harder while jobs waited for their acknowledgement.
    pub(super) harder: u64,
}

#[derive(Debug, Default)]
struct ChannelLedger {
    group: u32,
    open: VecDeque<u32>,
    /// Counts the tips that Adit was told of.
    tip: u32,
    /// Jobs that Adit was told of, with the tip on which they became active.
    jobs: BTreeMap<u32, u32>,
    /// Nobody is to mine on it any more.
    closing: bool,
    /// No custom job on the present tip was acknowledged since.
    unacknowledged_since: Option<Micros>,
}

/// What a share that left looked like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) nonce: u32,
    pub(super) job_id: u32,
    /// It was made for a tip that Adit knew to be old.
    pub(super) is_stale: bool,
    /// The pool has never acknowledged its job.
    pub(super) is_unacknowledged: bool,
}

impl SourceLedger {
    /// Shares without an answer.
    pub(super) fn open(&self) -> u64 {
        self.channels.values().map(|c| c.open.len() as u64).sum::<u64>() + self.blocks_open
    }

    /// A frame leaves. A share is handed back.
    pub(super) fn frame_out(&mut self, header: &FrameHeader, payload: &[u8]) -> Option<Left> {
        match AnyMessage::decode_lenient(header, payload, &[]).ok()?.0 {
            AnyMessage::Mining(MiningMessage::SubmitSharesExtended(share)) => {
                self.sent += 1;
                let (nonce, job_id, is_custom) = (share.nonce, share.job_id, self.is_custom);
                let Some(channel) = self.channels.get_mut(&share.channel_id) else {
                    return Some(Left { nonce, job_id, is_stale: true, is_unacknowledged: false });
                };
                channel.open.push_back(share.sequence_number);
                let tip = if is_custom { self.tip.map_or(0, |(_, number)| number) } else { channel.tip };
                let is_stale = channel.jobs.get(&job_id) != Some(&tip);
                let is_unacknowledged = is_custom && !channel.jobs.contains_key(&job_id);
                Some(Left { nonce, job_id, is_stale, is_unacknowledged })
            }
            AnyMessage::Mining(MiningMessage::SetCustomMiningJob(job)) => {
                let number =
                    self.tip.filter(|(tip, _)| *tip == job.prev_hash).map_or(0, |(_, number)| number);
                self.requests.insert(job.request_id, (job.channel_id, number));
                None
            }
            AnyMessage::Mining(MiningMessage::CloseChannel(close)) => {
                self.end(|id, _| id == close.channel_id);
                None
            }
            _ => None,
        }
    }

    /// A frame comes in and is about to be given to the source.
    pub(super) fn frame_in(&mut self, header: &FrameHeader, payload: &[u8]) {
        let Ok((AnyMessage::Mining(message), _)) = AnyMessage::decode_lenient(header, payload, &[]) else {
            return;
        };
        match message {
            MiningMessage::OpenExtendedMiningChannelSuccess(opened) => {
                let channel = ChannelLedger { group: opened.group_channel_id, ..ChannelLedger::default() };
                self.channels.entry(opened.channel_id).or_insert(channel);
            }
            MiningMessage::SetGroupChannel(group) => {
                for id in group.channel_ids.iter() {
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.group = group.group_channel_id;
                    }
                }
            }
            MiningMessage::NewExtendedMiningJob(job) if job.min_ntime.is_some() => {
                for (id, channel) in &mut self.channels {
                    if *id == job.channel_id || channel.group == job.channel_id {
                        channel.jobs.insert(job.job_id, channel.tip);
                    }
                }
            }
            MiningMessage::SetNewPrevHash(tip) => {
                for (id, channel) in &mut self.channels {
                    if *id == tip.channel_id || channel.group == tip.channel_id {
                        channel.jobs.clear();
                        channel.tip += 1;
                        channel.jobs.insert(tip.job_id, channel.tip);
                    }
                }
            }
            MiningMessage::SetCustomMiningJobSuccess(success) => {
                if let Some((channel_id, number)) = self.requests.remove(&success.request_id)
                    && let Some(channel) = self.channels.get_mut(&channel_id)
                {
                    channel.jobs.insert(success.job_id, number);
                    if self.tip.is_some_and(|(_, tip)| tip == number) {
                        // However short that lasts.
                        channel.unacknowledged_since = None;
                    }
                }
            }
            MiningMessage::SetTarget(_) if self.is_custom => self.harder += 1,
            MiningMessage::SubmitSharesSuccess(success) => {
                if let Some(channel) = self.channels.get_mut(&success.channel_id) {
                    for _ in 0..success.new_submits_accepted_count {
                        let is_due = |seq: &u32| success.last_sequence_number.wrapping_sub(*seq) < 1 << 31;
                        if !channel.open.front().is_some_and(is_due) {
                            break;
                        }
                        channel.open.pop_front();
                        self.acknowledged += 1;
                    }
                }
            }
            MiningMessage::SubmitSharesError(error) => {
                if let Some(channel) = self.channels.get_mut(&error.channel_id)
                    && let Some(at) = channel.open.iter().position(|seq| *seq == error.sequence_number)
                {
                    channel.open.remove(at);
                    self.refused += 1;
                }
            }
            MiningMessage::CloseChannel(close) => {
                let is_channel = self.channels.contains_key(&close.channel_id);
                self.end(
                    |id, group| {
                        if is_channel { id == close.channel_id } else { group == close.channel_id }
                    },
                );
            }
            _ => {}
        }
    }

    /// An SV1 pool's machine gave up on so many of its shares, which had no answer for too long.
    pub(super) fn forget_oldest(&mut self, count: u64) {
        for _ in 0..count {
            let open = self.channels.values_mut().find_map(|channel| channel.open.pop_front());
            self.unknown += u64::from(open.is_some());
        }
    }

    /// The link has ended.
    pub(super) fn link_ended(&mut self) {
        self.end(|_, _| true);
    }

    fn end(&mut self, is_over: impl Fn(u32, u32) -> bool) {
        let unknown = &mut self.unknown;
        self.channels.retain(|id, channel| {
            let over = is_over(*id, channel.group);
            if over {
                *unknown += channel.open.len() as u64;
            }
            !over
        });
    }

    /// Whether shares can leave at all.
    pub(super) fn has_channels(&self) -> bool {
        !self.channels.is_empty()
    }

    /// A template came. True: it is on another tip.
    pub(super) fn on_tip(&mut self, tip: [u8; 32]) -> bool {
        match self.tip {
            Some((last, _)) if last == tip => false,
            last => {
                self.tip = Some((tip, last.map_or(1, |(_, number)| number + 1)));
                true
            }
        }
    }

    /// The tip that it was last told of.
    pub(super) fn tip(&self) -> Option<[u8; 32]> {
        self.tip.map(|(tip, _)| tip)
    }

    /// A block goes to the nodes.
    pub(super) fn note_block(&mut self) {
        if !self.is_custom {
            self.sent += 1;
            self.blocks_open += 1;
        }
    }

    /// A node's word on a block of solo mining.
    pub(super) fn verdict(&mut self, outcome: BlockOutcome) {
        self.blocks_open -= 1;
        match outcome {
            BlockOutcome::Taken => self.acknowledged += 1,
            BlockOutcome::Refused => self.refused += 1,
            BlockOutcome::NotAsked => self.unknown += 1,
        }
    }

    /// A block left that had to wait for its job's acknowledgement.
    pub(super) fn was_held(&mut self, nonce: u32) -> bool {
        let at = self.held_blocks.iter().position(|held| *held == nonce);
        at.map(|at| self.held_blocks.remove(at)).is_some()
    }

    /// Nobody is to mine on a channel any more, or on any.
    pub(super) fn stop_declaring(&mut self, only: Option<u32>) {
        for (id, channel) in &mut self.channels {
            channel.closing |= only.is_none_or(|only| only == *id);
        }
    }

    /// The channel that miners have worked on for longest without an acknowledged job on the present tip, and since when.
    pub(super) fn longest_unacknowledged(&mut self, now: Micros) -> Option<(u32, Micros)> {
        let tip = self.tip.map(|(_, number)| number);
        let mut longest = None;
        for (id, channel) in &mut self.channels {
            if channel.closing || channel.jobs.values().any(|number| Some(*number) == tip) {
                channel.unacknowledged_since = None;
                continue;
            }
            let since = *channel.unacknowledged_since.get_or_insert(now);
            if longest.is_none_or(|(_, longest)| since < longest) {
                longest = Some((*id, since));
            }
        }
        longest
    }

    /// Whether shares of a channel can still leave.
    pub(super) fn lives(&self, channel: u32) -> bool {
        self.channels.contains_key(&channel)
    }
}

/// Counts at the miners' side, over the whole run.
#[derive(Debug, Default)]
pub(super) struct MinerLedger {
    /// Submits handed to the engine that are shares, read or not.
    pub(super) submitted: u64,
    /// Answers `true`.
    pub(super) taken: u64,
    /// Answers that say that a good share was not sent.
    pub(super) unsent: u64,
    /// All other refusals.
    pub(super) rejected: u64,
    /// Answers that waited for the source's: `true`.
    pub(super) later_taken: u64,
    /// Answers that waited for the source's: anything else.
    pub(super) later_refused: u64,
    /// Shares taken for a channel that Adit knew to be gone.
    pub(super) for_dead_channels: u64,
}
