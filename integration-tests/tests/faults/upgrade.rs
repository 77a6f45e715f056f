//! A new version takes the place of the old one while 500 miners are connected and two hash: nobody is refused.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::http::free_port;
use integration_tests::miners::CpuMiner;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::wanderers::{Wanderers, Way};
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, NOMINAL};

/// Those that watch, and come back half a second after they were closed.
const MINERS: usize = 500;

/// Connects again and again, and counts who is refused.
struct Door {
    tried: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn watch(port: u16) -> Self {
        let (tried, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let end = Arc::new(AtomicBool::new(false));
        let (t, r, e) = (Arc::clone(&tried), Arc::clone(&refused), Arc::clone(&end));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let thread = std::thread::spawn(move || {
            while !e.load(SeqCst) {
                match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => r.fetch_add(1, SeqCst),
                    _ => t.fetch_add(1, SeqCst),
                };
                // Not to use all ports of the machine up.
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        Self { tried, refused, end, thread: Some(thread) }
    }

    /// How many were let in, or waited, and how many were refused.
    fn close(mut self) -> (u64, u64) {
        self.end.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
        (self.tried.load(SeqCst), self.refused.load(SeqCst))
    }
}

/// What is the same in each of these tests: miners on an Adit, before.
struct World {
    miners: Wanderers,
    hashing: Vec<CpuMiner>,
    door: Door,
}

impl World {
    fn on(adit: &Adit) -> Self {
        let port = adit.port();
        let way = Way { port, apart: Duration::ZERO, tls: None };
        let miners = Wanderers::start(&way, MINERS, Duration::from_secs(2));
        let hashing = (0..2).map(|n| CpuMiner::start(port, &format!("farm.hashes{n}"), 100_000.0)).collect();
        wait::until_so("all have work", PATIENCE, || miners.with_work() == MINERS);
        adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 20);
        Self { miners, hashing, door: Door::watch(port) }
    }

    /// The old one has ended and the new one has everybody. What there is to say.
    fn after(self, mut old: Adit, mut new: Adit) -> String {
        let status = old.wait_end(PATIENCE);
        assert!(status.success(), "{status}: {}", old.log());
        let last = old.log();
        let last =
            last.lines().rev().find(|line| line.contains("stopped")).unwrap_or_else(|| panic!("{last}"));
        assert!(last.contains("pending=0") && last.contains("unknown=0"), "all is settled: {last}");
        new.wait_ready();
        wait::until_so("everybody is back", PATIENCE, || {
            self.miners.with_work() == MINERS && self.miners.outages().len() >= MINERS
        });
        new.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 20);
        let outages = self.miners.outages();
        assert_eq!(outages.len(), MINERS, "each was closed once");
        assert_eq!(self.miners.refused(), 0, "nobody was refused");
        let (tried, refused) = self.door.close();
        assert_eq!(refused, 0, "nobody was refused, of {tried} who tried");
        assert!(tried > 0);
        drop(self.miners);
        let books = new.settled_after(self.hashing);
        new.stop();
        let at = |part: usize| outages[(outages.len() - 1) * part / 100];
        format!(
            "{MINERS} miners, {tried} other connections meanwhile, 0 refused; without work, the half second that they wait \
             themselves included: median {:?}, 99 % {:?}, longest {:?}; the old one {}; the new one {books}",
            at(50),
            at(99),
            at(100),
            &last[last.find("submitted").unwrap_or(0)..],
        )
    }
}

/// A listener that takes silent miners for small ones: its pool is told of all that they may bring, and wants shares as hard.
fn small_miners() -> Settings {
    let listener = "difficulty_min = 1e-7\ndifficulty_start = 1e-7\nshares_per_minute = 600\n".to_owned();
    Settings { listener, ..Settings::default() }
}

/// An Adit that another can take over from.
fn settings(folder: &Folder, pool: &DevPool) -> Settings {
    let mut settings = small_miners().source("pool", &pool.url(), NOMINAL);
    settings.tables = format!("[state]\nhandover_socket = {:?}\n", folder.path().join("handover"));
    settings
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn an_upgrade_by_handing_the_ports_over_refuses_nobody() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &FAST);
    let settings = settings(&folder, &pool);
    let mut old = Adit::start_ready(folder.path(), &settings);
    let world = World::on(&old);

    // A new version that does not come up, after it was given the ports.
    let unfit =
        settings.clone().listener("certificate_file = \"/nowhere\"\nprivate_key_file = \"/nowhere\"\n");
    let mut failed = old.successor(&unfit, "failed.log");
    let status = failed.wait_end(PATIENCE);
    assert!(!status.success(), "{status}");
    wait::until_so("the old one is told so", PATIENCE, || old.log().contains("everything stays as it is"));
    assert!(old.lives());
    assert_eq!((world.miners.with_work(), world.miners.outages().len()), (MINERS, 0), "nobody noticed");

    let new = old.successor(&settings, "new.log");
    promise::figure("29", &format!("upgrade by handing the ports over: {}", world.after(old, new)));
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn an_upgrade_of_what_counts_work_waits_for_the_old_one_and_counts_on() {
    let folder = Folder::new();
    let (pool, rest) =
        (DevPool::start("pool", folder.path(), &FAST), DevPool::start("rest", folder.path(), &FAST));
    let mut settings = settings(&folder, &pool).source("rest", &rest.url(), NOMINAL);
    settings.tables.push_str(&format!("directory = {:?}\n", folder.path().join("state")));
    settings.tables.push_str(
        "[goal.lent]\nroute = \"main\"\nsources = [\"pool\"]\nweight = 10\nwork_max = \"1 PH/s for 24h\"\n\
         [goal.rest]\nroute = \"main\"\nsources = [\"rest\"]\n",
    );
    let old = Adit::start_ready(folder.path(), &settings);
    let world = World::on(&old);
    let new = old.successor(&settings, "new.log");
    let log = folder.path().join("new.log");
    let said = world.after(old, new);
    let log = std::fs::read_to_string(log).expect("it has logged");
    assert!(log.contains("work counted so far"), "it counts on: {log}");
    assert!(!log.contains("was killed"), "what the old one had counted is exact: {log}");
    promise::figure("29", &format!("upgrade of an Adit that holds the state directory: {said}"));
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_restart_on_ports_of_the_service_manager_refuses_nobody() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &FAST);
    let settings = small_miners().source("pool", &pool.url(), NOMINAL);
    let port = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let http = free_port();
    let mut old = Adit::start_on(folder.path(), &settings, &port, http, "adit.log");
    old.wait_ready();
    let world = World::on(&old);
    // As `systemctl restart` does.
    old.signal("TERM");
    let status = old.wait_end(PATIENCE);
    assert!(status.success(), "{status}");
    let new = Adit::start_on(folder.path(), &settings, &port, http, "new.log");
    promise::figure("29", &format!("restart on ports of the service manager: {}", world.after(old, new)));
}
