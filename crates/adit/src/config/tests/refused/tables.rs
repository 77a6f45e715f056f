//! Keys and tables that are not there, or not in their place.

use super::{Case, In};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "a misspelt key",
        place: In::Listener,
        lines: "vradiff = true",
        text: r#"adit.toml:3:1: listener.main.vradiff
    3 | vradiff
      | ^^^^^^^
    expected: a key of [listener.NAME]
    found:    an unknown key
    fix:      did you mean vardiff?
"#,
    },
    Case {
        what: "a key of another table",
        place: In::Listener,
        lines: r#"lookup = "5s""#,
        text: r#"adit.toml:3:1: listener.main.lookup
    3 | lookup
      | ^^^^^^
    expected: a key of [listener.NAME]
    found:    an unknown key
    fix:      lookup belongs in [limits]
"#,
    },
    Case {
        what: "a key nobody knows",
        place: In::End,
        lines: "[http]
foo = 1",
        text: r#"adit.toml:10:1: http.foo
    10 | foo
       | ^^^
    expected: a key of [http]
    found:    an unknown key
    fix:      remove it; the keys are listen, enabled, read_token, admin_token, hosts, worker_series, worker_series_allow, compatible_metrics
"#,
    },
    Case {
        what: "a key of another program",
        place: In::Source,
        lines: r#"authority_pubkey = "9bX""#,
        text: r#"adit.toml:6:1: source.main.authority_pubkey
    6 | authority_pubkey
      | ^^^^^^^^^^^^^^^^
    expected: a key of [source.NAME]
    found:    an unknown key
    fix:      the authority key is the last part of url, stratum2+tcp://host:port/authority-key
"#,
    },
    Case {
        what: "a misspelt table",
        place: In::End,
        lines: r#"[limit]
idle = "1h""#,
        text: r#"adit.toml:9:2: limit
    9 | [limit
      |  ^^^^^
    expected: version or one of [listener.NAME] [source.NAME] [template.NAME] [solo.NAME] [declared.NAME] [route.NAME] [goal.NAME] [pin.NAME] [firmware.NAME] [state] [ledger] [nats] [receipts] [http] [log] [limits]
    found:    an unknown key or table
    fix:      did you mean [limits]?
"#,
    },
    Case {
        what: "a table of another program",
        place: In::End,
        lines: r#"[[upstreams]]
address = "pool.example""#,
        text: r#"adit.toml:9:3: upstreams
    9 | [[upstreams
      |   ^^^^^^^^^
    expected: version or one of [listener.NAME] [source.NAME] [template.NAME] [solo.NAME] [declared.NAME] [route.NAME] [goal.NAME] [pin.NAME] [firmware.NAME] [state] [ledger] [nats] [receipts] [http] [log] [limits]
    found:    an unknown key or table
    fix:      a pool is a table [source.NAME] with url and user_identity; [route.NAME] puts them in order
"#,
    },
    Case {
        what: "a key outside any table's place",
        place: In::Whole,
        lines: r#"version = 1
keepalive = "30s""#,
        text: r#"adit.toml:2:1: keepalive
    2 | keepalive
      | ^^^^^^^^^
    expected: version or one of [listener.NAME] [source.NAME] [template.NAME] [solo.NAME] [declared.NAME] [route.NAME] [goal.NAME] [pin.NAME] [firmware.NAME] [state] [ledger] [nats] [receipts] [http] [log] [limits]
    found:    an unknown key or table
    fix:      keepalive belongs in [route.NAME]
"#,
    },
    Case {
        what: "a table without its name",
        place: In::Whole,
        lines: r#"version = 1
[listener]
listen = "127.0.0.1:3333""#,
        text: r#"adit.toml:3:1: listener.listen
    3 | listen
      | ^^^^^^
    expected: a table [listener.NAME]
    found:    "127.0.0.1:3333"
    fix:      give the table a name, [listener.main], and write listen below it
"#,
    },
    Case {
        what: "a list of tables",
        place: In::End,
        lines: r#"[[log]]
level = "info""#,
        text: r#"adit.toml:9:3: log
    9 | [[log]]
      |   ^^^
    expected: a table [log]
    found:    a list of tables [[log]]
    fix:      write [log] and its keys below it
"#,
    },
    Case {
        what: "a value in the place of a table",
        place: In::Whole,
        lines: "version = 1
http = 9000",
        text: r#"adit.toml:2:1: http
    2 | http = 9000
      | ^^^^
    expected: a table [http]
    found:    the number 9000
    fix:      write [http] and its keys below it
"#,
    },
    Case {
        what: "a name in capitals",
        place: In::End,
        lines: r#"[source.Backup_1]
url = "x""#,
        text: r#"adit.toml:9:9: source.Backup_1
    9 | [source.Backup_1]
      |         ^^^^^^^^
    expected: a name of 1 to 32 lower-case letters, digits and single '-' between them, such as main or hall-2
    found:    "Backup_1"
    fix:      write [source.backup-1]
"#,
    },
    Case {
        what: "a version of the future",
        place: In::Whole,
        lines: "version = 2",
        text: r#"adit.toml:1:11: version
    1 | version = 2
      |           ^
    expected: 1, the version of this format
    found:    the number 2
    fix:      this file is for a later Adit: update Adit, or write the file anew for this one
"#,
    },
    Case {
        what: "no version",
        place: In::Whole,
        lines: r#"[log]
level = "info""#,
        text: r#"adit.toml: version
    expected: 1, the version of this format
    found:    nothing
    fix:      begin the file with version = 1
"#,
    },
    Case {
        what: "no user identity",
        place: In::BareSource,
        lines: r#"url = "stratum2+tcp://pool.example:3336/KEY""#,
        text: r#"adit.toml:3:9: source.main.user_identity
    3 | [source.main]
      |         ^^^^
    expected: the account at the pool, 1 to 255 bytes of text
    found:    nothing
    fix:      write user_identity = ... below [source.main]
"#,
    },
];
