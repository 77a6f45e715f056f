//! Where the ledger is published.

use super::{Case, In};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "one server in place of a list",
        place: In::End,
        lines: r#"[nats]
servers = "nats://nats.example:4222""#,
        text: r#"adit.toml:10:11: nats.servers
    10 | servers = "nats://nats.example:4222"
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: a list of at most 16 servers, such as ["nats://nats.example:4222"]
    found:    "nats://nats.example:4222"
    fix:      servers = ["nats://nats.example:4222"]
"#,
    },
    Case {
        what: "a server without its protocol",
        place: In::End,
        lines: r#"[nats]
servers = ["nats.example:4222"]"#,
        text: r#"adit.toml:10:12: nats.servers[0]
    10 | servers = ["nats.example:4222"]
       |            ^^^^^^^^^^^^^^^^^^^
    expected: nats://host:port, or tls://host:port
    found:    "nats.example:4222"
    fix:      servers = ["nats://nats.example:4222"]
"#,
    },
    Case {
        what: "a password in a server's URL",
        place: In::End,
        lines: r#"[nats]
servers = ["nats://adit:hush@nats.example:4222"]"#,
        text: r#"adit.toml:10:1: nats.servers[0]
    10 | servers
       | ^^^^^^^
    expected: nats://host:port, or tls://host:port
    found:    a user in the URL
    fix:      write user and password, or token, as keys of their own
"#,
    },
    Case {
        what: "a stream's name with a dot",
        place: In::End,
        lines: r#"[nats]
stream = "MY.STREAM""#,
        text: r#"adit.toml:10:10: nats.stream
    10 | stream = "MY.STREAM"
       |          ^^^^^^^^^^^
    expected: a word of letters, digits, - and _, at most 64 characters
    found:    "MY.STREAM"
    fix:      stream = "ADIT" (the default)
"#,
    },
    Case {
        what: "two ways to log in",
        place: In::End,
        lines: r#"[nats]
servers = ["nats://nats.example:4222"]
token = "hush"
credentials_file = "/etc/adit/nats.creds""#,
        text: r#"adit.toml:12:1: nats.credentials_file
    12 | credentials_file
       | ^^^^^^^^^^^^^^^^
    expected: one of user, token, credentials_file and nkey_file
    found:    token and credentials_file
    fix:      remove credentials_file
"#,
    },
    Case {
        what: "a certificate without its key",
        place: In::End,
        lines: r#"[nats]
servers = ["tls://nats.example:4222"]
certificate_file = "/etc/adit/nats-client.pem""#,
        text: r#"adit.toml:11:20: nats.certificate_file
    11 | certificate_file = "/etc/adit/nats-client.pem"
       |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: its private key, too
    found:    none
    fix:      write private_key_file = "PATH" too, or remove certificate_file
"#,
    },
    Case {
        what: "a password of nobody",
        place: In::End,
        lines: r#"[nats]
servers = ["nats://nats.example:4222"]
password = "hush""#,
        text: r#"adit.toml:11:1: nats.password
    11 | password
       | ^^^^^^^^
    expected: the user whose password it is
    found:    none
    fix:      write user = "NAME" too
"#,
    },
    Case {
        what: "nothing to publish",
        place: In::End,
        lines: r#"[nats]
servers = ["nats://nats.example:4222"]
[ledger]
enabled = false"#,
        text: r#"adit.toml:12:11: ledger.enabled
    12 | enabled = false
       |           ^^^^^
    expected: true: nats.servers publishes the ledger
    found:    false
    fix:      enabled = true, or remove servers from [nats]
"#,
    },
    Case {
        what: "a stream that holds less than it must know again",
        place: In::End,
        lines: r#"[nats]
servers = ["nats://nats.example:4222"]
stream_age = "1h""#,
        text: r#"adit.toml:11:14: nats.stream_age
    11 | stream_age = "1h"
       |              ^^^^
    expected: at least twice spool_age: a stream knows again only what it may hold
    found:    less
    fix:      keep records for longer, or lower spool_age
"#,
    },
];
