//! Row 3: a pool that refuses every share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::middleman::{Frame, Middleman, Offer, Way};
use integration_tests::miners::CpuMiner;
use integration_tests::promise;
use sv2::Message;
use sv2::mining::SubmitSharesExtended;

use crate::farm::{FAST, Farm};

/// Where the nonce stands in `SubmitSharesExtended`: behind channel id, sequence number and job id.
const NONCE_AT: usize = 12;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_pool_that_refuses_every_share_is_left() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let spoils = Arc::new(AtomicBool::new(false));
    let ordered = Arc::clone(&spoils);
    // Another nonce: the pool sees shares that meet no target.
    let rule = move |way: Way, mut frame: Frame| {
        let is_share = way == Way::Up && frame.message() == Some(SubmitSharesExtended::MSG_TYPE);
        if is_share && ordered.load(SeqCst) {
            frame.payload[NONCE_AT] ^= 1;
        }
        vec![frame]
    };
    let middleman = Middleman::start(&a.url(), Offer::default(), Box::new(rule));
    let farm = Farm::start(folder, &middleman.url());

    // A hundred refusals in a row are enough: with more miners they come sooner.
    let more = [1, 2, 3].map(|n| CpuMiner::start(farm.adit.port(), &format!("farm.more{n}"), 200_000.0));
    let at = Instant::now();
    spoils.store(true, SeqCst);
    farm.wait_active("b");
    let left_after = at.elapsed();
    farm.wait_acknowledged("b", 5);
    // One may be refused because a block was found while it was on its way.
    let books = farm.adit.source_books("a");
    let refused = books.refused - books.refused_stale;
    let by_code = farm
        .adit
        .metric("adit_shares_total", &["source=\"a\"", "state=\"refused\"", "reason=\"difficulty-too-low\""]);
    assert!(refused > 0 && by_code >= refused as f64, "counted under its code: {refused}, {by_code}");
    drop(more);
    let rest = farm.finish(40);
    promise::figure("3", &format!("left after {left_after:?} and {refused} refused shares; {rest}"));
}
