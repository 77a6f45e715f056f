//! The reference job declarator client, `jd_client_sv2`, below Adit: it selects its work, Adit verifies each share and passes
//! all on to the reference pool and its job declarator server. Its miners come through the reference translator.

use std::net::TcpStream;

use integration_tests::folder::Folder;
use integration_tests::jd_client::{JdClient, JdClientSettings, JdMode};
use integration_tests::miners::CpuMiner;
use integration_tests::pool::{Pool, hex};
use integration_tests::proxy::{Adit, Settings, authority};
use integration_tests::translator::Translator;
use integration_tests::{promise, wait};

use super::reference_pool::pool_settings;
use super::{HASHRATE, script, start_node};
use crate::PATIENCE;

/// Shares a minute of the client's own channels.
const SHARES: f64 = 120.0;
/// What the client writes into coinbases.
const SIGNATURE: &str = "jdc";

fn client_of(adit: &Adit) -> JdClientSettings {
    let adit = ("127.0.0.1".to_owned(), adit.port());
    JdClientSettings {
        mode: JdMode::FullTemplate,
        pool: adit.clone(),
        jds: adit,
        key: authority().public().to_string(),
        user_identity: "farm".to_owned(),
        shares_per_minute: SHARES,
        share_batch_size: 1,
        lives: 2,
        log: "info",
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn the_reference_client_declares_its_own_jobs_through_adit_and_comes_back_when_its_pool_is_lost() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let mut pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let second = Pool::start("pool-b", &node, folder.path(), &pool_settings());
    let lines = |pool: &Pool| format!("jds_url = {:?}\nnominal_hashrate = {HASHRATE:?}\n", pool.jds_url());
    let settings = Settings::for_cpus()
        .sv2_miners()
        .listener("job_declarators = 1\n")
        .source("pool", &pool.url(), &lines(&pool))
        .source("second", &second.url(), &lines(&second));
    let adit = Adit::start_ready(folder.path(), &settings);
    let client = JdClient::start(folder.path(), &node, &client_of(&adit));
    let translator = Translator::start_behind(folder.path(), &client, HASHRATE, SHARES);
    let height = node.height();
    let miner = CpuMiner::start(translator.port(), "farm.ours", HASHRATE);

    adit.wait_books("the pool acknowledges shares", PATIENCE * 2, |books| books.acknowledged >= 20);
    let of_client = |at: u64| script(&node, at).contains(&hex(SIGNATURE.as_bytes()));
    let block = wait::until("a block of the client's is in the chain", PATIENCE * 2, || {
        (height + 1..=node.height()).find(|at| of_client(*at))
    });
    let payout = node.block(block)["tx"][0]["vout"][0]["scriptPubKey"]["hex"].clone();
    assert_eq!(payout, "51", "the pool's payout gets the reward");
    let before = adit.source_books("pool");
    assert!(before.balance(), "{before}");
    let declared = pool.log().matches("SetCustomMiningJob").count();
    assert!(declared > 0, "{}", pool.log());

    // The pool goes, the route fails over, and the client's connections end: it comes back and is with the other pool.
    pool.kill();
    wait::until_so("the client's channel is closed", PATIENCE, || adit.closed("pool_changed") >= 1.0);
    wait::until_so("the client is with the other pool", PATIENCE, || {
        let log = adit.log();
        log.lines().filter(|line| line.contains("job declarator client") && line.contains("second")).count()
            == 2
    });
    // The translator takes its one upstream once.
    drop((miner, translator));
    wait::until("the client takes connections again", PATIENCE, || {
        TcpStream::connect(("127.0.0.1", client.port())).ok()
    });
    let translator = Translator::start_behind(folder.path(), &client, HASHRATE, SHARES);
    let miner = CpuMiner::start(translator.port(), "farm.ours", HASHRATE);
    wait::until_so("the other pool acknowledges shares of the client's jobs", PATIENCE * 2, || {
        adit.source_books("second").acknowledged >= 10
    });
    drop(miner);
    let books = adit.settled(PATIENCE);
    let (first, other) = (adit.source_books("pool"), adit.source_books("second"));
    assert!(books.balance() && first.balance() && other.balance(), "{books}");
    assert_eq!((books.held, books.pending), (0, 0), "{books}");
    // What the pool had on its way when it was killed may have been credited.
    let of_second = second.wait_shares("it has logged all", |says| says.accepted >= other.acknowledged);
    let said = (pool.shares().accepted, of_second.accepted);
    assert!((first.acknowledged..=first.acknowledged + first.unknown).contains(&said.0), "{first} {said:?}");
    assert_eq!(other.acknowledged, said.1, "what the other pool took: {other}");
    assert_eq!(books.local, 0, "the client's target is the pool's: {books}");
    let panicked = adit.log().matches("please report it").count();
    assert_eq!(panicked, 0, "{}", adit.log());
    promise::kept(
        "jd_client_sv2 below Adit declares its own jobs to pool_sv2 and comes back on the next pool",
        &format!(
            "block {block} is the client's and pays the pool; first pool: {first}, itself {} accepted; second pool: {other}, \
             itself {} accepted; rejected {:?}; closed {:?}",
            said.0,
            said.1,
            adit.rejections(),
            adit.closings()
        ),
    );
    adit.stop();
}
