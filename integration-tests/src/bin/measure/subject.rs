//! Who is measured.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use integration_tests::child::Child;
use integration_tests::jd_client::{JdClient, JdClientSettings};
use integration_tests::pool::Pool;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::translator::Translator;
use integration_tests::{http, peers, wait};

use crate::world::World;

/// Hashes that a share takes on average, everywhere: difficulty 10^-9.
const HASHES_A_SHARE: f64 = 4.295;
/// Shares a minute that the translator's miners are said to bring each.
const TRANSLATOR_SHARES: f64 = 3_600.0;
/// How long the bare server may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long Adit may take until its first declared job is acknowledged.
const DECLARES: Duration = Duration::from_secs(60);

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only reads a line, hashes one share and answers, and wakes its connections for a job: this machine's floor.
    Bare,
    /// Adit, all miners on one channel.
    Adit,
    /// Adit, a channel for each miner.
    AditPerMiner,
    /// The reference translator, all miners on one channel.
    Translator,
    /// The reference translator, a channel for each miner.
    TranslatorPerMiner,
    /// Adit that declares the node's templates to the pool.
    AditDeclared,
    /// The reference job declarator client, the reference translator in front of it.
    JdClient,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Bare, Self::Adit, Self::AditPerMiner, Self::Translator, Self::TranslatorPerMiner];

    /// Those whose jobs are declared: they have a round of their own.
    pub(crate) const DECLARING: [Self; 2] = [Self::AditDeclared, Self::JdClient];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Adit => "adit",
            Self::AditPerMiner => "adit-per-miner",
            Self::Translator => "translator",
            Self::TranslatorPerMiner => "translator-per-miner",
            Self::AditDeclared => "adit-declared",
            Self::JdClient => "jd-client",
        }
    }

    /// Its jobs come from the node.
    pub(crate) fn is_proxy(self) -> bool {
        self != Self::Bare
    }

    pub(crate) fn is_adit(self) -> bool {
        matches!(self, Self::Adit | Self::AditPerMiner | Self::AditDeclared)
    }
}

/// One of them, running; ended when it is dropped.
pub(crate) enum Subject {
    Bare {
        port: u16,
        child: Child,
    },
    Adit(Adit),
    Translator(Translator),
    /// The translator is the one that miners see; it ends before what it stands on.
    Chained(Translator, #[expect(dead_code, reason = "it runs until it is dropped")] JdClient),
}

impl Subject {
    /// Starts one in front of `pool`, and waits until it has work.
    pub(crate) fn start(kind: Kind, world: &World, pool: &Pool) -> Self {
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
            Kind::Adit | Kind::AditPerMiner => {
                let channels = if kind == Kind::Adit { "\"all\"" } else { "1" };
                let settings = Settings::default()
                    .listener("difficulty_start = 1e-9\ndifficulty_min = 1e-9\nvardiff = false\n")
                    .source("pool", &pool.url(), &format!("miners_per_channel = {channels}\n"));
                Self::Adit(Adit::start_ready(folder, &settings))
            }
            Kind::Translator | Kind::TranslatorPerMiner => {
                let aggregate = kind == Kind::Translator;
                let hashrate = HASHES_A_SHARE * TRANSLATOR_SHARES / 60.0;
                Self::Translator(Translator::start(folder, pool, aggregate, hashrate, TRANSLATOR_SHARES))
            }
            Kind::AditDeclared => {
                let settings = Settings::default()
                    .listener("difficulty_start = 1e-9\ndifficulty_min = 1e-9\nvardiff = false\n")
                    .source("pool", &pool.url(), "miners_per_channel = \"all\"\n")
                    .templates_by_ipc("node", &world.node)
                    .declared("own", "pool", &pool.jds_url(), &["node"], folder, "");
                let adit = Adit::start_ready(folder, &settings);
                wait::until("Adit mines on its declared jobs", DECLARES, || {
                    (adit.active().as_deref() == Some("own")).then_some(())
                });
                Self::Adit(adit)
            }
            Kind::JdClient => {
                let hashrate = HASHES_A_SHARE * TRANSLATOR_SHARES / 60.0;
                let settings = JdClientSettings {
                    shares_per_minute: TRANSLATOR_SHARES,
                    log: "warn",
                    ..JdClientSettings::declaring_to(pool)
                };
                let client = JdClient::start(folder, &world.node, &settings);
                let translator = Translator::start_behind(folder, &client, hashrate, TRANSLATOR_SHARES);
                Self::Chained(translator, client)
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Bare { port, .. } => *port,
            Self::Adit(adit) => adit.port(),
            Self::Translator(translator) | Self::Chained(translator, _) => translator.port(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Bare { child, .. } => child.id(),
            Self::Adit(adit) => adit.id(),
            Self::Translator(translator) | Self::Chained(translator, _) => translator.id(),
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
