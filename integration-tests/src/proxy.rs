//! Adit: the released binary, with a configuration made here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::Child;
use crate::miners::CpuMiner;
use crate::node::{Chain, Node};
use crate::{http, peers, wait};

/// How long Adit may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whom solo mining pays: an address that signet and regtest share.
pub const PAYOUT: &str = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn";
/// By how much fees must grow for another template of the same tip, satoshi.
pub const FEE_THRESHOLD: u64 = 1_000;
/// How long the books may take to come to rest.
const SETTLED: Duration = Duration::from_secs(60);
/// They are at rest when nothing has moved for so long; for longer where shares are open, which may still be answered.
const AT_REST: Duration = Duration::from_secs(1);
const AT_REST_WITH_OPEN_SHARES: Duration = Duration::from_secs(5);
/// And at so many looks: a machine that stood still meanwhile would be no rest.
const LOOKS: u32 = 30;

/// A configuration: one listener, one route, sources in order of preference. Lines of each table are added as
/// they stand in the file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lines of `[listener.main]`.
    pub listener: String,
    /// Lines of `[route.main]`.
    pub route: String,
    /// Name, URL and lines of each `[source.NAME]`.
    pub sources: Vec<(String, String, String)>,
    /// Names of sources in the route before those of `sources`.
    pub preferred: Vec<String>,
    /// Names of further sources in the route, after those of `sources`.
    pub further: Vec<String>,
    /// Further tables, as they stand in the file.
    pub tables: String,
    /// Lines of `[limits]`.
    pub limits: String,
    /// What Adit is started by, such as `prlimit` with its arguments; it must become Adit, not start it.
    pub starter: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl Settings {
    /// Miners that are CPUs: easy shares, and many of them.
    #[must_use]
    pub fn for_cpus() -> Self {
        Self {
            listener: "difficulty_min = 1e-6\ndifficulty_start = 1e-5\nshares_per_minute = 600\n".to_owned(),
            ..Self::default()
        }
    }

    /// Adds a source.
    #[must_use]
    pub fn source(mut self, name: &str, url: &str, lines: &str) -> Self {
        self.sources.push((name.to_owned(), url.to_owned(), lines.to_owned()));
        self
    }

    /// Adds templates under a name of the node's, by IPC.
    #[must_use]
    pub fn templates_by_ipc(self, name: &str, node: &Node) -> Self {
        let lines = format!("kind = \"bitcoin-ipc\"\nsocket = {:?}\n", node.ipc_socket());
        self.templates(name, node, &lines)
    }

    /// Adds templates under a name of the node's, by RPC.
    #[must_use]
    pub fn templates_by_rpc(self, name: &str, node: &Node) -> Self {
        let port = node.rpc_port();
        let login = "rpc_user = \"adit\"\nrpc_password = \"adit\"\n";
        let lines = format!("kind = \"bitcoin-rpc\"\nrpc_address = \"127.0.0.1:{port}\"\n{login}");
        self.templates(name, node, &lines)
    }

    /// Adds templates under a name, by Template Distribution from this URL, on a chain with regtest's addresses.
    #[must_use]
    pub fn templates_by_distribution(mut self, name: &str, url: &str) -> Self {
        let _ = write!(
            self.tables,
            "[template.{name}]\nnetwork = \"regtest\"\nmin_interval = \"1s\"\nfee_threshold = 0\n\
             kind = \"template-provider\"\nurl = \"{url}\"\n"
        );
        self
    }

    fn templates(mut self, name: &str, node: &Node, lines: &str) -> Self {
        let chain = match node.chain() {
            Chain::Mainnet => "main",
            chain => chain.name(),
        };
        let _ = write!(
            self.tables,
            "[template.{name}]\nnetwork = \"{chain}\"\nmin_interval = \"1s\"\nfee_threshold = {FEE_THRESHOLD}\n{lines}"
        );
        self
    }

    /// Adds solo mining on these templates to the route, with lines of its own and a state directory in `folder`.
    #[must_use]
    pub fn solo(mut self, name: &str, templates: &[&str], folder: &Path, lines: &str) -> Self {
        self.state(folder);
        let _ =
            write!(self.tables, "[solo.{name}]\ntemplates = {templates:?}\npayout = \"{PAYOUT}\"\n{lines}");
        self.further.push(name.to_owned());
        self
    }

    /// Adds declaring these templates to a pool, a source's name, before all others in the route, with lines of its own and a
    /// state directory in `folder`.
    #[must_use]
    pub fn declared(
        mut self,
        name: &str,
        pool: &str,
        jds_url: &str,
        templates: &[&str],
        folder: &Path,
        lines: &str,
    ) -> Self {
        self.state(folder);
        let _ = write!(
            self.tables,
            "[declared.{name}]\npool = \"{pool}\"\njds_url = \"{jds_url}\"\ntemplates = {templates:?}\n{lines}"
        );
        self.preferred.push(name.to_owned());
        self
    }

    fn state(&mut self, folder: &Path) {
        if !self.tables.contains("[state]") {
            let _ = write!(self.tables, "[state]\ndirectory = {:?}\n", folder.join("state"));
        }
    }

    /// Adds lines to the listener.
    #[must_use]
    pub fn listener(mut self, lines: &str) -> Self {
        self.listener.push_str(lines);
        self
    }

    /// The listener serves SV2 miners too, under the tests' [`authority`] key, with as much extranonce as proxies ask for.
    #[must_use]
    pub fn sv2_miners(self) -> Self {
        let lines =
            format!("authority_secret_key = \"{}\"\nextranonce2_size = 8\n", *authority().to_base58check());
        self.listener(&lines)
    }

    /// Adds lines to the route.
    #[must_use]
    pub fn route(mut self, lines: &str) -> Self {
        self.route.push_str(lines);
        self
    }

    /// Adds lines to the limits.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits.push_str(lines);
        self
    }

    /// The configuration as it stands in the file, for these ports.
    #[must_use]
    pub fn toml(&self, miners: u16, http: u16) -> String {
        let mut text = format!(
            "version = 1\n[http]\nlisten = \"127.0.0.1:{http}\"\n[listener.main]\nlisten = \"127.0.0.1:{miners}\"\n{}",
            self.listener
        );
        for (name, url, lines) in &self.sources {
            // Text goes into text: this cannot fail.
            let _ = write!(text, "[source.{name}]\nurl = \"{url}\"\n{lines}");
            if !lines.contains("user_identity") {
                text.push_str("user_identity = \"farm\"\n");
            }
        }
        text.push_str(&self.tables);
        let pools = self.sources.iter().map(|(name, ..)| name);
        let names = self.preferred.iter().chain(pools).chain(&self.further);
        let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        text.push_str("[route.main]\nlisteners = [\"main\"]\n");
        // Where there are goals, those have the sources.
        if !self.tables.contains("[goal.") {
            let _ = writeln!(text, "sources = [{names}]");
        }
        text.push_str(&self.route);
        let _ = write!(text, "[limits]\n{}", self.limits);
        text
    }
}

/// The key with which tests' Adits prove themselves to SV2 miners.
///
/// # Panics
/// Never: it is a key.
#[must_use]
pub fn authority() -> noise::AuthoritySecretKey {
    noise::AuthoritySecretKey::from_bytes([0x5a; 32]).expect("a key")
}

/// The books of the whole process, by the words of the status page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// All shares handed in.
    pub submitted: u64,
    /// Rejected by Adit.
    pub rejected: u64,
    /// Good, easier than the source's target.
    pub local: u64,
    /// Open: the declared job is not acknowledged yet.
    pub held: u64,
    /// Good and never sent.
    pub unsent: u64,
    /// Gone on to a source.
    pub forwarded: u64,
    /// Acknowledged by the source.
    pub acknowledged: u64,
    /// Refused by the source.
    pub refused: u64,
    /// Of these, for a job of a tip that was passed while they were on their way.
    pub refused_stale: u64,
    /// The link ended before an answer.
    pub unknown: u64,
    /// Open: not answered yet.
    pub pending: u64,
    /// Told `true`, and then unsent, refused or unknown.
    pub told_true_lost: u64,
    /// Shares that were blocks.
    pub blocks: u64,
}

impl Books {
    /// The two sums that hold at every moment.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.submitted == self.rejected + self.local + self.held + self.unsent + self.forwarded
            && self.forwarded == self.acknowledged + self.refused + self.unknown + self.pending
    }

    fn read(books: &Value) -> Self {
        let number = |key: &str| {
            books[key].as_u64().unwrap_or_else(|| panic!("the status page has books with {key:?}: {books}"))
        };
        Self {
            submitted: number("submitted"),
            rejected: number("rejected_total"),
            local: number("local"),
            held: number("held"),
            unsent: number("unsent_total"),
            forwarded: number("forwarded"),
            acknowledged: number("acknowledged"),
            refused: number("refused_total"),
            refused_stale: books["refused"]["stale-share"].as_u64().unwrap_or(0),
            unknown: number("unknown"),
            pending: number("pending"),
            told_true_lost: number("told_true_lost"),
            blocks: number("blocks_found"),
        }
    }
}

impl std::fmt::Display for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { submitted, rejected, local, unsent, acknowledged, refused, unknown, pending, .. } = self;
        write!(
            f,
            "{submitted} submitted = {rejected} rejected + {local} local + {unsent} unsent + {acknowledged} \
             acknowledged + {refused} refused + {unknown} unknown + {pending} pending"
        )
    }
}

/// A running Adit.
#[derive(Debug)]
pub struct Adit {
    miners: u16,
    http: u16,
    log: PathBuf,
    child: Child,
}

impl Adit {
    /// Starts Adit and waits until its ports answer; not until it has work.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, settings: &Settings) -> Self {
        let ports = (http::free_port(), http::free_port());
        let mut adit = Self::launch(folder, settings, ports, "adit.log", &[], Stdio::null());
        adit.child.wait_until("HTTP answers", PATIENCE, |_| http::get(ports.1, "/healthz").ok());
        adit
    }

    /// Starts Adit on a port for miners that is open already, as a service manager gives it.
    #[must_use]
    pub fn start_on(folder: &Path, settings: &Settings, open: &TcpListener, http: u16, log: &str) -> Self {
        let miners = open.local_addr().expect("it is open").port();
        let given = OwnedFd::from(open.try_clone().expect("the system has a file left"));
        let mut settings = settings.clone();
        let shell = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=main LISTEN_PID=$$ exec \"$0\" \"$@\"";
        settings.starter = ["sh", "-c", shell].map(str::to_owned).to_vec();
        let mut adit = Self::launch(folder, &settings, (miners, http), log, &[], given.into());
        adit.child.wait_until("HTTP answers", PATIENCE, |_| http::get(http, "/healthz").ok());
        adit
    }

    /// Starts another Adit that takes over from this one, with what else its environment has.
    #[must_use]
    pub fn successor(&self, settings: &Settings, log: &str) -> Self {
        let folder = self.log.parent().expect("it is in a folder");
        Self::launch(folder, settings, (self.miners, self.http), log, &["--take-over"], Stdio::null())
    }

    fn launch(
        folder: &Path,
        settings: &Settings,
        (miners, port): (u16, u16),
        log: &str,
        more: &[&str],
        input: Stdio,
    ) -> Self {
        let (configuration, log) = (folder.join("adit.toml"), folder.join(log));
        std::fs::write(&configuration, settings.toml(miners, port))
            .expect("the test's folder can be written");
        let program = peers::adit().into_os_string();
        let mut words = settings.starter.iter().map(OsString::from).chain([program]);
        let mut command = Command::new(words.next().expect("Adit at least"));
        command.args(words).arg("run").arg("--config").arg(&configuration).args(more);
        command.env("XDG_STATE_HOME", folder.join("state"));
        command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        // What the person who runs the tests has set for an Adit of theirs is not for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ADIT__") {
                command.env_remove(name);
            }
        }
        let child = Child::start_with_input("adit", &mut command, input, &log);
        Self { miners, http: port, log, child }
    }

    /// Starts Adit and waits until it says that miners can come.
    #[must_use]
    pub fn start_ready(folder: &Path, settings: &Settings) -> Self {
        let mut adit = Self::start(folder, settings);
        adit.wait_ready();
        adit
    }

    /// Waits until `/readyz` says that miners can come.
    pub fn wait_ready(&mut self) {
        let port = self.http;
        self.child.wait_until("it is ready", PATIENCE, |_| {
            http::get(port, "/readyz").ok().filter(|answer| answer.status == 200)
        });
    }

    /// Where miners connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.miners
    }

    /// What `adit check` says of its configuration, and whether all is well.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn check(&self, more: &[&str]) -> (bool, String) {
        let mut command = Command::new(peers::adit());
        command.arg("check").arg("--config").arg(self.log.with_file_name("adit.toml")).args(more);
        let output = command.output().expect("the program is there");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Writes its configuration anew and tells it so (SIGHUP); waits until it is taken over, and says how long that took.
    ///
    /// # Panics
    /// When it is refused, or not taken over in time.
    #[must_use]
    pub fn reload(&mut self, settings: &Settings) -> Duration {
        let before = self.reloads();
        let text = settings.toml(self.miners, self.http);
        std::fs::write(self.log.with_file_name("adit.toml"), text).expect("the test's folder can be written");
        let began = Instant::now();
        self.signal("HUP");
        wait::until_so("the configuration is read", PATIENCE, || self.reloads() != before);
        let taken = began.elapsed();
        assert!(self.reloads().0 > before.0, "it is taken over: {}", self.log());
        taken
    }

    /// How often a configuration was taken over, and refused.
    fn reloads(&self) -> (f64, f64) {
        let count = |event: &str| self.metric("adit_events_total", &[event]);
        (count("\"config_reloaded\""), count("\"config_reload_refused\""))
    }

    /// Where SV2 miners connect, with the tests' [`authority`] key.
    #[must_use]
    pub fn sv2_url(&self) -> String {
        format!("stratum2+tcp://127.0.0.1:{}/{}", self.miners, authority().public())
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.http
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `/api/v1/status`.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn status(&self) -> Value {
        let answer = http::get(self.http, "/api/v1/status");
        answer.unwrap_or_else(|error| panic!("adit does not answer: {error}")).json()
    }

    /// `/readyz`: the status code and the body.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn readiness(&self) -> (u16, Value) {
        let answer = http::get(self.http, "/readyz");
        let answer = answer.unwrap_or_else(|error| panic!("adit does not answer: {error}"));
        (answer.status, answer.json())
    }

    /// The books. They must balance whenever one looks.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    pub fn books(&self) -> Books {
        let books = Books::read(&self.status()["books"]);
        assert!(books.balance(), "the books do not balance: {books}");
        books
    }

    /// Why shares were rejected, and how many for each reason.
    #[must_use]
    pub fn rejections(&self) -> BTreeMap<String, u64> {
        let status = self.status();
        let reasons = status["books"]["rejected"].as_object().into_iter().flatten();
        let reasons = reasons.map(|(why, count)| (why.clone(), count.as_u64().unwrap_or(0)));
        reasons.filter(|(_, count)| *count > 0).collect()
    }

    /// The books of one source.
    ///
    /// # Panics
    /// When there is no such source, or they do not balance.
    #[must_use]
    pub fn source_books(&self, name: &str) -> Books {
        let books = Books::read(&self.source(name)["books"]);
        assert!(books.balance(), "the books of {name} do not balance: {books}");
        books
    }

    /// A source on the status page.
    ///
    /// # Panics
    /// When there is no such source.
    #[must_use]
    pub fn source(&self, name: &str) -> Value {
        let status = self.status();
        let sources = status["sources"].as_array().into_iter().flatten();
        let source = sources.into_iter().find(|source| source["name"] == name);
        source.unwrap_or_else(|| panic!("no source {name}: {status}")).clone()
    }

    /// The only route on the status page.
    #[must_use]
    pub fn route(&self) -> Value {
        self.status()["routes"][0].clone()
    }

    /// The source that the route mines on.
    #[must_use]
    pub fn active(&self) -> Option<String> {
        self.route()["active"].as_str().map(str::to_owned)
    }

    /// Waits until the books are as asked for.
    pub fn wait_books(&self, what: &str, limit: Duration, mut so: impl FnMut(&Books) -> bool) -> Books {
        wait::until(&format!("{what} ({})", self.log.display()), limit, || Some(self.books()).filter(&mut so))
    }

    /// Waits until nothing moves any more, and gives the books.
    #[must_use]
    pub fn settled(&self, limit: Duration) -> Books {
        let mut seen = (self.books(), Instant::now(), 0);
        wait::until("the books come to rest", limit, || {
            let books = self.books();
            if books != seen.0 {
                seen = (books, Instant::now(), 0);
            }
            seen.2 += 1;
            let open = books.pending + books.held > 0;
            let rest = if open { AT_REST_WITH_OPEN_SHARES } else { AT_REST };
            (seen.1.elapsed() >= rest && seen.2 >= LOOKS).then_some(books)
        })
    }

    /// Ends these miners, and gives the books when nothing moves any more.
    #[must_use]
    pub fn settled_after(&self, miners: Vec<CpuMiner>) -> Books {
        drop(miners);
        self.settled(SETTLED)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// It has not ended.
    pub fn lives(&mut self) -> bool {
        self.child.ended().is_none()
    }

    /// Memory that is resident, bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.child.resident()
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Child {
        &self.child
    }

    /// The sum of a metric over all its labels; 0 where it has no sample.
    ///
    /// # Panics
    /// When Adit does not answer.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let answer = http::get(self.http, "/metrics");
        let page = answer.unwrap_or_else(|error| panic!("adit does not answer: {error}")).body;
        let samples = page.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && labels.iter().all(|l| line.contains(l))
        });
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Connections that Adit closed for this reason.
    #[must_use]
    pub fn closed(&self, reason: &str) -> f64 {
        self.metric("adit_miner_closed_total", &[&format!("reason=\"{reason}\"")])
    }

    /// Why connections were closed, and how many for each reason.
    ///
    /// # Panics
    /// When Adit does not answer.
    #[must_use]
    pub fn closings(&self) -> BTreeMap<String, u64> {
        let answer = http::get(self.http, "/metrics");
        let page = answer.unwrap_or_else(|error| panic!("adit does not answer: {error}")).body;
        let mut closings = BTreeMap::new();
        for line in page.lines().filter_map(|line| line.strip_prefix("adit_miner_closed_total{")) {
            let reason = line.split_once("reason=\"").and_then(|(_, rest)| rest.split('"').next());
            let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
            if let (Some(reason), Some(count @ 1..)) = (reason, count) {
                *closings.entry(reason.to_owned()).or_default() += count;
            }
        }
        closings
    }

    /// Open connections of miners.
    #[must_use]
    pub fn connections(&self) -> f64 {
        self.metric("adit_miners", &[])
    }

    /// Ends it as a loss of power does, as far as a process can be: SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Sends it a signal, by `kill`'s name for it.
    pub fn signal(&mut self, name: &str) {
        self.child.signal(name);
    }

    /// Waits for its end; gives the exit status.
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        wait::until("adit ends", limit, || self.child.ended())
    }

    /// Asks it to end and waits. That the exit is a success is part of every promise.
    ///
    /// # Panics
    /// When the exit is none, or it does not end.
    pub fn stop(mut self) {
        let status = self.child.terminate();
        assert!(status.is_some_and(|s| s.success()), "adit ended with {status:?} after SIGTERM");
    }
}
