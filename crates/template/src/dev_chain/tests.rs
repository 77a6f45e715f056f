//! What the dev chain promises.

use bitcoin::consensus::serialize;

use super::*;

/// The easiest target there is: every second hash is a block.
const EASY: u32 = 0x207f_ffff;
const NOW: u32 = 1_800_000_000;

fn chain(change: impl FnOnce(&mut DevChainOptions)) -> DevChain {
    let mut options = DevChainOptions { nbits: EASY, genesis_time: NOW - 600, ..Default::default() };
    change(&mut options);
    DevChain::new(options).unwrap()
}

/// A coinbase with this extranonce.
fn coinbase(template: &DevTemplate, extranonce: [u8; 8]) -> Vec<u8> {
    let halves =
        template.coinbase_halves(b"/test/", extranonce.len(), DevTemplate::anyone_can_spend()).unwrap();
    [halves.prefix, extranonce.to_vec(), halves.suffix].concat()
}

/// The first nonce that makes a block, or one that does not.
fn grind(template: &DevTemplate, coinbase: &[u8], meets: bool) -> Block {
    let coinbase: Transaction = bitcoin::consensus::deserialize(coinbase).unwrap();
    (0..)
        .map(|nonce| template.assemble(template.version, template.header_timestamp, nonce, coinbase.clone()))
        .find(|block| template.target.is_met_by(block.block_hash()) == meets)
        .unwrap()
}

fn regrind(mut block: Block, target: Target) -> Block {
    while !target.is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
    block
}

#[test]
fn a_solved_template_becomes_the_tip() {
    for witness_commitment in [false, true] {
        let mut chain = chain(|options| options.witness_commitment = witness_commitment);
        for height in 1..40 {
            let template = chain.template(NOW);
            let coinbase = coinbase(&template, [1; 8]);
            let header = grind(&template, &coinbase, true).header;
            let version = template.version;
            let accepted = chain
                .submit_solution(template.template_id, version, header.time, header.nonce, &coinbase, NOW)
                .unwrap();
            assert_eq!(accepted, BlockAccepted { hash: header.block_hash(), height, new_tip: true });
            assert_eq!(chain.tip().hash, accepted.hash);
            assert_eq!(chain.tip().height, height);
        }
    }
}

#[test]
fn a_whole_block_is_taken_as_a_solution_is() {
    let mut chain = chain(|options| options.witness_commitment = true);
    let template = chain.template(NOW);
    let block = grind(&template, &coinbase(&template, [2; 8]), true);
    assert!(chain.submit_block(&serialize(&block), NOW).unwrap().new_tip);
    assert_eq!(
        chain.submit_block(&serialize(&block), NOW),
        Err(BlockRejected::Duplicate { hash: block.block_hash() })
    );
}

#[test]
fn the_merkle_path_has_a_step_per_doubling() {
    for (dummies, steps) in [(0, 0), (1, 1), (3, 2), (4, 3), (5, 3), (2_500, 12)] {
        let mut chain = chain(|options| options.dummy_transactions = dummies);
        let template = chain.template(NOW);
        assert_eq!(template.merkle_path.len(), steps);
        let block = grind(&template, &coinbase(&template, [3; 8]), true);
        assert!(block.check_merkle_root());
        chain.submit_block(&serialize(&block), NOW).unwrap();
    }
}

#[test]
fn a_template_refresh_changes_the_merkle_path_but_not_the_parent() {
    let mut chain = chain(|_| {});
    let first = chain.template(NOW);
    let second = chain.template(NOW);
    assert_ne!(first.template_id, second.template_id);
    assert_ne!(first.merkle_path, second.merkle_path);
    assert_eq!(first.prev_hash, second.prev_hash);
}

#[test]
fn each_broken_rule_is_named() {
    let mut chain = chain(|options| options.witness_commitment = true);
    let template = chain.template(NOW);
    let good = grind(&template, &coinbase(&template, [4; 8]), true);
    let target = template.target;
    let mut refuse = |block: &Block| chain.submit_block(&serialize(block), NOW).unwrap_err().code();

    let high = grind(&template, &coinbase(&template, [4; 8]), false);
    assert_eq!(refuse(&high), "high-hash");

    let mut block = good.clone();
    block.header.prev_blockhash = BlockHash::all_zeros();
    assert_eq!(refuse(&regrind(block, target)), "prev-blk-not-found");

    let mut block = good.clone();
    block.header.bits = CompactTarget::from_consensus(0x1d00_ffff);
    assert_eq!(refuse(&block), "bad-diffbits");

    let mut block = good.clone();
    block.header.time = template.min_time - 1;
    assert_eq!(refuse(&regrind(block, target)), "time-too-old");

    let mut block = good.clone();
    block.header.time = NOW + MAX_FUTURE_BLOCK_TIME + 1;
    assert_eq!(refuse(&regrind(block, target)), "time-too-new");

    let mut block = good.clone();
    block.txdata.swap(1, 2);
    assert_eq!(refuse(&block), "bad-txnmrklroot");

    let mut block = good.clone();
    let last = block.txdata.len() - 1;
    block.txdata.push(block.txdata[last].clone());
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    assert_eq!(refuse(&regrind(block, target)), "bad-txns-duplicate");

    let mut block = good.clone();
    block.txdata.remove(0);
    assert_eq!(refuse(&block), "bad-cb-multiple");

    let mut change_coinbase = |change: fn(&mut Transaction)| {
        let mut block = good.clone();
        change(&mut block.txdata[0]);
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        refuse(&regrind(block, target))
    };
    assert_eq!(change_coinbase(|tx| tx.output[0].value += bitcoin::Amount::from_sat(1)), "bad-cb-amount");
    assert_eq!(change_coinbase(|tx| tx.input[0].script_sig = vec![0x52; 50].into()), "bad-cb-height");
    assert_eq!(change_coinbase(|tx| tx.input[0].script_sig = vec![0x51; 101].into()), "bad-cb-length");
    assert_eq!(change_coinbase(|tx| tx.input[0].witness.clear()), "bad-witness-merkle-match");
    assert_eq!(chain.tip().height, 0);
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let mut chain = chain(|_| {});
    let template = chain.template(NOW);
    let block = serialize(&grind(&template, &coinbase(&template, [5; 8]), true));
    for cut in 0..block.len() {
        assert_eq!(chain.submit_block(&block[..cut], NOW).unwrap_err().code(), "undecodable");
    }
    let refused = chain.submit_solution(template.template_id, 0, 0, 0, &[0xff; 40], NOW).unwrap_err();
    assert_eq!(refused.code(), "undecodable");
    assert_eq!(
        chain.submit_solution(999, 0, 0, 0, &[], NOW),
        Err(BlockRejected::UnknownTemplate { template_id: 999 })
    );
}

#[test]
fn a_solution_of_the_previous_tip_is_a_side_block() {
    let mut chain = chain(|_| {});
    let template = chain.template(NOW);
    let coinbase = coinbase(&template, [6; 8]);
    let header = grind(&template, &coinbase, true).header;
    let tip = chain.new_tip(NOW);
    let accepted = chain
        .submit_solution(template.template_id, template.version, header.time, header.nonce, &coinbase, NOW)
        .unwrap();
    assert!(!accepted.new_tip);
    assert_eq!(chain.tip(), tip);
}

#[test]
fn tips_change_at_will() {
    let mut chain = chain(|_| {});
    let first = chain.new_tip(NOW);
    let second = chain.new_tip(NOW);
    assert_eq!((second.height, second.prev_hash), (2, first.hash));
    let other = chain.reorganise(2, NOW).unwrap();
    assert_eq!(other.height, 3);
    assert_ne!(other.prev_hash, second.hash);
    assert_eq!(chain.switch_to(&second.hash).unwrap(), second);
    assert_eq!(chain.template(NOW).prev_hash, second.hash);
    assert!(chain.reorganise(3, NOW).is_err());
    assert_eq!(chain.tip(), second);
}

#[test]
fn time_goes_forward_even_when_the_clock_does_not() {
    let mut chain = chain(|_| {});
    let mut medians = Vec::new();
    for _ in 0..50 {
        chain.new_tip(NOW);
        medians.push(chain.template(NOW).min_time);
    }
    assert!(medians.is_sorted());
    assert!(*medians.last().unwrap() > NOW);
}

#[test]
fn memory_is_bounded() {
    let mut chain = chain(|options| options.header_history = 20);
    for _ in 0..200 {
        chain.new_tip(NOW);
        chain.template(NOW);
    }
    assert_eq!(chain.blocks_kept(), 20);
    assert_eq!(chain.templates.len(), TEMPLATE_HISTORY);
    assert!(chain.find_template(200).is_some());
    assert!(chain.find_template(200 - TEMPLATE_HISTORY as u64).is_none());
}

#[test]
fn unusable_options_are_refused() {
    for nbits in [0, 0x0180_0000, 0x2300_ffff, 0xff12_3456] {
        let options = DevChainOptions { nbits, ..Default::default() };
        assert_eq!(DevChain::new(options).unwrap_err(), OptionsError::Bits { got: nbits });
    }
    let options = DevChainOptions { header_history: 3, ..Default::default() };
    assert_eq!(DevChain::new(options).unwrap_err(), OptionsError::HeaderHistory { got: 3 });
    let options = DevChainOptions { dummy_transactions: 1_000_000, ..Default::default() };
    assert_eq!(DevChain::new(options).unwrap_err(), OptionsError::TooManyTransactions { got: 1_000_000 });
    let options =
        DevChainOptions { witness_commitment: true, witness_padding: 800_000, ..Default::default() };
    assert!(matches!(DevChain::new(options).unwrap_err(), OptionsError::TooHeavy { got: 4_000_001.. }));
}

#[test]
fn transactions_can_fill_a_block_which_is_then_taken() {
    let mut chain = chain(|options| {
        (options.witness_commitment, options.dummy_transactions, options.witness_padding) =
            (true, 400, 9_700);
    });
    let template = chain.template(NOW);
    let bytes: usize = template.transactions.iter().map(bitcoin::Transaction::total_size).sum();
    assert!(bytes > 3_900_000, "{bytes}");
    let block = grind(&template, &coinbase(&template, [2; 8]), true);
    assert!(block.weight().to_wu() > 3_900_000);
    assert!(chain.submit_block(&serialize(&block), NOW).unwrap().new_tip);
}

#[test]
fn a_coinbase_that_consensus_would_refuse_is_not_built() {
    let mut chain = chain(|_| {});
    let template = chain.template(NOW);
    let payout = DevTemplate::anyone_can_spend();
    // Height (1 byte) and the push's own two bytes leave 97.
    assert!(template.coinbase_halves(&[b'x'; 89], 8, payout.clone()).is_ok());
    assert!(template.coinbase_halves(&[b'x'; 89], 9, payout.clone()).is_err());
    assert!(template.coinbase_halves(b"", 0, payout).is_err());
}
