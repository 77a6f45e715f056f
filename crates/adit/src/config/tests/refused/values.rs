//! Values of another kind or out of range.

use super::{Case, In};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "a rule for names with two stars",
        place: In::Listener,
        lines: r#"identity = ["* = edge.*", "*.* = *"]"#,
        text: r#"adit.toml:3:27: listener.main.identity[1]
    3 | identity = ["* = edge.*", "*.* = *"]
      |                           ^^^^^^^^^
    expected: a pattern and the name instead, such as "old.* = account.*", with at most one * on each side
    found:    "*.* = *"
    fix:      correct it, or leave it out
"#,
    },
    Case {
        what: "text for a whole number",
        place: In::Listener,
        lines: r#"extranonce2_size = "four""#,
        text: r#"adit.toml:3:20: listener.main.extranonce2_size
    3 | extranonce2_size = "four"
      |                    ^^^^^^
    expected: a whole number from 1 to 8
    found:    "four"
    fix:      write a whole number from 1 to 8
"#,
    },
    Case {
        what: "a number in quotes",
        place: In::Listener,
        lines: r#"extranonce2_size = "4""#,
        text: r#"adit.toml:3:20: listener.main.extranonce2_size
    3 | extranonce2_size = "4"
      |                    ^^^
    expected: a whole number from 1 to 8
    found:    "4"
    fix:      extranonce2_size = 4
"#,
    },
    Case {
        what: "a number out of range",
        place: In::Listener,
        lines: "extranonce2_size = 16",
        text: r#"adit.toml:3:20: listener.main.extranonce2_size
    3 | extranonce2_size = 16
      |                    ^^
    expected: a whole number from 1 to 8
    found:    the number 16
    fix:      extranonce2_size = 8
"#,
    },
    Case {
        what: "a number beyond 64 bits",
        place: In::Listener,
        lines: "max_connections = 99999999999999999999",
        text: r#"adit.toml:3:19: listener.main.max_connections
    3 | max_connections = 99999999999999999999
      |                   ^^^^^^^^^^^^^^^^^^^^
    expected: a whole number from 1 to 500000
    found:    the number 99999999999999999999
    fix:      max_connections = 500000
"#,
    },
    Case {
        what: "a negative number",
        place: In::Listener,
        lines: "max_connections = -1",
        text: r#"adit.toml:3:19: listener.main.max_connections
    3 | max_connections = -1
      |                   ^^
    expected: a whole number from 1 to 500000
    found:    the number -1
    fix:      max_connections = 1
"#,
    },
    Case {
        what: "a number that is none",
        place: In::Listener,
        lines: "shares_per_minute = nan",
        text: r#"adit.toml:3:21: listener.main.shares_per_minute
    3 | shares_per_minute = nan
      |                     ^^^
    expected: a number from 0.1 to 600
    found:    the number NaN
    fix:      shares_per_minute = 20 (the default)
"#,
    },
    Case {
        what: "a difficulty of zero",
        place: In::Listener,
        lines: "difficulty_start = 0",
        text: r#"adit.toml:3:20: listener.main.difficulty_start
    3 | difficulty_start = 0
      |                    ^
    expected: a number from 1e-9 to 1e15
    found:    the number 0
    fix:      difficulty_start = 1e-9
"#,
    },
    Case {
        what: "1 for true",
        place: In::Listener,
        lines: "vardiff = 1",
        text: r#"adit.toml:3:11: listener.main.vardiff
    3 | vardiff = 1
      |           ^
    expected: true or false
    found:    the number 1
    fix:      vardiff = true
"#,
    },
    Case {
        what: "a list for a flag",
        place: In::Listener,
        lines: "vardiff = [true, false]",
        text: r#"adit.toml:3:11: listener.main.vardiff
    3 | vardiff = [true, false]
      |           ^^^^^^^^^^^^^
    expected: true or false
    found:    a list of 2
    fix:      vardiff = true (the default)
"#,
    },
    Case {
        what: "a listen address of one number for http",
        place: In::End,
        lines: r#"[http]
listen = "9090""#,
        text: r#"adit.toml:10:10: http.listen
    10 | listen = "9090"
       |          ^^^^^^
    expected: an IP address and a port, such as "127.0.0.1:23480" or "[::1]:23480" (port 0: any free one)
    found:    "9090"
    fix:      listen = "127.0.0.1:9090"
"#,
    },
    Case {
        what: "a mask of digits",
        place: In::Listener,
        lines: "version_mask = 10000000",
        text: r#"adit.toml:3:16: listener.main.version_mask
    3 | version_mask = 10000000
      |                ^^^^^^^^
    expected: version bits as 1 to 8 hex digits, none outside "1fffffe0" (BIP 323)
    found:    the number 10000000
    fix:      version_mask = "10000000"
"#,
    },
    Case {
        what: "a date for a number",
        place: In::Listener,
        lines: "shares_per_minute = 2026-11-22",
        text: r#"adit.toml:3:21: listener.main.shares_per_minute
    3 | shares_per_minute = 2026-11-22
      |                     ^^^^^^^^^^
    expected: a number from 0.1 to 600
    found:    the date 2026-11-22
    fix:      shares_per_minute = 20 (the default)
"#,
    },
    Case {
        what: "a port alone",
        place: In::Listener,
        lines: "listen = 3333",
        text: r#"adit.toml:3:10: listener.main.listen
    3 | listen = 3333
      |          ^^^^
    expected: an IP address and a port, such as "127.0.0.1:3333" or "[::1]:3333" (port 0: any free one)
    found:    the number 3333
    fix:      listen = "127.0.0.1:3333"
"#,
    },
    Case {
        what: "a host name",
        place: In::Listener,
        lines: r#"listen = "localhost:3333""#,
        text: r#"adit.toml:3:10: listener.main.listen
    3 | listen = "localhost:3333"
      |          ^^^^^^^^^^^^^^^^
    expected: an IP address and a port, such as "127.0.0.1:3333" or "[::1]:3333" (port 0: any free one)
    found:    "localhost:3333"
    fix:      listen = "127.0.0.1:3333"
"#,
    },
    Case {
        what: "an address without port",
        place: In::Listener,
        lines: r#"listen = "192.168.1.2""#,
        text: r#"adit.toml:3:10: listener.main.listen
    3 | listen = "192.168.1.2"
      |          ^^^^^^^^^^^^^
    expected: an IP address and a port, such as "127.0.0.1:3333" or "[::1]:3333" (port 0: any free one)
    found:    "192.168.1.2"
    fix:      listen = "192.168.1.2:3333"
"#,
    },
    Case {
        what: "a mask in decimal",
        place: In::Listener,
        lines: "version_mask = 536862720",
        text: r#"adit.toml:3:16: listener.main.version_mask
    3 | version_mask = 536862720
      |                ^^^^^^^^^
    expected: version bits as 1 to 8 hex digits, none outside "1fffffe0" (BIP 323)
    found:    the number 536862720
    fix:      version_mask = "1fffe000"
"#,
    },
    Case {
        what: "a mask with bits that may not be rolled",
        place: In::Listener,
        lines: r#"version_mask = "ffffffff""#,
        text: r#"adit.toml:3:16: listener.main.version_mask
    3 | version_mask = "ffffffff"
      |                ^^^^^^^^^^
    expected: version bits as 1 to 8 hex digits, none outside "1fffffe0" (BIP 323)
    found:    "ffffffff"
    fix:      version_mask = "1fffffe0"
"#,
    },
    Case {
        what: "a word that is no choice",
        place: In::Listener,
        lines: r#"reply = "upstream""#,
        text: r#"adit.toml:3:9: listener.main.reply
    3 | reply = "upstream"
      |         ^^^^^^^^^^
    expected: "local" or "source"
    found:    "upstream"
    fix:      reply = "local" (the default)
"#,
    },
    Case {
        what: "a misspelt choice",
        place: In::Listener,
        lines: r#"reply = "locl""#,
        text: r#"adit.toml:3:9: listener.main.reply
    3 | reply = "locl"
      |         ^^^^^^
    expected: "local" or "source"
    found:    "locl"
    fix:      reply = "local"
"#,
    },
    Case {
        what: "a unit written out",
        place: In::Source,
        lines: r#"connect_timeout = "5 seconds""#,
        text: r#"adit.toml:6:19: source.main.connect_timeout
    6 | connect_timeout = "5 seconds"
      |                   ^^^^^^^^^^^
    expected: a duration from 100ms to 60s, such as "90s" or "1h30m", or a number of seconds
    found:    "5 seconds"
    fix:      connect_timeout = "5s"
"#,
    },
    Case {
        what: "a duration too long",
        place: In::Source,
        lines: r#"ntime_slack = "3h""#,
        text: r#"adit.toml:6:15: source.main.ntime_slack
    6 | ntime_slack = "3h"
      |               ^^^^
    expected: a duration from 0s to 2h in whole seconds, such as "90s" or "1h30m", or a number of seconds
    found:    "3h"
    fix:      ntime_slack = "2h"
"#,
    },
    Case {
        what: "a fraction where seconds are whole",
        place: In::Source,
        lines: r#"certificate_leeway = "1500ms""#,
        text: r#"adit.toml:6:22: source.main.certificate_leeway
    6 | certificate_leeway = "1500ms"
      |                      ^^^^^^^^
    expected: a duration from 0s to 10m in whole seconds, such as "90s" or "1h30m", or a number of seconds
    found:    "1500ms"
    fix:      certificate_leeway = "2s"
"#,
    },
    Case {
        what: "a negative duration",
        place: In::Source,
        lines: "certificate_leeway = -5",
        text: r#"adit.toml:6:22: source.main.certificate_leeway
    6 | certificate_leeway = -5
      |                      ^^
    expected: a duration from 0s to 10m in whole seconds, such as "90s" or "1h30m", or a number of seconds
    found:    the number -5
    fix:      certificate_leeway = "0s"
"#,
    },
    Case {
        what: "a hashrate without unit",
        place: In::Source,
        lines: r#"nominal_hashrate = "100 T""#,
        text: r#"adit.toml:6:20: source.main.nominal_hashrate
    6 | nominal_hashrate = "100 T"
      |                    ^^^^^^^
    expected: a hashrate from 1 H/s to 1000 ZH/s, such as "100 TH/s", or a number of hashes a second
    found:    "100 T"
    fix:      nominal_hashrate = "100 TH/s"
"#,
    },
    Case {
        what: "no channels",
        place: In::Source,
        lines: "miners_per_channel = 0",
        text: r#"adit.toml:6:22: source.main.miners_per_channel
    6 | miners_per_channel = 0
      |                      ^
    expected: a whole number from 1 to 1000000, or "all"
    found:    the number 0
    fix:      miners_per_channel = 1
"#,
    },
    Case {
        what: "all in capitals",
        place: In::Source,
        lines: r#"miners_per_channel = "ALL""#,
        text: r#"adit.toml:6:22: source.main.miners_per_channel
    6 | miners_per_channel = "ALL"
      |                      ^^^^^
    expected: a whole number from 1 to 1000000, or "all"
    found:    "ALL"
    fix:      miners_per_channel = "all"
"#,
    },
    Case {
        what: "too few open shares",
        place: In::Source,
        lines: "shares_unsettled_max = 10",
        text: r#"adit.toml:6:24: source.main.shares_unsettled_max
    6 | shares_unsettled_max = 10
      |                        ^^
    expected: a whole number from 4096 to 1048576
    found:    the number 10
    fix:      shares_unsettled_max = 4096
"#,
    },
    Case {
        what: "a size too small",
        place: In::End,
        lines: r#"[limits]
line = "100""#,
        text: r#"adit.toml:10:8: limits.line
    10 | line = "100"
       |        ^^^^^
    expected: a size from 1KiB to 1MiB, such as "64KiB", or a number of bytes
    found:    "100"
    fix:      line = "1KiB"
"#,
    },
    Case {
        what: "a size of no unit",
        place: In::End,
        lines: r#"[limits]
frame = "64 kilobytes""#,
        text: r#"adit.toml:10:9: limits.frame
    10 | frame = "64 kilobytes"
       |         ^^^^^^^^^^^^^^
    expected: a size from 4KiB to 16777215B, such as "64KiB", or a number of bytes
    found:    "64 kilobytes"
    fix:      frame = "64KiB"
"#,
    },
    Case {
        what: "a list that is none",
        place: In::Route,
        lines: r#"sources = "main""#,
        text: r#"adit.toml:8:11: route.main.sources
    8 | sources = "main"
      |           ^^^^^^
    expected: a list of at least one name, such as ["main", "backup"]
    found:    "main"
    fix:      sources = ["main"]
"#,
    },
    Case {
        what: "an empty list",
        place: In::Route,
        lines: "sources = []",
        text: r#"adit.toml:8:11: route.main.sources
    8 | sources = []
      |           ^^
    expected: a list of at least one name, such as ["main", "backup"]
    found:    an empty list
    fix:      write a list of at least one name, such as ["main", "backup"]
"#,
    },
    Case {
        what: "a number in a list",
        place: In::Route,
        lines: r#"sources = ["main", 2]"#,
        text: r#"adit.toml:8:20: route.main.sources[1]
    8 | sources = ["main", 2]
      |                    ^
    expected: a name of 1 to 32 lower-case letters, digits and single '-' between them, such as main or hall-2
    found:    the number 2
    fix:      write the name in quotes, or leave it out
"#,
    },
    Case {
        what: "a bad name in a list",
        place: In::Route,
        lines: r#"sources = ["main", "Back Up"]"#,
        text: r#"adit.toml:8:20: route.main.sources[1]
    8 | sources = ["main", "Back Up"]
      |                    ^^^^^^^^^
    expected: a name of 1 to 32 lower-case letters, digits and single '-' between them, such as main or hall-2
    found:    "Back Up"
    fix:      write "back-up"
"#,
    },
    Case {
        what: "a published example key",
        place: In::BareSource,
        lines: r#"url = "stratum2+tcp://pool.example:3336/9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"
user_identity = "a""#,
        text: r#"adit.toml:4:7: source.main.url
    4 | url = "stratum2+tcp://pool.example:3336/9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: a pool's URL, stratum2+tcp://host:port/authority-key, or stratum+tcp://host:port (or stratum+ssl://) of Stratum V1
    found:    the authority key 9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72, which is a published example
    fix:      this key stands in documentation and its secret is known to everyone, so anyone could pose as the pool: ask the pool for its own key (to run a pool: adit keys makes one)
"#,
    },
    Case {
        what: "an authority key with a wrong letter",
        place: In::BareSource,
        lines: r#"url = "stratum2+tcp://pool.example:3336/9bGBU8kQmhxVgkB8FENf6brbbJ1pdw6Bjw79EmTUiv99YZ7Zhux"
user_identity = "a""#,
        text: r#"adit.toml:4:7: source.main.url
    4 | url = "stratum2+tcp://pool.example:3336/9bGBU8kQmhxVgkB8FENf6brbbJ1pdw6Bjw79EmTUiv99YZ7Zhux"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: a pool's URL, stratum2+tcp://host:port/authority-key, or stratum+tcp://host:port (or stratum+ssl://) of Stratum V1
    found:    "stratum2+tcp://pool.example:3336/9bGBU8kQmhxVgkB8FENf6brb..."
    fix:      the URL's authority key is wrong: the key's checksum does not match: a character is wrong, missing or added; copy the key again
"#,
    },
    Case {
        what: "a scheme that Adit does not speak",
        place: In::BareSource,
        lines: r#"url = "stratum+udp://pool.example:3333"
user_identity = "a""#,
        text: r#"adit.toml:4:7: source.main.url
    4 | url = "stratum+udp://pool.example:3333"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: a pool's URL, stratum2+tcp://host:port/authority-key, or stratum+tcp://host:port (or stratum+ssl://) of Stratum V1
    found:    "stratum+udp://pool.example:3333"
    fix:      the scheme "stratum+udp" is not stratum2+tcp: an SV2 pool is stratum2+tcp://host:port/authority-key
"#,
    },
    Case {
        what: "a number as user identity",
        place: In::BareSource,
        lines: r#"url = "stratum2+tcp://pool.example:3336/KEY"
user_identity = 12345"#,
        text: r#"adit.toml:5:17: source.main.user_identity
    5 | user_identity = 12345
      |                 ^^^^^
    expected: the account at the pool, 1 to 255 bytes of text
    found:    the number 12345
    fix:      user_identity = "12345"
"#,
    },
    Case {
        what: "a blank behind the user identity",
        place: In::BareSource,
        lines: r#"url = "stratum2+tcp://pool.example:3336/KEY"
user_identity = "account ""#,
        text: r#"adit.toml:5:17: source.main.user_identity
    5 | user_identity = "account "
      |                 ^^^^^^^^^^
    expected: the account at the pool, 1 to 255 bytes of text
    found:    "account "
    fix:      user_identity = "account"
"#,
    },
];
