//! The load generator, `adit load`, as a process of its own.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::peers;
use crate::proxy::Adit;

/// A load generator at work. Killed, by its own id, when it is dropped.
#[derive(Debug)]
pub struct Load(Option<Child>);

/// Puts load on an Adit by the released program: `adit load` with these further arguments; each miner asks for
/// difficulty 10^-8, and is given that or the least that the listener allows.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn start(adit: &Adit, args: &[&str]) -> Load {
    let mut command = Command::new(peers::adit());
    command.arg("load").arg(format!("stratum+tcp://127.0.0.1:{}", adit.port()));
    command.args([
        "--json",
        "--password",
        "d=1e-8",
        "--user",
        "farm.load",
        "--observe-pid",
        &adit.id().to_string(),
    ]);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Load(Some(command.spawn().unwrap_or_else(|error| panic!("adit load cannot be started: {error}"))))
}

/// The same, to its end; gives the report.
///
/// # Panics
/// As [`start`] and [`Load::report`].
#[must_use]
pub fn run(adit: &Adit, args: &[&str]) -> Value {
    start(adit, args).report()
}

impl Load {
    /// Waits for its end, which its arguments say; gives its report.
    ///
    /// # Panics
    /// When the load did not run.
    #[must_use]
    pub fn report(mut self) -> Value {
        let child = self.0.take().expect("it is reported once");
        let output = child.wait_with_output().expect("an own child can be waited for");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "adit load: {}: {said}", output.status);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("a report in JSON: {error}: {said}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
