//! From shares to a receipt that a stranger verifies with the program and the file alone.

use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger::record::Entry;
use ledger::{Highest, Reader};
use receipt::{CounterSignedRoot, Header, Job, SecretKey, Share, SignedRoot, SignedTerms, Writer, Written};
use rustix::process::Signal;
use serde_json::Value;

use crate::adit::Adit;
use crate::client::Client;

/// Terms are found within five seconds, and their tag is in the shares ten seconds before they begin. Before that they are
/// made and signed, by several calls of the program.
const TAG_LEAD: u64 = 40;
/// So many miners: a few shares of each are kept in a minute.
const MINERS: usize = 300;
/// Between two looks at what is waited for so many of them bring shares.
const AT_ONCE: usize = 30;
/// The period. A root in it is counter-signed, by several calls of the program, before it is over.
const SECONDS: u64 = 40;
/// Which shares are kept is decided when a minute is over.
const PATIENCE: Duration = Duration::from_secs(180);

/// The header of Bitcoin's first block.
const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc8\
                       1bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";

fn start() -> Adit {
    Adit::start_with(1, "", |pools| {
        format!(
            "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\n\
             vardiff = false\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [source.pool]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
             [route.main]\nlisteners = [\"main\"]\n\
             [goal.friend]\nroute = \"main\"\nsources = [\"pool\"]\n\
             [state]\ndirectory = \"state\"\n[receipts]\nkey_file = \"farm.key\"\ncounter_every = \"4s\"\n",
            pools[0]
        )
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 584 million")
}

/// What was told of thresholds in the last seconds.
fn kept_from(adit: &Adit) -> usize {
    let Ok(reader) = Reader::open(&adit.folder().join("state/ledger")) else { return 0 };
    let now_ms = now_ms();
    let mut highest = Highest::of(now_ms, now_ms + 1);
    let read = reader.evidence(now_ms, now_ms + 1, &mut |entry| highest.add(&entry));
    read.map_or(0, |_| highest.rows().values().filter(|held| held.kept_from > 0.0).count())
}

/// The program, in its folder.
fn run(adit: &Adit, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(arguments.split(' ')).current_dir(adit.folder()).output().expect("it runs")
}

fn good(adit: &Adit, arguments: &str) -> String {
    let output = run(adit, arguments);
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments}: {}\n{out}{errors}", output.status);
    out.into_owned()
}

fn json(adit: &Adit, arguments: &str) -> Value {
    serde_json::from_str(&good(adit, arguments)).expect("JSON")
}

/// All bring shares until that is so, each as many as the others.
fn mine_until(miners: &mut [Client], what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut was_so = is_so();
    while !was_so {
        assert!(Instant::now() < deadline, "not in time: {what}");
        for some in miners.chunks_mut(AT_ONCE) {
            for miner in some {
                // As a miner does that works on the newest job, whenever its turn is here.
                miner.catch_up();
                assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
            }
            was_so = was_so || is_so();
        }
    }
}

/// A receipt under other terms, whose tag is another, from the shares of this one: as nobody but a forger makes it, since
/// `adit receipt make` leaves such shares out.
fn sold_again(adit: &Adit, made: &Value) -> Vec<u8> {
    let file = |name: &str| std::fs::read(adit.folder().join(name)).expect("a file");
    let key: SecretKey = String::from_utf8(file("farm.key")).expect("hex").trim().parse().expect("a key");
    let terms = SignedTerms::from_file(&file("state/receipts/friend.terms")).expect("terms").terms;
    let terms = receipt::Terms { note: "sold again".into(), ..terms };
    let mut signed = SignedTerms::new(terms).expect("terms");
    signed.sign(1, &key).expect("the issuer");
    let number = |name: &str| made["header"][name].as_i64().expect("a number");
    let highest = i8::try_from(number("highest")).expect("an exponent");
    let (from, to) = (signed.terms.from, signed.terms.to);
    let header = receipt::Header::new(&signed.terms, from, to, highest, 1, 0);
    let mut writer = Writer::new(Vec::new(), &signed, header).expect("a header that follows");
    let ledger = Reader::open(&adit.folder().join("state/ledger")).expect("the ledger");
    let (from_ms, to_ms) = (from * 1_000, to * 1_000);
    let mut shares = Vec::new();
    let read = ledger.evidence(from_ms, to_ms, &mut |entry| match entry {
        Entry::Share(share) if (from_ms..to_ms).contains(&share.at_ms) => shares.push(share),
        _ => {}
    });
    read.expect("evidence");
    shares.sort_by_key(|share| share.at_ms);
    let mut taken = 0;
    for share in shares {
        let job = Job {
            version: share.job.version,
            prev_hash: share.job.prev_hash,
            nbits: share.job.nbits,
            min_ntime: share.job.min_ntime,
            prefix_length: share.job.prefix_length.expect("it is kept"),
            coinbase_prefix: share.job.coinbase_prefix.to_vec(),
            coinbase_suffix: share.job.coinbase_suffix.to_vec(),
            merkle_path: share.job.merkle_path.to_vec(),
        };
        let share = Share {
            at: share.at_ms / 1_000,
            extranonce: share.extranonce,
            ntime: share.ntime,
            nonce: share.nonce,
            version: share.version,
        };
        taken += u64::from(writer.share(&job, &share).expect("it fits") == Written::Taken);
    }
    assert!(taken >= made["shares"].as_u64().expect("a number"));
    writer.finish(to, &key).expect("the issuer's").0
}

/// Where counter-signatures are sent to.
const COUNTER: &str = "/api/v1/receipts/counter";

fn file(adit: &Adit, name: &str) -> Vec<u8> {
    std::fs::read(adit.folder().join(name)).expect("a file")
}

/// How many shares a root is over.
fn shares_of(adit: &Adit, name: &str) -> u64 {
    json(adit, &format!("receipt show {name} --json"))["shares"].as_u64().expect("a number")
}

/// The buyer takes the root that waits, counter-signs it, and sends it back; nothing else is taken.
fn counter_sign(adit: &Adit) {
    let listed = adit.get("/api/v1/receipts");
    assert!(listed.contains("\"friend-1.root\""), "{listed}");
    std::fs::copy(adit.folder().join("state/receipts/friend-1.root"), adit.folder().join("now.root"))
        .expect("a file");
    let terms = "--terms state/receipts/friend.terms";
    assert_eq!(
        run(adit, &format!("receipt countersign now.root {terms} --key farm.key")).status.code(),
        Some(64)
    );
    let said = good(
        adit,
        &format!("receipt countersign now.root {terms} --key buyer.key --age 60s --out buyer.counter"),
    );
    let shares = shares_of(adit, "now.root");
    assert!(shares > 0 && said.contains(&format!("{shares} shares")), "{said}");
    assert!(good(adit, "receipt show buyer.counter").contains("counter-signed by"));

    let counter = file(adit, "buyer.counter");
    let mut tampered = counter.clone();
    *tampered.last_mut().expect("not empty") ^= 1;
    for refused in [&tampered[..], &file(adit, "now.root"), b""] {
        let answer = adit.send(COUNTER, refused);
        assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    }
    for _ in 0..2 {
        let answer = adit.send(COUNTER, &counter);
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("friend-1-{shares}-")),
            "{answer}"
        );
    }
}

/// As after a receipt difficulty that was raised: the receipt holds without it, and its maker is told.
fn a_root_that_fits_no_more_is_left_out(adit: &Adit) {
    let CounterSignedRoot { root, .. } =
        CounterSignedRoot::from_file(&file(adit, "buyer.counter")).expect("one");
    let key = |name| String::from_utf8_lossy(&file(adit, name)).trim().parse::<SecretKey>().expect("a key");
    let SignedRoot { terms, from, to, exponent, shares, at, .. } = root;
    let header = Header::new(&terms.terms, from, to, exponent - 1, 1, 0);
    let other =
        SignedRoot::sign(&terms, &header, (2 * shares, [7; 32]), at, &key("farm.key")).expect("a root");
    let other = CounterSignedRoot::sign(other, at, &key("buyer.key")).expect("in time");
    std::fs::write(adit.folder().join("earlier.counter"), other.to_file()).expect("a file");
    let made = json(
        adit,
        "receipt make without --ledger state/ledger --terms state/receipts/friend.terms --source pool --key farm.key --counter \
         earlier.counter --counter buyer.counter --json",
    );
    assert_eq!(made["counter_signatures"], 1, "{made}");
    assert!(made["remarks"].to_string().contains("1 counter-signatures do not fit"), "{made}");
    good(adit, "receipt verify without");
}

#[test]
fn what_miners_delivered_is_proven_by_a_file_and_a_file_that_was_tampered_with_is_refused() {
    let mut adit = start();
    let mut miners: Vec<Client> =
        (0..MINERS).map(|n| Client::mining(adit.miners(), &format!("farm.rig{n}"))).collect();
    mine_until(&mut miners, "shares of all are kept", || kept_from(&adit) == MINERS);

    // Both sides have keys and sign the terms.
    let public = |file: &str| {
        let said = good(&adit, &format!("keys --receipt {file}"));
        assert_eq!(said, good(&adit, &format!("keys --receipt-public-of {file}")));
        said.split('"').nth(1).expect("a key").to_owned()
    };
    let (farm, buyer) = (public("farm.key"), public("buyer.key"));
    let at = |seconds: u64| receipt::utc(seconds).replace(' ', "T").replace("TUTC", "Z");
    let from = now_ms() / 1_000 + TAG_LEAD;
    let to = from + SECONDS;
    let (first, last) = (at(from), at(to));
    good(
        &adit,
        &format!(
            "lease terms make terms --lease friend --network regtest --from {first} --to {last} --hashrate 1kH/s --issuer \
             {farm} --receiver {buyer} --tag 8"
        ),
    );
    good(&adit, "lease terms sign terms --key buyer.key --draw-salt");
    good(&adit, "lease terms sign terms --key farm.key");
    let shown = json(&adit, "lease terms show terms --json");
    assert!(
        shown["signatures"].as_array().expect("a list").iter().all(|one| one["holds"] == true),
        "{shown}"
    );

    // While it runs, Adit writes their tag into all shares in time, and issues by itself.
    let issued = adit.folder().join("state/receipts/friend-1.receipt");
    std::fs::rename(adit.folder().join("terms"), adit.folder().join("state/receipts/friend.terms"))
        .expect("a file");
    let root = adit.folder().join("state/receipts/friend-1.root");
    let tag = &shown["terms"]["tag"];
    let mut tagged_at = None;
    mine_until(&mut miners, "a root waits", || {
        let source = &adit.status()["sources"][0];
        if tagged_at.is_none() && source["lease_tag"]["tag"] == *tag {
            assert_eq!(source["lease_tag"]["channels_without_room"], 0);
            tagged_at = Some(now_ms() / 1_000);
        }
        root.exists()
    });
    assert!(tagged_at.is_some_and(|at| at <= from), "{tagged_at:?}, {from}");
    counter_sign(&adit);
    mine_until(&mut miners, "the receipt is issued", || issued.exists());
    assert!(adit.send(COUNTER, &file(&adit, "buyer.counter")).contains("is issued already"));
    // Once it is written, what belongs to it is removed.
    adit.until("nothing else is left", |adit| {
        let left = adit.folder().join("state/receipts").read_dir().expect("a folder");
        let mut left = left.filter_map(|entry| Some(entry.ok()?.file_name()));
        left.all(|name| name.to_string_lossy().ends_with(".receipt") || name == "friend.terms")
    });
    adit.signal(Signal::TERM);
    assert!(adit.wait().success(), "{}", adit.log());
    std::fs::rename(&issued, adit.folder().join("issued")).expect("a file");

    let made = json(
        &adit,
        "receipt make proof --ledger state/ledger --terms state/receipts/friend.terms --source pool --key farm.key --counter \
         buyer.counter --json",
    );
    assert!(made["shares"].as_u64().expect("a number") > 25, "{made}");
    assert_eq!(made["header"]["miners"], MINERS, "{made}");
    let remarks = made["remarks"].as_array().expect("a list");
    assert!(!remarks.iter().any(|remark| remark.to_string().contains("tag")), "all carry it: {made}");
    assert_eq!(made["counter_signatures"], 1, "{made}");
    let verified = json(&adit, "receipt verify proof --terms state/receipts/friend.terms --json");
    let report = &verified[0]["report"];
    assert_eq!(
        (&report["outcome"], &verified[0]["other_terms"]),
        (&Value::from("holds"), &Value::from(false))
    );

    // They belong to no other lease.
    let text = good(&adit, "receipt verify proof");
    assert!(text.contains("Each share carries the 8 bytes of these terms' tag"), "{text}");
    assert!(!text.contains("could be sold twice"), "{text}");
    good(
        &adit,
        &format!(
            "lease terms make other --lease friend --network regtest --from {first} --to {last} --hashrate 1kH/s --issuer {farm} \
             --tag 8"
        ),
    );
    let none = json(
        &adit,
        "receipt make none --ledger state/ledger --terms other --source pool --key farm.key --json",
    );
    assert_eq!(none["shares"], 0);
    let left_out = format!("{} shares do not carry the terms' tag", made["shares"]);
    let remarks = none["remarks"].as_array().expect("a list");
    assert!(remarks.iter().any(|remark| remark.to_string().contains(&left_out)), "{none}");
    std::fs::write(adit.folder().join("again"), sold_again(&adit, &made)).expect("a file");
    let refused = run(&adit, "receipt verify again --json");
    let refused: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    let refused = &refused[0]["report"];
    assert_eq!(refused["outcome"], "refused");
    let findings = refused["findings"].as_array().expect("a list");
    assert!(findings.iter().any(|finding| finding["kind"] == "tag"), "{refused}");

    let by_itself = json(&adit, "receipt verify issued --terms state/receipts/friend.terms --json");
    assert_eq!(
        (&by_itself[0]["report"]["outcome"], &by_itself[0]["report"]["counted"]),
        (&report["outcome"], &report["counted"])
    );

    // The buyer's counter-signature stands in both, and bounds the time of what it saw.
    let seen = shares_of(&adit, "buyer.counter");
    for report in [report, &by_itself[0]["report"]] {
        assert_eq!(
            (&report["counter_signed"]["shares"], &report["counter_signed"]["by_receiver"]),
            (&Value::from(seen), &Value::from(true)),
            "{report}"
        );
        let not_proven = report["not_proven"].as_array().expect("a list");
        let later = not_proven.iter().find(|one| one["what"] == "made_later").expect("the last shares");
        let last = report["shares"].as_u64().expect("a number") - seen;
        assert!(
            later["text"].as_str().expect("a text").contains(&format!("the last {last} shares")),
            "{later}"
        );
    }
    a_root_that_fits_no_more_is_left_out(&adit);

    // The books say the same. The interval holds in 95 of 100 cases; so far beyond it, in all of a hundred thousand.
    let books = json(&adit, &format!("report --ledger state/ledger --from {first} --to {last} --json"));
    let books = books["total"]["work"].as_f64().expect("a number");
    let figure = |name: &str| report["counted"][name].as_f64().expect("a number") / 2_f64.powi(32);
    let (low, hashes, high) = (figure("low"), figure("hashes"), figure("high"));
    let (least, most) = (hashes - 2.3 * (hashes - low), hashes + 2.3 * (high - hashes));
    assert!((least..most).contains(&books), "{low} to {high} are claimed, the books have {books}");

    let beside =
        json(&adit, &format!("report --config adit.toml --from {first} --to {last} --receipt proof --json"));
    let beside = &beside["receipts"][0];
    let figure = |name: &str| beside[name].as_f64().expect("a number");
    assert!((figure("delivered_work") - books).abs() <= 1e-9 * books, "{beside}");
    assert!((figure("proven_work") - hashes).abs() <= 1e-9 * hashes, "{beside}");

    // Others see what they must see.
    let text = good(&adit, "receipt verify proof");
    assert!(text.contains("not proven"), "{text}");
    assert!(good(&adit, "receipt show proof").contains("unverified"));
    let own = format!(
        "receipt make own --ledger state/ledger --route main --network regtest --from {first} --to {last} \
                       --hashrate 1kH/s --key farm.key --json"
    );
    assert_eq!(json(&adit, &own)["hashes"], made["hashes"]);
    let exit = |arguments: &str| run(&adit, arguments).status.code();
    assert_eq!(exit("receipt verify own --terms state/receipts/friend.terms"), Some(1), "for other terms");
    assert_eq!(exit("receipt merge proof own --out both"), Some(1), "the same shares");
    assert!(!adit.folder().join("both").exists());
    good(&adit, "receipt merge proof --out one");
    assert_eq!(json(&adit, "receipt verify one --json")[0]["report"]["outcome"], "holds");

    // Blocks that its chain does not have.
    std::fs::write(adit.folder().join("headers"), format!("{GENESIS}\n")).expect("a file");
    assert_eq!(exit("receipt verify proof --headers headers"), Some(3), "nothing counts");

    // Whatever is changed in it.
    let proof = std::fs::read(adit.folder().join("proof")).expect("the receipt");
    for at in (0..proof.len()).step_by(proof.len() / 50) {
        let mut tampered = proof.clone();
        tampered[at] ^= 1;
        std::fs::write(adit.folder().join("tampered"), tampered).expect("a file");
        assert!(matches!(exit("receipt verify tampered"), Some(1 | 2)), "byte {at}");
    }
    std::fs::write(adit.folder().join("tampered"), &proof[..proof.len() - 1]).expect("a file");
    assert_eq!(exit("receipt verify tampered"), Some(2));
}
