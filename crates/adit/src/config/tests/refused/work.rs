//! Templates, solo mining and declaration that cannot be.

use super::{Case, In};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "a kind of template that nobody knows",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-icp"
socket = "node.sock""#,
        text: r#"adit.toml:10:8: template.node.kind
    10 | kind = "bitcoin-icp"
       |        ^^^^^^^^^^^^^
    expected: "bitcoin-ipc", "bitcoin-rpc" or "template-provider"
    found:    "bitcoin-icp"
    fix:      kind = "bitcoin-ipc"
"#,
    },
    Case {
        what: "no socket",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc""#,
        text: r#"adit.toml:9:11: template.node.socket
    9 | [template.node]
      |           ^^^^
    expected: a path, such as "/var/lib/bitcoind/node.sock"
    found:    nothing
    fix:      write socket = ... below [template.node]
"#,
    },
    Case {
        what: "a key of another kind",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
rpc_password = "hush""#,
        text: r#"adit.toml:12:1: template.node.rpc_password
    12 | rpc_password
       | ^^^^^^^^^^^^
    expected: only keys of kind = "bitcoin-ipc"
    found:    rpc_password, which is for kind = "bitcoin-rpc"
    fix:      remove it, or write kind = "bitcoin-rpc"
"#,
    },
    Case {
        what: "no way into the node",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-rpc"
rpc_address = "127.0.0.1:8332""#,
        text: r#"adit.toml:9:11: template.node.rpc_cookie_file
    9 | [template.node]
      |           ^^^^
    expected: rpc_cookie_file, or rpc_user and rpc_password
    found:    nothing
    fix:      write rpc_cookie_file = ... below [template.node]
"#,
    },
    Case {
        what: "a user without its password",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-rpc"
rpc_address = "127.0.0.1:8332"
rpc_user = "adit""#,
        text: r#"adit.toml:9:11: template.node.rpc_password
    9 | [template.node]
      |           ^^^^
    expected: the password of rpc_user
    found:    nothing
    fix:      write rpc_password = ... below [template.node]
"#,
    },
    Case {
        what: "a cookie and a password",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-rpc"
rpc_address = "127.0.0.1:8332"
rpc_cookie_file = ".cookie"
rpc_password = "hush""#,
        text: r#"adit.toml:13:1: template.node.rpc_password
    13 | rpc_password
       | ^^^^^^^^^^^^
    expected: rpc_cookie_file alone, or rpc_user and rpc_password
    found:    both
    fix:      remove rpc_password, or remove rpc_cookie_file
"#,
    },
    Case {
        what: "user and password in one key",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-rpc"
rpc_address = "127.0.0.1:8332"
rpc_user = "adit:hush"
rpc_password = "hush""#,
        text: r#"adit.toml:12:1: template.node.rpc_user
    12 | rpc_user
       | ^^^^^^^^
    expected: a user's name, without a colon
    found:    a text with a colon
    fix:      write "adit" here, and the password as rpc_password
"#,
    },
    Case {
        what: "an address as browsers take it",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-rpc"
rpc_address = "http://127.0.0.1:8332/"
rpc_cookie_file = ".cookie""#,
        text: r#"adit.toml:11:15: template.node.rpc_address
    11 | rpc_address = "http://127.0.0.1:8332/"
       |               ^^^^^^^^^^^^^^^^^^^^^^^^
    expected: a host and a port, such as "127.0.0.1:8332"
    found:    "http://127.0.0.1:8332/"
    fix:      rpc_address = "127.0.0.1:8332"
"#,
    },
    Case {
        what: "a template provider without its key",
        place: In::End,
        lines: r#"[template.node]
kind = "template-provider"
url = "stratum2+tcp://127.0.0.1:8442""#,
        text: r#"adit.toml:11:7: template.node.url
    11 | url = "stratum2+tcp://127.0.0.1:8442"
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: the template provider's authority key at the end of the URL
    found:    a URL without one
    fix:      write "stratum2+tcp://127.0.0.1:8442/authority-key" with the key that the template provider publishes; without it anyone on the way can pose as the template provider (insecure = true allows that)
"#,
    },
    Case {
        what: "a template that is not there",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[solo.own]
templates = ["node", "nod"]
payout = "MAIN""#,
        text: r#"adit.toml:13:22: solo.own.templates[1]
    13 | templates = ["node", "nod"]
       |                      ^^^^^
    expected: the name of a template: node
    found:    "nod"
    fix:      did you mean "node"?
"#,
    },
    Case {
        what: "templates of two networks",
        place: In::End,
        lines: r#"[template.a]
kind = "bitcoin-ipc"
socket = "a.sock"
[template.b]
kind = "bitcoin-ipc"
socket = "b.sock"
network = "signet"
[solo.own]
templates = ["a", "b"]
payout = "MAIN""#,
        text: r#"adit.toml:17:19: solo.own.templates[1]
    17 | templates = ["a", "b"]
       |                   ^^^
    expected: templates of one network, as that of "a": main
    found:    "b", which is on signet
    fix:      leave it out, or correct network in [template.b]
"#,
    },
    Case {
        what: "an address of another network",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[solo.own]
templates = ["node"]
payout = "TEST""#,
        text: r#"adit.toml:14:10: solo.own.payout
    14 | payout = "TEST"
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: an address of main, the network of the templates
    found:    TEST, an address of testnet4 or signet
    fix:      write an address of main, or correct network of the templates
"#,
    },
    Case {
        what: "an address with a wrong character",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[solo.own]
templates = ["node"]
payout = "bc1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3h8ffkx""#,
        text: r#"adit.toml:14:10: solo.own.payout
    14 | payout = "bc1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3h8ffkx"
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: a Bitcoin address
    found:    "bc1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3h8ffkx"
    fix:      copy the address again: each character counts, and as it stands it is none
"#,
    },
    Case {
        what: "an output without its value",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[solo.own]
templates = ["node"]
payout = "MAIN"
extra_outputs = ["MAIN"]"#,
        text: r#"adit.toml:15:18: solo.own.extra_outputs[0]
    15 | extra_outputs = ["MAIN"]
       |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: an address and what it is paid in satoshi, such as "ADDRESS=50000"
    found:    "MAIN"
    fix:      write = and the satoshi behind the address
"#,
    },
    Case {
        what: "an output of another network",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
network = "regtest"
[solo.own]
templates = ["node"]
payout = "REGTEST"
extra_outputs = ["TEST=0"]"#,
        text: r#"adit.toml:16:18: solo.own.extra_outputs[0]
    16 | extra_outputs = ["TEST=0"]
       |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: an address of regtest, the network of the templates
    found:    TEST, an address of testnet4 or signet
    fix:      write an address of regtest, or correct network of the templates
"#,
    },
    Case {
        what: "a signature that does not fit",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[solo.own]
templates = ["node"]
payout = "MAIN"
signature = "Glück auf""#,
        text: r#"adit.toml:15:13: solo.own.signature
    15 | signature = "Glück auf"
       |             ^^^^^^^^^^^
    expected: printable ASCII, at most 58 bytes, such as "/my farm/"
    found:    "Glück auf"
    fix:      signature = "Glck auf"
"#,
    },
    Case {
        what: "a pool that is not there",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[declared.own]
pool = "mian"
jds_url = "stratum2+tcp://pool.example:3334/KEY"
templates = ["node"]"#,
        text: r#"adit.toml:13:8: declared.own.pool
    13 | pool = "mian"
       |        ^^^^^^
    expected: the name of a source: main
    found:    "mian"
    fix:      did you mean "main"?
"#,
    },
    Case {
        what: "a job declarator without its key",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[declared.own]
pool = "main"
jds_url = "stratum2+tcp://pool.example:3334"
templates = ["node"]"#,
        text: r#"adit.toml:14:11: declared.own.jds_url
    14 | jds_url = "stratum2+tcp://pool.example:3334"
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected: the job declarator's authority key at the end of the URL
    found:    a URL without one
    fix:      write "stratum2+tcp://pool.example:3334/authority-key" with the key that the job declarator publishes; without it anyone on the way can pose as the job declarator (insecure = true in [source.main] allows that)
"#,
    },
    Case {
        what: "a source and a solo of one name",
        place: In::End,
        lines: r#"[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[solo.main]
templates = ["node"]
payout = "MAIN""#,
        text: r#"adit.toml:12:7: solo.main
    12 | [solo.main]
       |       ^^^^
    expected: a name of its own, since routes name sources, solos and declareds alike
    found:    "main", which [source.main] has as well
    fix:      write [solo.main-solo]
"#,
    },
    Case {
        what: "channels of few miners on a route with declared jobs",
        place: In::Source,
        lines: r#"miners_per_channel = 50
[declared.own]
pool = "main"
jds_url = "stratum2+tcp://pool.example:3334/KEY"
templates = ["node"]
[template.node]
kind = "bitcoin-ipc"
socket = "node.sock"
[listener.two]
listen = "127.0.0.1:3334"
[route.two]
listeners = ["two"]
sources = ["own", "main"]"#,
        text: r#"adit.toml:6:22: source.main.miners_per_channel
    6 | miners_per_channel = 50
      |                      ^^
    expected: "all": route two has [declared.own], and a declared job is for one channel
    found:    50
    fix:      miners_per_channel = "all", or take "main" or "own" out of the route
"#,
    },
    Case {
        what: "no share of the payout",
        place: In::Source,
        lines: r#"payout = "MAIN"
payout_percent = 0"#,
        text: r#"adit.toml:7:18: source.main.payout_percent
    7 | payout_percent = 0
      |                  ^
    expected: a number from 0.0001 to 100
    found:    the number 0
    fix:      payout_percent = 0.0001
"#,
    },
    Case {
        what: "a payout in hex that ends in the middle of a byte",
        place: In::Source,
        lines: r#"payout = "00141""#,
        text: r#"adit.toml:6:10: source.main.payout
    6 | payout = "00141"
      |          ^^^^^^^
    expected: a Bitcoin address, or an output script of 1 to 520 bytes in hex
    found:    "00141"
    fix:      copy the address again: each character counts, and as it stands it is none
"#,
    },
    Case {
        what: "a directory of no name",
        place: In::End,
        lines: r#"[state]
directory = """#,
        text: r#"adit.toml:10:13: state.directory
    10 | directory = ""
       |             ^^
    expected: a path, such as "/var/lib/adit"
    found:    an empty text
    fix:      write a path, such as "/var/lib/adit"
"#,
    },
];
