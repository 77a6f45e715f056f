use crate::case::{case, cases};

cases! {
    "job_declaration_sv2 10.0.0", job_declaration_sv2, JobDeclaration, JobDeclarationMessage,
    job_declaration, 0;

    AllocateMiningJobToken = "AllocateMiningJobToken",
    MESSAGE_TYPE_ALLOCATE_MINING_JOB_TOKEN, CHANNEL_BIT_ALLOCATE_MINING_JOB_TOKEN {
        user_identifier: Str,
        request_id: U32,
    }
    AllocateMiningJobTokenSuccess = "AllocateMiningJobToken.Success",
    MESSAGE_TYPE_ALLOCATE_MINING_JOB_TOKEN_SUCCESS, CHANNEL_BIT_ALLOCATE_MINING_JOB_TOKEN_SUCCESS renamed {
        request_id request_id: U32,
        mining_job_token mining_job_token: B0255,
        coinbase_tx_outputs coinbase_outputs: B064K,
    }
    ProvideMissingTransactions = "ProvideMissingTransactions",
    MESSAGE_TYPE_PROVIDE_MISSING_TRANSACTIONS, CHANNEL_BIT_PROVIDE_MISSING_TRANSACTIONS {
        request_id: U32,
        unknown_tx_position_list: Seq064KU16,
    }
    ProvideMissingTransactionsSuccess = "ProvideMissingTransactions.Success",
    MESSAGE_TYPE_PROVIDE_MISSING_TRANSACTIONS_SUCCESS, CHANNEL_BIT_PROVIDE_MISSING_TRANSACTIONS_SUCCESS {
        request_id: U32,
        transaction_list: Seq064KB016M,
    }
    DeclareMiningJob = "DeclareMiningJob",
    MESSAGE_TYPE_DECLARE_MINING_JOB, CHANNEL_BIT_DECLARE_MINING_JOB {
        request_id: U32,
        mining_job_token: B0255,
        version: U32,
        coinbase_tx_prefix: B064K,
        coinbase_tx_suffix: B064K,
        wtxid_list: Seq064KU256,
        excess_data: B064K,
    }
    DeclareMiningJobSuccess = "DeclareMiningJob.Success",
    MESSAGE_TYPE_DECLARE_MINING_JOB_SUCCESS, CHANNEL_BIT_DECLARE_MINING_JOB_SUCCESS {
        request_id: U32,
        new_mining_job_token: B0255,
    }
    DeclareMiningJobError = "DeclareMiningJob.Error",
    MESSAGE_TYPE_DECLARE_MINING_JOB_ERROR, CHANNEL_BIT_DECLARE_MINING_JOB_ERROR {
        request_id: U32,
        error_code: Str,
        error_details: B064K,
    }
    PushSolution = "PushSolution", MESSAGE_TYPE_PUSH_SOLUTION, CHANNEL_BIT_PUSH_SOLUTION {
        extranonce: B032,
        prev_hash: U256,
        nonce: U32,
        ntime: U32,
        nbits: U32,
        version: U32,
    }
}
