//! RELIABILITY row 30: few open files.

use std::process::Command;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, prlimit};

use crate::adit::Adit;
use crate::client::Client;

/// The line of `adit check` that says how many connections there may be, under a limit.
fn most_connections(limit: &str) -> u64 {
    let program = env!("CARGO_BIN_EXE_adit");
    let output = Command::new("sh")
        .args(["-c", &format!("{limit} exec {program} check")])
        .current_dir(std::env::temp_dir())
        .envs([("HOME", "/nonexistent"), ("XDG_CONFIG_HOME", "/nonexistent")])
        .envs([("ADIT__LISTENER__MAIN__LISTEN", "127.0.0.1:0"), ("ADIT__SOURCE__MAIN__INSECURE", "true")])
        .envs([
            ("ADIT__SOURCE__MAIN__URL", "stratum2+tcp://127.0.0.1:1"),
            ("ADIT__SOURCE__MAIN__USER_IDENTITY", "farm"),
        ])
        .envs([("ADIT__ROUTE__MAIN__LISTENERS", "main"), ("ADIT__ROUTE__MAIN__SOURCES", "main")])
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("max_connections = "));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| {
        panic!("no limit in {text}{}", String::from_utf8_lossy(&output.stderr));
    })
}

#[test]
fn connections_leave_a_reserve_and_the_soft_limit_is_raised_to_the_hard_one() {
    assert_eq!(most_connections("ulimit -n 256;"), 128, "half of them where there are few");
    assert_eq!(most_connections("ulimit -n 2000;"), 1_500);
    assert_eq!(most_connections("ulimit -S -n 256; ulimit -H -n 3000;"), 2_500);
}

#[test]
fn with_256_files_it_serves_128_miners_and_the_others_wait_outside() {
    let mut adit = Adit::start("setup = \"600s\"", "ulimit -n 256;");
    let miners: Vec<Client> = (0..200).map(|_| Client::connect(adit.miners(), "farm.many")).collect();
    adit.until("128 are served", |adit| adit.metric("adit_limit_used connections") == 128.0);
    assert!(adit.metric("adit_events_total accept_error") == 0.0, "no file was wanted that is not there");
    assert!(adit.metric("process_open_fds") < 256.0);
    drop(miners);
    let mut miner = Client::mining(adit.miners(), "farm.after");
    assert_eq!(miner.mine(), Some(true));
}

#[test]
fn without_a_free_file_accepting_waits_instead_of_spinning_and_goes_on_afterwards() {
    let mut adit = Adit::start("setup = \"600s\"", "");
    let mut miner = Client::mining(adit.miners(), "farm.first");
    // As if something else had used them up.
    let open = adit.count("process_open_fds");
    let few = Rlimit { current: Some(open), maximum: None };
    let before = prlimit(Some(adit.pid()), Resource::Nofile, few).or_else(|_| {
        let current = rustix::process::getrlimit(Resource::Nofile);
        prlimit(Some(adit.pid()), Resource::Nofile, Rlimit { current: Some(open), maximum: current.maximum })
    });
    let before = before.expect("its limit can be set");
    let began = Instant::now();
    let waiting: Vec<Client> = (0..20).map(|_| Client::connect(adit.miners(), "farm.waiting")).collect();
    adit.wait_for_log("cannot accept");
    for n in 0..500 {
        let taken = miner.mine();
        assert_eq!(taken, Some(true), "share {n}: who is there is served ({:?})", miner.refusals);
    }
    prlimit(Some(adit.pid()), Resource::Nofile, before).expect("its limit can be set");
    adit.until("all are served in the end", |adit| adit.metric("adit_limit_used connections") == 21.0);
    // Eight waits, each twice the one before, come to more than a second; then it is one a second.
    let errors = adit.metric("adit_events_total accept_error");
    // They begin anew after each file that was given back in between, as those of what asked for the metrics and of looks
    // at the memory.
    let most = 3.0 * 9.0 + began.elapsed().as_secs_f64();
    assert!((1.0..=most).contains(&errors), "{errors} errors, at most {most}");
    drop(waiting);
}
