//! What a mempool holds stands in the block, in the template's order, and the block commits to it.

use bitcoin::consensus;
use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use work::Template;

use super::transactions::{Coin, Lock, Purse, generate, send};
use super::workshop::{Found, Way, Workshop, contains, raw_block, simple, transactions};

const EXTRANONCE: [u8; 8] = [5; 8];

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn spends_of_every_kind_stand_in_the_block_in_the_templates_order() {
    let folder = Folder::new();
    let node = Node::start(Chain::Regtest, folder.path());
    let purse = Purse::new();
    for _ in Way::ALL {
        Lock::ALL.iter().for_each(|lock| generate(&node, 1, &purse.script(*lock)));
    }
    generate(&node, 100, &bitcoin::ScriptBuf::from_bytes(vec![0x51]));
    let mut height = 1;
    for way in Way::ALL {
        let to = purse.script(Lock::P2wpkh);
        let mut all = Vec::new();
        for (lock, fee) in Lock::ALL.into_iter().zip((1..).map(|number| number * 3_000)) {
            let parent = purse.spend(lock, &Coin::mined(&node, height), fee, to.clone());
            height += 1;
            // A child must come after its parent, whatever it pays.
            let child = purse.spend(Lock::P2wpkh, &Coin::of(&parent, 0), 90_000 - fee, to.clone());
            send(&node, &parent);
            send(&node, &child);
            all.extend([parent, child]);
        }
        let mut workshop = Workshop::open(&node, way);
        let template = workshop.template(|template| transactions(template).len() == all.len());
        assert!(all.iter().all(|transaction| contains(&template, transaction)), "{way:?}");
        let block = workshop.accepted(&Found::new(&template, simple(&template), &EXTRANONCE, |_| ()));
        assert!(block.check_witness_commitment(), "{way:?}");
        let mined = block.txdata[1..].iter().map(consensus::serialize);
        assert!(mined.eq(transactions(&template).iter().map(|told| told.bytes.to_vec())), "{way:?}");
    }
    promise::kept(
        "spends of every kind are mined",
        "legacy, nested and native SegWit, taproot by key and by script, each with a child, by RPC, submitSolution and \
         submitBlock",
    );
}

/// The template as a chain without SegWit would give it.
fn without_commitment(template: &Template) -> Template {
    let mut template = template.clone();
    template.coinbase.outputs.clear();
    template.coinbase.witness_reserved_value = None;
    template
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn an_empty_block_is_taken_with_and_without_a_commitment_and_one_with_witnesses_only_with_it() {
    let folder = Folder::new();
    let node = Node::start(Chain::Regtest, folder.path());
    let purse = Purse::new();
    generate(&node, 3, &purse.script(Lock::P2wpkh));
    generate(&node, 101, &purse.script(Lock::P2pkh));
    for (way, height) in Way::ALL.into_iter().zip(1..) {
        for strip in [false, true] {
            let mut workshop = Workshop::open(&node, way);
            let told = workshop.template_on_tip();
            assert!(transactions(&told).is_empty() && told.coinbase.witness_reserved_value.is_some());
            let template = if strip { without_commitment(&told) } else { told };
            let found = Found::new(&template, simple(&template), &EXTRANONCE, |_| ());
            let block = workshop.accepted(&found);
            assert_eq!((block.txdata.len(), block.txdata[0].output.len()), (1, 2 - usize::from(strip)));
            assert_eq!(block.txdata[0].input[0].witness.len(), 1 - usize::from(strip));
        }
        // The same without its commitment, but with a witness to commit to.
        let to = purse.script(Lock::P2pkh);
        send(&node, &purse.spend(Lock::P2wpkh, &Coin::mined(&node, height), 10_000, to));
        let mut workshop = Workshop::open(&node, way);
        let template = workshop.template(|template| transactions(template).len() == 1);
        let bare = without_commitment(&template);
        workshop.refused(&Found::new(&bare, simple(&bare), &EXTRANONCE, |_| ()), "unexpected-witness");
        workshop.accepted(&Found::new(&template, simple(&template), &EXTRANONCE, |_| ()));
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_chain_on_which_segwit_is_not_active_takes_blocks_without_a_witness_and_then_with_one() {
    const ACTIVE: u64 = 115;
    let folder = Folder::new();
    let lines = format!("testactivationheight=segwit@{ACTIVE}\n");
    let node = Node::start_with(Chain::Regtest, folder.path(), &lines);
    let purse = Purse::new();
    generate(&node, 105, &purse.script(Lock::P2pkh));
    let ways = Way::ALL.into_iter().cycle();
    for (way, coin) in ways.zip(1..=4).chain(Way::ALL.into_iter().zip(5..)) {
        let to = purse.script(Lock::P2pkh);
        send(&node, &purse.spend(Lock::P2pkh, &Coin::mined(&node, coin), 10_000, to));
        let mut workshop = Workshop::open(&node, way);
        let template = workshop.template(|template| transactions(template).len() == 1);
        let active = node.height() + 1 >= ACTIVE;
        assert_eq!(template.coinbase.witness_reserved_value.is_some(), active, "{way:?}");
        let block = workshop.accepted(&Found::new(&template, simple(&template), &EXTRANONCE, |_| ()));
        assert_eq!(block.txdata[0].input[0].witness.is_empty(), !active, "{way:?}");
        assert_eq!(raw_block(&node, &node.best_block_hash()).txdata.len(), 2, "{way:?}");
        if coin == 4 {
            generate(&node, ACTIVE - node.height(), &purse.script(Lock::P2pkh));
        }
    }
}
