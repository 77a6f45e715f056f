//! What can go wrong, and when it does in a run.

use super::kinds::kinds;
use super::rng::Rng;
use super::time::{MINUTE, Micros, SECOND};

kinds! {
    /// A kind of fault. What each does stands where it is applied (`apply`).
    FaultKind {
        /// The pool closes the connection.
        LinkFin => "link closed (FIN)",
        /// The connection is reset under way.
        LinkReset => "link reset (RST)",
        /// Nothing passes any more, and nobody says so.
        HalfOpen => "half-open link",
        /// Nothing passes for some seconds only.
        LinkPause => "link pauses",
        /// TCP connects, nothing answers the handshake.
        SilentHandshake => "silent at the handshake",
        /// No answer to SetupConnection.
        SilentSetup => "silent at SetupConnection",
        /// No answer to RequestExtensions.
        SilentExtensions => "silent at RequestExtensions",
        /// No answer to OpenExtendedMiningChannel.
        SilentOpen => "silent at OpenExtendedMiningChannel",
        /// Channels are opened and get no job.
        SilentJob => "silent after the channel is open",
        /// Nobody listens.
        ConnectRefused => "connection refused",
        /// `SetupConnection.Error`
        SetupRefused => "SetupConnection refused",
        /// `OpenMiningChannel.Error`
        OpenRefused => "OpenExtendedMiningChannel refused",
        /// The pool leaves too little extranonce.
        SmallExtranonce => "too little extranonce",
        /// Nobody vouches for the pool.
        Unauthenticated => "unauthenticated link",
        /// Random bytes in place of frames.
        GarbageFrames => "garbage frames",
        /// A frame whose payload is cut short.
        TruncatedFrame => "truncated frame",
        /// A frame that declares more than is allowed.
        OversizedFrame => "oversized frame",
        /// Messages and extensions that nobody knows.
        UnknownMessages => "unknown messages",
        /// Messages for channels that are not there.
        WrongChannel => "wrong channel ids",
        /// A message before its time.
        WrongOrder => "message out of order",
        /// A target of zero.
        ZeroTarget => "target of zero",
        /// A job that cannot be mined.
        BadJob => "unusable job",
        /// The pool's target becomes easier.
        TargetRaised => "target raised",
        /// The pool's target becomes harder.
        TargetLowered => "target lowered",
        /// Another extranonce prefix.
        PrefixChange => "extranonce prefix changed",
        /// A new block.
        NewTip => "new tip",
        /// Two new blocks within a second.
        TwoTips => "two tips within a second",
        /// A to B and back to A.
        TipFlap => "tip flaps A-B-A",
        /// Another branch wins.
        Reorg => "reorganisation",
        /// Channels get another group.
        Regroup => "SetGroupChannel",
        /// The pool closes a channel.
        PoolClosesChannel => "CloseChannel by the pool",
        /// The pool sends Adit away, to the same address.
        Reconnect => "Reconnect to the same host",
        /// The pool sends Adit to where nobody is.
        ReconnectAway => "Reconnect to a foreign host",
        /// `ChannelEndpointChanged`
        EndpointChanged => "ChannelEndpointChanged",
        /// `UpdateChannel.Error`
        UpdateRefused => "UpdateChannel refused",
        /// Answers to shares come seconds late.
        LateAcks => "late acknowledgements",
        /// Answers to shares come in large batches.
        BatchedAcks => "batched acknowledgements",
        /// Refusals come after acknowledgements of later shares.
        LateErrors => "late refusals",
        /// The pool answers shares that nobody sent.
        StrayAcks => "stray acknowledgements",
        /// The pool refuses every share.
        RefuseAll => "every share refused",
        /// The pool answers no share.
        NeverAck => "no share answered",
        /// The pool stops reading.
        PoolDoesNotRead => "pool does not read",
        /// The declarator server closes its connection, and nobody listens there for a while.
        JdsGone => "JDS killed",
        /// Its connection is reset.
        JdsReset => "JDS link reset (RST)",
        /// Nothing passes to and from it, and nobody says so.
        JdsHalfOpen => "JDS link half-open",
        /// It does not answer SetupConnection.
        JdsSilentSetup => "JDS silent at SetupConnection",
        /// It does not answer AllocateMiningJobToken.
        JdsSilentToken => "JDS silent at AllocateMiningJobToken",
        /// It does not answer DeclareMiningJob.
        JdsSilentDeclare => "JDS silent at DeclareMiningJob",
        /// It does not answer ProvideMissingTransactions.Success.
        JdsSilentMissing => "JDS silent after missing transactions",
        /// It takes every declaration for one on an old tip.
        JdsStale => "JDS refuses: stale-chain-tip",
        /// It refuses every declaration.
        JdsRefuses => "JDS refuses: other codes",
        /// It answers twice.
        JdsTwice => "JDS answers twice",
        /// It gives one token twice.
        TokenReused => "JDS gives a token twice",
        /// Its tokens are too old as soon as they are used.
        TokenExpired => "JDS forgets its tokens",
        /// The pool wants other outputs.
        OutputsChange => "JDS outputs change",
        /// The pool takes every custom job for one on an old tip.
        CustomStale => "SetCustomMiningJob refused: stale-chain-tip",
        /// The pool refuses every custom job.
        CustomRefused => "SetCustomMiningJob refused: other codes",
        /// The pool does not answer SetCustomMiningJob.
        CustomSilent => "silent at SetCustomMiningJob",
        /// The pool refuses every share of jobs that it has acknowledged.
        CustomShares => "every share of acknowledged jobs refused",
        /// Another extranonce prefix, right before the acknowledgement of a job.
        PrefixFirst => "SetExtranoncePrefix before SetCustomMiningJob.Success",
        /// Another target, right before the acknowledgement of a job.
        TargetFirst => "SetTarget before SetCustomMiningJob.Success",
        /// A new tip when DeclareMiningJob comes.
        TipAtDeclare => "new tip at DeclareMiningJob",
        /// A new tip when the missing transactions come.
        TipAtMissing => "new tip at missing transactions",
        /// A new tip when the declaration is taken.
        TipAtDeclared => "new tip at DeclareMiningJob.Success",
        /// A new tip when SetCustomMiningJob comes.
        TipAtCustom => "new tip at SetCustomMiningJob",
        /// A new tip when the job is acknowledged.
        TipAtAcknowledged => "new tip at SetCustomMiningJob.Success",
        /// The pool's node hears of tips seconds late.
        PoolTipsLate => "pool hears of tips late",
        /// The farm's node hears of tips seconds late.
        NodeTipsLate => "node hears of tips late",
        /// The template provider goes away and comes back.
        NodeGone => "template provider gone",
        /// Templates leave too little room for the pool's outputs.
        NodeSmall => "templates with too little room",
        /// No pool is up, for less than the grace.
        Outage => "all pools gone",
        /// No pool is up, for longer than the grace.
        LongOutage => "all pools gone for longer than the grace",
        /// Random bytes from a miner.
        GarbageLines => "garbage lines",
        /// A line without an end.
        LongLine => "endless line",
        /// A miner does not read.
        SlowReader => "slow reader",
        /// Miners come and go.
        ReconnectStorm => "reconnect storm",
        /// Connects and says nothing.
        SilentMiner => "silent connection",
        /// The miner's link is reset.
        MinerReset => "miner's link reset",
        /// The same submit again.
        Duplicate => "duplicate submit",
        /// The same submit in other letters.
        DuplicateCase => "duplicate submit, hex case changed",
        /// The same submit with zeros in front.
        DuplicatePadded => "duplicate submit, padded",
        /// Shares of a job of the last tip.
        Stale => "stale submit",
        /// A block on the last tip.
        LateBlock => "late block",
        /// Shares of a job that was never sent.
        UnknownJob => "unknown job",
        /// Shares that another miner found.
        OtherExtranonce => "other miner's extranonce",
        /// Extranonces of the wrong size.
        WrongSize => "wrong extranonce2 size",
        /// Version bits that were not granted.
        VersionBits => "version bits outside the mask",
        /// Times before the job's.
        NtimeEarly => "ntime too early",
        /// Times far ahead.
        NtimeLate => "ntime too late",
        /// Hashes that meet no target.
        LowDifficulty => "low difficulty",
        /// A worker that was never authorised.
        OtherWorker => "unauthorised worker",
        /// A submit that cannot be read.
        Malformed => "malformed submit",
        /// Bad submits without end.
        Flood => "flood",
        /// Good shares of the easiest job that still counts, far too fast, by a miner that follows no difficulty.
        EasyShares => "shares too fast, difficulty not followed",
        /// Requests without end.
        RequestFlood => "request flood",
        /// A hundred times the hashrate within seconds.
        Growth => "hashrate x100",
        /// A miner stops hashing and stays.
        Standstill => "miner stands still",
        /// `mining.suggest_difficulty` under way.
        Suggest => "difficulty suggested under way",
        /// More connections than there are miner ids.
        IdExhaustion => "miner ids exhausted",
        /// Adit's own clock jumps.
        ClockJump => "clock jump",
        /// The share queues are full at once.
        QueueFull => "share queue full",
        /// Memory is short: miners are given harder work from their next job on.
        MemoryShort => "memory short",
        /// Leases' terms want tags in the shares of some sources: others, or none.
        LeaseTags => "lease tags change",
        /// The process drains at the end.
        Drain => "drain",
    }
}

/// Whom a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// A pool, by its index.
    Pool(usize),
    /// A miner, by its index.
    Miner(usize),
    /// The whole farm.
    All,
}

/// One fault of a run.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Whom.
    pub victim: Victim,
    /// When it begins.
    pub at: Micros,
    /// When it is over; the same as `at` for one that is a moment.
    pub until: Micros,
}

impl FaultKind {
    /// Whether its victim is a pool.
    #[must_use]
    pub fn is_upstream(self) -> bool {
        self <= Self::PoolDoesNotRead
    }

    /// Whether it can only befall a run that declares.
    #[must_use]
    pub fn is_of_declaration(self) -> bool {
        self >= Self::JdsGone && self <= Self::NodeSmall
    }

    /// It is made of SV1's lines, and no proxy passes it on.
    pub fn is_of_sv1(self) -> bool {
        matches!(
            self,
            Self::GarbageLines
                | Self::LongLine
                | Self::DuplicatePadded
                | Self::Malformed
                | Self::RequestFlood
                | Self::Suggest
        )
    }

    /// How long it lasts, in seconds: from, to.
    fn lasts(self) -> (u64, u64) {
        match self {
            Self::HalfOpen => (60, 120),
            Self::LinkPause => (2, 12),
            Self::SilentHandshake
            | Self::SilentSetup
            | Self::SilentExtensions
            | Self::SilentOpen
            | Self::SilentJob
            | Self::ConnectRefused
            | Self::SetupRefused
            | Self::OpenRefused
            | Self::SmallExtranonce
            | Self::Unauthenticated
            | Self::RefuseAll
            | Self::NeverAck => (20, 150),
            Self::PoolDoesNotRead => (5, 60),
            Self::JdsHalfOpen => (60, 120),
            Self::JdsGone
            | Self::JdsSilentSetup
            | Self::JdsSilentToken
            | Self::JdsSilentDeclare
            | Self::JdsSilentMissing
            | Self::JdsStale
            | Self::JdsRefuses
            | Self::TokenReused
            | Self::TokenExpired
            | Self::CustomStale
            | Self::CustomRefused
            | Self::CustomSilent
            | Self::CustomShares
            | Self::NodeGone => (10, 120),
            Self::JdsTwice | Self::PrefixFirst | Self::TargetFirst | Self::OutputsChange => (60, 200),
            Self::TipAtDeclare
            | Self::TipAtMissing
            | Self::TipAtDeclared
            | Self::TipAtCustom
            | Self::TipAtAcknowledged => (100, 200),
            Self::PoolTipsLate | Self::NodeTipsLate | Self::NodeSmall => (60, 300),
            Self::GarbageFrames => (15, 30),
            Self::LateAcks | Self::BatchedAcks | Self::LateErrors | Self::UpdateRefused => (60, 400),
            Self::Outage => (10, 120),
            Self::ReconnectStorm | Self::IdExhaustion => (10, 60),
            Self::SlowReader => (10, 120),
            Self::Duplicate
            | Self::DuplicateCase
            | Self::DuplicatePadded
            | Self::Stale
            | Self::UnknownJob
            | Self::OtherExtranonce
            | Self::WrongSize
            | Self::VersionBits
            | Self::NtimeEarly
            | Self::NtimeLate
            | Self::LowDifficulty
            | Self::OtherWorker
            | Self::Malformed
            | Self::LateBlock => (60, 300),
            Self::Flood => (5, 30),
            Self::EasyShares => (20, 60),
            Self::RequestFlood => (5, 20),
            Self::MemoryShort | Self::LeaseTags => (60, 240),
            Self::Growth => (60, 240),
            Self::Standstill => (30, 1_500),
            Self::SilentMiner => (12, 60),
            Self::QueueFull => (5, 40),
            Self::ClockJump => (30, 600),
            _ => (0, 0),
        }
    }
}

/// When faults begin, at the earliest.
const FROM: Micros = MINUTE;
/// A calm at the end, in which all has to heal.
const CALM: Micros = 5 * MINUTE;

/// Draws a run's faults. The seed's number also walks through the list, so that a few seeds in a row are enough to
/// meet every kind.
pub(super) fn draw(
    seed: u64,
    count: usize,
    duration: Micros,
    (pools, miners): (usize, usize),
    grace: Micros,
    declares: bool,
    rng: &mut Rng,
) -> Vec<Fault> {
    let all = FaultKind::ALL;
    // A run that declares walks through its own kinds, and draws from all.
    let kinds: Vec<FaultKind> =
        all.iter().copied().filter(|kind| kind.is_of_declaration() == declares).collect();
    let drawn: &[FaultKind] = if declares { all } else { &kinds };
    let walked = count.div_ceil(2);
    let first = usize::try_from(seed.wrapping_mul(walked as u64) % kinds.len() as u64).unwrap_or(0);
    let mut faults: Vec<Fault> = (0..count)
        .map(|n| {
            let kind = if n < walked { kinds[(first + n) % kinds.len()] } else { *rng.pick(drawn) };
            of(kind, duration, (pools, miners), grace, rng)
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Draws a fault of this kind.
pub(super) fn of(
    kind: FaultKind,
    duration: Micros,
    (pools, miners): (usize, usize),
    grace: Micros,
    rng: &mut Rng,
) -> Fault {
    let last = duration.saturating_sub(CALM).max(FROM);
    let victim = if kind.is_of_declaration() {
        Victim::Pool(0)
    } else if kind.is_upstream() {
        // Mostly the first, which is the one that is mined for.
        Victim::Pool(if rng.chance(0.6) { 0 } else { rng.index(pools) })
    } else {
        match kind {
            FaultKind::Outage
            | FaultKind::LongOutage
            | FaultKind::ReconnectStorm
            | FaultKind::IdExhaustion
            | FaultKind::ClockJump
            | FaultKind::QueueFull
            | FaultKind::MemoryShort
            | FaultKind::LeaseTags
            | FaultKind::Drain => Victim::All,
            _ => Victim::Miner(rng.index(miners)),
        }
    };
    let (from, to) = kind.lasts();
    let lasts = if kind == FaultKind::LongOutage {
        grace + rng.range(20, 60) * SECOND
    } else {
        rng.range(from * SECOND, to * SECOND)
    };
    let from = if kind == FaultKind::Drain { last } else { FROM };
    let at = rng.within(from, last.saturating_sub(lasts).max(FROM));
    Fault { kind, victim, at, until: at + lasts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_seeds_in_a_row_meet_every_kind() {
        let mut seen = vec![false; FaultKind::ALL.len()];
        for seed in 0..20 {
            for declares in [false, true] {
                let mut rng = Rng::new(seed);
                for fault in draw(seed, 14, 60 * MINUTE, (2, 20), MINUTE, declares, &mut rng) {
                    seen[fault.kind as usize] = true;
                    assert!(fault.at <= fault.until && fault.until <= 55 * MINUTE);
                    assert!(declares || !fault.kind.is_of_declaration());
                }
            }
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}
