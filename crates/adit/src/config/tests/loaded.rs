//! What a good configuration becomes, and what its owner is warned of.

use std::time::Duration;

use super::{good, url};
use crate::config::{Config, Loaded, LogFormat, LogLevel, Machine, MinersPerChannel, Reply, assemble};

fn load(text: &str) -> Loaded {
    Config::from_str_named("adit.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn load_on(text: &str, open_files: u64) -> Loaded {
    let machine = Machine { open_files: Some(open_files) };
    assemble("adit.toml", text, &[], false, machine, &|path| std::fs::read_to_string(path))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_short_configuration_gets_every_default() {
    let Config {
        listeners,
        sources,
        templates,
        solos,
        declared,
        routes,
        goals,
        pins,
        firmware,
        state,
        ledger,
        nats,
        receipts,
        http,
        log,
        limits,
    } = load(&good().text()).config;
    let listener = &listeners["main"];
    assert_eq!(listener.listen.to_string(), "127.0.0.1:3333");
    assert_eq!((listener.extranonce1_size, listener.extranonce2_size), (None, None));
    assert_eq!((listener.shares_per_minute, listener.vardiff), (20.0, true));
    assert_eq!((listener.difficulty_start, listener.difficulty_min), (64.0, 0.0001));
    assert_eq!((listener.difficulty_max, listener.max_connections), (None, None));
    assert_eq!((listener.reply, listener.version_mask), (Reply::Local, 0x1fff_e000));
    let source = &sources["main"];
    assert_eq!(source.url.to_string(), url());
    assert_eq!((source.insecure, source.worker_names), (false, true));
    assert_eq!((source.miners_per_channel, source.nominal_hashrate), (None, None));
    assert_eq!(source.ntime_slack, Duration::from_secs(600));
    assert_eq!((source.payout.as_ref(), source.payout_percent), (None, 100.0));
    assert!(
        templates.is_empty()
            && solos.is_empty()
            && declared.is_empty()
            && firmware.is_empty()
            && goals.is_empty()
            && pins.is_empty()
    );
    assert_eq!(state.directory, None);
    assert_eq!((ledger.enabled, ledger.directory), (None, None));
    assert_eq!((ledger.minutes_kept, ledger.hours_kept), (DAY * 14, DAY * 400));
    assert_eq!((ledger.sums_max, ledger.evidence_max), (4 << 30, 8 << 30));
    assert_eq!((ledger.evidence, ledger.evidence_kept), (true, DAY * 90));
    assert!(!nats.enabled() && nats.sums && nats.evidence);
    assert_eq!((nats.spool_age, nats.spool_max), (Duration::from_secs(3_600), 1 << 30));
    assert_eq!((receipts.key_file, receipts.directory), (None, None));
    let route = &routes["main"];
    assert_eq!(route.return_after, Duration::from_secs(60));
    assert_eq!((route.outage_grace, route.keepalive), (Duration::from_secs(600), Duration::from_secs(30)));
    assert_eq!((http.read_token, http.admin_token), (None, None));
    assert_eq!((http.enabled, http.listen.to_string().as_str()), (true, "127.0.0.1:23480"));
    assert_eq!((log.level, log.format), (LogLevel::Info, LogFormat::Text));
    assert_eq!((limits.max_connections, limits.line, limits.outbox), (20_000, 16_384, 65_536));
}

#[test]
fn values_are_read_in_every_form_that_is_documented() {
    let config = load(
        &good()
            .listener(
                "version_mask = 0x1fffffe0\ndifficulty_start = 0.5\ndifficulty_max = 1e9\nreply = \"source\"",
            )
            .source(
                "nominal_hashrate = \"100 TH/s\"\nminers_per_channel = \"all\"\nconnect_timeout = 2.5\n\
                 certificate_leeway = 60\nntime_slack = \"1h30m\"",
            )
            .end("[limits]\nline = 20000\nframe = \"1MiB\"\nmax_connections = 10_000\n[log]\nformat = 'json'")
            .text(),
    )
    .config;
    assert_eq!(config.listeners["main"].version_mask, 0x1fff_ffe0);
    assert_eq!(config.listeners["main"].reply, Reply::Source);
    assert_eq!(config.listeners["main"].difficulty_max, Some(1e9));
    assert_eq!(config.sources["main"].nominal_hashrate, Some(1e14));
    assert_eq!(config.sources["main"].miners_per_channel, Some(MinersPerChannel::All));
    assert_eq!(config.sources["main"].connect_timeout, Duration::from_millis(2_500));
    assert_eq!(config.sources["main"].certificate_leeway, Duration::from_secs(60));
    assert_eq!(config.sources["main"].ntime_slack, Duration::from_secs(5_400));
    assert_eq!((config.limits.line, config.limits.frame), (20_000, 1 << 20));
    assert_eq!(config.limits.max_connections, 10_000);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn a_first_difficulty_that_nobody_chose_keeps_to_the_bounds() {
    let start = |lines| load(&good().listener(lines).text()).config.listeners["main"].difficulty_start;
    assert_eq!(start("difficulty_min = 500000"), 500_000.0);
    assert_eq!(start("difficulty_max = 2"), 2.0);
}

#[test]
fn ports_of_zero_do_not_clash() {
    let text = good().listener("listen = \"127.0.0.1:0\"").end("[http]\nlisten = \"127.0.0.1:0\"").text();
    assert_eq!(warnings(&load(&text)), Vec::<String>::new());
}

#[test]
fn other_addresses_of_one_port_do_not_clash() {
    let text =
        good().listener("listen = \"192.168.1.2:9000\"").end("[http]\nlisten = \"127.0.0.1:9000\"").text();
    assert_eq!(warnings(&load(&text)), Vec::<String>::new());
}

#[test]
fn public_listeners_are_warned_of_and_private_ones_are_not() {
    for address in [
        "127.0.0.1",
        "192.168.7.1",
        "10.0.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[::1]",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        let text = good().listener(&format!("listen = \"{address}:3333\"")).text();
        assert_eq!(warnings(&load(&text)), Vec::<String>::new(), "{address}");
    }
    for (address, who) in [
        ("0.0.0.0", "every network that this machine is in"),
        ("[::]", "every network that this machine is in"),
        ("203.0.113.7", "the public network"),
        ("[2001:db8::1]", "the public network"),
    ] {
        let text = good().listener(&format!("listen = \"{address}:3333\"")).text();
        assert_eq!(
            warnings(&load(&text)),
            [format!(
                "adit.toml:3:10: listener.main.listen: {address}:3333 takes miners from {who}: Stratum V1 is not \
                 encrypted, anyone on the way can read and take over shares; listen on an address of the miners' \
                 own network, or let a firewall keep others out"
            )]
        );
    }
}

#[test]
fn what_weakens_or_has_no_effect_is_warned_of() {
    let text = good()
        .bare_source("url = \"stratum2+tcp://127.0.0.1:3336\"\nuser_identity = \"a\"\ninsecure = true")
        .end(&format!(
            "[source.spare]\nurl = \"{}\"\nuser_identity = \"a\"\ninsecure = true\n[http]\nlisten = \"0.0.0.0:80\"",
            url()
        ))
        .text();
    assert_eq!(
        warnings(&load(&text)),
        [
            "adit.toml:6:12: source.main.insecure: nobody vouches for this pool: anyone on the way can pose as it \
             and take the hashrate",
            "adit.toml:13:12: source.spare.insecure: this has no effect: the URL has an authority key, and the pool \
             must prove it",
            "adit.toml:10:9: source.spare: no route uses this source",
            "adit.toml:15:10: http.listen: 0.0.0.0:80 answers every network that this machine is in without a \
             token: set read_token, listen on this machine, or let a firewall keep others out",
        ]
    );
    let text = good().listener("vardiff = false\nshares_per_minute = 5\nmax_connections = 30000").text();
    assert_eq!(
        warnings(&load(&text)),
        [
            "adit.toml:5:19: listener.main.max_connections: limits.max_connections allows 20000 for all listeners \
             together",
            "adit.toml:4:21: listener.main.shares_per_minute: this has no effect with vardiff = false",
        ]
    );
}

#[test]
fn job_declarators_that_find_nothing_are_warned_of_and_a_declarator_without_key_is_refused() {
    assert_eq!(
        warnings(&load(&good().listener("job_declarators = 2").text())),
        [
            "adit.toml:3:19: listener.main.job_declarators: this has no effect without authority_secret_key: job \
             declarator clients speak Stratum V2, which is not served",
            "adit.toml:3:19: listener.main.job_declarators: none of the sources of its routes has a jds_url: job \
             declarator clients find no job declarator",
        ]
    );
    let jds_url = "jds_url = \"stratum2+tcp://pool.example:3334\"";
    let text = good().source(jds_url).text();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
    assert_eq!(refused.problems()[0].key, "source.main.jds_url");
    let text = good().source(&format!("{jds_url}\ninsecure = true")).text();
    assert!(load(&text).config.sources["main"].jds_url.is_some());
}

#[test]
fn connections_fit_the_limit_on_open_files() {
    let loaded = load_on(&good().text(), 1_024);
    assert_eq!(loaded.config.limits.max_connections, 524);
    assert_eq!(
        warnings(&loaded),
        [
            "default: limits.max_connections: 524 connections at most, because the limit on open files is 1024 here \
          (ulimit -n, LimitNOFILE= of a service)"
        ]
    );
    assert_eq!(load_on(&good().text(), 20_500).config.limits.max_connections, 20_000);

    let text = good().end("[limits]\nmax_connections = 1000").text();
    let machine = Machine { open_files: Some(1_024) };
    let refused =
        assemble("adit.toml", &text, &[], false, machine, &|path| std::fs::read_to_string(path)).unwrap_err();
    assert_eq!(
        refused.problems()[0].to_string(),
        "adit.toml:10:19: limits.max_connections
    10 | max_connections = 1000
       |                   ^^^^
    expected: at most 524 connections: the limit on open files is 1024 here
    found:    1000
    fix:      max_connections = 524, or raise the limit to 1500 (ulimit -n, LimitNOFILE= of a service)
"
    );
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let text = good()
        .listener("listen = \"[::1]:3333\"\ndifficulty_start = 0.000001\ndifficulty_min = 1e-6\ndifficulty_max = 1e15")
        .source("nominal_hashrate = 123456789.25\nminers_per_channel = 50\nconnect_timeout = 0.25")
        .end("[limits]\nline = 10001\nidle = 100000")
        .text();
    let config = load(&text).config;
    let effective = config.effective_toml();
    assert_eq!(load(&effective).config, config, "{effective}");
}

#[test]
fn the_effective_configuration_has_every_key() {
    let effective = load(&good().text()).config.effective_toml();
    assert!(
        effective.starts_with("version = 1\n\n[listener.main]\nlisten = \"127.0.0.1:3333\"\n"),
        "{effective}"
    );
    for line in [
        "# max_connections is not set",
        "keepalive = \"30s\"",
        "[http]",
        "outbox = \"64KiB\"",
        "shutdown_grace = \"10s\"",
        "unlimited_addresses = []",
        "# memory is not set",
    ] {
        assert!(effective.lines().any(|other| other == line), "{line}: {effective}");
    }
}

#[test]
fn listeners_that_share_miner_ids_are_judged_together() {
    let two = |most: u32| {
        good()
            .listener(&format!("extranonce1_size = 2\nmax_connections = {most}"))
            .route("listeners = [\"main\", \"two\"]")
            .end(&format!(
                "[listener.two]\nlisten = \"127.0.0.1:3334\"\nextranonce1_size = 2\nmax_connections = {most}\n\
                 [limits]\nmax_connections = 100000"
            ))
            .text()
    };
    assert_eq!(warnings(&load(&two(16_384))), Vec::<String>::new());
    let refused = Config::from_str_named("adit.toml", &two(16_385)).unwrap_err();
    assert_eq!(refused.problems().len(), 2, "{refused}");
    assert_eq!(refused.problems()[0].found, "2 bytes, which are 65536 ids for 32770 connections");
}

#[test]
fn tokens_of_http_are_taken_shown_nowhere_and_too_short_ones_refused() {
    let tokens = "[http]\nlisten = \"0.0.0.0:80\"\nread_token = \"read-token-0123456789\"\nadmin_token = \"admin-token/0123456789==\"";
    let loaded = load(&good().end(tokens).text());
    let revealed = |token: &Option<crate::config::Secret>| token.as_ref().unwrap().reveal().to_owned();
    let http = &loaded.config.http;
    assert_eq!(revealed(&http.read_token), "read-token-0123456789");
    assert_eq!(revealed(&http.admin_token), "admin-token/0123456789==");
    let shown = format!("{:?} {}", loaded.config, loaded.config.effective_toml());
    assert!(!shown.contains("0123456789") && shown.contains("read_token = \"***\""), "{shown}");
    let warned = warnings(&loaded).join("\n");
    assert!(warned.contains("tokens go over it in the clear"), "{warned}");
    for bad in ["short", "fifteen-letters", "with blanks in it 0123", "umläute-0123456789"] {
        let text = good().end(&format!("[http]\nread_token = \"{bad}\"")).text();
        let refused = Config::from_str_named("adit.toml", &text).unwrap_err().to_string();
        assert!(refused.contains("a token of 16 to 256 letters") && !refused.contains(bad), "{refused}");
    }
}
