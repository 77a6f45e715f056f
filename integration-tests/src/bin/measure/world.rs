//! What stands behind everybody who is measured: a node with two tips to choose from, and pools in front of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use serde_json::json;

/// The first two blocks of the main chain: public, and the only ones that a node without peers can be given.
const BLOCKS: [&str; 2] = [
    concat!(
        "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1",
        "a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299010100000001000000000000000000000000000000000000000000000",
        "0000000000000000000ffffffff0704ffff001d0104ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae",
        "1390813a627c66fb8be7947be63c52da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000",
    ),
    concat!(
        "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8bb66",
        "5c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61010100000001000000000000000000000000000000000000000000000",
        "0000000000000000000ffffffff0704ffff001d010bffffffff0100f2052a010000004341047211a824f55b505228e4c3d5194c1fcfaa",
        "15a456abdf37f9b9d97a4040afc073dee6c89064984f03385237d92167c13e236446b417ab79a0fcae412ae3316b77ac00000000",
    ),
];

/// A minute's shares that make a pool's targets easier than any miner's difficulty here: it gets every share.
const EVERY_SHARE: f64 = 60_000_000.0;
/// As the pools are shipped.
const BATCH: u32 = 10;

/// The node, its pools, and the folder of it all.
pub(crate) struct World {
    pub(crate) node: Node,
    /// The pool that gets every share.
    pub(crate) pool: Pool,
    pub(crate) folder: Folder,
}

impl World {
    pub(crate) fn start() -> Self {
        let folder = Folder::new();
        let node = Node::start(Chain::Mainnet, folder.path());
        for block in BLOCKS {
            let refused = node.ask("submitblock", &json!([block]));
            assert!(refused.is_null(), "the node takes the chain's first blocks, not {refused}");
        }
        let pool = start_pool("pool-a", &node, &folder, EVERY_SHARE);
        Self { node, pool, folder }
    }

    /// One more pool, whose targets let `shares_per_minute` of each channel through.
    pub(crate) fn pool_with(&self, name: &str, shares_per_minute: f64) -> Pool {
        start_pool(name, &self.node, &self.folder, shares_per_minute)
    }

    /// One more pool that gets every share and takes declared jobs.
    pub(crate) fn declaring_pool(&self, name: &str) -> Pool {
        let settings = PoolSettings { declarator: true, ..settings(EVERY_SHARE) };
        Pool::start_quiet(name, &self.node, self.folder.path(), &settings)
    }

    /// Has the node change its tip. Gives the Unix time of the call, seconds, and the new tip.
    pub(crate) fn change_tip(&mut self) -> (f64, String) {
        let called = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        (called.as_secs_f64(), self.node.change_tip())
    }
}

fn start_pool(name: &str, node: &Node, folder: &Folder, shares_per_minute: f64) -> Pool {
    Pool::start_quiet(name, node, folder.path(), &settings(shares_per_minute))
}

fn settings(shares_per_minute: f64) -> PoolSettings {
    PoolSettings {
        share_batch_size: BATCH,
        shares_per_minute,
        worker_names: false,
        ..PoolSettings::default()
    }
}
