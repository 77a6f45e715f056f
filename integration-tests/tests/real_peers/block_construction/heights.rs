//! BIP 34: the height begins `script_sig`, in the form that the node wants at every step of its length.

use bitcoin::ScriptBuf;
use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use work::coinbase::Output;

use super::transactions::generate;
use super::workshop::{Found, Way, Workshop};

/// Makes the chain end below `height` and mines the block at it on this way, with the shortest `script_sig` there is.
fn mine_at(node: &Node, height: u64, way: Way) {
    let below = height - 1 - node.height();
    if below > 0 {
        generate(node, below, &ScriptBuf::from_bytes(vec![0x51]));
    }
    let mut workshop = Workshop::open(node, way);
    let template = workshop.template_on_tip();
    let prefix = ScriptBuf::builder().push_int(i64::try_from(height).expect("a height")).into_script();
    assert_eq!(*template.coinbase.prefix, *prefix.as_bytes(), "{way:?}, height {height}");
    // To height 16 the height is one byte, and `script_sig` must have two.
    let tag: &[u8] = if height <= 16 { &[0] } else { &[] };
    let payout = Output { value: template.coinbase.value_remaining, script_pubkey: [0x51].into() };
    let coinbase = template.coinbase(tag, 0, &[payout]).expect("a coinbase");
    let block = workshop.accepted(&Found::new(&template, coinbase, &[], |_| ()));
    assert_eq!(block.txdata[0].input[0].script_sig.len(), prefix.len() + tag.len());
    assert_eq!(node.height(), height);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn heights_are_written_as_the_node_wants_them() {
    let folder = Folder::new();
    let node = Node::start(Chain::Regtest, folder.path());
    let heights = (1..=20).chain(126..=131);
    for (height, way) in heights.zip(Way::ALL.into_iter().cycle()) {
        mine_at(&node, height, way);
    }
    for (height, way) in [254, 255, 256, 257, 258].into_iter().zip(Way::ALL.into_iter().cycle()) {
        mine_at(&node, height, way);
    }
    promise::kept("heights are written as the node wants them", "1 to 20, around 128 and 256, on each way");
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_reward_of_nothing_is_taken() {
    // Regtest halves the reward every 150 blocks: after 33 times nothing is left.
    const LAST_PAID: u64 = 33 * 150 - 1;
    let folder = Folder::new();
    let node = Node::start(Chain::Regtest, folder.path());
    while node.height() + 1 < LAST_PAID {
        // Few at a time: the node answers when it has made them all.
        let step = (LAST_PAID - 1 - node.height()).min(500);
        generate(&node, step, &ScriptBuf::from_bytes(vec![0x51]));
    }
    for (height, way) in (LAST_PAID..LAST_PAID + 6).zip(Way::ALL.into_iter().cycle()) {
        mine_at(&node, height, way);
        let reward = node.block(height)["tx"][0]["vout"][0]["value"].as_f64();
        assert_eq!(reward == Some(0.0), height > LAST_PAID, "{reward:?} at {height}");
    }
    promise::kept("a reward of nothing is taken", "by RPC, submitSolution and submitBlock");
}
