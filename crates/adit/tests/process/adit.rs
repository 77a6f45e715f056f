//! The program under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use rustix::process::{Pid, Signal, kill_process};

/// Nothing takes longer, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A port on a loopback address of its own. While it is free nobody else is given it, as one of 127.0.0.1 may be: for the
/// next connection that anybody makes.
pub(crate) fn own_port() -> TcpListener {
    let [a, b, c] = rand::random::<[u8; 3]>();
    let own = SocketAddr::from(([127, a % 254 + 1, b, c % 254 + 1], 0));
    TcpListener::bind(own).expect("a port")
}

/// A running `adit run` with its own pool and folder. Killed when dropped.
pub(crate) struct Adit {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Ends with the log.
    reader: JoinHandle<()>,
    folder: std::path::PathBuf,
    pools: Vec<DevPool>,
    _runtime: tokio::runtime::Runtime,
    miners: SocketAddr,
    http: SocketAddr,
    settings: String,
}

impl Adit {
    /// With these lines in `[limits]`; `shell` comes before the program, such as `ulimit -n 256;`.
    pub(crate) fn start(limits: &str, shell: &str) -> Self {
        Self::start_with(1, shell, |pools| {
            format!(
                "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\nvardiff = false\n\
                 [source.pool]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
                 [route.main]\nlisteners = [\"main\"]\nsources = [\"pool\"]\n[http]\nlisten = \"127.0.0.1:0\"\n\
                 [limits]\n{limits}\n",
                pools[0]
            )
        })
    }

    /// With so many pools, whose URLs the settings are made with.
    pub(crate) fn start_with(pools: usize, shell: &str, settings: impl FnOnce(&[String]) -> String) -> Self {
        Self::start_before(vec![DevPoolOptions::default(); pools], shell, settings)
    }

    /// With such pools.
    pub(crate) fn start_before(
        pools: Vec<DevPoolOptions>,
        shell: &str,
        settings: impl FnOnce(&[String]) -> String,
    ) -> Self {
        Self::start_given(pools, Stdio::null(), shell, settings)
    }

    /// With something at its standard input, which `shell` may put elsewhere.
    pub(crate) fn start_given(
        pools: Vec<DevPoolOptions>,
        input: Stdio,
        shell: &str,
        settings: impl FnOnce(&[String]) -> String,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        // No share is a block here: a new tip would cost shares that are on their way.
        let pool = |mut options: DevPoolOptions| {
            options.chain.nbits = 0x1d00_ffff;
            runtime.block_on(DevPool::bind(loopback, options, DevPoolKeys::random())).expect("a pool")
        };
        let pools: Vec<DevPool> = pools.into_iter().map(pool).collect();
        let urls: Vec<String> = pools.iter().map(|pool| pool.url()).collect();
        let settings = settings(&urls);
        let folder = std::env::temp_dir().join(format!(
            "adit-process-{}-{:x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("adit.toml"), &settings).expect("a configuration");
        let (child, log, reader) = spawn(&folder, input, shell);
        let mut adit = Self {
            child,
            log,
            reader,
            folder,
            pools,
            _runtime: runtime,
            miners: loopback,
            http: loopback,
            settings,
        };
        if !adit.pools.is_empty() {
            adit.wait_until_it_works();
        }
        adit
    }

    /// Without any pool; what is there is not waited for.
    pub(crate) fn start_without_work(shell: &str, settings: impl FnOnce(&[String]) -> String) -> Self {
        Self::start_before(Vec::new(), shell, settings)
    }

    fn wait_until_it_works(&mut self) {
        self.wait_for_log("metrics and status on");
        self.miners = self.address_after("listening for miners");
        self.http = self.address_after("metrics and status on");
        self.until("it has work", |adit| adit.metric("adit_ready") > 0.0);
    }

    /// Where miners connect.
    pub(crate) fn miners(&self) -> SocketAddr {
        self.miners
    }

    /// Where HTTP is served.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// HTTP is asked for there from now on.
    pub(crate) fn ask_at(&mut self, http: SocketAddr) {
        self.http = http;
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Waits for a text in the log.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        self.until(text, |adit| adit.log().contains(text));
    }

    /// Waits until something is so, as long as it runs.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                panic!("it ended ({status}) before: {what}\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A metric's value: the sum over its series whose line contains all of `name`'s parts, split at blanks.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics");
        let is_it = |line: &&str| !line.starts_with('#') && name.split(' ').all(|part| line.contains(part));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        page.lines().filter(is_it).filter_map(value).sum()
    }

    /// A metric that is a whole number.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.metric(name).to_string().parse().expect("a whole number")
    }

    /// Asks for a page; gives the whole answer.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("HTTP is served");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Changes goals; gives the whole answer.
    pub(crate) fn patch(&self, body: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("HTTP is served");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = body.len();
        write!(
            stream,
            "PATCH /api/v1/routes HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Sends a file; gives the whole answer.
    pub(crate) fn send(&self, path: &str, file: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.http).expect("HTTP is served");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = file.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
        )
        .expect("a request");
        stream.write_all(file).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Where it runs.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Writes its configuration anew, with this instead of that.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        assert!(self.settings.contains(from));
        std::fs::write(self.folder.join("adit.toml"), self.settings.replace(from, to))
            .expect("a configuration");
    }

    /// The same with several.
    pub(crate) fn rewrite_all(&self, changes: &[(&str, &str)]) {
        let mut settings = self.settings.clone();
        for (from, to) in changes {
            assert!(settings.contains(from), "{from}");
            settings = settings.replacen(from, to, 1);
        }
        self.write(&settings);
    }

    /// Writes its configuration anew.
    pub(crate) fn write(&self, settings: &str) {
        std::fs::write(self.folder.join("adit.toml"), settings).expect("a configuration");
    }

    /// One of its pools.
    pub(crate) fn pool(&self, at: usize) -> &DevPool {
        &self.pools[at]
    }

    /// The status as JSON.
    pub(crate) fn status(&self) -> serde_json::Value {
        let answer = self.get("/api/v1/status");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(body).expect("JSON")
    }

    /// Starts it anew with the same configuration and pools, after it has ended.
    pub(crate) fn start_again(&mut self) {
        self.start_again_given(Stdio::null(), "");
    }

    /// As [`start_given`](Self::start_given).
    pub(crate) fn start_again_given(&mut self, input: Stdio, shell: &str) {
        (self.child, self.log, self.reader) = spawn(&self.folder, input, shell);
        self.wait_until_it_works();
    }

    /// Waits for its end, and until all that it has logged is there.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("it is ours");
            if let Some(status) = ended.filter(|_| self.reader.is_finished()) {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn address_after(&self, text: &str) -> SocketAddr {
        let log = plain(&self.log());
        let line = log.lines().find(|line| line.contains(text)).expect(text);
        let (_, rest) = line.split_once("address=").expect("an address");
        rest.split_whitespace().next().and_then(|text| text.parse().ok()).expect("an address")
    }
}

/// The program in its folder, what it logs, and who reads that.
fn spawn(folder: &std::path::Path, input: Stdio, shell: &str) -> (Child, Arc<Mutex<String>>, JoinHandle<()>) {
    let program = env!("CARGO_BIN_EXE_adit");
    let mut child = Command::new("sh")
        .args(["-c", &format!("{shell} exec {program} run --config adit.toml")])
        .current_dir(folder)
        .env_remove("ADIT_LOG")
        .env("XDG_STATE_HOME", folder.join("state"))
        .stdin(input)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = Arc::new(Mutex::new(String::new()));
    let (stderr, copy) = (child.stderr.take().expect("a pipe"), Arc::clone(&log));
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = copy.lock().expect("not poisoned");
            log.push_str(&line);
            log.push('\n');
        }
    });
    (child, log, reader)
}

/// Without the colours that a terminal gets.
fn plain(text: &str) -> String {
    text.replace('\u{1b}', "")
}

impl Drop for Adit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
