//! Lent hashrate, proven: a farm shares its miners between its own pool and a friend's, and a stranger verifies what the friend got
//! with the program, one file and block headers. The friend has counter-signed some of it meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bitcoin::{Address, Network, ScriptBuf};
use integration_tests::folder::Folder;
use integration_tests::load;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{peers, promise, wait};
use ledger::{Highest, Reader};
use receipt::Part;
use serde_json::{Value, json};

use crate::PATIENCE;

/// Each has two shares a minute kept, half of them for the friend.
const MINERS: usize = 600;
const SHARES_PER_SECOND: &str = "3000";
/// Longer than anything here takes: the load is ended when it is over.
const LOAD_SECONDS: &str = "900";
/// A period of the terms, seconds; there are two.
const EVERY: u64 = 40;
/// A miner is measured for a minute before anything of its shares is kept.
const MEASURED: Duration = Duration::from_secs(180);
/// Two periods, the ten seconds after which a receipt is made, and a busy machine.
const ISSUED: Duration = Duration::from_secs(2 * EVERY + 60);

/// Whom the coinbases of the farm's own pool pay, and those of the friend's: witness programs of key hashes.
const OURS: &str = "00141111111111111111111111111111111111111111";
const FRIENDS: &str = "00142222222222222222222222222222222222222222";

/// Another chain: Bitcoin's first block.
const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc8\
                       1bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";

/// Somebody with a folder and the program.
struct Party {
    folder: PathBuf,
    program: PathBuf,
}

impl Party {
    fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("the test's folder can be written");
        Self { folder, program: peers::adit() }
    }

    /// Somebody who has nothing but a copy of the program, and of these files.
    fn with_nothing_but(folder: PathBuf, files: &[&Path]) -> Self {
        let party = Self { program: folder.join("adit"), ..Self::new(folder) };
        std::fs::copy(peers::adit(), &party.program).expect("a copy");
        for file in files {
            std::fs::copy(file, party.file(file.file_name().expect("a file"))).expect("a copy");
        }
        party
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// The program, in this folder and in no environment.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).env_clear().output().expect("it runs")
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{said}{errors}", output.status);
        said.into_owned()
    }

    /// A receipt key in a file of this name; gives its public half.
    fn key(&self, name: &str) -> String {
        let said = self.says(&["keys", "--receipt", name]);
        said.split('"').nth(1).expect("a key").to_owned()
    }

    /// The exit status of verifying a receipt against headers, and the report.
    fn verify(&self, receipt: &str, headers: &str) -> (Option<i32>, Value) {
        let output = self.run(&["receipt", "verify", receipt, "--headers", headers, "--json"]);
        let reports: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), reports[0]["report"].clone())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// As `--from` and `--to` take it.
fn moment(seconds: u64) -> String {
    receipt::utc(seconds).replace(' ', "T").replace("TUTC", "Z")
}

/// An address of this script, as the chain of the test writes it.
fn address(script: &str) -> String {
    let script = ScriptBuf::from_hex(script).expect("a script");
    Address::from_script(&script, Network::Signet).expect("it has one").to_string()
}

/// The workers of whom shares are kept now.
fn kept(ledger: &Path) -> usize {
    let Ok(reader) = Reader::open(ledger) else { return 0 };
    let at = now() * 1_000;
    let mut highest = Highest::of(at, at + 1);
    let read = reader.evidence(at, at + 1, &mut |entry| highest.add(&entry));
    let rows = highest.rows().iter().filter(|(_, held)| held.kept_from > 0.0);
    let workers: BTreeSet<&str> = rows.map(|(key, _)| &*key.worker).collect();
    read.map_or(0, |_| workers.len())
}

/// The node's headers, from its first block on, in hex.
fn headers(node: &Node) -> Vec<(String, String)> {
    let heights: Vec<Value> = (0..=node.height()).map(|height| json!([height])).collect();
    let hashes = node.ask_all("getblockhash", &heights);
    let asked: Vec<Value> = hashes.iter().map(|hash| json!([hash, false])).collect();
    let headers = node.ask_all("getblockheader", &asked);
    let text = |value: Value| value.as_str().expect("a text").to_owned();
    hashes.into_iter().map(text).zip(headers.into_iter().map(text)).collect()
}

fn lines<'a>(headers: impl IntoIterator<Item = &'a (String, String)>) -> String {
    headers.into_iter().map(|(_, header)| format!("{header}\n")).collect()
}

/// The blocks that each share of a receipt builds on, as nodes write them.
fn built_on(receipt: &Path) -> Vec<String> {
    let mut reader = receipt::Reader::new(std::fs::File::open(receipt).expect("a file")).expect("a receipt");
    let mut blocks = Vec::new();
    while let Some(part) = reader.next_part().expect("a receipt") {
        if let Part::Share(_, job) = part {
            blocks.push(job.job.prev_hash.iter().rev().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    blocks
}

fn has(statements: &Value, what: &str) -> bool {
    statements.as_array().expect("a list").iter().any(|one| one["what"] == what)
}

/// How many shares have this finding.
fn found(report: &Value, kind: &str) -> u64 {
    let findings = report["findings"].as_array().expect("a list").iter();
    findings.filter(|one| one["kind"] == kind).filter_map(|one| one["shares"].as_u64()).sum()
}

/// How far a number of shares may be from what the books say it is on average: of the books' shares, which are many and easy, each is
/// worth the receipt difficulty with the same small probability, so by Bernstein's inequality it is farther off once in a million
/// runs. The books are by the second: two seconds' work of each period may be on the other side.
fn allowed(mean: f64) -> f64 {
    let chance = (2.0 * 1e6_f64).ln();
    chance / 3.0 + (chance * chance / 9.0 + 2.0 * chance * mean).sqrt() + 2.0 / seconds(EVERY) * mean
}

#[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
fn seconds(seconds: u64) -> f64 {
    seconds as f64
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_stranger_verifies_with_one_file_and_headers_what_a_friends_pool_was_lent() {
    let folder = Folder::new();
    let node = Node::start(Chain::Signet, folder.path());
    let pool_settings = |pays: &str| PoolSettings {
        share_batch_size: 1,
        shares_per_minute: 600.0,
        pays: pays.to_owned(),
        ..PoolSettings::default()
    };
    let own = Pool::start("own-pool", &node, folder.path(), &pool_settings(OURS));
    let friends = Pool::start("friends-pool", &node, folder.path(), &pool_settings(FRIENDS));

    let farm = Party::new(folder.path().join("farm"));
    let buyer = Party::new(folder.path().join("buyer"));
    let (farm_key, buyer_key) = (farm.key("farm.key"), buyer.key("buyer.key"));
    let (ledger, shelf) = (farm.file("ledger"), farm.file("receipts"));
    std::fs::create_dir(&shelf).expect("the test's folder can be written");

    let mut settings = Settings {
        listener:
            "difficulty_start = 1e-8\ndifficulty_min = 1e-8\nvardiff = false\nshares_per_minute = 600\n"
                .to_owned(),
        tables: format!(
            "[goal.ours]\nroute = \"main\"\nsources = [\"own\"]\nweight = 50\n\
             [goal.friend]\nroute = \"main\"\nsources = [\"friends\"]\nweight = 50\n\
             [ledger]\ndirectory = {ledger:?}\n[receipts]\ncounter_every = \"10s\"\n\
             key_file = {:?}\ndirectory = {shelf:?}\n",
            farm.file("farm.key")
        ),
        ..Settings::default()
    };
    for (name, pool) in [("own", &own), ("friends", &friends)] {
        settings = settings.source(name, &pool.url(), "nominal_hashrate = 60000\n");
    }
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let miners = MINERS.to_string();
    let arguments =
        ["--miners", &miners, "--shares-per-second", SHARES_PER_SECOND, "--seconds", LOAD_SECONDS];
    let miners = load::start(&adit, &arguments);
    let mut next = Instant::now();
    wait::until_so("shares of all miners are kept", MEASURED, || {
        // Reading a ledger is more than a look.
        let due = Instant::now() >= next;
        if due {
            next = Instant::now() + Duration::from_secs(1);
        }
        due && kept(&ledger) == MINERS
    });

    // Terms, made by the farm, signed by both sides beforehand.
    let from = now() + 20;
    let to = from + 2 * EVERY;
    let (first, middle, last) = (moment(from), moment(from + EVERY), moment(to));
    let every = format!("{EVERY}s");
    let terms = |file: &str, pays: &str| {
        farm.says(&[
            "lease",
            "terms",
            "make",
            file,
            "--lease",
            "friend",
            "--network",
            "signet",
            "--from",
            &first,
            "--to",
            &last,
            "--every",
            &every,
            "--hashrate",
            "1 kH/s",
            "--issuer",
            &farm_key,
            "--receiver",
            &buyer_key,
            "--pay",
            &address(pays),
        ]);
        std::fs::rename(farm.file(file), buyer.file(file)).expect("it is sent");
        buyer.says(&["lease", "terms", "sign", file, "--key", "buyer.key"]);
        std::fs::rename(buyer.file(file), farm.file(file)).expect("it is sent back");
        farm.says(&["lease", "terms", "sign", file, "--key", "farm.key"]);
    };
    terms("friend.terms", FRIENDS);
    terms("other.terms", OURS);
    std::fs::copy(farm.file("friend.terms"), shelf.join("friend.terms")).expect("a copy");

    // In each of the periods there is a new block; in the first the buyer counter-signs what there is of it.
    let new_block = |begins: u64| {
        wait::until_so("the period has begun", ISSUED, || now() >= begins + EVERY / 8);
        node.rpc("generatetodescriptor", &json!([1, "raw(51)", 1_000_000_000]));
    };
    new_block(from);
    let root = shelf.join("friend-1.root");
    wait::until_so("a root waits to be counter-signed", ISSUED, || root.is_file());
    std::fs::copy(&root, buyer.file("now.root")).expect("a copy");
    std::fs::copy(farm.file("friend.terms"), buyer.file("terms")).expect("a copy");
    let counter = ["now.root", "--terms", "terms", "--key", "buyer.key", "--out", "seen.counter"];
    buyer.says(&[&["receipt", "countersign"][..], &counter].concat());
    std::fs::copy(buyer.file("seen.counter"), shelf.join("from-the-buyer.counter")).expect("a copy");
    new_block(from + EVERY);
    let issued = [shelf.join("friend-1.receipt"), shelf.join("friend-2.receipt")];
    for receipt in &issued {
        wait::until_so("the receipt is issued", ISSUED, || receipt.is_file());
    }
    drop(miners);
    adit.signal("TERM");
    assert!(adit.wait_end(PATIENCE).success(), "{}", adit.log());

    // A stranger on an empty machine.
    let chain = headers(&node);
    std::fs::write(farm.file("headers.txt"), lines(&chain)).expect("a file");
    let files = [&*issued[0], &*issued[1], &*farm.file("headers.txt")];
    let stranger = Party::with_nothing_but(folder.path().join("stranger"), &files);
    let mut figures = Vec::new();
    for (name, period) in [("friend-1.receipt", [&first, &middle]), ("friend-2.receipt", [&middle, &last])] {
        let (status, report) = stranger.verify(name, "headers.txt");
        assert_eq!((status, &report["outcome"]), (Some(0), &json!("holds")), "{report:#}");
        for what in ["work", "payout", "blocks", "terms", "issuer"] {
            assert!(has(&report["proven"], what), "{what}: {report:#}");
        }
        // Only the first was seen while it was made.
        assert_eq!(has(&report["proven"], "time"), name == "friend-1.receipt", "{report:#}");
        assert_eq!(report["terms"]["subject"], json!({"kind": "lease", "name": "friend"}), "{report:#}");

        let ([from, to], counted) = (period, &report["counted"]);
        let figure = |name: &str| counted[name].as_f64().unwrap_or_else(|| panic!("{name}: {report:#}"));
        let books = farm
            .says(&["report", "--ledger", "ledger", "--from", from, "--to", to, "--by", "source", "--json"]);
        let books: Value = serde_json::from_str(&books).expect("JSON");
        assert_eq!(books["gaps"], json!([]), "nothing is lost: {books:#}");
        let group =
            |name| books["groups"].as_array().expect("a list").iter().find(move |one| one["name"] == name);
        let work = group("friends").expect("the friend's pool")["work"].as_f64().expect("a number");
        let hashes = work * 2_f64.powi(32);
        let (shares, each) = (figure("shares"), figure("hashes") / figure("shares"));
        assert!(shares >= 50.0, "{shares} shares say too little");
        let mean = hashes / each;
        assert!((shares - mean).abs() <= allowed(mean), "{shares} shares are proven, {mean} in the books");
        let within = (figure("low")..=figure("high")).contains(&hashes);
        figures.push(format!(
            "{shares} shares, {:.3e} to {:.3e} hashes proven, {hashes:.3e} in the books ({})",
            figure("low"),
            figure("high"),
            if within { "within" } else { "outside" },
        ));
    }

    // Headers that end before the newest block that was built on: those shares are listed, the others, of blocks before it, count.
    let blocks = built_on(&issued[1]);
    let height =
        |hash: &String| chain.iter().position(|(known, _)| known == hash).expect("a block of the chain");
    let newest = blocks.iter().map(height).max().expect("there are shares");
    let beyond = blocks.iter().filter(|hash| height(hash) == newest).count();
    std::fs::write(stranger.file("cut.txt"), lines(&chain[..newest])).expect("a file");
    let (status, report) = stranger.verify("friend-2.receipt", "cut.txt");
    assert_eq!((status, &report["outcome"]), (Some(3), &json!("partly")), "{report:#}");
    assert_eq!(found(&report, "unknown_block"), u64::try_from(beyond).expect("a number"), "{report:#}");
    assert_eq!(report["counted"]["shares"], blocks.len() - beyond, "{report:#}");
    // Of another chain: nothing counts.
    std::fs::write(stranger.file("another.txt"), format!("{GENESIS}\n")).expect("a file");
    let (status, report) = stranger.verify("friend-2.receipt", "another.txt");
    assert_eq!((status, &report["counted"]["shares"]), (Some(3), &json!(0)), "{report:#}");
    assert_eq!(found(&report, "unknown_block"), u64::try_from(blocks.len()).expect("a number"));

    // Terms by which these coinbases should have paid the farm's own pool.
    farm.says(&[
        "receipt",
        "make",
        "other.receipt",
        "--ledger",
        "ledger",
        "--terms",
        "other.terms",
        "--source",
        "friends",
        "--from",
        &first,
        "--key",
        "farm.key",
    ]);
    std::fs::copy(farm.file("other.receipt"), stranger.file("other.receipt")).expect("a copy");
    let (status, report) = stranger.verify("other.receipt", "headers.txt");
    assert_eq!((status, &report["outcome"]), (Some(1), &json!("refused")), "{report:#}");
    assert_eq!(found(&report, "payout"), report["shares"], "{report:#}");

    promise::kept(
        "a lease to a second pool, proven to a stranger with the program, a file and headers",
        &format!(
            "two periods of {EVERY} s, {MINERS} miners: {}; {beyond} of {} shares listed where the headers end too early; \
             terms that name the other pool's script are refused",
            figures.join("; "),
            blocks.len()
        ),
    );
}
