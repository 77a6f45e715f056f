//! The Job Declaration Protocol's messages (specification, section 6.4), between a job declarator
//! client (JDC) and server (JDS).

/// Bit 0 of `SetupConnection.flags`: the client agrees to reveal a template's transactions (section 6.4.1).
pub const DECLARE_TX_DATA: u32 = 1 << 0;

messages! {
    /// A message of the Job Declaration Protocol (section 6.4).
    JobDeclarationMessage in AnyMessage::JobDeclaration, extension 0x0000

    /// Asks for a token for a later job. (JDC -> JDS, 6.4.2)
    [0x50, channel_msg 0, "AllocateMiningJobToken"]
    AllocateMiningJobToken<'a> {
        /// Who asks, as the pool knows them.
        user_identifier: STR0_255,
        /// The client's number for the request.
        request_id: U32,
    }

    /// A token and the pool's outputs. (JDS -> JDC, 6.4.3)
    [0x51, channel_msg 0, "AllocateMiningJobToken.Success"]
    AllocateMiningJobTokenSuccess<'a> {
        /// The request's number.
        request_id: U32,
        /// Makes one job eligible for declaration, or identifies it to the pool.
        mining_job_token: B0_255,
        /// The pool's coinbase outputs, consensus-serialised, with their count (CompactSize) in front; the
        /// first is the pool payout.
        coinbase_tx_outputs: B0_64K,
    }

    /// The JDS needs transactions that it does not have. (JDS -> JDC, 6.4.7)
    [0x55, channel_msg 0, "ProvideMissingTransactions"]
    ProvideMissingTransactions<'a> {
        /// The declaration's number.
        request_id: U32,
        /// Positions in the declaration's list, from 0, the coinbase not counted.
        unknown_tx_position_list: SEQ0_64K[U16],
    }

    /// The transactions asked for. (JDC -> JDS, 6.4.8)
    [0x56, channel_msg 0, "ProvideMissingTransactions.Success"]
    ProvideMissingTransactionsSuccess<'a> {
        /// The declaration's number.
        request_id: U32,
        /// Whole transactions in the order that they were asked for.
        transaction_list: SEQ0_64K[B0_16M],
    }

    /// Proposes a job with all of its transactions. (JDC -> JDS, 6.4.4)
    [0x57, channel_msg 0, "DeclareMiningJob"]
    DeclareMiningJob<'a> {
        /// The client's number for the request.
        request_id: U32,
        /// The token allocated before.
        mining_job_token: B0_255,
        /// Header version; the BIP 323 bits may change later.
        version: U32,
        /// The coinbase before the extranonce, with BIP 141 fields.
        coinbase_tx_prefix: B0_64K,
        /// The coinbase after the extranonce, with BIP 141 fields.
        coinbase_tx_suffix: B0_64K,
        /// wtxids of all transactions but the coinbase, in their order.
        wtxid_list: SEQ0_64K[U256],
        /// What the pool may need to validate the work, from `RequestTransactionData.Success`.
        excess_data: B0_64K,
    }

    /// The declared job is acknowledged. (JDS -> JDC, 6.4.5)
    [0x58, channel_msg 0, "DeclareMiningJob.Success"]
    DeclareMiningJobSuccess<'a> {
        /// The request's number.
        request_id: U32,
        /// The token to use towards the pool.
        new_mining_job_token: B0_255,
    }

    /// The declared job is not acknowledged. (JDS -> JDC, 6.4.6)
    [0x59, channel_msg 0, "DeclareMiningJob.Error"]
    DeclareMiningJobError<'a> {
        /// The request's number.
        request_id: U32,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
        /// More about it, in a form that the code implies.
        error_details: B0_64K,
    }

    /// A block was found: the JDS shall propagate it too. (JDC -> JDS, 6.4.9)
    ///
    /// The reference implementation's releases before mid-2026 have `ntime` before `nonce` and set
    /// `channel_msg`; nothing in the bytes tells the two orders apart.
    [0x60, channel_msg 0, "PushSolution"]
    PushSolution<'a> {
        /// The whole extranonce, prefix included.
        extranonce: B0_32,
        /// The previous block's hash, as it stands in the header.
        prev_hash: U256,
        /// Header nonce.
        nonce: U32,
        /// Header nTime, Unix seconds.
        ntime: U32,
        /// Header nBits.
        nbits: U32,
        /// Full header version.
        version: U32,
    }
}
