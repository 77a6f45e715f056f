//! The states of a share and their reasons: the only words for them, here, in metrics and in the API.

/// Declares an enum of reasons with its stable words, in one table.
macro_rules! reasons {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The word for it in metrics, API and logs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

reasons! {
    /// Why Adit itself rejected a share.
    RejectReason {
        /// No job with this id was ever sent to this miner, or it is forgotten.
        UnknownJob => "unknown_job",
        /// The job's tip or source is no longer mined on.
        Stale => "stale",
        /// The same header was submitted before.
        Duplicate => "duplicate",
        /// The hash is above the target advertised with the job.
        AboveTarget => "above_target",
        /// The header's time is outside what the job allows.
        NtimeOutOfRange => "ntime_out_of_range",
        /// Version bits outside the granted mask.
        VersionBits => "version_bits",
        /// The extranonce2 has not the size told at subscribe.
        Extranonce2Size => "extranonce2_size",
        /// The miner found more shares on one tip than are remembered.
        DuplicateWindowFull => "duplicate_window_full",
        /// A submit that could not be read.
        Malformed => "malformed",
        /// The worker named was not authorised on this connection.
        Unauthorized => "unauthorized",
        /// Submitted before subscribe.
        NotSubscribed => "not_subscribed",
        /// The connection has no such channel (SV2).
        UnknownChannel => "unknown_channel",
    }
}

reasons! {
    /// Why a good share was never sent.
    UnsentReason {
        /// The source it belonged to is gone.
        NoSource => "no_source",
        /// The source's queue was full.
        QueueFull => "queue_full",
        /// The tip changed while it waited.
        StaleInQueue => "stale_in_queue",
        /// The pool refused the declared job.
        JobRefused => "job_refused",
        /// The extranonce prefix changed before the job was taken.
        PrefixChanged => "prefix_changed",
    }
}

reasons! {
    /// A source's reason for refusing a share: the error codes seen, and one for the rest, so that a pool
    /// cannot grow the books.
    RefuseCode {
        /// `stale-share`
        StaleShare => "stale-share",
        /// `invalid-job-id`
        InvalidJobId => "invalid-job-id",
        /// `difficulty-too-low`
        DifficultyTooLow => "difficulty-too-low",
        /// `duplicate-share`
        DuplicateShare => "duplicate-share",
        /// `invalid-channel-id`
        InvalidChannelId => "invalid-channel-id",
        /// `invalid-timestamp` and its relatives
        InvalidTimestamp => "invalid-timestamp",
        /// `version-rolling-not-allowed`
        VersionRolling => "version-rolling-not-allowed",
        /// `bad-extranonce-size`
        BadExtranonceSize => "bad-extranonce-size",
        /// `invalid-share`
        InvalidShare => "invalid-share",
        /// Anything else.
        Other => "other",
    }
}

impl RefuseCode {
    /// Reads the error code that a pool sent; unknown ones are [`RefuseCode::Other`] (section 3.5: error codes
    /// differ between implementations).
    #[must_use]
    pub fn from_wire(code: &[u8]) -> Self {
        match code {
            b"stale-share" => Self::StaleShare,
            b"invalid-job-id" => Self::InvalidJobId,
            b"difficulty-too-low" => Self::DifficultyTooLow,
            b"duplicate-share" => Self::DuplicateShare,
            b"invalid-channel-id" => Self::InvalidChannelId,
            b"invalid-timestamp" | b"invalid-ntime" | b"ntime-out-of-range" => Self::InvalidTimestamp,
            b"version-rolling-not-allowed" => Self::VersionRolling,
            b"bad-extranonce-size" => Self::BadExtranonceSize,
            b"invalid-share" => Self::InvalidShare,
            _ => Self::Other,
        }
    }
}

/// A state in which a share ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Final {
    /// By Adit.
    Rejected(RejectReason),
    /// Counted here; easier than the source's target.
    Local,
    /// By the source.
    Acknowledged,
    /// By the source, with its code.
    Refused(RefuseCode),
    /// Good, but never sent.
    Unsent(UnsentReason),
    /// Sent; the link ended before an answer. It may have been credited.
    Unknown,
}
