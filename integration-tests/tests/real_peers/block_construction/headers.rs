//! Headers at their limits: rolled version bits, ntime from `min_ntime` to two hours ahead.

use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use serde_json::json;
use work::Header;

use super::transactions::generate;
use super::workshop::{Found, Way, Workshop, simple};

/// The node's clock in these tests, Unix seconds.
const CLOCK: u32 = 1_900_000_000;
/// A header may be this far ahead of a node's clock, by consensus, seconds.
const AHEAD: u32 = 7_200;

/// A chain whose last eleven blocks are of the same second, in which the node's clock stands still: a block of that
/// second would be too old.
fn start(folder: &Folder) -> Node {
    let node = Node::start(Chain::Regtest, folder.path());
    node.rpc("setmocktime", &json!([CLOCK]));
    generate(&node, 1, &bitcoin::ScriptBuf::from_bytes(vec![0x51]));
    node
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn blocks_with_rolled_version_bits_are_taken() {
    let folder = Folder::new();
    let node = start(&folder);
    // BIP 320's bits, and BIP 323's: none, all, and some of them.
    for mask in [0, 0x1fff_e000, 0x0aaa_a000, 0x1fff_ffe0, 0x1555_5540] {
        for way in Way::ALL {
            let mut workshop = Workshop::open(&node, way);
            let template = workshop.template_on_tip();
            let roll = |header: &mut Header| header.version ^= mask;
            let found = Found::new(&template, simple(&template), &[1; 8], roll);
            assert_eq!(found.header.version, template.version ^ mask);
            let block = workshop.accepted(&found);
            assert_eq!(block.header.version.to_consensus().cast_unsigned(), template.version ^ mask);
        }
    }
    promise::kept("rolled version bits are taken", "all of 0x1fffe000 and of 0x1fffffe0");
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn times_from_min_ntime_to_two_hours_ahead_are_taken_and_none_beyond() {
    let folder = Folder::new();
    let node = start(&folder);
    for way in Way::ALL {
        // Six of the last eleven blocks are of one second: that is the median, and the next must be later.
        let now = node.ask("getblockheader", &json!([node.best_block_hash()]))["mediantime"].as_u64();
        let clock = CLOCK.max(u32::try_from(now.expect("a time")).expect("Unix seconds"));
        node.rpc("setmocktime", &json!([clock]));
        generate(&node, 11, &bitcoin::ScriptBuf::from_bytes(vec![0x51]));
        let mut workshop = Workshop::open(&node, way);
        let template = workshop.template_on_tip();
        let at = |ntime: u32| {
            let roll = move |header: &mut Header| header.ntime = ntime;
            Found::new(&template, simple(&template), &[1; 8], roll)
        };
        let median = node.ask("getblockheader", &json!([node.best_block_hash()]))["mediantime"].as_u64();
        let median = u32::try_from(median.expect("a time")).expect("Unix seconds");
        assert_eq!(template.min_ntime, median + 1, "{way:?}: min_ntime is the smallest that there is");
        workshop.refused(&at(template.min_ntime - 1), "time-too-old");
        workshop.accepted(&at(template.min_ntime));

        let template = workshop.template_on_tip();
        let at = |ntime: u32| {
            let roll = move |header: &mut Header| header.ntime = ntime;
            Found::new(&template, simple(&template), &[1; 8], roll)
        };
        workshop.refused(&at(clock + AHEAD + 1), "time-too-new");
        workshop.accepted(&at(clock + AHEAD));
    }
    promise::kept(
        "times from min_ntime to two hours ahead are taken",
        "a second beyond is refused on either side",
    );
}
