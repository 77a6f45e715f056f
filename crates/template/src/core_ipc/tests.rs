//! Every version of the interface that was published, spoken to as every version.

use std::sync::Arc;
use std::time::Duration;

use work::coinbase::Output;
use work::{CoinbaseConstraints, Header, Template, merkle, sha256d};

use super::fake_node::{FakeNode, RELEASES, Release};
use super::provider::{CoreIpcSettings, start};
use super::schema::{CREATE_NEW_BLOCK, GET_BLOCK, GET_BLOCK_HEADER, GET_COINBASE_TX, Schema};
use crate::provider::{ProviderEvent, ProviderHandle, Solution, Submitted};

const PATIENCE: Duration = Duration::from_secs(60);
const EXTRANONCE: [u8; 8] = [7; 8];

/// What a provider says first of a node: a template, or why not.
async fn first(node: &FakeNode, schema: Option<Schema>) -> (ProviderHandle, Result<Arc<Template>, String>) {
    let settings = CoreIpcSettings {
        path: node.path.clone(),
        schema,
        fee_threshold: 1_000,
        min_interval: Duration::from_secs(1),
        cooldown: false,
    };
    let mut handle = start(settings).unwrap();
    loop {
        let event = tokio::time::timeout(PATIENCE, handle.events.recv()).await;
        match event.expect("in time").expect("it lives") {
            ProviderEvent::Template(template) => return (handle, Ok(template)),
            ProviderEvent::Down { why, .. } => return (handle, Err(why)),
            ProviderEvent::Up { .. } | ProviderEvent::Transactions { .. } => {}
        }
    }
}

/// A solution; on this chain every second hash is one.
fn mine(template: &Template) -> Solution {
    let payout = Output { value: template.coinbase.value_remaining, script_pubkey: vec![0x51].into() };
    let coinbase = template.coinbase(&[], 8, &[payout]).unwrap();
    let job = template.job(1, &coinbase).unwrap();
    let halves = [&*job.coinbase_tx_prefix, &EXTRANONCE, &*job.coinbase_tx_suffix].concat();
    let merkle_root = merkle::root(sha256d::hash(&halves), &job.merkle_path);
    let header = |nonce| Header {
        version: job.version,
        prev_hash: job.prev_hash,
        merkle_root,
        ntime: job.min_ntime,
        nbits: job.nbits,
        nonce,
    };
    let header = (0..).map(header).find(|header| header.hash().meets(&job.network_target)).unwrap();
    let coinbase = coinbase.transaction(&EXTRANONCE).unwrap();
    Solution { template_id: template.template_id, header, coinbase }
}

/// The method has this number in the published schema.
fn is_at(release: &Release, interface: &str, method: &str, number: u16) -> bool {
    release.methods(interface).get(&number) == Some(&method)
}

/// A client that thinks of this version speaks to that one as it should be spoken to: all that it calls, but submitBlock,
/// which may be missing.
fn fits(release: &Release, schema: &Schema) -> bool {
    let template = |method, number| is_at(release, "BlockTemplate", method, number);
    let declared = |method| release.declared("BlockTemplate", method);
    is_at(release, "Init", "construct", 0)
        && is_at(release, "Init", "makeMining", schema.make_mining)
        && is_at(release, "Mining", "createNewBlock", CREATE_NEW_BLOCK)
        && release.declared("Mining", "createNewBlock").contains("cooldown") == schema.create_with_context
        && template("getBlockHeader", GET_BLOCK_HEADER)
        && template("getBlock", GET_BLOCK)
        && template("getCoinbaseTx", GET_COINBASE_TX)
        && declared("getCoinbaseTx").contains("CoinbaseTx)") == schema.coinbase_is_structure
        && template("getCoinbaseMerklePath", schema.get_merkle_path)
        && template("submitSolution", schema.submit_solution)
        && declared("submitSolution").contains("reason") == schema.submit_tells_reason
        && template("waitNext", schema.wait_next)
        && template("interruptWait", schema.interrupt_wait)
}

#[test]
fn the_numbers_are_those_of_the_published_schemas() {
    for release in RELEASES {
        let schema = Schema::ALL.into_iter().find(|schema| schema.name == release.name).unwrap();
        assert!(fits(&release, &schema), "{}", release.name);
        let numbers = release.methods("Mining");
        let submit_block =
            numbers.iter().find(|(_, name)| **name == "submitBlock").map(|(number, _)| *number);
        assert_eq!(submit_block, schema.submit_block, "{}", release.name);
    }
}

#[tokio::test]
async fn the_version_of_every_published_node_is_found_out_and_its_blocks_are_taken() {
    for release in RELEASES {
        let node = FakeNode::start(release);
        let (handle, template) = first(&node, None).await;
        let template = template.unwrap_or_else(|why| panic!("{}: {why}", release.name));
        assert_eq!(node.taken(), 0);
        let solution = mine(&template);
        assert_eq!(handle.orders.submit(solution.clone()).await, Submitted::Taken, "{}", release.name);
        assert_eq!(node.taken(), 1, "{}", release.name);
        // One without proof of work, with the reason where there is one.
        let mut worthless = solution;
        while worthless.header.hash().meets(&template.network_target) {
            worthless.header.nonce += 1;
        }
        let Submitted::Refused(why) = handle.orders.submit(worthless).await else { panic!("it is taken") };
        assert_eq!(why.contains("high-hash"), release.name == "32", "{why}");
    }
}

async fn next(handle: &mut ProviderHandle) -> ProviderEvent {
    let event = tokio::time::timeout(PATIENCE, handle.events.recv()).await;
    event.expect("in time").expect("it lives")
}

#[tokio::test]
async fn a_template_without_transactions_is_whole_at_once_and_others_are_followed_by_theirs() {
    for release in RELEASES {
        let node = FakeNode::start(release);
        let (mut handle, template) = first(&node, None).await;
        let template = template.unwrap_or_else(|why| panic!("{}: {why}", release.name));
        assert!(template.transactions.is_none(), "{}: it does not wait for them", release.name);
        let ProviderEvent::Transactions { template_id, transactions } = next(&mut handle).await else {
            panic!("{}: they come next", release.name);
        };
        assert_eq!((template_id, transactions.len()), (template.template_id, 1), "{}", release.name);

        let node = FakeNode::start_empty(release);
        let (mut handle, template) = first(&node, None).await;
        let template = template.unwrap_or_else(|why| panic!("{}: {why}", release.name));
        assert!(template.transactions.as_ref().is_some_and(|all| all.is_empty()), "{}", release.name);
        handle.orders.constrain(CoinbaseConstraints { additional_size: 5_000, additional_sigops: 500 });
        let ProviderEvent::Template(roomier) = next(&mut handle).await else {
            panic!("{}: nothing stands between it and the next one", release.name);
        };
        assert!(roomier.transactions.as_ref().is_some_and(|all| all.is_empty()), "{}", release.name);
    }
}

#[tokio::test]
async fn a_crossed_version_gives_an_error_and_never_work() {
    let (mut crossed, mut fitting) = (0, 0);
    for release in RELEASES {
        for schema in Schema::ALL {
            let node = FakeNode::start(release);
            let (handle, template) = first(&node, Some(schema)).await;
            let pair = format!("a node of {}, spoken to as {}", release.name, schema.name);
            if fits(&release, &schema) {
                fitting += 1;
                let template = template.unwrap_or_else(|why| panic!("{pair}: {why}"));
                assert_eq!(handle.orders.submit(mine(&template)).await, Submitted::Taken, "{pair}");
                assert_eq!(node.taken(), 1, "{pair}");
                // A call that the node does not have is an error, too, never a yes.
                let has = release.declared("Mining", "submitBlock").contains("reason");
                let whole = mine(&template).header.to_bytes().to_vec();
                let submitted = handle.orders.submit_block(whole.into()).await;
                let possible = has && schema.submit_block.is_some();
                assert_eq!(submitted == Submitted::Taken, possible, "{pair}: {submitted:?}");
                assert!(possible || matches!(submitted, Submitted::NotPossible(_)), "{pair}: {submitted:?}");
            } else {
                crossed += 1;
                let Err(why) = template else { panic!("{pair}: it gives work") };
                assert!(!why.is_empty(), "{pair}");
                assert_eq!(node.taken(), 0, "{pair}");
            }
        }
    }
    // 31 and 31.99 differ only in submitBlock.
    assert_eq!((crossed, fitting), (10, 6));
}

#[tokio::test]
async fn a_submit_solution_that_is_elsewhere_is_found_out_before_work_is_handed_out() {
    let of = |name| RELEASES.into_iter().find(|release| release.name == name).unwrap();
    for (release, schema) in [(of("32"), Schema::V31_99), (of("32"), Schema::V31), (of("31.99"), Schema::V32)]
    {
        // All but submitSolution is the same.
        let others = Schema {
            submit_solution: schema.submit_solution,
            submit_tells_reason: schema.submit_tells_reason,
            name: schema.name,
            submit_block: schema.submit_block,
            ..if release.name == "32" { Schema::V32 } else { Schema::V31_99 }
        };
        assert_eq!(others, schema);
        let node = FakeNode::start(release);
        let (_handle, template) = first(&node, Some(schema)).await;
        let why = template.unwrap_err();
        assert!(why.contains("without proof of work"), "{why}");
    }
}
