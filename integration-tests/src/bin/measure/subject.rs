//! Who is measured.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use integration_tests::child::Child;
use integration_tests::pool::Pool;
use integration_tests::proxy::{Adit, Settings, authority};
use integration_tests::translator::Translator;
use integration_tests::{http, peers};
use lab::load::Sv2Options;

use crate::world::World;

/// Lines of Adit's listener that make every share as easy as that.
pub(crate) const EASY: &str = "difficulty_start = 1e-9\ndifficulty_min = 1e-9\nvardiff = false\n";
/// Hashes that a share takes on average, everywhere: difficulty 10^-9.
pub(crate) const HASHES_A_SHARE: f64 = 4.295;
/// Shares a minute that the translator's miners are said to bring each.
pub(crate) const TRANSLATOR_SHARES: f64 = 3_600.0;
/// How long the bare server may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only reads a line, hashes one share and answers, and wakes its connections for a job: this machine's floor.
    Bare,
    /// Adit, all miners on one channel.
    Adit,
    /// Adit, a channel for each miner.
    AditPerMiner,
    /// Adit, all miners on one channel upstream; they speak SV2, each with an extended channel of its own connection.
    AditSv2,
    /// The same with standard channels.
    AditSv2Standard,
    /// The reference translator, all miners on one channel.
    Translator,
    /// The reference translator, a channel for each miner.
    TranslatorPerMiner,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Bare,
        Self::Adit,
        Self::AditPerMiner,
        Self::AditSv2,
        Self::AditSv2Standard,
        Self::Translator,
        Self::TranslatorPerMiner,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Adit => "adit",
            Self::AditPerMiner => "adit-per-miner",
            Self::AditSv2 => "adit-sv2",
            Self::AditSv2Standard => "adit-sv2-standard",
            Self::Translator => "translator",
            Self::TranslatorPerMiner => "translator-per-miner",
        }
    }

    /// Its jobs come from the node.
    pub(crate) fn is_proxy(self) -> bool {
        self != Self::Bare
    }

    pub(crate) fn is_adit(self) -> bool {
        matches!(self, Self::Adit | Self::AditPerMiner | Self::AditSv2 | Self::AditSv2Standard)
    }

    /// Its miners speak SV2.
    pub(crate) fn sv2(self) -> Option<Sv2Options> {
        let standard = match self {
            Self::AditSv2 => false,
            Self::AditSv2Standard => true,
            _ => return None,
        };
        Some(Sv2Options { authority: Some(authority().public()), standard })
    }
}

/// One of them, running; ended when it is dropped.
pub(crate) enum Subject {
    Bare { port: u16, child: Child },
    Adit(Adit),
    Translator(Translator),
}

impl Subject {
    /// Starts one in front of `pool`, and waits until it has work.
    pub(crate) fn start(kind: Kind, world: &World, pool: &Pool) -> Self {
        Self::start_with(kind, world, pool, "")
    }

    /// The same; Adit's listener gets these further lines.
    pub(crate) fn start_with(kind: Kind, world: &World, pool: &Pool, listener: &str) -> Self {
        let folder = world.folder.path();
        match kind {
            Kind::Bare => {
                let port = http::free_port();
                let mut command = Command::new(bare_server());
                command.args(["--listen", &format!("127.0.0.1:{port}"), "--notify-every", "4"]);
                let mut child = Child::start("bare", &mut command, &folder.join("bare.log"));
                child.wait_until("it listens", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).ok());
                Self::Bare { port, child }
            }
            Kind::Adit | Kind::AditPerMiner | Kind::AditSv2 | Kind::AditSv2Standard => {
                let channels = if kind == Kind::AditPerMiner { "1" } else { "\"all\"" };
                let channels = format!("miners_per_channel = {channels}\n");
                let settings = Settings::default().listener(EASY).listener(listener);
                let settings = if kind.sv2().is_some() { settings.sv2_miners() } else { settings };
                let settings = settings.source("pool", &pool.url(), &channels);
                Self::Adit(Adit::start_ready(folder, &settings))
            }
            Kind::Translator | Kind::TranslatorPerMiner => {
                let aggregate = kind == Kind::Translator;
                let hashrate = HASHES_A_SHARE * TRANSLATOR_SHARES / 60.0;
                Self::Translator(Translator::start(folder, pool, aggregate, hashrate, TRANSLATOR_SHARES))
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Bare { port, .. } => *port,
            Self::Adit(adit) => adit.port(),
            Self::Translator(translator) => translator.port(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Bare { child, .. } => child.id(),
            Self::Adit(adit) => adit.id(),
            Self::Translator(translator) => translator.id(),
        }
    }

    /// Shares that Adit has sent on.
    pub(crate) fn forwarded(&self) -> Option<u64> {
        match self {
            Self::Adit(adit) => Some(adit.books().forwarded),
            _ => None,
        }
    }

    /// How long jobs took through Adit, from the pool's frame to the last miner: the mean, milliseconds.
    pub(crate) fn fanout(&self) -> Option<f64> {
        let Self::Adit(adit) = self else { return None };
        let sum = adit.metric("adit_job_fanout_last_seconds_sum", &[]);
        let count = adit.metric("adit_job_fanout_last_seconds_count", &[]);
        (count > 0.0).then(|| sum / count * 1e3)
    }

    /// Adit's own word on the shares.
    pub(crate) fn books(&self) -> Option<String> {
        match self {
            Self::Adit(adit) => Some(adit.books().to_string()),
            _ => None,
        }
    }
}

/// Beside Adit, as cargo puts examples.
fn bare_server() -> std::path::PathBuf {
    let path = std::env::var_os("ADIT_BARE_SERVER").map_or_else(
        || peers::adit().with_file_name("examples").join("bare_server"),
        std::path::PathBuf::from,
    );
    assert!(path.is_file(), "{} is missing: integration-tests/measure builds it", path.display());
    path
}
