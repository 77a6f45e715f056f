//! A pool on somebody else's chain: here another dev pool's, in production a node's.

use std::time::Duration;

use bitcoin::hashes::Hash;
use lab::dev_pool::{DevPool, DevPoolKeys};

use crate::declarator::Declarator;
use crate::farm::{Custom, Farm, bind, coinbase, declaration, mine, options, within};
use crate::miner::Miner;
use crate::raw::Raw;

async fn follower(of: &DevPool) -> DevPool {
    let node = of.template_provider(Duration::from_secs(3_600));
    let pool = DevPool::bind_following(([127, 0, 0, 1], 0).into(), options(), DevPoolKeys::random(), node);
    within("the follower", pool).await.expect("it binds")
}

#[tokio::test]
async fn a_pool_that_follows_a_node_judges_by_its_tip_and_hands_it_whole_blocks() {
    let node = bind(options()).await;
    let pool = follower(&node).await;
    let (mut farm, mut miner) = (Farm::of(&node), Miner::open(&pool).await);
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    for height in 1..4 {
        let template = farm.template().await;
        let coinbase = coinbase(&template, &outputs);
        // The follower hears of the tip by a way of its own; until then the farm is ahead of it.
        let token = loop {
            declarator.send(declaration(1, &template, &coinbase)).await;
            match declarator.outcome().await {
                engine::source::JdsEvent::Declared { token, .. } => break token,
                engine::source::JdsEvent::NotDeclared { why, .. } => assert!(why.is_stale_tip(), "{why}"),
                other => panic!("{other:?}"),
            }
        };
        let job_id =
            miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await.unwrap();
        let block = mine(&template, &coinbase, &miner, true, 0);
        assert_eq!(miner.submit(job_id, &block).await, Ok(()));
        // The farm's next template is on it.
        let next = within("the tip", async {
            loop {
                if node.tip().height == height {
                    return node.tip();
                }
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(next.await.hash.to_byte_array(), block.hash().to_bytes());
    }
    let stats = pool.stats();
    assert_eq!(stats.blocks_by_route.get("declared-job"), Some(&3));
}

#[tokio::test]
async fn coinbase_only_works_on_a_followed_chain_and_an_old_tip_is_stale() {
    let node = bind(options()).await;
    let pool = follower(&node).await;
    let (mut farm, mut miner) = (Farm::of(&node), Miner::open(&pool).await);
    let mut raw = Raw::set_up(&pool, false).await;
    let template = farm.template().await;
    let (token, outputs) = raw.token().await;
    let coinbase = coinbase(&template, &outputs);
    let job_id = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await.unwrap();
    assert_eq!(miner.submit(job_id, &mine(&template, &coinbase, &miner, false, 0)).await, Ok(()));
    node.new_tip();
    let stale = within("the follower", async {
        loop {
            let (token, _) = raw.token().await;
            let again = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await;
            if let Err(code) = again {
                return code;
            }
        }
    });
    assert_eq!(stale.await, "stale-chain-tip");
}
