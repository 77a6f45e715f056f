//! Templates of the farm's own node, declared to the reference pool and its embedded job declarator server.

use integration_tests::folder::Folder;
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::promise;
use integration_tests::proxy::Settings;

use super::{Upstream, ladder, mine_declared_jobs, start_node};

/// With its job declarator server; each share is acknowledged by itself.
pub(super) fn pool_settings() -> PoolSettings {
    PoolSettings {
        shares_per_minute: 120.0,
        share_batch_size: 1,
        declarator: true,
        ..PoolSettings::default()
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_jobs_are_mined_and_acknowledged_and_their_blocks_are_the_nodes_templates_by_ipc() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_ipc("node", &node);
    let pool = Upstream::from(&pool);
    let settings = ladder(settings, &pool, folder.path(), "");
    let figures = mine_declared_jobs(&settings, folder.path(), &node, &pool, true);
    promise::kept(
        "miners behind Adit mine jobs that it declared to the reference pool, templates by IPC",
        &figures,
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_jobs_are_mined_and_acknowledged_and_their_blocks_are_the_nodes_templates_by_rpc() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_rpc("node", &node);
    let pool = Upstream::from(&pool);
    let settings = ladder(settings, &pool, folder.path(), "");
    let figures = mine_declared_jobs(&settings, folder.path(), &node, &pool, true);
    promise::kept(
        "miners behind Adit mine jobs that it declared to the reference pool, templates by RPC",
        &figures,
    );
}
