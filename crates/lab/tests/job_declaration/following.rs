//! A pool on somebody else's chain: here another dev pool's, in production a node's.

use std::time::Duration;

use bitcoin::hashes::Hash;
use lab::dev_pool::{DevPool, DevPoolKeys};

use crate::declarator::Declarator;
use crate::farm::{Custom, Farm, bind, coinbase, declaration, mine, options, within};
use crate::miner::{Miner, Said};
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
    let mut template = farm.template().await;
    for height in 1..4 {
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
        // The node's next template is on it.
        let next = farm.next_on(block.hash().to_bytes()).await;
        assert_eq!((next.prev_hash, node.tip().height), (block.hash().to_bytes(), height));
        template = next;
    }
}

#[tokio::test]
async fn the_pools_own_jobs_are_the_nodes_templates_and_their_blocks_its_blocks() {
    let node = bind(options()).await;
    let pool = follower(&node).await;
    let (mut farm, mut miner) = (Farm::of(&node), Miner::open_with(&pool, 0).await);
    assert_eq!((miner.hear().await, miner.hear().await), (Said::Job, Said::Job));
    for height in 1..4 {
        let (job_id, block) = miner.own_block();
        assert_eq!(miner.submit(job_id, &block).await, Ok(()));
        farm.next_on(block.hash().to_bytes()).await;
        assert_eq!(node.tip().height, height);
        // The follower's miners hear of it: a future job and its activation.
        assert_eq!((miner.hear().await, miner.hear().await), (Said::Job, Said::Job));
    }
    // Its own chain is not asked.
    let before = node.tip();
    pool.new_tip();
    pool.refresh_template();
    let (job_id, block) = miner.own_block();
    assert_eq!((miner.submit(job_id, &block).await, block.prev_hash), (Ok(()), before.hash.to_byte_array()));
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
