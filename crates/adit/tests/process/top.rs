//! `adit top` in a terminal of its own.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::adit::Adit;
use crate::client::Client;

#[test]
fn sigterm_ends_it_and_gives_the_terminal_back() {
    let mut adit = Adit::start("", "");
    let mut miner = Client::mining(adit.miners(), "farm.rig");
    assert_eq!(miner.mine(), Some(true));
    let inside = format!(
        "stty rows 24 cols 100; stty -g > before; sh -c 'echo $$ > pid; exec {} top --url http://{}'; echo $? > code; stty -g > after",
        env!("CARGO_BIN_EXE_adit"),
        adit.http()
    );
    let mut child = Command::new("script")
        .args(["-q", "-c", &inside, "/dev/null"])
        .current_dir(adit.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is there, as on every Debian");
    let screen = Arc::new(Mutex::new(Vec::new()));
    let (mut stdout, copy) = (child.stdout.take().expect("a pipe"), Arc::clone(&screen));
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(got @ 1..) = stdout.read(&mut bytes) {
            copy.lock().expect("not poisoned").extend_from_slice(&bytes[..got]);
        }
    });
    let shown = || String::from_utf8_lossy(&screen.lock().expect("not poisoned")).into_owned();
    adit.until("it shows the worker", |_| shown().contains("farm.rig"));
    let pid = std::fs::read_to_string(adit.folder().join("pid")).expect("it was written");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
    kill_process(pid, Signal::TERM).expect("it runs");
    let open = child.stdin.take();
    adit.until("it ends", |_| child.try_wait().expect("it is ours").is_some());
    drop(open);
    reader.join().expect("no panic");
    let text = shown();
    let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("{what:?}: {text:?}"));
    assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"), "the screen before is there again");
    let file = |name: &str| std::fs::read_to_string(adit.folder().join(name)).expect(name);
    assert_eq!(file("before"), file("after"), "and its modes");
    assert!(file("before").contains(':'));
    assert_eq!(file("code").trim(), "0");
}
