//! The block that solo mining gives, beside the one that the `bitcoin` crate puts together by itself.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::script::PushBytesBuf;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Witness, block, consensus, transaction,
};
use proptest::prelude::*;
use work::coinbase::CoinbaseTemplate;
use work::{TemplateParts, TemplateTransaction};

use super::tests::{at, feeds, rolled_block, solo, wish};
use super::*;

const REWARD: u64 = 5_000;

fn spend(number: u64, witness: bool) -> Transaction {
    let mut input = TxIn { previous_output: OutPoint { vout: 1, ..OutPoint::null() }, ..TxIn::default() };
    if witness {
        input.witness.push([7; 9]);
    }
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut { value: Amount::from_sat(number), script_pubkey: ScriptBuf::new() }],
    }
}

fn template(height: u32, others: &[Transaction], commitment: Option<&TxOut>) -> Arc<Template> {
    let told = |other: &Transaction| TemplateTransaction {
        bytes: consensus::serialize(other).into(),
        txid: other.compute_txid().to_byte_array(),
        wtxid: other.compute_wtxid().to_byte_array(),
    };
    let output = |output: &TxOut| Output {
        value: output.value.to_sat(),
        script_pubkey: output.script_pubkey.to_bytes().into(),
    };
    let parts = TemplateParts {
        template_id: 1,
        prev_hash: [7; 32],
        version: 0x2000_0000,
        min_ntime: 1_700_000_000,
        nbits: 0x207f_ffff,
        coinbase: CoinbaseTemplate {
            tx_version: 2,
            prefix: ScriptBuf::builder().push_int(height.into()).into_script().into_bytes().into(),
            input_sequence: 0xffff_fffe,
            value_remaining: REWARD,
            outputs: commitment.into_iter().map(output).collect(),
            locktime: height - 1,
            witness_reserved_value: commitment.map(|_| [0; 32]),
        },
        merkle_path: None,
        transactions: Some(others.iter().map(told).collect()),
        constraints: work::CoinbaseConstraints { additional_size: 10_000, additional_sigops: 4_000 },
    };
    Arc::new(Template::new(parts).unwrap())
}

proptest! {
    #[test]
    fn a_found_block_is_the_one_that_the_bitcoin_crate_assembles(
        height in prop::sample::select(vec![1_u32, 16, 17, 127, 128, 32_767, 32_768, 900_000]),
        witnesses in proptest::collection::vec(any::<bool>(), 0..40),
        committed: bool,
        payouts in proptest::collection::vec((0_u64..1_000, proptest::collection::vec(any::<u8>(), 0..60)), 1..5),
        many in prop::sample::select(vec![0_usize, 0, 250, 252, 300]),
        bits in any::<u32>().prop_map(|bits| bits & 0x1fff_e000),
        later in 0_u32..7_200,
    ) {
        let others: Vec<Transaction> = (0..).zip(&witnesses).map(|(number, witness)| spend(number, *witness)).collect();
        let commitment = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(vec![0x6a; 38]) };
        let commitment = committed.then_some(commitment);
        let mut outputs: Vec<Output> = payouts
            .into_iter()
            .map(|(value, script)| Output { value, script_pubkey: script.into() })
            .collect();
        outputs.extend((0..many).map(|_| Output { value: 0, script_pubkey: [0x51].into() }));

        let (mut solo, books) = solo(outputs.clone());
        let mut fx = Effects::default();
        solo.command(SourceCommand::Start, at(0), &mut fx);
        solo.template(template(height, &others, commitment.as_ref()), at(1), &mut fx).unwrap();
        solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
        let feed = feeds(&mut fx).pop().unwrap();
        let (share, header) = rolled_block(&feed, &books, bits, later);
        let found = solo.share(&share, at(2), &mut fx).unwrap();
        let ours = found.template.block_with(&found.header, &found.coinbase).unwrap();

        // This instance's bytes, the channel's number, and what the miner rolled, in a push of their own.
        let extranonce = [&[1, 2, 3, 4], &1_u32.to_be_bytes(), share.extranonce.as_slice()].concat();
        let script_sig = ScriptBuf::builder()
            .push_int(height.into())
            .push_slice(b"Adit")
            .push_slice(PushBytesBuf::try_from(extranonce).unwrap())
            .into_script();
        let mut witness = Witness::new();
        if committed {
            witness.push([0; 32]);
        }
        let others_pay: u64 = outputs[1..].iter().map(|output| output.value).sum();
        outputs[0].value = REWARD - others_pay;
        let output = |output: &Output| TxOut {
            value: Amount::from_sat(output.value),
            script_pubkey: ScriptBuf::from_bytes(output.script_pubkey.to_vec()),
        };
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::from_consensus(height - 1),
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig,
                sequence: Sequence(0xffff_fffe),
                witness,
            }],
            output: outputs.iter().map(output).chain(commitment).collect(),
        };
        let mut theirs = Block {
            header: block::Header {
                version: block::Version::from_consensus((0x2000_0000 ^ bits).cast_signed()),
                prev_blockhash: BlockHash::from_byte_array([7; 32]),
                merkle_root: TxMerkleNode::all_zeros(),
                time: 1_700_000_000 + later,
                bits: CompactTarget::from_consensus(0x207f_ffff),
                nonce: share.nonce,
            },
            txdata: std::iter::once(coinbase).chain(others).collect(),
        };
        theirs.header.merkle_root = theirs.compute_merkle_root().unwrap();
        prop_assert_eq!(theirs.block_hash().to_byte_array(), header.hash().to_bytes());
        prop_assert!(ours == consensus::serialize(&theirs));
    }
}
