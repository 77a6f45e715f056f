//! What a scrape reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use telemetry::{COMPATIBLE_METRICS, Exporter, Kind, Latencies, METRICS, Protocols, Snapshot, WorkerSeries};

use crate::example;
use crate::exposition::{Family, Sample, parse};

fn scrape(snapshot: Snapshot) -> BTreeMap<String, Family> {
    scrape_with(snapshot, example::workers())
}

fn scrape_with(snapshot: Snapshot, workers: Vec<WorkerSeries>) -> BTreeMap<String, Family> {
    let mut exporter = Exporter::new(Latencies::default()).expect("names are unique");
    exporter.add_workers(Arc::new(move || workers.clone())).expect("they are not there yet");
    let text = exporter.render(Arc::new(snapshot.with_sums())).expect("it can be written");
    parse(&text).expect("it can be read")
}

/// The sum of the samples whose labels hold all of `with`.
fn sum(scrape: &BTreeMap<String, Family>, name: &str, with: &[(&str, &str)]) -> f64 {
    let fits = |s: &&Sample| with.iter().all(|(l, v)| s.label(l) == Some(v));
    scrape[name].samples.iter().filter(fits).map(|s| s.value).sum()
}

#[test]
fn a_scrape_holds_every_metric_of_the_table_as_the_table_says_and_no_other() {
    let scrape = scrape(example::snapshot());
    let own = |name: &str| name.starts_with("adit_") && !name.starts_with("adit_http_");
    let on_this_system =
        |name: &str| own(name) || (cfg!(target_os = "linux") && name.starts_with("process_"));
    let wanted: BTreeSet<_> = METRICS.iter().map(|m| m.name).filter(|n| on_this_system(n)).collect();
    let found: BTreeSet<_> = scrape.keys().map(String::as_str).collect();
    assert_eq!(found, wanted);
    for metric in METRICS.iter().filter(|m| on_this_system(m.name)) {
        let family = &scrape[metric.name];
        assert_eq!((family.kind.as_str(), family.help.as_str()), (metric.kind.as_str(), metric.help));
        for sample in &family.samples {
            let labels: Vec<_> =
                sample.labels.iter().map(|(name, _)| name.as_str()).filter(|l| *l != "le").collect();
            assert_eq!(labels, metric.labels, "{}", metric.name);
        }
    }
}

#[test]
fn the_shares_of_a_scrape_add_up_to_the_books() {
    let snapshot = example::snapshot().with_sums();
    assert!(snapshot.is_balanced() && snapshot.books.is_balanced());
    let scrape = scrape(snapshot.clone());
    let shares = |state: &str| sum(&scrape, "adit_shares_total", &[("state", state)]);
    let open = |state: &str| sum(&scrape, "adit_shares_open", &[("state", state)]);
    let books = &snapshot.books;
    assert_eq!(shares("rejected"), books.rejected_total as f64);
    assert_eq!(shares("local"), books.local as f64);
    assert_eq!(shares("unsent"), books.unsent_total as f64);
    assert_eq!(shares("acknowledged"), books.acknowledged as f64);
    assert_eq!(shares("refused"), books.refused_total as f64);
    assert_eq!(shares("unknown"), books.unknown as f64);
    assert_eq!((open("held"), open("pending")), (books.held as f64, books.pending as f64));
    let all = sum(&scrape, "adit_shares_total", &[]) + sum(&scrape, "adit_shares_open", &[]);
    assert_eq!(all, books.submitted as f64);

    for source in &snapshot.sources {
        let ended = sum(&scrape, "adit_shares_total", &[("source", &source.name)]);
        let open = sum(&scrape, "adit_shares_open", &[("source", &source.name)]);
        assert_eq!(ended + open, source.books.submitted as f64);
        let lost = sum(&scrape, "adit_shares_told_true_lost_total", &[("source", &source.name)]);
        assert_eq!(lost, source.books.told_true_lost as f64);
    }
    let acknowledged = sum(&scrape, "adit_work_total", &[("state", "acknowledged")]);
    assert_eq!(acknowledged, books.work.acknowledged);
    assert_eq!(sum(&scrape, "adit_work_verified_total", &[]), books.work.verified);
    assert_eq!(sum(&scrape, "adit_books_balanced", &[]), 1.0);
}

#[test]
fn books_out_of_balance_show() {
    let mut snapshot = example::snapshot();
    snapshot.accounts[0].books.submitted += 1;
    assert_eq!(sum(&scrape(snapshot), "adit_books_balanced", &[]), 0.0);
}

#[test]
fn states_are_exclusive() {
    let scrape = scrape(example::snapshot());
    for (source, state) in [("pool", "ready"), ("spare", "waiting")] {
        assert_eq!(sum(&scrape, "adit_source_state", &[("source", source)]), 1.0);
        assert_eq!(sum(&scrape, "adit_source_state", &[("source", source), ("state", state)]), 1.0);
    }
    assert_eq!(sum(&scrape, "adit_source_up", &[]), 1.0);
    // Authorised miners are connected too, and counted once.
    assert_eq!(sum(&scrape, "adit_miners", &[("listener", "sv1")]), 12.0);
    assert_eq!(sum(&scrape, "adit_route_source_active", &[("route", "main")]), 1.0);
}

#[test]
fn no_name_can_break_out_of_its_label() {
    let hostile = "a\"} 1\nadit_up 1\n# HELP x \\ \\n {},=\r\0\u{7f}\u{202e}é𝄞";
    let mut snapshot = example::snapshot();
    snapshot.version = hostile.into();
    snapshot.listeners[0].name = hostile.into();
    snapshot.sources[0].name = hostile.into();
    snapshot.routes[0].name = hostile.into();
    snapshot.accounts[0].listener = hostile.into();
    snapshot.alarms[0].subject = hostile.into();
    snapshot.listeners[0].closed_total.insert(hostile.into(), 1);
    let scrape = scrape(snapshot);
    assert!(!scrape.contains_key("adit_up"));
    for (metric, label) in [
        ("adit_build_info", "version"),
        ("adit_miners", "listener"),
        ("adit_source_up", "source"),
        ("adit_route_miners", "route"),
        ("adit_shares_total", "listener"),
        ("adit_alarm", "subject"),
        ("adit_miner_closed_total", "reason"),
    ] {
        assert!(scrape[metric].samples.iter().any(|s| s.label(label) == Some(hostile)), "{metric}");
    }
}

#[test]
fn a_worker_may_call_itself_what_it_likes() {
    let names = [
        "a\"} 1\nadit_up 1\n# HELP x \\ \\n {},=",
        "account.rig-1",
        "back\\slash",
        "quote\"",
        "line\nend",
        "\u{fffd}\u{fffd}",
        "\u{202e}\u{e9}\u{1d11e}",
        "",
        "other",
    ];
    let long = "w".repeat(100_000);
    let mut workers: Vec<_> =
        names.iter().map(|name| WorkerSeries { name: (*name).to_owned(), ..Default::default() }).collect();
    workers.push(WorkerSeries { name: long.clone(), ..Default::default() });
    workers.push(WorkerSeries { name: "carriage\rreturn\0\u{1b}[31m".into(), ..Default::default() });
    let scrape = scrape_with(example::snapshot(), workers);
    assert!(!scrape.contains_key("adit_up"));
    let connections = &scrape["adit_worker_connections"].samples;
    for name in names.iter().copied().chain([&*long, "carriage\\u{d}return\\u{0}\\u{1b}[31m"]) {
        assert!(connections.iter().any(|s| s.label("worker") == Some(name)), "{name:?}");
    }
    assert_eq!(connections.len(), names.len() + 2);
}

#[test]
fn the_series_of_a_worker_are_its_books() {
    let scrape = scrape(example::snapshot());
    for worker in example::workers() {
        let of = |metric, state| sum(&scrape, metric, &[("worker", &worker.name), ("state", state)]);
        let (books, work) = (&worker.books, &worker.books.work);
        assert_eq!(of("adit_worker_shares_total", "acknowledged"), books.acknowledged as f64);
        assert_eq!(of("adit_worker_shares_total", "rejected"), books.rejected_total as f64);
        assert_eq!(of("adit_worker_work_total", "acknowledged"), work.acknowledged);
        let all = sum(&scrape, "adit_worker_shares_total", &[("worker", &worker.name)]);
        assert_eq!(all + (books.held + books.pending) as f64, books.submitted as f64);
    }
}

#[test]
fn the_compatibility_set_is_there_when_asked_for_and_says_the_same() {
    let mut exporter = Exporter::new(Latencies::default()).expect("names are unique");
    let protocols = Protocols { sv1_connections: 9, sv2_connections: 2, ..Protocols::default() };
    exporter
        .add_compatible(Arc::new(example::workers), Arc::new(move || protocols), Arc::new(true.into()))
        .expect("they are not there yet");
    let snapshot = example::snapshot().with_sums();
    let text = exporter.render(Arc::new(snapshot.clone())).expect("it can be written");
    let scrape = parse(&text).expect("it can be read");
    let found: Vec<_> = scrape.keys().filter(|name| name.starts_with("sv")).cloned().collect();
    let mut wanted: Vec<_> = COMPATIBLE_METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    for metric in COMPATIBLE_METRICS {
        let family = &scrape[metric.name];
        assert_eq!(family.kind, metric.kind.as_str());
        for sample in &family.samples {
            let labels: Vec<_> = sample.labels.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(labels, metric.labels, "{}", metric.name);
        }
    }
    assert_eq!(sum(&scrape, "sv1_clients_total", &[]), 9.0);
    assert_eq!(sum(&scrape, "sv2_clients_total", &[]), 2.0);
    for source in &snapshot.sources {
        let of = [("user_identity", source.name.as_str())];
        let accepted = sum(&scrape, "sv2_server_shares_accepted_total", &of);
        assert_eq!(accepted, source.books.acknowledged as f64);
        let refused = sum(&scrape, "sv2_server_shares_rejected_total", &of);
        assert_eq!(refused, source.books.refused_total as f64);
    }
    for worker in example::workers() {
        let of = [("user_identity", worker.name.as_str())];
        let rejected = sum(&scrape, "sv2_client_shares_rejected_total", &of);
        assert_eq!(rejected, worker.books.rejected_total as f64);
    }
}

#[test]
fn a_series_that_is_handed_in_twice_is_served_once() {
    let mut snapshot = example::snapshot();
    snapshot.listeners.push(snapshot.listeners[0].clone());
    snapshot.sources.push(snapshot.sources[0].clone());
    snapshot.routes.push(snapshot.routes[0].clone());
    snapshot.alarms.push(snapshot.alarms[0].clone());
    snapshot.limits.push(snapshot.limits[0].clone());
    let once = scrape(example::snapshot());
    // The reader refuses a series that is there twice.
    for (name, family) in scrape(snapshot) {
        assert_eq!(family.samples.len(), once[&name].samples.len(), "{name}");
    }
}

#[test]
fn figures_that_are_no_numbers_are_left_out() {
    let mut snapshot = example::snapshot();
    snapshot.routes[0].hashrate_hs = f64::NAN;
    snapshot.sources[0].job_age_seconds = Some(f64::INFINITY);
    let scrape = scrape(snapshot);
    assert!(!scrape.contains_key("adit_route_hashrate_hs"));
    assert!(!scrape.contains_key("adit_job_age_seconds"));
}

#[test]
fn counters_of_an_empty_adit_are_there() {
    let scrape = scrape(Snapshot::default());
    assert_eq!(sum(&scrape, "adit_ready", &[]), 0.0);
    assert_eq!(sum(&scrape, "adit_share_to_reply_seconds", &[]), 0.0);
    assert!(METRICS.iter().filter(|m| m.kind == Kind::Histogram).all(|m| scrape.contains_key(m.name)));
}

#[test]
fn observations_arrive_in_their_histograms() {
    let latencies = Latencies::default();
    let mut exporter = Exporter::new(latencies.clone()).expect("names are unique");
    let each = [
        (latencies.share_to_reply(), "adit_share_to_reply_seconds"),
        (latencies.share_to_ack(), "adit_share_to_ack_seconds"),
        (latencies.job_fanout(), "adit_job_fanout_seconds"),
        (latencies.job_fanout_last(), "adit_job_fanout_last_seconds"),
        (latencies.job_fanout_spread(), "adit_job_fanout_spread_seconds"),
        (latencies.handshake(), "adit_source_handshake_seconds"),
    ];
    for (n, (histogram, _)) in each.iter().enumerate() {
        (0..=n).for_each(|_| histogram.observe(Duration::from_millis(50)));
    }
    // Beyond the highest bound, and below the lowest one shown.
    latencies.share_to_reply().observe(Duration::from_secs(100));
    latencies.share_to_reply().observe(Duration::from_nanos(1));
    let text = exporter.render(Arc::new(Snapshot::default())).expect("it can be written");
    let scrape = parse(&text).expect("it can be read");
    let sample = |name: &str, le: Option<&str>, suffix: &str| {
        let found = scrape[name].samples.iter().find(|s| s.name.ends_with(suffix) && s.label("le") == le);
        found.expect("there is one").value
    };
    for (n, (_, name)) in each.iter().enumerate().skip(1) {
        assert_eq!(sample(name, Some("0.025"), "_bucket"), 0.0, "{name}");
        assert_eq!(sample(name, Some("0.05"), "_bucket"), (n + 1) as f64, "{name}");
        assert_eq!(sample(name, None, "_count"), (n + 1) as f64, "{name}");
    }
    let reply = "adit_share_to_reply_seconds";
    assert_eq!(sample(reply, Some("0.000005"), "_bucket"), 1.0);
    assert_eq!(sample(reply, Some("2.5"), "_bucket"), 2.0);
    assert_eq!(sample(reply, Some("+Inf"), "_bucket"), 3.0);
    assert!((sample(reply, None, "_sum") - 100.050_000_001).abs() < 1e-9);
}

/// Prometheus' own reader, where it is installed: `cargo test -p adit-telemetry -- --ignored`.
#[test]
#[ignore = "needs Prometheus' promtool on the PATH, or its path in PROMTOOL"]
fn promtool_has_nothing_to_say() {
    let mut exporter = Exporter::new(Latencies::default()).expect("names are unique");
    let text = exporter.render(Arc::new(example::snapshot().with_sums())).expect("it can be written");
    let promtool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let mut child = std::process::Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
