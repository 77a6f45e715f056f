//! A block goes out on every way that there is: the node's word on one that it has heard of is its word on the block.

use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;

use super::transactions::generate;
use super::workshop::{Found, Way, Workshop, simple};

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_good_block_is_taken_again_and_a_bad_one_is_refused_again() {
    let folder = Folder::new();
    let node = Node::start(Chain::Regtest, folder.path());
    generate(&node, 20, &bitcoin::ScriptBuf::from_bytes(vec![0x51]));
    for way in Way::ALL {
        let mut workshop = Workshop::open(&node, way);
        let template = workshop.template_on_tip();
        // The node keeps a block that pays too much before it finds out that it does.
        let mut forced = template.clone();
        forced.coinbase.value_remaining += 1;
        let bad = Found::new(&forced, simple(&forced), &[3; 8], |_| ());
        workshop.refused(&bad, "bad-cb-amount");
        workshop.refused(&bad, "duplicate-invalid");

        let good = Found::new(&template, simple(&template), &[3; 8], |_| ());
        workshop.accepted(&good);
        workshop.accepted(&good);
    }
    promise::kept("a block that is handed in twice", "taken twice if it is good, refused twice if not");
}
