//! Row 5: a pool that cannot prove who it is.

use std::time::Instant;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::middleman::{Middleman, Offer};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, NOMINAL};

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_pool_with_a_bad_certificate_is_told_nothing() {
    let folder = Folder::new();
    let pool = DevPool::start("pool-a", folder.path(), &FAST);
    let well = Offer::default();
    let cases = [
        ("expired", "expired", Offer { from: -7_200, until: -3_600, ..well }),
        ("not yet valid", "becomes valid in", Offer { from: 3_600, until: 7_200, ..well }),
        ("another authority", "is not signed by the authority", Offer { by_another_authority: true, ..well }),
    ];
    let links: Vec<_> = cases
        .iter()
        .map(|(name, words, offer)| {
            (*name, *words, Middleman::start(&pool.url(), *offer, Box::new(|_, frame| vec![frame])))
        })
        .collect();
    for (name, words, link) in &links {
        let folder = Folder::new();
        let began = Instant::now();
        let adit = Adit::start(folder.path(), &Settings::for_cpus().source("pool", &link.url(), NOMINAL));
        let reason = wait::until(&format!("/readyz says why ({name})"), PATIENCE, || {
            let (code, body) = adit.readiness();
            let reasons = body["reasons"].to_string();
            (code == 503 && reasons.to_lowercase().contains(words)).then_some(reasons)
        });
        let told_after = began.elapsed();
        wait::until_so("it is tried again", PATIENCE, || link.connections().len() >= 3);
        wait::until_so("it is counted", PATIENCE, || {
            adit.metric("adit_events_total", &["event=\"source_handshake_failed\""]) >= 2.0
        });
        assert_eq!(link.bytes_up(), 0, "no mining message was sent ({name})");
        assert_eq!(adit.source("pool")["jobs_total"], 0);
        let (attempts, lines) = (link.connections().len(), adit.log().lines().count());
        assert!(lines <= 20 + 2 * attempts, "{lines} lines in the log for {attempts} attempts");
        adit.stop();
        promise::figure(
            "5",
            &format!(
                "{name}: {reason} after {told_after:?}; 0 bytes sent after the handshake in {attempts} attempts"
            ),
        );
    }
}
