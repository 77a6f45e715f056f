//! A full block holds the coinbase that was announced, to the byte and to the signature operation.

use bitcoin::{Block, Transaction};
use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use work::coinbase::{Coinbase, Output};
use work::{CoinbaseConstraints, MAX_BLOCK_WEIGHT, Template};

use super::transactions::{Coin, ballast, generate, of_weight, send, split};
use super::workshop::{Found, Way, Workshop, contains, simple};

/// Signature operations that a block may cost, by consensus.
const MAX_SIGOPS: u64 = 80_000;
/// What a CHECKMULTISIG costs in a script that nobody spends.
const MULTISIG_COST: u64 = 80;
/// Every byte a CHECKMULTISIG, should a script be read where miners roll.
const EXTRANONCE: [u8; 32] = [0xae; 32];

/// A chain whose first coinbases anybody can spend.
fn start(folder: &Folder) -> Node {
    let node = Node::start(Chain::Regtest, folder.path());
    generate(&node, 110, &bitcoin::ScriptBuf::from_bytes(vec![0x51]));
    node
}

/// The largest `script_sig` that there can be around the extranonce.
fn largest(template: &Template, outputs: &[Output]) -> Coinbase {
    let mut outputs = outputs.to_vec();
    outputs[0].value = template.coinbase.value_remaining;
    let text = 100 - template.coinbase.prefix.len() - 1 - 1 - EXTRANONCE.len();
    let tag = [&[u8::try_from(text).expect("short")][..], &vec![b'A'; text]].concat();
    template.coinbase(&tag, 32, &outputs).expect("a coinbase")
}

/// What consensus counts in a block whose other transactions spend nothing with a script.
fn sigops(block: &Block) -> u64 {
    let count = |transaction: &Transaction| {
        let inputs = transaction.input.iter().map(|input| &input.script_sig);
        let scripts = inputs.chain(transaction.output.iter().map(|output| &output.script_pubkey));
        scripts.map(|script| script.count_sigops_legacy() as u64 * 4).sum::<u64>()
    };
    block.txdata.iter().map(count).sum()
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_full_block_has_room_for_the_announced_outputs_and_not_for_a_byte_more() {
    let folder = Folder::new();
    let node = start(&folder);
    // More than 252 outputs and transactions: their numbers take three bytes, which the room must allow for.
    let outputs = vec![Output { value: 0, script_pubkey: vec![0x51; 25].into() }; 300];
    let room = CoinbaseConstraints::of(&outputs).reserved_weight();
    let mut figures = Vec::new();
    for (way, height) in Way::ALL.into_iter().zip(1..) {
        let mut coins = split(&node, &Coin::mined(&node, height), 300).into_iter();
        let mut next = || coins.next().expect("enough coins");
        // The best come first and fill the block but for what the last of them fills to the last unit: Core fills no
        // template up to its limit, so that one unit of 4 stays free.
        let mut left = MAX_BLOCK_WEIGHT - room - if way == Way::Rpc { 0 } else { 4 };
        let sizes = [[390_000; 9].as_slice(), &[400; 250]].concat();
        for (weight, fee) in sizes.into_iter().zip((1..).map(|nth| 14_000_000 - nth)) {
            // Fees a unit fall from the large ones to the small ones.
            let fee = if weight == 400 { 12_000 } else { fee };
            send(&node, &of_weight(&next(), fee, weight));
            left -= weight;
        }
        let last = of_weight(&next(), left * 20, left);
        send(&node, &last);
        // And more than fits, large and small, that pays less.
        send(&node, &of_weight(&next(), 380_000, 380_000));
        (0..30).for_each(|_| send(&node, &of_weight(&next(), 2_000, 2_000)));

        let mut workshop = Workshop::open(&node, way);
        workshop.announce(&outputs);
        let needed = CoinbaseConstraints::of(&outputs);
        let template = workshop.template(|told| told.constraints.hold(needed) && contains(told, &last));
        // A byte weighs 4: one more is too many by RPC, two by IPC.
        let mut larger = outputs.clone();
        larger[7].script_pubkey = vec![0x51; if way == Way::Rpc { 26 } else { 27 }].into();
        let coinbase = largest(&template, &larger);
        workshop.refused(&Found::new(&template, coinbase, &EXTRANONCE, |_| ()), "bad-blk-weight");
        let coinbase = largest(&template, &outputs);
        let block = workshop.accepted(&Found::new(&template, coinbase, &EXTRANONCE, |_| ()));
        let weight = block.weight().to_wu();
        assert_eq!(weight, MAX_BLOCK_WEIGHT - if way == Way::Rpc { 0 } else { 4 }, "{way:?}");
        assert!(block.check_witness_commitment(), "{way:?}");
        figures.push(format!("{way:?} {weight}, {} transactions", block.txdata.len()));
    }
    promise::kept("a full block holds the coinbase that was announced, to the byte", &figures.join("; "));
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_full_block_has_room_for_the_announced_signature_operations_and_none_untold() {
    let folder = Folder::new();
    let node = start(&folder);
    let multisigs = |count: u64| vec![0xae; usize::try_from(count).expect("a count")];
    let outputs = [
        Output { value: 0, script_pubkey: vec![0xac; 2_000].into() },
        Output { value: 0, script_pubkey: multisigs(100).into() },
    ];
    let needed = CoinbaseConstraints::of(&outputs);
    assert_eq!(needed.additional_sigops, 16_000);
    let mut figures = Vec::new();
    for (way, height) in Way::ALL.into_iter().zip(1..) {
        let mut coins = split(&node, &Coin::mined(&node, height), 30).into_iter();
        let mut heavy = |fee, script| {
            let transaction = ballast(&coins.next().expect("enough coins"), fee, script);
            send(&node, &transaction);
            transaction
        };
        // With three of 16,000 it leaves four less than the coinbase's: Core fills no template up to its limit.
        let first = heavy(40_000_000, [multisigs(199), vec![0xac; 19]].concat());
        (0..5).for_each(|_| drop(heavy(20_000_000, multisigs(16_000 / MULTISIG_COST))));
        (0..8).for_each(|_| drop(heavy(500_000, multisigs(2_000 / MULTISIG_COST))));

        // Without a word the block is as full as without our outputs. A room of its own: nobody is told.
        let mut untold = Workshop::open(&node, way);
        let template = untold.template(|told| contains(told, &first));
        let mut paying = outputs.to_vec();
        paying[0].value = template.coinbase.value_remaining;
        let coinbase = template.coinbase(&[], 32, &paying).expect("a coinbase");
        untold.refused(&Found::new(&template, coinbase, &EXTRANONCE, |_| ()), "bad-blk-sigops");
        // It is the outputs that are too much, not the template.
        let modest = Found::new(&template, simple(&template), &[5; 8], |_| ());
        assert!(sigops(&bitcoin::consensus::deserialize(&modest.block()).expect("a block")) < MAX_SIGOPS);

        let mut workshop = Workshop::open(&node, way);
        workshop.announce(&outputs);
        let template = workshop.template(|told| told.constraints.hold(needed) && contains(told, &first));
        let coinbase = largest(&template, &outputs);
        let block = workshop.accepted(&Found::new(&template, coinbase, &EXTRANONCE, |_| ()));
        let counted = sigops(&block);
        assert_eq!(counted, MAX_SIGOPS - 4, "{way:?}");
        figures.push(format!("{way:?} {counted}"));
    }
    promise::kept(
        "a block full of signature operations holds those of the coinbase that were announced, whatever miners roll",
        &figures.join("; "),
    );
}
