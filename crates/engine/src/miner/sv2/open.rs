//! Opening channels (specification, sections 5.3.2 to 5.3.6).

use std::sync::Arc;

use sv2::mining::{
    OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, OpenMiningChannelError,
    OpenStandardMiningChannel, OpenStandardMiningChannelSuccess,
};
use sv2::{B032, Str0255, error_code, write_frame};
use work::vardiff::{Start, Vardiff};
use work::{Extranonce, MAX_EXTRANONCE, MinerId, Target, Validator};

use super::accepted::Accepted;
use super::channel::{Channel, Kind};
use super::{LeftChannel, MAX_CHANNELS, Sv2Io, Sv2Miner};
use crate::feed::{Feed, GroupMeter};
use crate::ids::{GroupId, MinerRef};
use crate::miner::ListenerPolicy;
use crate::miner::mining::Mining;
use crate::miner::worker::Worker;

/// Zeros for the part of a standard channel's extranonce that an extended channel's miner would roll.
const ZEROS: [u8; MAX_EXTRANONCE] = [0; MAX_EXTRANONCE];

/// A channel that needs a place in a group.
#[derive(Clone, Debug)]
pub struct JoinWish {
    /// Who mines.
    pub identity: Arc<str>,
    /// Hashes per second, as far as can be said now.
    pub hashrate: f64,
}

/// A channel that was asked for.
#[derive(Debug)]
pub(super) struct Pending {
    request_id: u32,
    kind: Kind,
    worker: Worker,
    miner_id: MinerId,
    nominal: f64,
    max_target: Target,
    remembered: Option<f64>,
}

impl Pending {
    pub(super) fn into_left(self) -> LeftChannel {
        LeftChannel { miner_id: self.miner_id, place: None, identity: self.worker.name, learnt: None }
    }

    fn vardiff(&self, policy: &ListenerPolicy, now: std::time::Duration) -> Vardiff {
        begin_vardiff(policy, self.nominal, self.remembered, now)
    }
}

/// A vardiff that begins at `now` with what a miner said of its hashrate.
pub(super) fn begin_vardiff(
    policy: &ListenerPolicy,
    nominal: f64,
    remembered: Option<f64>,
    now: std::time::Duration,
) -> Vardiff {
    let start = Start {
        suggested: (nominal > 0.0).then(|| policy.vardiff.difficulty_of(nominal)),
        minimum: None,
        fixed: None,
        remembered,
        default_guess: policy.difficulty_start,
    };
    let vardiff = Vardiff::new(&policy.vardiff, &start, now);
    if policy.vardiff_enabled { vardiff } else { vardiff.held() }
}

/// A hashrate that is a number and not negative.
pub(in crate::miner) fn hashrate_of(nominal: f32) -> Option<f64> {
    (nominal.is_finite() && nominal >= 0.0).then(|| f64::from(nominal))
}

/// A `max_target` that Adit can keep to: there is one, and it asks for no difficulty above the listener's highest.
pub(super) fn max_target_of(bytes: [u8; 32], policy: &ListenerPolicy) -> Option<Target> {
    let target = Target::from_le_bytes(bytes);
    (!target.is_zero() && target.difficulty().get() <= policy.vardiff.max).then_some(target)
}

impl Sv2Miner {
    pub(super) fn open_standard(&mut self, open: &OpenStandardMiningChannel<'_>, io: &mut Sv2Io<'_>) {
        self.open(
            open.request_id,
            Kind::Standard,
            &open.user_identity.to_str_lossy(),
            (open.nominal_hash_rate, open.max_target),
            io,
        );
    }

    pub(super) fn open_extended(&mut self, open: &OpenExtendedMiningChannel<'_>, io: &mut Sv2Io<'_>) {
        if self.setup.standard_jobs {
            let code = error_code::EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS;
            return self.refuse(open.request_id, code, io);
        }
        if open.min_extranonce_size > u16::from(self.policy.extranonce2_size) {
            return self.refuse(open.request_id, error_code::MIN_EXTRANONCE_SIZE_TOO_LARGE, io);
        }
        self.open(
            open.request_id,
            Kind::Extended,
            &open.user_identity.to_str_lossy(),
            (open.nominal_hash_rate, open.max_target),
            io,
        );
    }

    fn open(
        &mut self,
        request_id: u32,
        kind: Kind,
        identity: &str,
        (nominal, max_target): (f32, [u8; 32]),
        io: &mut Sv2Io<'_>,
    ) {
        let Some(nominal) = hashrate_of(nominal) else {
            return self.refuse(request_id, error_code::INVALID_NOMINAL_HASHRATE, io);
        };
        let Some(max_target) = max_target_of(max_target, &self.policy) else {
            return self.refuse(request_id, error_code::MAX_TARGET_OUT_OF_RANGE, io);
        };
        if self.channels.len() + self.pending.len() >= MAX_CHANNELS {
            return self.refuse(request_id, error_code::CHANNEL_CAPACITY_EXHAUSTED, io);
        }
        let Some(miner_id) = io.ids.allocate(self.policy.extranonce1_size) else {
            return self.refuse(request_id, error_code::CHANNEL_CAPACITY_EXHAUSTED, io);
        };
        let worker = Worker::new(identity.trim(), &self.policy.identity);
        let remembered = None;
        self.pending.push_back(Pending {
            request_id,
            kind,
            worker,
            miner_id,
            nominal,
            max_target,
            remembered,
        });
        self.most_channels = self.most_channels.max(self.channels.len() + self.pending.len());
    }

    fn refuse(&mut self, request_id: u32, code: &str, io: &mut Sv2Io<'_>) {
        self.refused += 1;
        write_frame(&OpenMiningChannelError { request_id, error_code: Str0255::truncated(code) }, io.out);
    }

    /// The next channel that needs a place: the caller joins it to a group and calls [`Sv2Miner::joined`], or
    /// [`Sv2Miner::not_joined`].
    #[must_use]
    pub fn wants_to_join(&self) -> Option<JoinWish> {
        let pending = self.pending.front()?;
        let vardiff = pending.vardiff(&self.policy, std::time::Duration::ZERO);
        let guess = vardiff.difficulty()
            * work::hashrate::HASHES_PER_DIFFICULTY
            * self.policy.vardiff.shares_per_minute
            / 60.0;
        // A hashrate of 0.0 says that nothing mines yet, if it is a proxy's; devices say how fast they are.
        let hashrate =
            if pending.nominal > 0.0 || pending.remembered.is_none() { pending.nominal } else { guess };
        Some(JoinWish { identity: Arc::clone(&pending.worker.name), hashrate })
    }

    /// The id of the channel that waits longest for a place.
    #[must_use]
    pub fn pending_miner_id(&self) -> Option<MinerId> {
        self.pending.front().map(|pending| pending.miner_id)
    }

    /// What the next channel's worker had learnt the last time.
    pub fn remember(&mut self, difficulty: f64) {
        if let Some(pending) = self.pending.front_mut() {
            pending.remembered = Some(difficulty);
        }
    }

    /// The next channel has a place in a group, as this miner to the router; the group has `metered` of its hashrate in its sum: it is open, and gets
    /// work from now on, beginning with `feed` if there is any.
    pub fn joined(
        &mut self,
        (miner, group): (MinerRef, GroupId),
        meter: Arc<GroupMeter>,
        metered: f64,
        feed: Option<&Arc<Feed>>,
        io: &mut Sv2Io<'_>,
    ) {
        let Some(pending) = self.pending.pop_front() else { return };
        let now = io.now.mono;
        let policy = Arc::clone(&self.policy);
        let vardiff = pending.vardiff(&policy, now);
        let validator = Validator::new(
            pending.miner_id,
            policy.extranonce2_size,
            policy.hash_seed,
            work::Limits::default(),
        );
        let group_channel_id = self.enter_group(group);
        let channel_id = self.take_channel_id();
        self.names_cut += usize::from(pending.worker.is_cut());
        let mut channel = Channel {
            id: channel_id,
            kind: pending.kind,
            worker: pending.worker,
            miner,
            group,
            route: self.next_route,
            mining: Mining::new(validator, vardiff, meter, metered, now),
            told_target: Target::MAX,
            max_target: pending.max_target,
            nominal: pending.nominal,
            since: now,
            zero_since: now,
            last_share: now,
            accepted: Accepted::default(),
        };
        let feed = feed.filter(|feed| self.takes(feed));
        if let Some(feed) = feed {
            channel.mining.take_feed(feed);
        }
        let (target, told) = channel.wish(&policy);
        channel.told_target = target;
        channel.mining.told = told;
        let request_id = pending.request_id;
        let target = target.to_le_bytes();
        let miner_id = pending.miner_id;
        match pending.kind {
            Kind::Extended => write_frame(
                &OpenExtendedMiningChannelSuccess {
                    request_id,
                    channel_id,
                    target,
                    extranonce_size: u16::from(policy.extranonce2_size),
                    extranonce_prefix: B032::new(miner_id.as_bytes()).unwrap_or_default(),
                    group_channel_id,
                },
                io.out,
            ),
            Kind::Standard => {
                let prefix = Extranonce::concat(&[miner_id.as_bytes(), fixed(policy.extranonce2_size)]);
                write_frame(
                    &OpenStandardMiningChannelSuccess {
                        request_id,
                        channel_id,
                        target,
                        extranonce_prefix: B032::new(prefix.unwrap_or_default().as_slice())
                            .unwrap_or_default(),
                        group_channel_id,
                    },
                    io.out,
                );
            }
        }
        if self.last_share == self.since {
            // Idle is who has a channel and brings nothing, not who waited for one.
            self.last_share = now;
        }
        self.channels.push(channel);
        let at = self.channels.len() - 1;
        if feed.is_some() {
            self.channels[at].mining.vardiff.set_in_force(told, now);
            self.send_job(at, io);
        }
        self.rearm(at);
    }

    /// There is no place for the next channel.
    pub fn not_joined(&mut self, code: &str, io: &mut Sv2Io<'_>) {
        let Some(pending) = self.pending.pop_front() else { return };
        self.refuse(pending.request_id, code, io);
        self.left.push(pending.into_left());
    }
}

/// The part of a standard channel's extranonce that is not the miner's number.
pub(super) fn fixed(extranonce2_size: u8) -> &'static [u8] {
    &ZEROS[..usize::from(extranonce2_size).min(MAX_EXTRANONCE)]
}
