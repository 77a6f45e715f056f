//! Values that do not go together.

use super::{Case, In};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "a source that is not there",
        place: In::Route,
        lines: r#"sources = ["main", "mian"]"#,
        text: r#"adit.toml:8:20: route.main.sources[1]
    8 | sources = ["main", "mian"]
      |                    ^^^^^^
    expected: the name of a source: main
    found:    "mian"
    fix:      did you mean "main"?
"#,
    },
    Case {
        what: "a listener that is not there",
        place: In::Route,
        lines: r#"listeners = ["main", "hall-7"]"#,
        text: r#"adit.toml:8:22: route.main.listeners[1]
    8 | listeners = ["main", "hall-7"]
      |                      ^^^^^^^^
    expected: the name of a listener: main
    found:    "hall-7"
    fix:      add a table [listener.hall-7], or leave the name out
"#,
    },
    Case {
        what: "receipts without evidence",
        place: In::End,
        lines: r#"[ledger]
evidence = false
[receipts]
key_file = "receipt.key""#,
        text: r#"adit.toml:12:12: receipts.key_file
    12 | key_file = "receipt.key"
       |            ^^^^^^^^^^^^^
    expected: a ledger that keeps evidence, beside it
    found:    evidence = false in [ledger]
    fix:      receipts are made of the ledger's evidence: leave that out of [ledger], or key_file out of [receipts]
"#,
    },
    Case {
        what: "a source twice",
        place: In::Route,
        lines: r#"sources = ["main", "main"]"#,
        text: r#"adit.toml:8:20: route.main.sources[1]
    8 | sources = ["main", "main"]
      |                    ^^^^^^
    expected: each name once
    found:    "main" for the second time
    fix:      leave one of the two out
"#,
    },
    Case {
        what: "a listener in two routes",
        place: In::End,
        lines: r#"[route.other]
listeners = ["main"]
sources = ["main"]"#,
        text: r#"adit.toml:10:14: route.other.listeners[0]
    10 | listeners = ["main"]
       |              ^^^^^^
    expected: each listener in exactly one route that takes everybody
    found:    "main", which route.main.listeners[0] has as well
    fix:      leave it out of one of the two, or give one of them workers or networks
"#,
    },
    Case {
        what: "a listener in no route",
        place: In::End,
        lines: r#"[listener.spare]
listen = "127.0.0.1:3334""#,
        text: r#"adit.toml:9:11: listener.spare
    9 | [listener.spare]
      |           ^^^^^
    expected: a route that has this listener and takes everybody
    found:    none
    fix:      add "spare" to listeners of [route.main]
"#,
    },
    Case {
        what: "two listeners on one port",
        place: In::Route,
        lines: r#"listeners = ["main", "two"]
[listener.two]
listen = "0.0.0.0:3333""#,
        text: r#"adit.toml:10:10: listener.two.listen
    10 | listen = "0.0.0.0:3333"
       |          ^^^^^^^^^^^^^^
    expected: an address and port of its own
    found:    0.0.0.0:3333, while listener.main.listen has 127.0.0.1:3333
    fix:      take another port, such as listen = "0.0.0.0:3334"
"#,
    },
    Case {
        what: "http on a listener's port",
        place: In::End,
        lines: r#"[http]
listen = "127.0.0.1:3333""#,
        text: r#"adit.toml:10:10: http.listen
    10 | listen = "127.0.0.1:3333"
       |          ^^^^^^^^^^^^^^^^
    expected: an address and port of its own
    found:    127.0.0.1:3333, which listener.main.listen has as well
    fix:      take another port, such as listen = "127.0.0.1:3334"
"#,
    },
    Case {
        what: "difficulties in the wrong order",
        place: In::Listener,
        lines: "difficulty_start = 64
difficulty_min = 1000",
        text: r#"adit.toml:3:20: listener.main.difficulty_start
    3 | difficulty_start = 64
      |                    ^^
    expected: difficulty_start not below difficulty_min
    found:    64, while difficulty_min is 1000
    fix:      change difficulty_start or difficulty_min
"#,
    },
    Case {
        what: "a certificate without its key",
        place: In::Listener,
        lines: r#"certificate_file = "miners.pem""#,
        text: r#"adit.toml:3:20: listener.main.certificate_file
    3 | certificate_file = "miners.pem"
      |                    ^^^^^^^^^^^^
    expected: private_key_file beside it
    found:    it alone
    fix:      add private_key_file, or leave this out
"#,
    },
    Case {
        what: "TLS alone without a certificate",
        place: In::Listener,
        lines: r#"protocol = "sv1-tls""#,
        text: r#"adit.toml:3:12: listener.main.protocol
    3 | protocol = "sv1-tls"
      |            ^^^^^^^^^
    expected: certificate_file and private_key_file beside it
    found:    "sv1-tls" without them
    fix:      add both, or take "auto" or "sv1"
"#,
    },
    Case {
        what: "a largest difficulty below the smallest",
        place: In::Listener,
        lines: "difficulty_min = 5
difficulty_max = 1",
        text: r#"adit.toml:3:18: listener.main.difficulty_min
    3 | difficulty_min = 5
      |                  ^
    expected: difficulty_min not above difficulty_max
    found:    5, while difficulty_max is 1
    fix:      change difficulty_min or difficulty_max
"#,
    },
    Case {
        what: "too few miner ids",
        place: In::Listener,
        lines: "extranonce1_size = 2
[limits]
max_connections = 40000",
        text: r#"adit.toml:3:20: listener.main.extranonce1_size
    3 | extranonce1_size = 2
      |                    ^
    expected: twice as many miner ids as connections
    found:    2 bytes, which are 65536 ids for 40000 connections
    fix:      extranonce1_size = 3
"#,
    },
    Case {
        what: "no authority key",
        place: In::BareSource,
        lines: r#"url = "stratum2+tcp://pool.example:3336"
user_identity = "a""#,
        text: r#"adit.toml:4:7: source.main.url
    4 | url = "stratum2+tcp://pool.example:3336"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: the pool's authority key at the end of the URL
    found:    a URL without one
    fix:      write "stratum2+tcp://pool.example:3336/authority-key" with the key that the pool publishes; without it anyone on the way can pose as the pool (insecure = true allows that)
"#,
    },
];
