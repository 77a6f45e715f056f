//! Templates by SV2's Template Distribution, from a server made of the published reference crates over Bitcoin Core.

#![expect(clippy::panic, reason = "what is not as expected ends the test, with its reason")]

use std::time::{Duration, Instant};

use integration_tests::folder::Folder;
use integration_tests::template_server::TemplateServer;
use integration_tests::{promise, wait};
use link::Resolver;
use noise::PoolUrl;
use serde_json::json;
use template::sv2_tp::{TpSettings, start};
use template::{ProviderEvent, Solution, Submitted};
use work::CoinbaseConstraints;

use crate::PATIENCE;
use crate::core_ipc::{EXTRANONCE, Listener, display, mine, spend, start_node};

fn listen(url: PoolUrl) -> Listener {
    let settings = TpSettings {
        url,
        insecure: false,
        resolver: Resolver::system(Duration::from_secs(5)),
        connect_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(5),
        certificate_leeway: Duration::from_secs(10),
    };
    Listener::of(start(settings).expect("the provider starts"))
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_block_from_a_template_provider_becomes_the_tip_with_its_transactions() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let server = TemplateServer::start(node.ipc_socket());
    let mut listener = listen(server.url());
    let (first, none) = listener.template(|_| true);
    assert_eq!(display(first.prev_hash), node.best_block_hash());
    assert!(none.is_empty(), "the mempool is empty");

    let began = Instant::now();
    let txid = spend(&node, 1, 50_000);
    let (better, transactions) = listener.template(|template| template.prev_hash == first.prev_hash);
    let better_after = began.elapsed();
    assert_eq!(better.min_ntime, first.min_ntime);
    assert_eq!(better.coinbase.value_remaining, first.coinbase.value_remaining + 50_000);
    let [only] = &*transactions else { panic!("{} transactions instead of 1", transactions.len()) };
    assert_eq!(display(only.txid), txid);

    let (header, coinbase) = mine(&better);
    let whole = coinbase.transaction(&EXTRANONCE).expect("the coinbase");
    let solution = Solution { template_id: better.template_id, header, coinbase: whole };
    let began = Instant::now();
    let orders = listener.handle.orders.clone();
    assert_eq!(listener.runtime.block_on(orders.submit(solution.clone())), Submitted::Sent);
    let found = display(header.hash().to_bytes());
    wait::until_so("the solution is the node's tip", PATIENCE, || node.best_block_hash() == found);
    let taken_after = began.elapsed();
    // The node has it before it says so.
    wait::until_so("the server is told", PATIENCE, || !server.submitted().is_empty());
    assert_eq!(server.submitted(), [Submitted::Taken]);
    assert_eq!(node.block(node.height())["tx"][1]["txid"], txid.as_str(), "the transaction is in the block");
    let (next, _) = listener.template(|template| template.prev_hash == header.hash().to_bytes());
    assert!(next.template_id > better.template_id);

    // Late: the template is remembered, and so is the block.
    assert_eq!(listener.runtime.block_on(orders.submit(solution.clone())), Submitted::Sent);
    let unknown = Solution { template_id: u64::MAX, ..solution };
    assert!(matches!(listener.runtime.block_on(orders.submit(unknown)), Submitted::NotPossible(_)));
    promise::kept(
        "templates by Template Distribution",
        &format!(
            "a better template {better_after:?} after its transaction, a solution the node's tip after {taken_after:?}"
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_template_provider_that_is_killed_and_comes_back_is_found_again() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let mut server = TemplateServer::start(node.ipc_socket());
    let mut listener = listen(server.url());
    let (first, _) = listener.template(|_| true);
    let (header, coinbase) = mine(&first);
    let coinbase = coinbase.transaction(&EXTRANONCE).expect("the coinbase");
    let solution = Solution { template_id: first.template_id, header, coinbase };

    let began = Instant::now();
    server.kill();
    let why = down(&mut listener);
    let noticed = began.elapsed();
    let orders = listener.handle.orders.clone();
    // Commands are answered while it is away.
    let answer = listener.runtime.block_on(orders.submit(solution.clone()));
    assert!(matches!(answer, Submitted::NotPossible(_)), "{answer:?}");

    server.run();
    let began = Instant::now();
    let again = loop {
        match listener.next() {
            ProviderEvent::Template(template) => break template,
            ProviderEvent::Down { .. } | ProviderEvent::Up { .. } | ProviderEvent::Transactions { .. } => {}
        }
    };
    assert_eq!(
        (again.prev_hash, again.min_ntime),
        (first.prev_hash, first.min_ntime),
        "the tip keeps its time"
    );
    assert!(again.template_id > first.template_id, "the server's numbers come again, ours do not");
    let answer = listener.runtime.block_on(orders.submit(solution));
    assert!(matches!(answer, Submitted::NotPossible(_)), "of a connection that has ended: {answer:?}");
    promise::kept(
        "a template provider that is killed is found again",
        &format!("noticed in {noticed:?} ({why}), templates {:?} after it came back", began.elapsed()),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_future_template_is_not_mined_before_its_tip_is_named() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let server = TemplateServer::start(node.ipc_socket());
    let mut listener = listen(server.url());
    let (first, _) = listener.template(|_| true);
    server.withhold_tips();
    node.rpc("generatetodescriptor", &json!([1, "raw(51)", 1_000_000]));
    wait::until_so("the server has given the next tip's template", PATIENCE, || server.held_back() > 0);
    let quiet = Duration::from_secs(1);
    let Listener { runtime, handle } = &mut listener;
    let told = runtime.block_on(async { tokio::time::timeout(quiet, handle.events.recv()).await });
    assert!(told.is_err(), "nothing is told: {told:?}");
    let began = Instant::now();
    server.name_tips();
    let (next, _) = listener.template(|_| true);
    assert_eq!(display(next.prev_hash), node.best_block_hash());
    assert_ne!(next.prev_hash, first.prev_hash);
    promise::kept(
        "a future template is mined when its tip is named, and not before",
        &format!("told {:?} after that", began.elapsed()),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn more_room_for_the_coinbase_is_asked_for_by_a_new_connection() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let server = TemplateServer::start(node.ipc_socket());
    let mut listener = listen(server.url());
    let (first, _) = listener.template(|_| true);
    let more = CoinbaseConstraints { additional_size: 9_000, additional_sigops: 10 };
    assert!(!first.constraints.hold(more));
    listener.handle.orders.constrain(more);
    // No `Down` comes: the templates from before can be mined until then.
    let (roomier, _) = listener.template(|template| template.constraints.hold(more));
    assert_eq!((roomier.prev_hash, roomier.min_ntime), (first.prev_hash, first.min_ntime));
    assert_eq!(server.constraints(), Some(roomier.constraints));
    assert_eq!(server.set_ups(), 2);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn no_template_comes_from_a_server_with_another_authority_key() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let server = TemplateServer::start(node.ipc_socket());
    let mut listener = listen(server.url_with_another_key());
    let first = down(&mut listener);
    // It is tried again, and refused again.
    let second = down(&mut listener);
    assert!(first.contains("authority") && second.contains("authority"), "{first}; {second}");
    assert_eq!(server.set_ups(), 0, "no message was sent");
    promise::kept("no template comes from a server with another authority key", &first);
}

/// Waits until it is down; a template meanwhile fails the test.
fn down(listener: &mut Listener) -> String {
    match listener.next() {
        ProviderEvent::Down { why, .. } => why,
        other => panic!("{other:?} instead of its end"),
    }
}
