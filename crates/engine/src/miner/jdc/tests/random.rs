//! Any order of what both sides may say, and much that they must not: nothing panics, and every share has one state.

use proptest::prelude::*;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, SetCustomMiningJob,
    SetCustomMiningJobError, SetCustomMiningJobSuccess, SetExtranoncePrefix, SetTarget, SubmitSharesError,
    SubmitSharesExtended, SubmitSharesSuccess,
};
use sv2::{B032, FrameHeader, Message, Str0255};
use work::Target;

use super::world::{Frames, World, at, custom_job, target};
use crate::miner::CloseReason;
use crate::miner::jdc::JdcConnection;

/// What happens next; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Opened(u8),
    SetJob(u8, u8),
    JobTaken(u8),
    JobRefused(u8),
    Share { channel: u8, job: u8, tip: u8, good: bool },
    Acknowledged(u8, u8),
    Refused(u8),
    Target(u8, bool),
    Prefix(u8, u8),
    CloseBelow(u8),
    CloseAbove(u8),
    Wait(u8),
    GarbageBelow(u8, Vec<u8>),
    GarbageAbove(u8, Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..6_u8;
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        2 => Just(Step::Open),
        2 => n.clone().prop_map(Step::Opened),
        4 => (n.clone(), 0..3_u8).prop_map(|(channel, tip)| Step::SetJob(channel, tip)),
        4 => n.clone().prop_map(Step::JobTaken),
        1 => n.clone().prop_map(Step::JobRefused),
        12 => (n.clone(), 0..4_u8, 0..3_u8, any::<bool>())
            .prop_map(|(channel, job, tip, good)| Step::Share { channel, job, tip, good }),
        4 => (n.clone(), 0..9_u8).prop_map(|(channel, count)| Step::Acknowledged(channel, count)),
        2 => n.clone().prop_map(Step::Refused),
        1 => (n.clone(), any::<bool>()).prop_map(|(channel, easy)| Step::Target(channel, easy)),
        1 => (n.clone(), any::<u8>()).prop_map(|(channel, byte)| Step::Prefix(channel, byte)),
        1 => n.clone().prop_map(Step::CloseBelow),
        1 => n.prop_map(Step::CloseAbove),
        2 => (0..60_u8).prop_map(Step::Wait),
        1 => (any::<u8>(), bytes.clone()).prop_map(|(kind, bytes)| Step::GarbageBelow(kind, bytes)),
        1 => (any::<u8>(), bytes).prop_map(|(kind, bytes)| Step::GarbageAbove(kind, bytes)),
    ]
}

/// What the two sides know.
struct Sides {
    world: World,
    time: u64,
    opens: Vec<u32>,
    jobs: Vec<(u32, u32)>,
    /// Channels and jobs of the JDC's.
    channels: Vec<u32>,
    known_jobs: Vec<u32>,
    /// Channel and number of shares at the pool.
    shares: Vec<(u32, u32)>,
    next_above: u32,
    submitted: u64,
    told: u64,
}

impl Sides {
    fn do_next(&mut self, step: Step) -> Result<(), CloseReason> {
        let now = at(self.time);
        let pick = |list: &[u32], n: u8| {
            list.get(usize::from(n) % list.len().max(1)).copied().unwrap_or(u32::from(n))
        };
        match step {
            Step::Open => {
                let open = OpenExtendedMiningChannel {
                    request_id: 3,
                    user_identity: Str0255::truncated("jdc"),
                    nominal_hash_rate: 1.0,
                    max_target: Target::MAX.to_le_bytes(),
                    min_extranonce_size: 8,
                };
                self.world.say(&open, now)
            }
            Step::Opened(n) => {
                let request_id = pick(&self.opens, n);
                self.opens.retain(|open| *open != request_id);
                self.next_above += 1;
                let message = OpenExtendedMiningChannelSuccess {
                    request_id,
                    channel_id: self.next_above,
                    target: target().to_le_bytes(),
                    extranonce_size: 16,
                    extranonce_prefix: B032::new(&super::world::PREFIX).unwrap(),
                    group_channel_id: 1_000,
                };
                self.world.pool(&message, now)
            }
            Step::SetJob(n, tip) => {
                let channel = pick(&self.channels, n);
                self.world.say(&custom_job(channel, tip, &super::world::outputs()), now)
            }
            Step::JobTaken(n) => {
                let Some((channel_id, request_id)) = self.job(n) else { return Ok(()) };
                let job_id = 900 + self.next_above + u32::from(n);
                self.world.pool(&SetCustomMiningJobSuccess { channel_id, request_id, job_id }, now)
            }
            Step::JobRefused(n) => {
                let Some((channel_id, request_id)) = self.job(n) else { return Ok(()) };
                let error_code = Str0255::truncated("no");
                self.world.pool(&SetCustomMiningJobError { channel_id, request_id, error_code }, now)
            }
            Step::Share { channel, job, tip, good } => {
                let (channel, job) = (pick(&self.channels, channel), pick(&self.known_jobs, job));
                let share = self.world.share(channel, job, tip, good);
                self.submitted += 1;
                self.world.say(&share, now)
            }
            Step::Acknowledged(n, count) => {
                let Some((channel_id, last_sequence_number)) = self.open_share(n) else { return Ok(()) };
                let message = SubmitSharesSuccess {
                    channel_id,
                    last_sequence_number,
                    new_submits_accepted_count: u32::from(count),
                    new_shares_sum: 0,
                };
                self.world.pool(&message, now)
            }
            Step::Refused(n) => {
                let Some((channel_id, sequence_number)) = self.open_share(n) else { return Ok(()) };
                let error_code = Str0255::truncated("stale-share");
                self.world.pool(&SubmitSharesError { channel_id, sequence_number, error_code }, now)
            }
            Step::Target(n, easy) => {
                let maximum_target = if easy { Target::MAX } else { target() }.to_le_bytes();
                let channel_id = u32::from(n).min(self.next_above);
                self.world.pool(&SetTarget { channel_id, maximum_target }, now)
            }
            Step::Prefix(n, byte) => {
                let prefix = [byte; super::world::PREFIX.len()];
                let extranonce_prefix = B032::new(&prefix).unwrap();
                let channel_id = u32::from(n).min(self.next_above);
                self.world.pool(&SetExtranoncePrefix { channel_id, extranonce_prefix }, now)
            }
            Step::CloseBelow(n) => {
                let channel_id = pick(&self.channels, n);
                self.world.say(&CloseChannel { channel_id, reason_code: Str0255::default() }, now)
            }
            Step::CloseAbove(n) => {
                let channel_id = u32::from(n).min(self.next_above);
                self.world.pool(&CloseChannel { channel_id, reason_code: Str0255::default() }, now)
            }
            Step::Wait(seconds) => {
                self.time += u64::from(seconds);
                self.world.timer(at(self.time))
            }
            Step::GarbageBelow(kind, bytes) => {
                // One that cannot be read counts, too.
                self.submitted += u64::from(kind == SubmitSharesExtended::MSG_TYPE);
                self.world.say_raw(&header(kind, &bytes), &bytes, now)
            }
            Step::GarbageAbove(kind, bytes) => self.world.pool_raw(&header(kind, &bytes), &bytes, now),
        }
    }

    fn job(&mut self, n: u8) -> Option<(u32, u32)> {
        let at = usize::from(n) % self.jobs.len().max(1);
        (at < self.jobs.len()).then(|| self.jobs.remove(at))
    }

    fn open_share(&mut self, n: u8) -> Option<(u32, u32)> {
        self.shares.get(usize::from(n) % self.shares.len().max(1)).copied()
    }

    /// Reads what was sent.
    fn read(&mut self) {
        for (kind, payload) in std::mem::take::<Frames>(&mut self.world.above) {
            match kind {
                OpenExtendedMiningChannel::MSG_TYPE => {
                    self.opens.push(OpenExtendedMiningChannel::decode(&payload).unwrap().request_id);
                }
                SetCustomMiningJob::MSG_TYPE => {
                    let job = SetCustomMiningJob::decode(&payload).unwrap();
                    self.jobs.push((job.channel_id, job.request_id));
                }
                SubmitSharesExtended::MSG_TYPE => {
                    let share = SubmitSharesExtended::decode(&payload).unwrap();
                    self.shares.push((share.channel_id, share.sequence_number));
                }
                _ => {}
            }
        }
        for (kind, payload) in std::mem::take::<Frames>(&mut self.world.below) {
            match kind {
                OpenExtendedMiningChannelSuccess::MSG_TYPE => {
                    let opened = OpenExtendedMiningChannelSuccess::decode(&payload).unwrap();
                    self.channels.push(opened.channel_id);
                }
                SetCustomMiningJobSuccess::MSG_TYPE => {
                    self.known_jobs.push(SetCustomMiningJobSuccess::decode(&payload).unwrap().job_id);
                }
                SubmitSharesSuccess::MSG_TYPE => {
                    let success = SubmitSharesSuccess::decode(&payload).unwrap();
                    self.told += u64::from(success.new_submits_accepted_count);
                }
                SubmitSharesError::MSG_TYPE => self.told += 1,
                _ => {}
            }
        }
    }
}

fn header(msg_type: u8, payload: &[u8]) -> FrameHeader {
    let length = u32::try_from(payload.len()).unwrap();
    FrameHeader { extension_type: 0, channel_msg: true, msg_type, length }
}

proptest! {
    #[test]
    fn every_share_has_one_state_whatever_both_sides_say(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut sides = Sides {
            world: World::ready(),
            time: 1,
            opens: Vec::new(),
            jobs: Vec::new(),
            channels: Vec::new(),
            known_jobs: Vec::new(),
            shares: Vec::new(),
            next_above: 0,
            submitted: 0,
            told: 0,
        };
        for step in steps {
            let end = sides.do_next(step);
            sides.read();
            prop_assert_eq!(sides.world.totals().submitted(), sides.submitted);
            prop_assert!(sides.told <= sides.submitted, "an answer to a share that there was not");
            prop_assert!(sides.world.jdc.channels() <= 16);
            if end.is_err() {
                break;
            }
        }
        // Whatever ends it, no share is left open.
        let why = crate::source::DownReason::NotStarted;
        let _ = sides.world.jdc.disconnected(why, at(sides.time), &mut bytes::BytesMut::new());
        let totals = sides.world.totals();
        prop_assert_eq!((totals.pending, totals.held), (0, 0));
        prop_assert_eq!(totals.submitted(), sides.submitted);
    }
}
