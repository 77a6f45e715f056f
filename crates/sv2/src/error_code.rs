//! Words that peers give as `error_code`.
//!
//! The specification (section 3.5) fixes none: codes are printable ASCII, differ between
//! implementations, and nobody may act on them beyond what the protocol's state says. These are the
//! reference implementation's of 2026, so that both sides' logs and metrics use the same words. A code that
//! several messages use stands once.

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $name:ident = $code:literal; )*) => {
        $( $(#[$doc])* pub const $name: &str = $code; )*

        /// Every code of this module, for whoever counts by code and needs a bounded set of labels.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

error_codes! {
    /// `SetupConnection.Error`: flags that the server does not support; its `flags` field names them.
    UNSUPPORTED_FEATURE_FLAGS = "unsupported-feature-flags";
    /// `SetupConnection.Error`: a protocol that the server does not serve.
    UNSUPPORTED_PROTOCOL = "unsupported-protocol";
    /// `SetupConnection.Error`: no common protocol version.
    PROTOCOL_VERSION_MISMATCH = "protocol-version-mismatch";
    /// `SetupConnection.Error`: the JDS insists on [`crate::job_declaration::DECLARE_TX_DATA`].
    MISSING_DECLARE_TX_DATA_FLAG = "missing-declare-tx-data-flag";

    /// `OpenMiningChannel.Error`: a standard channel on a connection for custom work.
    STANDARD_CHANNELS_NOT_SUPPORTED_FOR_CUSTOM_WORK = "standard-channels-not-supported-for-custom-work";
    /// `OpenMiningChannel.Error`: an extended channel on a connection for standard jobs.
    EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS = "extended-channels-not-supported-for-standard-jobs";
    /// `OpenMiningChannel.Error`: the server opens no further channel.
    CHANNEL_CAPACITY_EXHAUSTED = "channel-capacity-exhausted";
    /// `OpenMiningChannel.Error`: `user_identity` has a form that the server does not take.
    INVALID_USER_IDENTITY = "invalid-user-identity";
    /// `OpenMiningChannel.Error`: the server does not know the user.
    UNKNOWN_USER = "unknown-user";
    /// `OpenMiningChannel.Error`: more rollable extranonce is asked for than the server has.
    MIN_EXTRANONCE_SIZE_TOO_LARGE = "min-extranonce-size-too-large";
    /// `OpenMiningChannel.Error`: the rollable extranonce asked for is none that the server gives.
    UNSUPPORTED_MIN_EXTRANONCE_SIZE = "unsupported-min-extranonce-size";
    /// `OpenMiningChannel.Error` and `UpdateChannel.Error`: hashrate that is negative or no number.
    INVALID_NOMINAL_HASHRATE = "invalid-nominal-hashrate";
    /// `OpenMiningChannel.Error` and `UpdateChannel.Error`: a target that the server cannot keep to.
    MAX_TARGET_OUT_OF_RANGE = "max-target-out-of-range";

    /// `UpdateChannel.Error`, `SubmitShares.Error`, `SetCustomMiningJob.Error`: no such channel.
    INVALID_CHANNEL_ID = "invalid-channel-id";

    /// `SubmitShares.Error`: the share is not valid for a reason without a code.
    INVALID_SHARE = "invalid-share";
    /// `SubmitShares.Error`: the job belongs to an older block.
    STALE_SHARE = "stale-share";
    /// `SubmitShares.Error`: no such job on the channel.
    INVALID_JOB_ID = "invalid-job-id";
    /// `SubmitShares.Error`: the hash is above the target.
    DIFFICULTY_TOO_LOW = "difficulty-too-low";
    /// `SubmitShares.Error`: the same share came before.
    DUPLICATE_SHARE = "duplicate-share";
    /// `SubmitShares.Error`: nTime is before the job's or too far ahead.
    INVALID_TIMESTAMP = "invalid-timestamp";
    /// `SubmitShares.Error`: the extranonce has another size than the channel's.
    BAD_EXTRANONCE_SIZE = "bad-extranonce-size";
    /// `SubmitShares.Error`: the version was rolled although the job forbids it.
    VERSION_ROLLING_NOT_ALLOWED = "version-rolling-not-allowed";
    /// `SubmitShares.Error`: a version bit outside of BIP 323's was changed.
    INVALID_NON_ROLLABLE_VERSION_BIT = "invalid-non-rollable-version-bit";

    /// `SetCustomMiningJob.Error`: the pool takes no custom jobs.
    JD_NOT_SUPPORTED = "jd-not-supported";
    /// `SetCustomMiningJob.Error`, `DeclareMiningJob.Error`: a token that was not given, or not any more.
    INVALID_MINING_JOB_TOKEN = "invalid-mining-job-token";
    /// `SetCustomMiningJob.Error`: the JDS has not finished with the declaration.
    JOB_NOT_YET_VALIDATED = "job-not-yet-validated";
    /// `SetCustomMiningJob.Error`, `DeclareMiningJob.Error`: the job builds on another block.
    STALE_CHAIN_TIP = "stale-chain-tip";
    /// `SetCustomMiningJob.Error`: `min_ntime`.
    INVALID_MIN_NTIME = "invalid-min-ntime";
    /// `SetCustomMiningJob.Error`: `nbits`.
    INVALID_NBITS = "invalid-nbits";
    /// `SetCustomMiningJob.Error`: `version`.
    INVALID_VERSION = "invalid-version";
    /// `SetCustomMiningJob.Error`, `DeclareMiningJob.Error`: the coinbase as a whole.
    INVALID_COINBASE_TX = "invalid-coinbase-tx";
    /// `SetCustomMiningJob.Error`: `coinbase_tx_version`.
    INVALID_COINBASE_TX_VERSION = "invalid-coinbase-tx-version";
    /// `SetCustomMiningJob.Error`: `coinbase_prefix`.
    INVALID_COINBASE_PREFIX = "invalid-coinbase-prefix";
    /// `SetCustomMiningJob.Error`: `coinbase_tx_input_n_sequence`.
    INVALID_COINBASE_TX_INPUT_N_SEQUENCE = "invalid-coinbase-tx-input-n-sequence";
    /// `SetCustomMiningJob.Error`: `coinbase_tx_outputs`, for instance without the pool's payout.
    INVALID_COINBASE_TX_OUTPUTS = "invalid-coinbase-tx-outputs";
    /// `SetCustomMiningJob.Error`: `coinbase_tx_locktime`.
    INVALID_COINBASE_TX_LOCKTIME = "invalid-coinbase-tx-locktime";
    /// `SetCustomMiningJob.Error`: `merkle_path`.
    INVALID_MERKLE_PATH = "invalid-merkle-path";

    /// `DeclareMiningJob.Error`: transactions are still missing.
    MISSING_TXS = "missing-txs";
    /// `DeclareMiningJob.Error`: the coinbase's input.
    INVALID_COINBASE_TX_INPUT = "invalid-coinbase-tx-input";
    /// `DeclareMiningJob.Error`: the block would not be valid.
    INVALID_JOB = "invalid-job";
    /// `DeclareMiningJob.Error`: the JDS failed.
    INTERNAL_ERROR = "internal-error";

    /// `RequestTransactionData.Error`: the template builds on an older block.
    STALE_TEMPLATE_ID = "stale-template-id";
    /// `RequestTransactionData.Error`: no such template.
    TEMPLATE_ID_NOT_FOUND = "template-id-not-found";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_distinct_printable_and_fit_their_field() {
        for (index, code) in ALL.iter().enumerate() {
            assert!(code.len() <= crate::Str0255::MAX && code.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(!ALL[..index].contains(code), "{code}");
        }
    }
}
