//! Templates from Bitcoin Core by RPC: the same promises as by IPC, where the interface can keep them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::folder::Folder;
use integration_tests::promise;
use template::rpc::{RpcAuth, RpcNode, RpcSettings, start};
use template::{ProviderEvent, ProviderHandle, Solution, Submitted};
use work::{CoinbaseConstraints, Template};

use crate::PATIENCE;
use crate::core_ipc::{EXTRANONCE, display, mine, spend, start_node};

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_block_from_a_template_by_rpc_becomes_the_tip_with_its_transactions() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let auth = RpcAuth::User { name: "adit".to_owned(), password: "adit".to_owned() };
        let address = format!("127.0.0.1:{}", node.rpc_port());
        let settings = RpcSettings {
            node: RpcNode { address, auth },
            fee_threshold: 1_000,
            min_interval: Duration::ZERO,
            signet: false,
        };
        let mut handle = start(settings);
        let first = next(&mut handle).await;
        assert_eq!(display(first.prev_hash), node.best_block_hash());

        // More room for the coinbase than there is without a word: a template at once.
        let orders = handle.orders.clone();
        orders.constrain(CoinbaseConstraints { additional_size: 2_000, additional_sigops: 10 });
        let roomier = next(&mut handle).await;
        assert_eq!((roomier.prev_hash, roomier.min_ntime), (first.prev_hash, first.min_ntime));

        let began = Instant::now();
        let txid = spend(&node, 1, 50_000);
        let better = next(&mut handle).await;
        let better_after = began.elapsed();
        assert_eq!(better.min_ntime, first.min_ntime);
        assert_eq!(better.coinbase.value_remaining, first.coinbase.value_remaining + 50_000);

        let (header, coinbase) = mine(&better);
        let coinbase = coinbase.transaction(&EXTRANONCE).expect("the coinbase");
        let began = Instant::now();
        let solution = Solution { template_id: better.template_id, header, coinbase };
        assert_eq!(orders.submit(solution.clone()).await, Submitted::Taken);
        let taken_after = began.elapsed();
        assert_eq!(node.best_block_hash(), display(header.hash().to_bytes()));
        assert_eq!(node.block(node.height())["tx"][1]["txid"], txid.as_str());
        let on_it = next(&mut handle).await;
        assert_eq!(on_it.prev_hash, header.hash().to_bytes());
        promise::kept(
            "templates by RPC",
            &format!(
                "a better template {better_after:?} after its transaction, a solution taken in {taken_after:?}, the next tip's template {:?} after it was handed in",
                began.elapsed()
            ),
        );
        // Twice does no harm: the node has it.
        assert_eq!(orders.submit(solution).await, Submitted::Taken);
    });
}

/// The next template.
#[expect(clippy::panic, reason = "what is not as expected ends the test, with its reason")]
async fn next(handle: &mut ProviderHandle) -> Arc<Template> {
    loop {
        let event = tokio::time::timeout(PATIENCE, handle.events.recv()).await;
        match event.expect("the provider tells something in time").expect("the provider lives") {
            ProviderEvent::Template(template) => return template,
            ProviderEvent::Down { why, .. } => panic!("the provider is down: {why}"),
            ProviderEvent::Up { .. } | ProviderEvent::Transactions { .. } => {}
        }
    }
}
