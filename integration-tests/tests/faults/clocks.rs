//! Row 6: the clock of Adit's machine is wrong, or jumps. Debian's `faketime` shifts the clock of the real program.

use std::time::Duration;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::middleman::{Middleman, Offer};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{peers, promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm, NOMINAL};

/// Adit with another wall clock; timers are left alone, as on a machine whose clock is set.
fn with_clock(mut settings: Settings, variable: &str, value: &str) -> Settings {
    for (name, value) in [
        ("LD_PRELOAD", peers::faketime().to_string_lossy().as_ref()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_NO_CACHE", "1"),
        (variable, value),
    ] {
        settings.environment.push((name.to_owned(), value.to_owned()));
    }
    settings
}

#[test]
#[ignore = "needs the release build and faketime: integration-tests/run"]
fn six_seconds_are_forgiven_and_a_minute_is_refused_with_a_word_about_clocks() {
    let folder = Folder::new();
    let pool = DevPool::start("pool-a", folder.path(), &FAST);
    // A certificate of this very second shows both sides of the leeway.
    let offer = Offer { from: 0, until: 0, ..Offer::default() };
    let link = Middleman::start(&pool.url(), offer, Box::new(|_, frame| vec![frame]));
    for (shift, hint) in [("-6", None), ("+6", None), ("-60", Some("behind")), ("+60", Some("ahead"))] {
        let folder = Folder::new();
        let settings = with_clock(Settings::for_cpus(), "FAKETIME", shift);
        let mut adit = Adit::start(folder.path(), &settings.source("pool", &link.url(), NOMINAL));
        let said = match hint {
            None => {
                adit.wait_ready();
                "connected".to_owned()
            }
            Some(hint) => wait::until(&format!("/readyz speaks of the clock ({shift} s)"), PATIENCE, || {
                let reasons = adit.readiness().1["reasons"].to_string();
                (reasons.contains("clock") && reasons.contains(hint) && reasons.contains("NTP"))
                    .then_some(reasons)
            }),
        };
        adit.stop();
        promise::figure("6", &format!("clock {shift} s off: {said}"));
    }
}

#[test]
#[ignore = "needs the release build and faketime: integration-tests/run"]
fn a_clock_that_jumps_back_an_hour_under_way_stops_nobody() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let clock = folder.path().join("clock");
    let set = |shift: &str| {
        // Renamed, so that it is never read half-written.
        let new = clock.with_extension("new");
        std::fs::write(&new, shift).expect("the test's folder can be written");
        std::fs::rename(&new, &clock).expect("the test's folder can be written");
    };
    set("+0");
    let settings = with_clock(Settings::for_cpus(), "FAKETIME_TIMESTAMP_FILE", &clock.to_string_lossy());
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let mut said = Vec::new();
    for shift in ["-3600", "+60", "+0"] {
        set(shift);
        let before = farm.adit.books();
        farm.wait_acknowledged("a", 30);
        let after = farm.adit.books();
        said.push(format!("{shift} s: {} shares rejected", after.rejected - before.rejected));
        assert_eq!(farm.adit.source("a")["reconnects_total"], 0, "the link stands");
        assert_eq!(farm.adit.active().as_deref(), Some("a"));
    }
    wait::stays_so("the link stands", Duration::from_millis(500), || {
        farm.adit.active().as_deref() == Some("a")
    });
    let rest = farm.finish(5);
    promise::figure(
        "6",
        &format!("the clock jumps under way, 30 shares each acknowledged: {}; {rest}", said.join(", ")),
    );
}
