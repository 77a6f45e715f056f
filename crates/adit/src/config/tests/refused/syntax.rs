//! Texts that are no TOML.

use super::{Case, In};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "yes for true",
        place: In::Listener,
        lines: "vardiff = yes",
        text: r#"adit.toml:3:11: vardiff
    3 | vardiff = yes
      |           ^^^
    expected: true or false, or a text in quotes
    found:    yes
    fix:      vardiff = true
"#,
    },
    Case {
        what: "quotes forgotten",
        place: In::Source,
        lines: "connect_timeout = 5s",
        text: r#"adit.toml:6:19: connect_timeout
    6 | connect_timeout = 5s
      |                   ^^
    expected: a text in quotes
    found:    "5s" without quotes
    fix:      connect_timeout = "5s"
"#,
    },
    Case {
        what: "a key twice",
        place: In::Listener,
        lines: "vardiff = true
vardiff = false",
        text: r#"adit.toml:4:1
    4 | vardiff
      | ^^^^^^^
    expected: each key and each table once
    found:    "vardiff" for the second time
    fix:      remove one of the two, or put both together
"#,
    },
    Case {
        what: "a table twice",
        place: In::End,
        lines: r#"[log]
level = "info"
[log]
format = "text""#,
        text: r#"adit.toml:11:2
    11 | [log
       |  ^^^
    expected: each key and each table once
    found:    "log" for the second time
    fix:      remove one of the two, or put both together
"#,
    },
    Case {
        what: "a value forgotten",
        place: In::Listener,
        lines: "vardiff =",
        text: r#"adit.toml:3:10: vardiff
    3 | vardiff =
      |          ^
    expected: a value
    found:    nothing
    fix:      write a value behind the =, or remove the line
"#,
    },
    Case {
        what: "a quotation mark forgotten",
        place: In::End,
        lines: r#"[log]
level = "info
format = "text""#,
        text: r#"adit.toml:10:14: level
    10 | level = "info
       |              ^
    expected: a quotation mark at the end of the text
    found:    the end of the line
    fix:      close the text with the quotation mark that it begins with
"#,
    },
    Case {
        what: "a bracket forgotten",
        place: In::End,
        lines: r#"[log
level = "info""#,
        text: r#"adit.toml:9:5
    9 | [log
      |     ^
    expected: ] at the end of the header
    found:    a header without it
    fix:      write [log]
"#,
    },
    Case {
        what: "an equals sign forgotten",
        place: In::End,
        lines: r#"[log]
level "info""#,
        text: r#"adit.toml:10:7
    10 | level
       |       ^
    expected: key = value
    found:    a key without =
    fix:      write = between the key and its value
"#,
    },
];
