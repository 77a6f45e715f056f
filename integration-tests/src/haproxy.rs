//! Debian's HAProxy with the configuration that Adit ships, `config/haproxy.cfg`, on free ports of loopback.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::Child;
use crate::http;
use crate::proxy::Adit;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running HAProxy in front of two Adits.
#[derive(Debug)]
pub struct Haproxy {
    miners: u16,
    _child: Child,
}

impl Haproxy {
    /// Starts it and waits until it takes connections.
    ///
    /// # Panics
    /// When it is not installed, or the shipped configuration does not have the addresses that are replaced here.
    #[must_use]
    pub fn start(folder: &Path, adits: [&Adit; 2]) -> Self {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/haproxy.cfg");
        let mut text = std::fs::read_to_string(shipped).expect("config/haproxy.cfg is there");
        let miners = http::free_port();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "config/haproxy.cfg has no {from:?}");
            text = text.replace(from, to);
        };
        replace("bind :3333", &format!("bind 127.0.0.1:{miners}"));
        for (adit, address) in adits.into_iter().zip(["192.0.2.11", "192.0.2.12"]) {
            let server = format!("127.0.0.1:{} check port {}", adit.port(), adit.http_port());
            replace(&format!("{address}:3333 check port 23480"), &server);
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).expect("the test's folder can be written");
        // Not everybody's PATH has what only root uses as a rule.
        let program = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]
            .into_iter()
            .find(|path| Path::new(path).is_file());
        let program = program.expect("haproxy is missing: `integration-tests/run` installs it");
        // In the foreground, in one process.
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file);
        let mut child = Child::start("haproxy", &mut command, &folder.join("haproxy.log"));
        child.wait_until("it takes connections", PATIENCE, |_| {
            std::net::TcpStream::connect(("127.0.0.1", miners)).ok()
        });
        Self { miners, _child: child }
    }

    /// Where miners connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.miners
    }
}
