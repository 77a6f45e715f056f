//! Job declarator clients below: another Adit that declares, and one written by hand that is refused.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions, JdsOptions};
use lab::sv2_client::Sv2Client;
use noise::AuthoritySecretKey;
use sv2::common::{
    PROTOCOL_JOB_DECLARATION, PROTOCOL_MINING, SetupConnection, SetupConnectionError, SetupConnectionSuccess,
};
use sv2::mining::{REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION};
use sv2::{Message, Str0255};
use telemetry::BooksSnapshot;

use super::client::Client;
use super::{Farm, apart, until};
use crate::config::Config;
use crate::proxy::{Embedded, Proxy};

const FLAGS: u32 = REQUIRES_WORK_SELECTION | REQUIRES_VERSION_ROLLING;

fn authority() -> AuthoritySecretKey {
    AuthoritySecretKey::from_bytes([9; 32]).expect("a key")
}

/// A folder for what a declaring Adit keeps, gone with the test.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        let name = format!("adit-declarators-{}-{:x}", std::process::id(), rand::random::<u64>());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A pool with its declarator, and Adit in front of it.
async fn farm() -> Farm {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = DevPoolOptions { jds: Some(JdsOptions::default()), ..DevPoolOptions::default() };
    options.chain.witness_commitment = true;
    // No share is a block here.
    options.chain.nbits = 0x1d00_ffff;
    let pool = DevPool::bind(loopback, options, DevPoolKeys::random()).await.expect("a pool");
    let text = format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\nauthority_secret_key = \"{}\"\njob_declarators = 1\n\
         [source.pool]\nurl = \"{}\"\njds_url = \"{}\"\nuser_identity = \"farm\"\n\
         [route.main]\nlisteners = [\"main\"]\nsources = [\"pool\"]\n[http]\nenabled = false\n",
        *authority().to_base58check(),
        pool.url(),
        pool.jds_url().expect("it has one"),
    );
    let config = Config::from_str_named("test", &text).expect("a configuration").config;
    let proxy = Proxy::start(&config, Embedded::default()).await.expect("a proxy");
    Farm { pool, proxy }
}

/// An Adit that declares templates of the pool's chain to the pool behind `farm`, through it.
async fn declaring(farm: &Farm, state: &State) -> Proxy {
    let url = format!("stratum2+tcp://{}/{}", farm.address(), authority().public());
    let text = format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-5\ndifficulty_min = 1e-6\nvardiff = false\n[state]\ndirectory = {:?}\n\
         [template.node]\nkind = \"bitcoin-ipc\"\nsocket = \"in this process\"\nnetwork = \"regtest\"\n\
         [source.pool]\nurl = \"{url}\"\nuser_identity = \"jdc\"\n\
         [declared.own]\npool = \"pool\"\njds_url = \"{url}\"\ntemplates = [\"node\"]\n\
         [route.main]\nlisteners = [\"main\"]\nsources = [\"own\"]\n[http]\nenabled = false\n",
        state.0
    );
    let config = Config::from_str_named("test", &text).expect("a configuration").config;
    let mut embedded = Embedded::default();
    embedded.templates.insert("node".to_owned(), farm.pool.template_provider(Duration::from_secs(3_600)));
    Proxy::start(&config, embedded).await.expect("a proxy")
}

/// Mines so many shares that are told to be good.
async fn mine(mut miner: Client, shares: usize) -> Client {
    apart(move || {
        let mut good = 0;
        while good < shares {
            good += usize::from(miner.mine() == Some(true));
        }
        miner
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declaring_adit_behind_adit_has_its_own_jobs_mined_and_outlives_the_loss_of_the_pool() {
    let farm = farm().await;
    let state = State::new();
    let jdc = declaring(&farm, &state).await;
    let address = jdc.addresses()[0];
    let books = |proxy: &Proxy| proxy.snapshot().listeners[0].books.clone();
    let miner = apart(move || Client::mining(address, "farm.one")).await;
    let miner = mine(miner, 20).await;
    until("the pool has acknowledged them, and both have heard of it", || {
        let settled = |books: &BooksSnapshot| books.pending == 0 && books.held == 0;
        let (below, here) = (books(&jdc), books(&farm.proxy));
        settled(&below) && settled(&here) && below.acknowledged >= 20
    })
    .await;
    let (below, here, stats) = (books(&jdc), books(&farm.proxy), farm.pool.stats());
    assert_eq!(here.acknowledged, below.acknowledged, "{here:?}");
    assert_eq!((here.acknowledged, here.submitted), (stats.accepted, stats.accepted), "{here:?} {stats:?}");
    assert_eq!(stats.jds.custom_shares, stats.accepted, "all on jobs of the JDC's own");
    assert_eq!(farm.proxy.snapshot().listeners[0].miners.authorised, 1);

    // The pool is lost: so are the channels, with every share in some state; the JDC comes back.
    let taken = stats.jds.custom_jobs;
    farm.pool.disconnect_all();
    let closed = || farm.proxy.snapshot().listeners[0].closed_total.get("pool_changed").copied();
    until("the JDC's mining connection is closed", || closed() >= Some(1)).await;
    until("a job of the JDC's is taken again", || farm.pool.stats().jds.custom_jobs > taken).await;
    // The new channel is opened for what the miner was seen to do: its shares are harder now, and a few are enough.
    let mine_on = async {
        let mut miner = miner;
        while books(&jdc).acknowledged <= below.acknowledged {
            miner = mine(miner, 5).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), mine_on).await.expect("more are acknowledged");
    jdc.stop().await;
    until("nothing is left of them", || farm.connected() == 0).await;
    until("every share has its end", || {
        let books = books(&farm.proxy);
        books.pending == 0 && books.held == 0
    })
    .await;
    let books = books(&farm.proxy);
    let ended = books.acknowledged
        + books.unknown
        + books.local
        + books.rejected.values().chain(books.refused.values()).chain(books.unsent.values()).sum::<u64>();
    assert_eq!(books.submitted, ended, "{books:?}");
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}

fn setup(protocol: u8, flags: u32) -> SetupConnection<'static> {
    SetupConnection {
        protocol,
        min_version: 2,
        max_version: 2,
        flags,
        endpoint_host: Str0255::truncated("adit"),
        endpoint_port: 3333,
        vendor: Str0255::truncated("test"),
        hardware_version: Str0255::default(),
        firmware: Str0255::default(),
        device_id: Str0255::default(),
    }
}

/// Says what it wants and hears the answer: the code where it is refused.
async fn ask(farm: &Farm, protocol: u8, flags: u32) -> (Sv2Client, Option<String>) {
    let mut client = Sv2Client::connect(farm.address(), authority().public()).await.expect("a link");
    client.send(&setup(protocol, flags)).await.expect("sent");
    let (header, payload) = client.recv().await.expect("an answer");
    if header.msg_type == SetupConnectionSuccess::MSG_TYPE {
        return (client, None);
    }
    let error = SetupConnectionError::decode(&payload).expect("an error");
    let code = error.error_code.to_string();
    assert!(client.recv().await.is_err(), "it is closed");
    (client, Some(code))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_served_is_told_so() {
    // No more at a time than the listener allows; of each kind.
    let served = farm().await;
    let (first, code) = ask(&served, PROTOCOL_MINING, FLAGS).await;
    assert_eq!(code, None);
    let (_, code) = ask(&served, PROTOCOL_MINING, FLAGS).await;
    assert_eq!(code.as_deref(), Some("channel-capacity-exhausted"));
    let (second, code) = ask(&served, PROTOCOL_JOB_DECLARATION, 1).await;
    assert_eq!(code, None);
    let (_, code) = ask(&served, PROTOCOL_JOB_DECLARATION, 1).await;
    assert_eq!(code.as_deref(), Some("channel-capacity-exhausted"));
    // A place is free again when its connection has gone.
    drop((first, second));
    until("they are gone", || served.connected() == 0).await;
    assert_eq!(ask(&served, PROTOCOL_MINING, FLAGS).await.1, None);
    served.proxy.stop().await;
    served.pool.shutdown().await;

    // Where none are served, and where the pool has no declarator or does not take them.
    let key = format!("authority_secret_key = \"{}\"", *authority().to_base58check());
    let none = Farm::start_with(&key, "").await;
    let (_, code) = ask(&none, PROTOCOL_MINING, FLAGS).await;
    assert_eq!(code.as_deref(), Some("unsupported-feature-flags"));
    let (_, code) = ask(&none, PROTOCOL_JOB_DECLARATION, 1).await;
    assert_eq!(code.as_deref(), Some("unsupported-protocol"));
    none.proxy.stop().await;
    none.pool.shutdown().await;
    let bare = Farm::start_with(&format!("{key}\njob_declarators = 1"), "").await;
    let (_, code) = ask(&bare, PROTOCOL_MINING, FLAGS).await;
    assert_eq!(code.as_deref(), Some("unsupported-feature-flags"), "the pool's own answer");
    let (_, code) = ask(&bare, PROTOCOL_JOB_DECLARATION, 1).await;
    assert_eq!(code.as_deref(), Some("unsupported-feature-flags"), "there is no jds_url");
    until("nothing is left of them", || bare.connected() == 0).await;
    bare.proxy.stop().await;
    bare.pool.shutdown().await;
}
