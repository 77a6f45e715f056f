//! The load generator against the bare server, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use lab::bare_server::{BareServer, BareServerControl, BareServerOptions};
use lab::load::{LoadError, Mode, Options, Report, run};

/// A bare server on its own runtime.
fn serve(options: BareServerOptions) -> (SocketAddr, BareServerControl, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let server = {
        let _inside = runtime.enter();
        BareServer::bind(([127, 0, 0, 1], 0).into(), options).expect("it binds")
    };
    let (address, control) = (server.local_addr().expect("it is bound"), server.control());
    runtime.spawn(server.run(std::future::pending()));
    (address, control, runtime)
}

fn go(options: Options) -> Result<Report, LoadError> {
    run(options, Arc::new(AtomicBool::new(false)))
}

#[test]
fn two_thousand_miners_get_work_and_every_share_is_answered() {
    let (address, control, _runtime) = serve(BareServerOptions::default());
    let mut options = Options::new(address.into(), 2_000, 4_000.0);
    options.duration = Duration::from_secs(2);
    options.threads = 2;
    let (jobs, over) = (control, Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&over);
    let tips = std::thread::spawn(move || {
        // Some meet the set-up, however long that takes, some the shares.
        while !ended.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(500));
            jobs.new_job();
        }
    });
    let report = go(options).unwrap();
    over.store(true, Relaxed);
    tips.join().unwrap();
    assert_eq!((report.connect.with_work, report.connect.failed), (2_000, 0), "{report:?}");
    assert_eq!(report.connect.first_job_ms.count, 2_000);
    assert_eq!(report.shares.due, 8_000);
    assert_eq!(report.shares.submitted + report.shares.not_sent, 8_000);
    let rejected: u64 = report.shares.rejected.values().sum();
    assert_eq!(report.shares.accepted + rejected + report.shares.unanswered, report.shares.submitted);
    // Only shares that were on their way while the job changed.
    assert!(report.shares.rejected.keys().all(|reason| reason == "21 Job not found"), "{report:?}");
    assert!(report.shares.accepted > 0, "{report:?}");
    assert_eq!(report.shares.latency_ms.count, report.shares.accepted + rejected);
    assert!(!report.fanouts.is_empty());
    for fanout in &report.fanouts {
        // A connection that is behind gets the newest job only.
        assert!((1..=2_000).contains(&fanout.receivers), "{fanout:?}");
        assert!(fanout.p50_ms <= fanout.p99_ms && fanout.p99_ms <= fanout.last_ms);
    }
    assert!(report.own.cpu_running_seconds > 0.0);
}

#[test]
fn few_miners_send_many_shares_each() {
    let (address, _control, _runtime) = serve(BareServerOptions::default());
    let mut options = Options::new(address.into(), 3, 9_000.0);
    options.duration = Duration::from_secs(1);
    options.version_rolling = true;
    let report = go(options).unwrap();
    // What a machine that stood still at the end has not sent was not answered either.
    assert_eq!((report.shares.due, report.shares.unanswered), (9_000, 0), "{report:?}");
    assert_eq!(report.shares.accepted + report.shares.not_sent, 9_000, "{report:?}");
    assert!(report.shares.accepted > 0, "{report:?}");
    assert!(report.shares.rejected.is_empty());
}

#[test]
fn a_flood_does_not_hide_the_others() {
    let (address, _control, _runtime) = serve(BareServerOptions::default());
    let mut options = Options::new(address.into(), 20, 100.0);
    options.mode = Mode::Flood;
    options.duration = Duration::from_secs(5);
    let report = go(options).unwrap();
    let flood = report.flood.unwrap();
    assert!(flood.accepted > 1_000, "{flood:?}");
    assert_eq!(flood.submitted, flood.accepted + flood.unanswered);
    assert_eq!((report.shares.due, report.shares.accepted + report.shares.not_sent), (500, 500));
    assert!(report.shares.accepted > 0, "the others have their turn");
}

#[test]
fn idle_connections_are_held_and_hear_of_jobs() {
    let (address, control, _runtime) = serve(BareServerOptions { difficulty: 1e9, ..Default::default() });
    let mut options = Options::new(address.into(), 50, 0.0);
    options.mode = Mode::Idle;
    options.settle = Duration::ZERO;
    options.duration = Duration::from_secs(8);
    let jobs = std::thread::spawn(move || {
        // All have been sent their first job; a second later they have it.
        while control.stats().notifies < 50 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_secs(1));
        control.new_job()
    });
    let report = go(options).unwrap();
    let published = jobs.join().unwrap();
    assert_eq!((report.connect.with_work, report.shares.submitted), (50, 0));
    assert_eq!(report.fanouts.len(), 1);
    assert_eq!(report.fanouts[0].receivers, 50);
    assert!(report.fanouts[0].first_unix >= published);
    assert!(report.fanouts[0].last_unix < published + 8.0);
}

#[test]
fn all_come_back_after_each_storm_and_then_bring_their_shares() {
    let (address, _control, _runtime) = serve(BareServerOptions::default());
    let mut options = Options::new(address.into(), 300, 300.0);
    (options.storms, options.threads) = (3, 2);
    options.connect_over = Duration::from_millis(200);
    options.duration = Duration::from_secs(1);
    let report = go(options).unwrap();
    assert_eq!((report.connect.with_work, report.connect.failed), (300, 0), "{report:?}");
    assert_eq!(report.storms.len(), 3);
    for storm in &report.storms {
        assert_eq!((storm.with_work, storm.failed, storm.first_job_ms.count), (300, 0, 300), "{storm:?}");
        assert!(storm.seconds_to_all >= 0.19, "{storm:?}");
    }
    assert_eq!((report.connect.closed_later, report.shares.accepted + report.shares.not_sent), (0, 300));
    assert!(report.shares.accepted > 0, "{report:?}");
}

#[test]
fn what_cannot_work_is_said_so() {
    let (address, _control, _runtime) = serve(BareServerOptions { difficulty: 1.0, ..Default::default() });
    let error = go(Options::new(address.into(), 5, 10.0)).unwrap_err();
    assert!(matches!(error, LoadError::TooHard { difficulty: 1.0, .. }), "{error}");

    // A port that was free a moment ago, on an address that nobody else uses.
    let free = std::net::TcpListener::bind("127.77.2.1:0").unwrap().local_addr().unwrap();
    let error = go(Options::new(free.into(), 5, 10.0)).unwrap_err();
    assert!(matches!(error, LoadError::NoWork { miners: 5, .. }), "{error}");

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = Options::new(silent.local_addr().unwrap().into(), 5, 10.0);
    options.connect_timeout = Duration::from_millis(100);
    let error = go(options).unwrap_err();
    assert!(error.to_string().contains("no job in time"), "{error}");
}

#[test]
fn a_run_can_be_ended_early() {
    let (address, _control, _runtime) = serve(BareServerOptions::default());
    let mut options = Options::new(address.into(), 5, 10.0);
    options.duration = Duration::from_secs(3_600);
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_200));
        stopper.store(true, Relaxed);
    });
    let report = run(options, stop).unwrap();
    assert!(report.seconds < 3_000.0);
}

/// A development pool on its own runtime.
fn pool() -> (lab::dev_pool::DevPool, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut options = lab::dev_pool::DevPoolOptions::default();
    // No share is a block.
    options.chain.nbits = 0x1d00_ffff;
    let bound = lab::dev_pool::DevPool::bind(
        ([127, 0, 0, 1], 0).into(),
        options,
        lab::dev_pool::DevPoolKeys::random(),
    );
    let pool = runtime.block_on(bound).expect("it binds");
    (pool, runtime)
}

#[test]
fn sv2_miners_with_extended_and_standard_channels_get_work_and_every_share_is_answered() {
    for standard in [false, true] {
        let (pool, _runtime) = pool();
        let mut options = Options::new(pool.local_addr().into(), 200, 400.0);
        options.storms = 1;
        options.sv2 = Some(lab::load::Sv2Options { authority: Some(pool.authority_public_key()), standard });
        options.duration = Duration::from_secs(5);
        let report = std::thread::spawn(move || go(options));
        std::thread::sleep(Duration::from_millis(1_500));
        pool.new_tip();
        let report = report.join().expect("no panic").expect("a report");
        assert_eq!((report.connect.with_work, report.connect.failed), (200, 0), "{report:?}");
        assert_eq!((report.storms[0].with_work, report.storms[0].failed), (200, 0), "{report:?}");
        assert_eq!(report.shares.due, 2_000);
        assert_eq!(report.shares.submitted + report.shares.not_sent, 2_000);
        let rejected: u64 = report.shares.rejected.values().sum();
        assert!(report.shares.rejected.keys().all(|reason| reason == "stale-share"), "{report:?}");
        assert_eq!(report.shares.accepted + rejected + report.shares.unanswered, report.shares.submitted);
        assert!(report.shares.accepted > 1_000, "{report:?}");
        // Another key is nobody's.
        let mut options = Options::new(pool.local_addr().into(), 1, 1.0);
        let other = lab::dev_pool::DevPoolKeys::random().authority.public();
        options.sv2 = Some(lab::load::Sv2Options { authority: Some(other), standard });
        assert!(matches!(go(options), Err(LoadError::NoWork { .. })));
    }
}
