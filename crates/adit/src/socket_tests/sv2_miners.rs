//! SV2 miners: the same port, the same books.

use std::time::Duration;

use lab::sv2_miner::{SessionOptions, SessionStats, Sv2Miner, Sv2MinerView};
use noise::AuthoritySecretKey;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::Client;
use super::{Farm, apart, until};
use crate::config::Config;
use crate::proxy::{Embedded, Proxy};

/// Hashes a second of a miner here.
const RATE: f64 = 200_000.0;

fn authority() -> AuthoritySecretKey {
    AuthoritySecretKey::from_bytes([9; 32]).expect("a key")
}

fn key_line() -> String {
    format!("authority_secret_key = \"{}\"", *authority().to_base58check())
}

/// A miner that runs until it is told to stop.
struct Running {
    view: Sv2MinerView,
    stop: oneshot::Sender<()>,
    task: JoinHandle<SessionStats>,
}

fn mine(address: std::net::SocketAddr, options: SessionOptions) -> Running {
    let miner = Sv2Miner::new(options, RATE);
    let view = miner.view();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let over = async {
            let _ = stopped.await;
        };
        miner.run(address, authority().public(), over).await.expect("a miner that ends by itself")
    });
    Running { view, stop, task }
}

impl Running {
    async fn accepted(&self, shares: u64) {
        until("shares are accepted", || self.view.stats().accepted >= shares).await;
    }

    async fn stop(self) -> SessionStats {
        let _ = self.stop.send(());
        self.task.await.expect("no panic")
    }
}

async fn end(farm: Farm) {
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_extended_and_group_channels_mine_beside_stratum_v1_on_one_port() {
    let farm = Farm::start_with(&key_line(), "").await;
    let address = farm.address();
    let one = |standard, extended, standard_jobs| SessionOptions {
        standard,
        extended,
        standard_jobs,
        min_extranonce_size: 4,
        ..SessionOptions::new("farm.sv2")
    };
    let device = mine(address, one(1, 0, true));
    let proxy = mine(address, one(0, 1, false));
    let group = mine(address, one(2, 2, false));
    let mut sv1 = apart(move || Client::mining(address, "farm.sv1")).await;
    for miner in [&device, &proxy, &group] {
        miner.accepted(20).await;
    }
    assert_eq!(apart(move || sv1.mine()).await, Some(true));
    // A new tip: one job for the group.
    let before = group.view.stats();
    farm.pool.new_tip();
    until("the group hears of it", || group.view.stats().tips > before.tips).await;
    assert!(group.view.stats().group_jobs > before.group_jobs);
    group.accepted(before.accepted + 20).await;
    let prefixes = group.view.prefixes();
    assert_eq!(prefixes.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 4, 4]);
    for miner in [device, proxy, group] {
        let stats = miner.stop().await;
        assert_eq!((stats.open(), stats.closed, stats.prefix_changes), (0, 0, 0), "{stats:?}");
        // Only what was on its way while the tip changed.
        assert!(stats.rejected.keys().all(|code| code == "stale-share"), "{stats:?}");
        assert!(stats.refused.is_empty());
    }
    until("nothing is left of them", || farm.connected() == 0).await;
    until("all shares have their end", || farm.proxy.snapshot().listeners[0].books.pending == 0).await;
    let books = farm.proxy.snapshot().listeners[0].books.clone();
    assert_eq!(
        books.submitted,
        books.local + books.acknowledged + books.rejected.values().sum::<u64>(),
        "{books:?}"
    );
    assert!(books.local + books.acknowledged >= 60, "{books:?}");
    end(farm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adit_behind_adit() {
    let farm = Farm::start_with(&format!("{}\nextranonce2_size = 8", key_line()), "").await;
    let text = format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\nvardiff = false\n\
         [source.adit]\nurl = \"stratum2+tcp://{}/{}\"\nuser_identity = \"farm.behind\"\n\
         [route.main]\nlisteners = [\"main\"]\nsources = [\"adit\"]\n[http]\nenabled = false\n",
        farm.address(),
        authority().public()
    );
    let config = Config::from_str_named("test", &text).expect("a configuration").config;
    let behind = Proxy::start(&config, Embedded::default()).await.expect("a proxy");
    let address = behind.addresses()[0];
    let mut miner = apart(move || Client::mining(address, "farm.behind.one")).await;
    for _ in 0..20 {
        let (back, taken) = apart(move || {
            let taken = miner.mine();
            (miner, taken)
        })
        .await;
        miner = back;
        assert_eq!(taken, Some(true));
    }
    let books = |proxy: &Proxy| proxy.snapshot().listeners[0].books.clone();
    until("the front acknowledges", || books(&behind).acknowledged >= 20).await;
    until("the front's books have them", || {
        let books = books(&farm.proxy);
        books.local + books.acknowledged >= 20
    })
    .await;
    let taken = tokio::time::timeout(Duration::from_secs(60), behind.stop()).await;
    assert!(taken.is_ok());
    until("nothing is left of it", || farm.connected() == 0).await;
    end(farm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_sv2_miner_is_closed_with_its_reason() {
    let farm = Farm::start_with(&format!("{}\nprotocol = \"sv2\"", key_line()), "setup = \"10s\"").await;
    let address = farm.address();
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    // A public key that nothing follows.
    let mut client =
        lab::sv2_client::Sv2Client::connect(address, authority().public()).await.expect("a link");
    let silent = apart(move || std::net::TcpStream::connect(address).expect("a connection")).await;
    until("who says nothing is closed", || closed("setup_deadline") == 1).await;
    assert!(client.recv().await.is_err());
    until("no handshake", || closed("handshake") == 1).await;
    drop(silent);
    // What was not encrypted with the link's key.
    let mut client =
        lab::sv2_client::Sv2Client::connect(address, authority().public()).await.expect("a link");
    client.send_raw(&[0x55; 64]).await.expect("sent");
    until("what is not authentic is closed", || closed("not_authentic") == 1).await;
    // A standard-jobs miner that asks for what there is not.
    let options = SessionOptions { standard_jobs: true, ..SessionOptions::new("farm.odd") };
    let odd = mine(address, options);
    until("the channel is refused", || farm.event("channel_refused") == 1).await;
    let code = "extended-channels-not-supported-for-standard-jobs";
    until("it has heard of it", || odd.view.stats().refused.get(code) == Some(&1)).await;
    odd.stop().await;
    until("nothing is left of them", || farm.connected() == 0).await;
    end(farm).await;
}
