//! Whole blocks, by each way that they take.

use bitcoin::hashes::Hash;
use engine::source::PushedSolution;
use lab::dev_pool::DevPool;
use template::{Solution, Submitted};
use work::Header;

use crate::declarator::Declarator;
use crate::farm::{Custom, Farm, ROLLED, bind, coinbase, declaration, mine, options};
use crate::miner::Miner;
use crate::raw::Raw;

fn is_tip(pool: &DevPool, header: &Header) -> bool {
    pool.tip().hash.to_byte_array() == header.hash().to_bytes()
}

fn pushed(header: Header, miner: &Miner) -> PushedSolution {
    PushedSolution { header, extranonce: [&miner.prefix[..], &ROLLED].concat() }
}

#[tokio::test]
async fn a_share_of_a_declared_job_becomes_a_whole_block_with_its_witnesses() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    for height in 1..8 {
        let template = farm.template().await;
        let coinbase = coinbase(&template, &outputs);
        let token = declarator.declare(declaration(1, &template, &coinbase)).await;
        let job_id =
            miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await.unwrap();
        let share = mine(&template, &coinbase, &miner, false, 0);
        // Every hash meets the channel's target, half of them the network's.
        assert_eq!(miner.submit(job_id, &share).await, Ok(()));
        assert_eq!(miner.submit(job_id, &share).await, Err("duplicate-share".to_owned()));
        let block = mine(&template, &coinbase, &miner, true, 0);
        assert_eq!(miner.submit(job_id, &block).await, Ok(()));
        assert!(is_tip(&pool, &block));
        assert_eq!(pool.tip().height, height);
        // All the other ways come too late, and nobody counts them.
        declarator.push(&pushed(block, &miner)).await;
        let transaction = coinbase.transaction(&[&miner.prefix[..], &ROLLED].concat()).unwrap();
        let solution = Solution { template_id: template.template_id, header: block, coinbase: transaction };
        assert_eq!(farm.node.orders.submit(solution).await, Submitted::Taken);
        // The old job is stale now.
        assert_eq!(miner.submit(job_id, &share).await, Err("stale-share".to_owned()));
    }
    let stats = pool.stats();
    assert_eq!(stats.blocks_by_route.into_iter().collect::<Vec<_>>(), [("declared-job", 7)]);
    assert_eq!((stats.blocks_found, stats.blocks_refused), (7, 0));
    assert_eq!((stats.jds.declared, stats.jds.custom_jobs, stats.jds.custom_shares), (7, 7, 14));
    // The farm's node has transactions that the pool did not know.
    assert!(stats.jds.transactions_asked > 0);
    assert_eq!(stats.jds.transactions_asked, stats.jds.transactions_provided);
}

#[tokio::test]
async fn a_pushed_solution_is_put_together_from_what_was_declared_and_its_late_share_still_counts() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    let template = farm.template().await;
    let coinbase = coinbase(&template, &outputs);
    let token = declarator.declare(declaration(1, &template, &coinbase)).await;
    let job_id = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await.unwrap();
    let block = mine(&template, &coinbase, &miner, true, 0);
    // No block of anything that was declared.
    declarator.push(&pushed(mine(&template, &coinbase, &miner, false, 0), &miner)).await;
    declarator.push(&pushed(Header { prev_hash: [1; 32], ..block }, &miner)).await;
    declarator.push(&pushed(block, &miner)).await;
    // The farm's node hears of the tip.
    assert_eq!(farm.template().await.prev_hash, block.hash().to_bytes());
    assert!(is_tip(&pool, &block));
    let stats = pool.stats();
    assert_eq!(stats.blocks_by_route.into_iter().collect::<Vec<_>>(), [("push-solution", 1)]);
    assert_eq!((stats.jds.solutions, stats.jds.solutions_useless), (3, 2));
    // It made the tip: it is not stale on it. Any other share of its job is.
    let mut answer = miner.submit(job_id, &block).await;
    assert_eq!(answer, Ok(()));
    answer = miner.submit(job_id, &block).await;
    assert_eq!(answer, Err("duplicate-share".to_owned()));
    let late = mine(&template, &coinbase, &miner, true, block.nonce + 1);
    assert_eq!(miner.submit(job_id, &late).await, Err("stale-share".to_owned()));
}

#[tokio::test]
async fn a_block_of_the_farms_node_moves_the_pool_and_its_late_share_still_counts() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    let template = farm.template().await;
    let coinbase = coinbase(&template, &outputs);
    let token = declarator.declare(declaration(1, &template, &coinbase)).await;
    let job_id = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await.unwrap();
    let block = mine(&template, &coinbase, &miner, true, 0);
    let extranonce = [&miner.prefix[..], &ROLLED].concat();
    let whole = template.block(&block, &coinbase, &extranonce).unwrap();
    assert_eq!(farm.node.orders.submit_block(whole.into()).await, Submitted::Taken);
    assert!(is_tip(&pool, &block));
    assert_eq!(miner.submit(job_id, &block).await, Ok(()));
    let stats = pool.stats();
    assert_eq!(stats.blocks_by_route.into_iter().collect::<Vec<_>>(), [("farm-node", 1)]);
    assert_eq!((stats.blocks_found, stats.blocks_refused), (1, 0));
}

#[tokio::test]
async fn coinbase_only_the_pool_credits_the_share_and_leaves_the_block_to_the_client() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let (mut declarator, outputs) = Declarator::ready(&pool, false).await;
    let template = farm.template().await;
    let coinbase = coinbase(&template, &outputs);
    let token = declarator.take_token().await;
    let custom = Custom::new(miner.channel_id, &token, &template, &coinbase);
    let job_id = miner.custom(&custom).await.unwrap();
    assert_eq!(
        miner.custom(&custom).await,
        Err("invalid-mining-job-token".to_owned()),
        "a token serves once"
    );
    let before = pool.tip();
    let block = mine(&template, &coinbase, &miner, true, 0);
    assert_eq!(miner.submit(job_id, &block).await, Ok(()));
    assert_eq!(pool.tip(), before);
    let stats = pool.stats();
    assert_eq!(stats.blocks_by_route.into_iter().collect::<Vec<_>>(), [("coinbase-only", 1)]);
    assert_eq!((stats.jds.declarations, stats.jds.custom_jobs), (0, 1));
    let whole = template.block(&block, &coinbase, &[&miner.prefix[..], &ROLLED].concat()).unwrap();
    assert_eq!(farm.node.orders.submit_block(whole.into()).await, Submitted::Taken);
    assert!(is_tip(&pool, &block));
}

#[tokio::test]
async fn a_job_on_the_group_holds_for_its_channels_and_only_so_many_are_kept() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let mut raw = Raw::set_up(&pool, false).await;
    let template = farm.template().await;
    let coinbase = coinbase(&template, &raw.token().await.1);
    let mut jobs = Vec::new();
    for _ in 0..18 {
        let (token, _) = raw.token().await;
        let custom = Custom::new(miner.group_id, &token, &template, &coinbase);
        jobs.push(miner.custom(&custom).await.unwrap());
    }
    let share = |after| mine(&template, &coinbase, &miner, false, after);
    let (one, two) = (share(0), share(100));
    assert_eq!(miner.submit(jobs[1], &one).await, Err("invalid-job-id".to_owned()));
    assert_eq!(miner.submit(jobs[2], &one).await, Ok(()));
    assert_eq!(miner.submit(jobs[17], &two).await, Ok(()));
}
