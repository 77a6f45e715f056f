//! From a miner's share to the ledger's evidence, with the released program: what is kept can be hashed again, is as much as was
//! promised, and the sums beside it are the pool's own.

use std::collections::BTreeSet;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::Adit;
use integration_tests::{load, promise, wait};
use ledger::record::{Entry, Share};
use ledger::{Reader, Stream};

use crate::PATIENCE;
use crate::ledger::{report, settings};

/// Each is measured for a minute before anything of its shares is kept, and then has two kept a minute.
const MINERS: &str = "400";
const SECONDS: &str = "130";
/// Less than this many would say little of whether they are as many as they should be.
const KEPT_AT_LEAST: usize = 200;

fn kept(reader: &Reader) -> Vec<Share> {
    let mut shares = Vec::new();
    let damages = reader.entries(Stream::Evidence, &mut |entry| {
        if let Entry::Share(share) = entry {
            shares.push(share);
        }
    });
    assert_eq!(damages.expect("the evidence can be read"), []);
    shares
}

/// The shares that the pool says that it has accepted, as it logged last.
pub(crate) fn accepted(pool: &DevPool) -> Option<u64> {
    let log = pool.log();
    let (_, last) = log.rsplit_once("accepted=")?;
    last.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn kept_shares_hash_below_their_keep_target_and_are_as_many_as_promised() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &["--shares-per-minute", "600"]);
    let directory = folder.path().join("ledger");
    let mut adit = Adit::start_ready(folder.path(), &settings(&directory, &pool.url()));
    let args = ["--miners", MINERS, "--shares-per-second", "4000", "--seconds", SECONDS];
    let report_of_load = load::run(&adit, &args);
    assert_eq!(report_of_load["shares"]["unanswered"], 0, "{report_of_load}");
    let handed_in = report_of_load["shares"]["submitted"].as_u64().expect("a report has shares");
    let books = adit.wait_books("every share is settled", PATIENCE, |books| {
        books.pending == 0 && books.submitted >= handed_in
    });
    adit.signal("TERM");
    let _ = adit.wait_end(PATIENCE);

    let reader = Reader::open(&directory).expect("a ledger");
    let shares = kept(&reader);
    assert!(shares.len() >= KEPT_AT_LEAST, "{} shares are kept", shares.len());
    let (mut seen, mut workers) = (BTreeSet::new(), BTreeSet::new());
    for share in &shares {
        let header = share.header();
        let hash = header.hash();
        let target = work::Difficulty::new(share.keep).expect("a difficulty").target();
        assert!(hash.meets(&target), "a share that is kept is worth its keep difficulty: {share:?}");
        assert!(share.keep >= share.difficulty, "and what its miner was told: {share:?}");
        assert_eq!(share.keep.log2().fract(), 0.0, "a power of two");
        assert!(seen.insert(hash.to_bytes()), "none is kept twice");
        workers.insert(share.key.worker.clone());
        let of_job = &share.job;
        let coinbase = [&of_job.coinbase_prefix[..], &share.extranonce, &of_job.coinbase_suffix].concat();
        assert!(coinbase.len() > 60, "the whole coinbase");
        assert_eq!((&*share.key.source, &*of_job.source), ("pool", "pool"));
        assert!(share.ntime >= of_job.min_ntime);
    }

    // The sum of their keep difficulties is an estimate of the work that was delivered while shares were kept.
    let first = shares.iter().map(|share| share.at_ms).min().expect("there are some");
    let (hashes, _) = reader
        .sums::<i128>(first, u64::MAX / 2, |sum, _, _, row| *sum += row.get("verified").hashes)
        .expect("the sums can be read");
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let delivered = hashes as f64 / work::hashrate::HASHES_PER_DIFFICULTY;
    let of_evidence: f64 = shares.iter().map(|share| share.keep).sum();
    let squares: f64 = shares.iter().map(|share| share.keep * share.keep).sum();
    let ratio = of_evidence / delivered;
    // Five standard errors, and the second in which keeping began.
    let off = 5.0 * squares.sqrt() / delivered + 0.03;
    assert!((ratio - 1.0).abs() < off, "{of_evidence} by evidence, {delivered} delivered; at most {off} off");

    let report = report(&directory);
    assert_eq!(report["total"]["shares"], books.submitted);
    wait::until_so("the pool says how many it has", PATIENCE, || accepted(&pool) == Some(books.acknowledged));
    let acknowledged = &report["total"]["columns"]["acknowledged"];
    assert_eq!(acknowledged["shares"], books.acknowledged, "{report}");
    promise::figure(
        "28",
        &format!(
            "{} shares of {} workers kept, each hashes below its keep target; by them {:.1} % of the work that was \
             delivered; adit report and the pool both count {} acknowledged",
            shares.len(),
            workers.len(),
            ratio * 100.0,
            books.acknowledged
        ),
    );
}
