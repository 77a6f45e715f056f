//! The Template Distribution Protocol's messages (specification, section 7), between a client and a
//! template provider (TP).

messages! {
    /// A message of the Template Distribution Protocol (section 7).
    TemplateDistributionMessage in AnyMessage::TemplateDistribution, extension 0x0000

    /// The room that the client needs in the coinbase. (Client -> Server, 7.1)
    [0x70, channel_msg 0, "CoinbaseOutputConstraints"]
    CoinbaseOutputConstraints {
        /// Most serialised bytes of outputs that the client will add.
        coinbase_output_max_additional_size: U32,
        /// Most sigops of outputs that the client will add.
        coinbase_output_max_additional_sigops: U16,
    }

    /// A block to mine. (Server -> Client, 7.2)
    [0x71, channel_msg 0, "NewTemplate"]
    NewTemplate<'a> {
        /// The template's number, strictly increasing.
        template_id: U64,
        /// Whether it waits for a SetNewPrevHash that names it.
        future_template: BOOL,
        /// Header version; the BIP 323 bits may be rolled.
        version: U32,
        /// The coinbase's nVersion.
        coinbase_tx_version: U32,
        /// Up to 8 bytes that the coinbase's script begins with.
        coinbase_prefix: B0_255,
        /// The coinbase input's nSequence.
        coinbase_tx_input_sequence: U32,
        /// Satoshis for outputs that the client adds: fees and subsidy.
        coinbase_tx_value_remaining: U64,
        /// How many outputs are in `coinbase_tx_outputs`.
        coinbase_tx_outputs_count: U32,
        /// The coinbase's last outputs, consensus-serialised, with no count in front.
        coinbase_tx_outputs: B0_64K,
        /// The coinbase's locktime.
        coinbase_tx_locktime: U32,
        /// Merkle path hashes, deepest first.
        merkle_path: SEQ0_255[U256],
    }

    /// A new best block: the named template builds on it. (Server -> Client, 7.3)
    [0x72, channel_msg 0, "SetNewPrevHash"]
    SetNewPrevHash {
        /// A template sent before.
        template_id: U64,
        /// The previous block's hash, as it stands in the header.
        prev_hash: U256,
        /// nTime to start with, Unix seconds; not the smallest valid one.
        header_timestamp: U32,
        /// Header nBits.
        n_bits: U32,
        /// The largest hash that is a block.
        target: U256,
    }

    /// Asks for a template's transactions. (Client -> Server, 7.4)
    [0x73, channel_msg 0, "RequestTransactionData"]
    RequestTransactionData {
        /// The template.
        template_id: U64,
    }

    /// A template's transactions. (Server -> Client, 7.5)
    [0x74, channel_msg 0, "RequestTransactionData.Success"]
    RequestTransactionDataSuccess<'a> {
        /// The template.
        template_id: U64,
        /// What a pool may need to validate the work; not for the client to read.
        excess_data: B0_64K,
        /// Whole transactions without the coinbase, as opaque bytes.
        transaction_list: SEQ0_64K[B0_16M],
    }

    /// A template's transactions cannot be given. (Server -> Client, 7.6)
    [0x75, channel_msg 0, "RequestTransactionData.Error"]
    RequestTransactionDataError<'a> {
        /// The template.
        template_id: U64,
        /// Why: see [`crate::error_code`].
        error_code: STR0_255,
    }

    /// A block was found. (Client -> Server, 7.7)
    [0x76, channel_msg 0, "SubmitSolution"]
    SubmitSolution<'a> {
        /// The template.
        template_id: U64,
        /// Full header version.
        version: U32,
        /// Header nTime, Unix seconds.
        header_timestamp: U32,
        /// Header nonce.
        header_nonce: U32,
        /// The whole coinbase, with BIP 141 fields.
        coinbase_tx: B0_64K,
    }
}
