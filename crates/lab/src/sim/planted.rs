//! Mistakes made on purpose, each of which the invariants have to find. None of them touches the engine: they corrupt
//! what passes between its machines, as a mistake in them or in the code around them would. They exist only with the
//! feature `planted-bugs`.

use super::kinds::kinds;

kinds! {
    /// A mistake.
    PlantedBug {
        /// A SubmitShares.Success is lost.
        DroppedSettle => "dropped-settle",
        /// A SubmitShares.Success is taken twice.
        DoubleSettle => "double-settle",
        /// A share goes up with another filler than it was verified with.
        WrongFiller => "wrong-filler",
        /// A miner id is given out twice.
        IdReuse => "id-reuse",
        /// The full share queue takes a share and loses it.
        TrueOnQueueFull => "true-on-queue-full",
        /// A share of the last tip is dressed up as one of the present tip.
        StaleForwarded => "stale-forwarded",
        /// A connection reads all that its miner sent, and what comes within half a second, before it looks for news, and
        /// nobody else has a turn.
        JobBehindShares => "job-behind-shares",
        /// Miners hold on to a channel that is gone.
        ChannelNotEnded => "channel-not-ended",
        /// `clean_jobs` is turned round.
        WrongCleanFlag => "wrong-clean-flag",
        /// Miners are held at four times the source's difficulty.
        DifficultyAboveSource => "difficulty-above-source",
        /// Blocks wait in the queue of all shares.
        BlockBehindShares => "block-behind-shares",
        /// Late blocks are thrown away.
        LateBlockDropped => "late-block-dropped",
        /// Some miners leave their group without a word.
        LeaveForgotten => "leave-forgotten",
        /// A link that nobody vouches for counts as authenticated.
        TrustsAnyone => "trusts-anyone",
        /// Some miners do not hear of a job.
        NewsForgotten => "news-forgotten",
        /// A miner gets a job older than the one it has.
        OldNews => "old-news",
        /// A miner that left stays in the hashrate.
        HashrateLeak => "hashrate-leak",
        /// A miner is told another extranonce1 in mid-session.
        ExtranonceChanges => "extranonce-changes",
        /// The miners are closed with the first failure of their pool.
        ClosesOnOutage => "closes-on-outage",
        /// Held shares go out before the pool has acknowledged their job.
        ShareBeforeSuccess => "share-before-success",
        /// Some new tips are taken for better templates on the old one: held shares outlive their job.
        HeldSurvivesTip => "held-survives-tip",
        /// A block on a job that was not acknowledged goes to no node.
        UnacknowledgedBlockDropped => "unacknowledged-block-dropped",
        /// A block on a declared job whose channel has gone goes to no node.
        GoneChannelBlockDropped => "gone-channel-block-dropped",
        /// A block goes to the nodes twice.
        BlockHandedOutTwice => "block-handed-out-twice",
        /// A change of the extranonce prefix is not heard.
        PrefixIgnored => "prefix-ignored",
        /// A declared source that has fallen never rises again.
        NeverRises => "never-rises",
        /// A custom job is set with the token of the one before.
        TokenUsedTwice => "token-used-twice",
        /// Nobody looks at the clock while a job waits for its acknowledgement.
        DeclaresForEver => "declares-for-ever",
    }
}

/// Whether the mistake is to be made now.
#[must_use]
pub(super) fn is_planted(planted: Option<PlantedBug>, bug: PlantedBug) -> bool {
    cfg!(feature = "planted-bugs") && planted == Some(bug)
}
