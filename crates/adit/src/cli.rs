//! The command line.

mod receipts;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::sv1_miner::ServerAddress;

use crate::config::{UnixTime, is_host_and_port, parse_duration};
use crate::report::By;
pub use receipts::{
    CountersignArgs, LeaseArgs, LeaseCommand, MakeReceiptArgs, MakeTermsArgs, MergeArgs, ReceiptArgs,
    ReceiptCommand, ReceiptNetwork, ShowReceiptArgs, ShowTermsArgs, SignTermsArgs, SubjectArgs, TermsCommand,
    VerifyArgs,
};

/// A Stratum V2 proxy: verifies every share, aggregates miners into encrypted channels, never drops a miner.
#[derive(Debug, Parser)]
#[command(name = "adit", version, about, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What Adit can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy.
    Run(RunArgs),
    /// See it work: an embedded pool, the proxy and CPU miners, for half a minute, with the live page.
    Demo(DemoArgs),
    /// Check a configuration and show what it comes to.
    Check(CheckArgs),
    /// Show what is known of miners' firmware: by which user agent it goes, and what it cannot do.
    Profiles(ProfilesArgs),
    /// Make an authority key pair, or a key that signs receipts; or show the public key of a secret one.
    Keys(KeysArgs),
    /// Run the embedded development pool by itself, on a chain of its own or a node's.
    Pool(PoolArgs),
    /// Mine on a server with this machine's CPU, by Stratum V1 or V2.
    Miner(MinerArgs),
    /// Measure a server with many miners.
    Load(LoadArgs),
    /// Watch a running Adit in the terminal.
    Top(TopArgs),
    /// Add up the ledger: shares, work, hashrate, what it was worth, and what each pool acknowledged of it.
    Report(ReportArgs),
    /// Terms of lent hashrate: make, sign and show them.
    Lease(LeaseArgs),
    /// Receipts: delivered hashrate that a stranger can verify. Make, show, verify and merge them.
    Receipt(ReceiptArgs),
    /// Ask a running Adit how it is: exit status 0 when it is well.
    Health(HealthArgs),
    /// Write a script that completes this command line in a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages.
    Man(ManArgs),
}

/// For `adit health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where its configuration is, which says where it serves HTTP.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Ask there instead.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "config")]
    pub address: Option<SocketAddr>,
    /// Ask whether it has work for miners, too (`/readyz` instead of `/healthz`).
    #[arg(long)]
    pub ready: bool,
    /// Seconds that an answer may take.
    #[arg(long, default_value_t = 5.0, value_parser = timeout)]
    pub timeout: f64,
}

/// For `adit completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// For `adit man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this directory, instead of the first one to standard output.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `adit check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Connect to each pool and show what it offers, and which listeners fit.
    #[arg(long)]
    pub probe: bool,
}

/// `adit report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The ledger's directory; without it the configuration's. It may be one that is being written.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub ledger: Option<PathBuf>,
    /// The beginning: a moment such as 2026-12-01T22:00Z or 2026-12-01, or so long ago, such as 36h or 7d. Without it
    /// a day before the end.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Moment>,
    /// The end, likewise; without it now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<Moment>,
    /// A line for each of these.
    #[arg(long, value_name = "WHAT")]
    pub by: Option<By>,
    /// Show what this receipt proves beside what was delivered and acknowledged; may be repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    pub receipt: Vec<PathBuf>,
    /// Comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// JSON.
    #[arg(long)]
    pub json: bool,
}

/// A moment, by itself or by how long ago it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Unix milliseconds.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
}

impl Moment {
    /// In Unix milliseconds.
    #[must_use]
    pub fn before(self, now_ms: u64) -> u64 {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now_ms.saturating_sub(ago),
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Some(at) = UnixTime::parse(text) {
        return Ok(Moment::At(at.0.saturating_mul(1_000)));
    }
    let ago = parse_duration(text).map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
    ago.map(Moment::Ago).ok_or_else(|| {
        "expected a moment such as 2026-12-01T22:00Z or 2026-12-01, or so long ago, such as 36h or 7d"
            .to_owned()
    })
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration; without it adit.toml is looked for in the usual places.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// For `adit run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Mine for an embedded pool on this machine instead of a real one: for trying things out.
    #[arg(long, conflicts_with = "config")]
    pub dev: bool,
    /// Take over from the Adit that runs with this configuration (its `handover_socket` in `[state]`), without a refused
    /// connection. Where none runs, it is an ordinary start.
    #[arg(long, conflicts_with = "dev")]
    pub take_over: bool,
}

/// For `adit demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How long, in seconds.
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub seconds: f64,
    /// CPU miners.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub miners: u16,
    /// Embedded pools; those after the first stand by.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub pools: u16,
    /// The first pool goes away after so many seconds, is back after as many again, and so on; without another pool the miners
    /// wait for it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "20", value_parser = seconds_apart)]
    #[arg(conflicts_with = "declare")]
    pub fail_over: Option<f64>,
    /// The farm builds its own blocks and declares them to the pool.
    #[arg(long)]
    pub declare: bool,
    /// One JSON line at the end instead of text.
    #[arg(long)]
    pub json: bool,
}

/// For `adit top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Where it answers, `http://HOST:PORT`; without it as the configuration's [http] says.
    #[arg(long, conflicts_with = "config")]
    pub url: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// A file with the read token; without it the variable `ADIT_TOKEN`, or else the configuration's.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print one screen as text and end.
    #[arg(long)]
    pub once: bool,
}

/// For `adit profiles`.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// The profile of a miner that subscribes with this user agent; without it all.
    #[arg(value_name = "USER-AGENT")]
    pub user_agent: Option<String>,
    /// A configuration, whose own profiles come first.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// For `adit keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// Read a secret key from this file and show its public key, instead of making a new pair.
    #[arg(long, value_name = "FILE")]
    pub public_of: Option<PathBuf>,
    /// Make a key that signs receipts and terms instead (BIP 340), and write the secret into this file, which only its owner
    /// may read; it must not be there yet.
    #[arg(long, value_name = "FILE", conflicts_with = "public_of")]
    pub receipt: Option<PathBuf>,
    /// Show the public key of such a file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["public_of", "receipt"])]
    pub receipt_public_of: Option<PathBuf>,
}

/// For `adit pool`.
#[derive(Debug, Args)]
pub struct PoolArgs {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:34254")]
    pub listen: SocketAddr,
    /// The authority's secret key, as `adit keys` writes it; without it a new one each time.
    #[arg(long, value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// Shares a minute that a channel's target aims at.
    #[arg(long, default_value_t = 20.0)]
    pub shares_per_minute: f64,
    /// Shares that one answer acknowledges.
    #[arg(long, default_value_t = 10)]
    pub share_batch_size: u32,
    /// Mean seconds between blocks that others find; without it there are none.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub block_interval: Option<f64>,
    /// Which chain of its own: pools with the same number begin at the same tip, those with different ones share no block.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, conflicts_with_all = ["node_rpc", "node_ipc"])]
    pub chain: u64,
    /// Follow a Bitcoin node on a test chain by its RPC: jobs are its templates, found blocks go to it.
    ///
    /// The pool pays them to a script that anybody can spend. Until the node answers, the pool waits and does not listen.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, requires = "node_cookie")]
    #[arg(conflicts_with_all = ["node_ipc", "block_interval"])]
    pub node_rpc: Option<String>,
    /// The file with the RPC's USER:PASSWORD, such as `.cookie` in the node's data directory.
    #[arg(long, value_name = "FILE", requires = "node_rpc")]
    pub node_cookie: Option<PathBuf>,
    /// As --node-rpc, by the node's IPC socket: `node.sock` in its data directory if it runs with `-ipcbind=unix`.
    #[arg(long, value_name = "SOCKET", conflicts_with = "block_interval")]
    pub node_ipc: Option<PathBuf>,
    /// Be a Job Declarator Server, too, and take custom jobs.
    #[arg(long)]
    pub jds: bool,
    /// Where the declarator server listens.
    #[arg(long, default_value = "127.0.0.1:34264", requires = "jds")]
    pub jds_listen: SocketAddr,
    /// Which declarators it takes: those that reveal their transactions, those that do not.
    #[arg(long, value_enum, default_value_t = JdsMode::Both, requires = "jds")]
    pub jds_mode: JdsMode,
}

/// `--jds-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum JdsMode {
    /// Only those that reveal their transactions.
    FullTemplate,
    /// Only those that take tokens and nothing else.
    CoinbaseOnly,
    /// All.
    Both,
}

/// For `adit miner`.
#[derive(Debug, Args)]
pub struct MinerArgs {
    /// `stratum+tcp://host:port`, or `stratum2+tcp://host:port/authority-key` for Stratum V2; without the key anybody may be
    /// the server.
    pub url: MinersServer,
    /// Stratum V2: open a standard channel instead of an extended one.
    #[arg(long)]
    pub standard: bool,
    /// The worker's name; Stratum V2: the channel's identity.
    #[arg(long, default_value = "adit.miner")]
    pub user: String,
    /// Stratum V1: the password; `d=0.001` asks for a difficulty.
    #[arg(long, default_value = "x")]
    pub password: String,
    /// Hashing threads.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Hashes per second at most.
    #[arg(long)]
    pub hashes_per_second: Option<f64>,
    /// Ends after so many seconds.
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// One JSON line at the end instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What the connections of a load run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LoadMode {
    /// All send shares at the given rate together.
    Rate,
    /// The first floods; the others send at the given rate.
    Flood,
    /// Nobody sends anything.
    Idle,
}

/// For `adit load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// `stratum+tcp://host:port` of the server, on this machine; `stratum2+tcp://host:port/authority-key` for Stratum V2.
    pub url: MinersServer,
    /// Stratum V2: open standard channels instead of extended ones.
    #[arg(long)]
    pub standard: bool,
    /// Connections.
    #[arg(long, default_value_t = 100)]
    pub miners: usize,
    /// Shares per second of all connections together.
    #[arg(long, default_value_t = 1000.0)]
    pub shares_per_second: f64,
    /// How long shares are sent, in seconds.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Connect evenly over so many seconds instead of at once.
    #[arg(long, default_value_t = 0.0, value_parser = seconds)]
    pub connect_seconds: f64,
    /// Storms: so many times, once all have work, all connections are closed at once and come back as they came.
    #[arg(long, default_value_t = 0)]
    pub storms: usize,
    /// What the connections do.
    #[arg(long, value_enum, default_value_t = LoadMode::Rate)]
    pub mode: LoadMode,
    /// User names are this, a dot and a number.
    #[arg(long, default_value = "load")]
    pub user: String,
    /// Every connection's password; the server should give an easy difficulty for it.
    #[arg(long, default_value = "d=1e-7")]
    pub password: String,
    /// Event loops, each in a thread.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// A process whose CPU time and memory are reported along: the server.
    #[arg(long, value_name = "PID")]
    pub observe_pid: Option<u32>,
    /// One JSON line at the end instead of text.
    #[arg(long)]
    pub json: bool,
}

/// A server that miners connect to.
#[derive(Clone, Debug)]
pub struct MinersServer {
    /// Where it is.
    pub address: ServerAddress,
    /// It speaks Stratum V2, and must prove this key, if there is one.
    pub sv2: Option<Option<noise::AuthorityPublicKey>>,
}

impl std::str::FromStr for MinersServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(noise::SCHEME) {
            let url = noise::PoolUrl::parse_insecure(text).map_err(|error| error.to_string())?;
            let address = ServerAddress { host: url.host().to_owned(), port: url.port() };
            return Ok(Self { address, sv2: Some(url.authority().copied()) });
        }
        let address = text.parse().map_err(|error: lab::sv1_miner::BadAddress| error.to_string())?;
        Ok(Self { address, sv2: None })
    }
}

/// Where a node answers.
fn host_and_port(text: &str) -> Result<String, String> {
    match is_host_and_port(text) {
        true => Ok(text.to_owned()),
        false => Err("expected a host and a port, such as 127.0.0.1:18443".into()),
    }
}

/// A time in seconds that is worth waiting for: not negative, at most a year.
fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if (0.0..=31_536_000.0).contains(&value) {
        Ok(value)
    } else {
        Err("expected 0 to 31536000 seconds".into())
    }
}

/// As [`seconds`], and not so short that nothing is seen.
fn seconds_apart(text: &str) -> Result<f64, String> {
    seconds(text)
        .and_then(|value| if value >= 1.0 { Ok(value) } else { Err("expected at least 1 second".into()) })
}

/// A time in seconds that something may take.
fn timeout(text: &str) -> Result<f64, String> {
    seconds(text)
        .and_then(|value| if value > 0.0 { Ok(value) } else { Err("expected more than 0 seconds".into()) })
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn a_pool_follows_one_node_and_is_told_all_that_it_needs_for_it() {
        let parse = |text: &str| super::Cli::try_parse_from(text.split(' ')).map_err(|error| error.kind());
        for good in [
            "adit pool --jds --node-ipc /node/regtest/node.sock",
            "adit pool --node-rpc 127.0.0.1:18443 --node-cookie /node/regtest/.cookie",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("adit pool --node-rpc 127.0.0.1:18443", ErrorKind::MissingRequiredArgument),
            ("adit pool --node-cookie .cookie", ErrorKind::MissingRequiredArgument),
            ("adit pool --node-rpc node --node-cookie .cookie", ErrorKind::ValueValidation),
            ("adit pool --node-ipc a --node-rpc b:1 --node-cookie c", ErrorKind::ArgumentConflict),
            ("adit pool --node-ipc a --block-interval 60", ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(parse(bad).err(), Some(why), "{bad}");
        }
    }
}
