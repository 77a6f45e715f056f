use crate::case::{case, cases};

cases! {
    "template_distribution_sv2 7.0.0", template_distribution_sv2, TemplateDistribution,
    TemplateDistributionMessage, template_distribution, 0;

    CoinbaseOutputConstraints = "CoinbaseOutputConstraints",
    MESSAGE_TYPE_COINBASE_OUTPUT_CONSTRAINTS, CHANNEL_BIT_COINBASE_OUTPUT_CONSTRAINTS {
        coinbase_output_max_additional_size: U32,
        coinbase_output_max_additional_sigops: U16,
    }
    NewTemplate = "NewTemplate", MESSAGE_TYPE_NEW_TEMPLATE, CHANNEL_BIT_NEW_TEMPLATE {
        template_id: U64,
        future_template: Bool,
        version: U32,
        coinbase_tx_version: U32,
        coinbase_prefix: B0255,
        coinbase_tx_input_sequence: U32,
        coinbase_tx_value_remaining: U64,
        coinbase_tx_outputs_count: U32,
        coinbase_tx_outputs: B064K,
        coinbase_tx_locktime: U32,
        merkle_path: Seq0255U256,
    }
    SetNewPrevHash = "SetNewPrevHash", MESSAGE_TYPE_SET_NEW_PREV_HASH, CHANNEL_BIT_SET_NEW_PREV_HASH {
        template_id: U64,
        prev_hash: U256,
        header_timestamp: U32,
        n_bits: U32,
        target: U256,
    }
    RequestTransactionData = "RequestTransactionData",
    MESSAGE_TYPE_REQUEST_TRANSACTION_DATA, CHANNEL_BIT_REQUEST_TRANSACTION_DATA {
        template_id: U64,
    }
    RequestTransactionDataSuccess = "RequestTransactionData.Success",
    MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_SUCCESS, CHANNEL_BIT_REQUEST_TRANSACTION_DATA_SUCCESS {
        template_id: U64,
        excess_data: B064K,
        transaction_list: Seq064KB016M,
    }
    RequestTransactionDataError = "RequestTransactionData.Error",
    MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_ERROR, CHANNEL_BIT_REQUEST_TRANSACTION_DATA_ERROR {
        template_id: U64,
        error_code: Str,
    }
    SubmitSolution = "SubmitSolution", MESSAGE_TYPE_SUBMIT_SOLUTION, CHANNEL_BIT_SUBMIT_SOLUTION {
        template_id: U64,
        version: U32,
        header_timestamp: U32,
        header_nonce: U32,
        coinbase_tx: B064K,
    }
}
