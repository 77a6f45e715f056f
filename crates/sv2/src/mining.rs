//! The Mining Protocol's messages (specification, section 5.3).

/// Bit 0 of `SetupConnection.flags`: the client takes standard jobs only (section 5.3.1).
pub const REQUIRES_STANDARD_JOBS: u32 = 1 << 0;
/// Bit 1 of `SetupConnection.flags`: the client will send `SetCustomMiningJob` on this connection
/// (section 5.3.1).
pub const REQUIRES_WORK_SELECTION: u32 = 1 << 1;
/// Bit 2 of `SetupConnection.flags`: the server must not send jobs that forbid version rolling (section
/// 5.3.1).
pub const REQUIRES_VERSION_ROLLING: u32 = 1 << 2;

/// Bit 0 of `SetupConnection.Success.flags`: the server takes no other header version than the job's
/// (section 5.3.1).
pub const REQUIRES_FIXED_VERSION: u32 = 1 << 0;
/// Bit 1 of `SetupConnection.Success.flags`: the server opens no standard channels (section 5.3.1).
pub const REQUIRES_EXTENDED_CHANNELS: u32 = 1 << 1;

messages! {
    /// A message of the Mining Protocol (section 5.3).
    MiningMessage in AnyMessage::Mining, extension 0x0000

    /// Asks for a standard channel. (Client -> Server, 5.3.2)
    [0x10, channel_msg 0, "OpenStandardMiningChannel"]
    OpenStandardMiningChannel<'a> {
        /// The client's number for the request, unique on the connection.
        request_id: U32,
        /// Who mines, as the server knows them.
        user_identity: STR0_255,
        /// Expected hashrate in h/s; 0.0 while nothing mines.
        nominal_hash_rate: F32,
        /// The largest target that the client can work with.
        max_target: U256,
    }

    /// The standard channel is open. (Server -> Client, 5.3.3)
    [0x11, channel_msg 0, "OpenStandardMiningChannel.Success"]
    OpenStandardMiningChannelSuccess<'a> {
        /// The request's number.
        request_id: U32,
        /// The channel's number for the life of the connection.
        channel_id: U32,
        /// First target.
        target: U256,
        /// The channel's extranonce.
        extranonce_prefix: B0_32,
        /// The group that the channel belongs to.
        group_channel_id: U32,
    }

    /// A channel, standard or extended, cannot be opened. (Server -> Client, 5.3.6)
    [0x12, channel_msg 0, "OpenMiningChannel.Error"]
    OpenMiningChannelError<'a> {
        /// The request's number.
        request_id: U32,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
    }

    /// Asks for an extended channel. (Client -> Server, 5.3.4)
    [0x13, channel_msg 0, "OpenExtendedMiningChannel"]
    OpenExtendedMiningChannel<'a> {
        /// The client's number for the request, unique on the connection.
        request_id: U32,
        /// Who mines, as the server knows them.
        user_identity: STR0_255,
        /// Expected hashrate in h/s of all devices together; 0.0 while nothing mines.
        nominal_hash_rate: F32,
        /// The largest target that the client can work with.
        max_target: U256,
        /// Bytes of rollable extranonce that the client needs at least.
        min_extranonce_size: U16,
    }

    /// The extended channel is open. (Server -> Client, 5.3.5)
    [0x14, channel_msg 0, "OpenExtendedMiningChannel.Success"]
    OpenExtendedMiningChannelSuccess<'a> {
        /// The request's number.
        request_id: U32,
        /// The channel's number for the life of the connection.
        channel_id: U32,
        /// First target.
        target: U256,
        /// Bytes of rollable extranonce.
        extranonce_size: U16,
        /// The extranonce's fixed first bytes.
        extranonce_prefix: B0_32,
        /// The group that the channel belongs to.
        group_channel_id: U32,
    }

    /// A job for a standard channel. (Server -> Client, 5.3.15)
    [0x15, channel_msg 1, "NewMiningJob"]
    NewMiningJob {
        /// The standard channel.
        channel_id: U32,
        /// The job's number.
        job_id: U32,
        /// Smallest nTime, Unix seconds; empty: a future job, which a SetNewPrevHash activates.
        min_ntime: OPTION[U32],
        /// Header version; the BIP 323 bits may be rolled.
        version: U32,
        /// As it stands in the block header.
        merkle_root: U256,
    }

    /// The channel's hashrate or the wanted target changed. (Client -> Server, 5.3.7)
    [0x16, channel_msg 1, "UpdateChannel"]
    UpdateChannel {
        /// The channel.
        channel_id: U32,
        /// Expected hashrate in h/s; 0.0 while nothing mines.
        nominal_hash_rate: F32,
        /// The largest target that the client wants from now on.
        maximum_target: U256,
    }

    /// The UpdateChannel was not taken. (Server -> Client, 5.3.8)
    [0x17, channel_msg 1, "UpdateChannel.Error"]
    UpdateChannelError<'a> {
        /// The channel.
        channel_id: U32,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
    }

    /// The channel, or every channel of the group, ends. (both directions, 5.3.9)
    [0x18, channel_msg 1, "CloseChannel"]
    CloseChannel<'a> {
        /// The channel or group.
        channel_id: U32,
        /// Why, without control characters.
        reason_code: STR0_255,
    }

    /// The extranonce prefix of all later jobs. (Server -> Client, 5.3.10)
    [0x19, channel_msg 1, "SetExtranoncePrefix"]
    SetExtranoncePrefix<'a> {
        /// An extended or standard channel, no group.
        channel_id: U32,
        /// The extranonce's fixed first bytes.
        extranonce_prefix: B0_32,
    }

    /// A share on a standard channel. (Client -> Server, 5.3.11)
    [0x1a, channel_msg 1, "SubmitSharesStandard"]
    SubmitSharesStandard {
        /// The channel.
        channel_id: U32,
        /// Counts the channel's submits.
        sequence_number: U32,
        /// The job that was worked on.
        job_id: U32,
        /// Header nonce.
        nonce: U32,
        /// Header nTime, Unix seconds.
        ntime: U32,
        /// Full header version.
        version: U32,
    }

    /// A share on an extended channel. With extension 0x0002 a TLV field with the worker's name
    /// follows. (Client -> Server, 5.3.12)
    [0x1b, channel_msg 1, "SubmitSharesExtended"]
    SubmitSharesExtended<'a> {
        /// The channel.
        channel_id: U32,
        /// Counts the channel's submits.
        sequence_number: U32,
        /// The job that was worked on.
        job_id: U32,
        /// Header nonce.
        nonce: U32,
        /// Header nTime, Unix seconds.
        ntime: U32,
        /// Full header version.
        version: U32,
        /// The rollable extranonce, of the size that the channel was opened with.
        extranonce: B0_32,
    }

    /// Shares were accepted, several at once. (Server -> Client, 5.3.13)
    [0x1c, channel_msg 1, "SubmitShares.Success"]
    SubmitSharesSuccess {
        /// The channel.
        channel_id: U32,
        /// The latest submit with a correct result.
        last_sequence_number: U32,
        /// Submits accepted since the last such message.
        new_submits_accepted_count: U32,
        /// Sum of their difficulties, a whole number.
        new_shares_sum: U64,
    }

    /// A share was not accepted. (Server -> Client, 5.3.14)
    [0x1d, channel_msg 1, "SubmitShares.Error"]
    SubmitSharesError<'a> {
        /// The channel.
        channel_id: U32,
        /// The submit's number.
        sequence_number: U32,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
    }

    /// A job for an extended channel or a group. (Server -> Client, 5.3.16)
    [0x1f, channel_msg 1, "NewExtendedMiningJob"]
    NewExtendedMiningJob<'a> {
        /// The extended channel or the group.
        channel_id: U32,
        /// The job's number.
        job_id: U32,
        /// Smallest nTime, Unix seconds; empty: a future job, which a SetNewPrevHash activates.
        min_ntime: OPTION[U32],
        /// Header version.
        version: U32,
        /// Whether the BIP 323 bits of the version may be rolled.
        version_rolling_allowed: BOOL,
        /// Merkle path hashes, deepest first.
        merkle_path: SEQ0_255[U256],
        /// The coinbase before the extranonce, without BIP 141 fields.
        coinbase_tx_prefix: B0_64K,
        /// The coinbase after the extranonce, without BIP 141 fields.
        coinbase_tx_suffix: B0_64K,
    }

    /// A new block was found: only the named job is valid from now on. (Server -> Client, 5.3.17)
    [0x20, channel_msg 1, "SetNewPrevHash"]
    SetNewPrevHash {
        /// The channel or group.
        channel_id: U32,
        /// A job sent before as future.
        job_id: U32,
        /// The previous block's hash, as it stands in the header.
        prev_hash: U256,
        /// Smallest nTime, Unix seconds.
        min_ntime: U32,
        /// Header nBits.
        nbits: U32,
    }

    /// The target of jobs still to come or not yet active. (Server -> Client, 5.3.21)
    [0x21, channel_msg 1, "SetTarget"]
    SetTarget {
        /// The channel, or a group and thereby all of its channels.
        channel_id: U32,
        /// The largest hash that will be accepted.
        maximum_target: U256,
    }

    /// Announces a job that the client put together. (Client -> Server, 5.3.18)
    [0x22, channel_msg 1, "SetCustomMiningJob"]
    SetCustomMiningJob<'a> {
        /// The extended channel.
        channel_id: U32,
        /// The client's number for the request.
        request_id: U32,
        /// Identifies the job that was declared to the JDS.
        mining_job_token: B0_255,
        /// Header version; the BIP 323 bits may be rolled.
        version: U32,
        /// The previous block's hash, as it stands in the header.
        prev_hash: U256,
        /// Smallest nTime, Unix seconds.
        min_ntime: U32,
        /// Header nBits.
        nbits: U32,
        /// The coinbase's nVersion.
        coinbase_tx_version: U32,
        /// Up to 8 bytes that the coinbase's script begins with.
        coinbase_prefix: B0_255,
        /// The coinbase input's nSequence.
        coinbase_tx_input_n_sequence: U32,
        /// All outputs of the coinbase, consensus-serialised, with their count (CompactSize) in front.
        coinbase_tx_outputs: B0_64K,
        /// The coinbase's locktime.
        coinbase_tx_locktime: U32,
        /// Merkle path hashes, deepest first.
        merkle_path: SEQ0_255[U256],
    }

    /// The pool will reward the custom job. (Server -> Client, 5.3.19)
    [0x23, channel_msg 1, "SetCustomMiningJob.Success"]
    SetCustomMiningJobSuccess {
        /// The extended channel.
        channel_id: U32,
        /// The request's number.
        request_id: U32,
        /// The pool's number for the job.
        job_id: U32,
    }

    /// The pool will not reward the custom job. (Server -> Client, 5.3.20)
    [0x24, channel_msg 1, "SetCustomMiningJob.Error"]
    SetCustomMiningJobError<'a> {
        /// The extended channel.
        channel_id: U32,
        /// The request's number.
        request_id: U32,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
    }

    /// Puts channels into a group. (Server -> Client, 5.3.22)
    [0x25, channel_msg 0, "SetGroupChannel"]
    SetGroupChannel<'a> {
        /// The group.
        group_channel_id: U32,
        /// Open channels that belong to it from now on.
        channel_ids: SEQ0_64K[U32],
    }
}
