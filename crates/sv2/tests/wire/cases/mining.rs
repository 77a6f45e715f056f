use crate::case::{case, cases};

cases! {
    "mining_sv2 12.0.0", mining_sv2, Mining, MiningMessage, mining, 0;

    OpenStandardMiningChannel = "OpenStandardMiningChannel",
    MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL, CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL {
        request_id: U32,
        user_identity: Str,
        nominal_hash_rate: F32,
        max_target: U256,
    }
    OpenStandardMiningChannelSuccess = "OpenStandardMiningChannel.Success",
    MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS, CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS {
        request_id: U32,
        channel_id: U32,
        target: U256,
        extranonce_prefix: B032,
        group_channel_id: U32,
    }
    OpenMiningChannelError = "OpenMiningChannel.Error",
    MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR, CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR {
        request_id: U32,
        error_code: Str,
    }
    OpenExtendedMiningChannel = "OpenExtendedMiningChannel",
    MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL, CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL {
        request_id: U32,
        user_identity: Str,
        nominal_hash_rate: F32,
        max_target: U256,
        min_extranonce_size: U16,
    }
    OpenExtendedMiningChannelSuccess = "OpenExtendedMiningChannel.Success",
    MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS, CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS {
        request_id: U32,
        channel_id: U32,
        target: U256,
        extranonce_size: U16,
        extranonce_prefix: B032,
        group_channel_id: U32,
    }
    NewMiningJob = "NewMiningJob", MESSAGE_TYPE_NEW_MINING_JOB, CHANNEL_BIT_NEW_MINING_JOB {
        channel_id: U32,
        job_id: U32,
        min_ntime: OptionU32,
        version: U32,
        merkle_root: U256,
    }
    UpdateChannel = "UpdateChannel", MESSAGE_TYPE_UPDATE_CHANNEL, CHANNEL_BIT_UPDATE_CHANNEL {
        channel_id: U32,
        nominal_hash_rate: F32,
        maximum_target: U256,
    }
    UpdateChannelError = "UpdateChannel.Error",
    MESSAGE_TYPE_UPDATE_CHANNEL_ERROR, CHANNEL_BIT_UPDATE_CHANNEL_ERROR {
        channel_id: U32,
        error_code: Str,
    }
    CloseChannel = "CloseChannel", MESSAGE_TYPE_CLOSE_CHANNEL, CHANNEL_BIT_CLOSE_CHANNEL {
        channel_id: U32,
        reason_code: Str,
    }
    SetExtranoncePrefix = "SetExtranoncePrefix",
    MESSAGE_TYPE_SET_EXTRANONCE_PREFIX, CHANNEL_BIT_SET_EXTRANONCE_PREFIX {
        channel_id: U32,
        extranonce_prefix: B032,
    }
    SubmitSharesStandard = "SubmitSharesStandard",
    MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, CHANNEL_BIT_SUBMIT_SHARES_STANDARD {
        channel_id: U32,
        sequence_number: U32,
        job_id: U32,
        nonce: U32,
        ntime: U32,
        version: U32,
    }
    SubmitSharesExtended = "SubmitSharesExtended",
    MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, CHANNEL_BIT_SUBMIT_SHARES_EXTENDED {
        channel_id: U32,
        sequence_number: U32,
        job_id: U32,
        nonce: U32,
        ntime: U32,
        version: U32,
        extranonce: B032,
    }
    SubmitSharesSuccess = "SubmitShares.Success",
    MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS, CHANNEL_BIT_SUBMIT_SHARES_SUCCESS {
        channel_id: U32,
        last_sequence_number: U32,
        new_submits_accepted_count: U32,
        new_shares_sum: U64,
    }
    SubmitSharesError = "SubmitShares.Error",
    MESSAGE_TYPE_SUBMIT_SHARES_ERROR, CHANNEL_BIT_SUBMIT_SHARES_ERROR {
        channel_id: U32,
        sequence_number: U32,
        error_code: Str,
    }
    NewExtendedMiningJob = "NewExtendedMiningJob",
    MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, CHANNEL_BIT_NEW_EXTENDED_MINING_JOB {
        channel_id: U32,
        job_id: U32,
        min_ntime: OptionU32,
        version: U32,
        version_rolling_allowed: Bool,
        merkle_path: Seq0255U256,
        coinbase_tx_prefix: B064K,
        coinbase_tx_suffix: B064K,
    }
    SetNewPrevHash = "SetNewPrevHash",
    MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, CHANNEL_BIT_MINING_SET_NEW_PREV_HASH {
        channel_id: U32,
        job_id: U32,
        prev_hash: U256,
        min_ntime: U32,
        nbits: U32,
    }
    SetTarget = "SetTarget", MESSAGE_TYPE_SET_TARGET, CHANNEL_BIT_SET_TARGET {
        channel_id: U32,
        maximum_target: U256,
    }
    SetCustomMiningJob = "SetCustomMiningJob",
    MESSAGE_TYPE_SET_CUSTOM_MINING_JOB, CHANNEL_BIT_SET_CUSTOM_MINING_JOB renamed {
        channel_id channel_id: U32,
        request_id request_id: U32,
        mining_job_token token: B0255,
        version version: U32,
        prev_hash prev_hash: U256,
        min_ntime min_ntime: U32,
        nbits nbits: U32,
        coinbase_tx_version coinbase_tx_version: U32,
        coinbase_prefix coinbase_prefix: B0255,
        coinbase_tx_input_n_sequence coinbase_tx_input_n_sequence: U32,
        coinbase_tx_outputs coinbase_tx_outputs: B064K,
        coinbase_tx_locktime coinbase_tx_locktime: U32,
        merkle_path merkle_path: Seq0255U256,
    }
    SetCustomMiningJobSuccess = "SetCustomMiningJob.Success",
    MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_SUCCESS, CHANNEL_BIT_SET_CUSTOM_MINING_JOB_SUCCESS {
        channel_id: U32,
        request_id: U32,
        job_id: U32,
    }
    SetCustomMiningJobError = "SetCustomMiningJob.Error",
    MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_ERROR, CHANNEL_BIT_SET_CUSTOM_MINING_JOB_ERROR {
        channel_id: U32,
        request_id: U32,
        error_code: Str,
    }
    SetGroupChannel = "SetGroupChannel", MESSAGE_TYPE_SET_GROUP_CHANNEL, CHANNEL_BIT_SET_GROUP_CHANNEL {
        group_channel_id: U32,
        channel_ids: Seq064KU32,
    }
}
