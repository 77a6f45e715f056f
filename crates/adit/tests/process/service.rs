//! What a service manager is told, and ports that it has opened.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use lab::dev_pool::DevPoolOptions;
use rustix::process::Signal;

use crate::adit::{Adit, PATIENCE};
use crate::client::Client;

fn settings(listen: &str, pool: &str) -> String {
    format!(
        "version = 1\n[listener.main]\nlisten = \"{listen}\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\nvardiff = false\n\
         [source.pool]\nurl = \"{pool}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
         [route.main]\nlisteners = [\"main\"]\nsources = [\"pool\"]\n[http]\nlisten = \"127.0.0.1:0\"\n"
    )
}

/// What stands in for the service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn start() -> Self {
        let path = std::env::temp_dir().join(format!(
            "adit-notify-{}-{:x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, path }
    }

    /// The next message that has this line; all of it.
    fn wait_for(&self, line: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            let mut bytes = [0; 4096];
            let got =
                self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{line}: {error}; {heard:?}"));
            let text = std::str::from_utf8(&bytes[..got]).expect("text");
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.iter().any(|one| one == line) {
                return lines;
            }
            heard.push(lines);
        }
        panic!("{line} has not come: {heard:?}");
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn the_service_manager_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let manager = Manager::start();
    // Every part has five seconds to answer: a busy machine is not one that hangs.
    let shell =
        format!("export NOTIFY_SOCKET={} WATCHDOG_USEC=10000000 WATCHDOG_PID=$$;", manager.path.display());
    let mut adit = Adit::start_with(1, &shell, |pools| settings("127.0.0.1:0", &pools[0]));
    let ready = manager.wait_for("READY=1");
    assert!(
        ready.iter().any(|line| line.starts_with("STATUS=") && line.ends_with("; main: pool")),
        "{ready:?}"
    );
    // Twice: it goes on.
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    let mut miner = Client::mining(adit.miners(), "farm.one");
    assert_eq!(miner.mine(), Some(true));

    for good in [true, false] {
        if !good {
            adit.write("version = 2");
        }
        adit.signal(Signal::HUP);
        let reloading = manager.wait_for("RELOADING=1");
        let since = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(since.is_some_and(|since| since.parse::<u64>().is_ok()), "{reloading:?}");
        manager.wait_for("READY=1");
    }
    manager.wait_for("WATCHDOG=1");
    adit.signal(Signal::TERM);
    let stopping = manager.wait_for("STOPPING=1");
    assert!(stopping.iter().any(|line| line.starts_with("STATUS=stopping")), "{stopping:?}");
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
    assert!(!adit.log().contains("does not answer"), "{}", adit.log());
}

#[test]
fn without_a_pool_the_service_manager_is_told_after_a_while_that_it_is_ready_all_the_same() {
    let manager = Manager::start();
    let shell = format!("export NOTIFY_SOCKET={};", manager.path.display());
    let began = Instant::now();
    let mut adit = Adit::start_without_work(&shell, |_| {
        settings(
            "127.0.0.1:0",
            "stratum2+tcp://127.0.0.1:1/9bGBU8kQmhxVgkB8FENf6brbbJ1pdw6Bjw79EmTUiv99YZ7Zhuz",
        )
    });
    let ready = manager.wait_for("READY=1");
    assert!(began.elapsed().as_secs() >= 19, "only when it was waited for: {:?}", began.elapsed());
    assert!(ready.iter().any(|line| line.contains("; main: no work")), "{ready:?}");
    adit.wait_for_log("ready all the same");
}

#[test]
fn a_port_that_the_service_manager_has_opened_is_used_and_nobody_is_refused_over_a_restart() {
    // Ours, as the service manager's: it stays open whatever becomes of Adit.
    let ours = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = ours.local_addr().expect("bound");
    let given = || Stdio::from(OwnedFd::from(ours.try_clone().expect("once more")));
    let shell = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_FDNAMES=main LISTEN_PID=$$;";
    // The configuration names a port that could not be had.
    let mut adit = Adit::start_given(vec![DevPoolOptions::default()], given(), shell, |pools| {
        settings(&address.to_string(), &pools[0])
    });
    assert_eq!(adit.miners(), address);
    let mut miner = Client::mining(address, "farm.one");
    assert_eq!(miner.mine(), Some(true));

    adit.signal(Signal::TERM);
    miner.read_to_end();
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
    // Nobody runs: whoever comes waits, and is not refused.
    let waiting = std::thread::spawn(move || Client::mining(address, "farm.one"));
    let early = std::net::TcpStream::connect(address).expect("nobody is refused");
    adit.start_again_given(given(), shell);
    let mut miner = waiting.join().expect("it is served");
    assert_eq!(miner.mine(), Some(true));
    drop(early);
}
