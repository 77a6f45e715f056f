//! What was seen to be wrong, and the independent count of shares that the books are held against.

use std::collections::{BTreeMap, VecDeque};

use sv2::{AnyMessage, FrameHeader, MiningMessage};

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
}

#[derive(Debug, Default)]
struct ChannelLedger {
    group: u32,
    open: VecDeque<u32>,
    /// Counts the tips that Adit was told of.
    tip: u32,
    /// Jobs that Adit was told of, with the tip on which they became active.
    jobs: BTreeMap<u32, u32>,
}

/// What a share that left looked like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) nonce: u32,
    pub(super) job_id: u32,
    /// It was made for a tip that Adit knew to be old.
    pub(super) is_stale: bool,
}

impl SourceLedger {
    /// Shares without an answer.
    pub(super) fn open(&self) -> u64 {
        self.channels.values().map(|c| c.open.len() as u64).sum()
    }

    /// A frame leaves. A share is handed back.
    pub(super) fn frame_out(&mut self, header: &FrameHeader, payload: &[u8]) -> Option<Left> {
        match AnyMessage::decode_lenient(header, payload, &[]).ok()?.0 {
            AnyMessage::Mining(MiningMessage::SubmitSharesExtended(share)) => {
                self.sent += 1;
                let Some(channel) = self.channels.get_mut(&share.channel_id) else {
                    return Some(Left { nonce: share.nonce, job_id: share.job_id, is_stale: true });
                };
                channel.open.push_back(share.sequence_number);
                let is_stale = channel.jobs.get(&share.job_id) != Some(&channel.tip);
                Some(Left { nonce: share.nonce, job_id: share.job_id, is_stale })
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
