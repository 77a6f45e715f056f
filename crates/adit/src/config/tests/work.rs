//! Templates, solo mining and declaration as they are read, shown and warned of.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use work::coinbase::PayoutRule;

use super::{ADDRESS, ADDRESSES, OWN_KEY, good, url};
use crate::config::{
    Chain, Config, DeclareMode, Interface, Loaded, Machine, MinersPerChannel, RpcLogin, SIGNATURE_MAX, State,
    TemplateFrom, assemble, signature_push, state_directory,
};

/// The output script of [`ADDRESS`]: BIP 141's, of twenty bytes.
const SCRIPT: [u8; 22] =
    [0, 20, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17];

/// Two nodes, and all that is made of their templates.
fn farm() -> String {
    format!(
        "version = 1
[listener.main]
[source.pool]
url = \"{url}\"
user_identity = \"account\"
[template.node]
kind = \"bitcoin-ipc\"
socket = \"/run/bitcoind/node.sock\"
[template.spare]
kind = \"bitcoin-rpc\"
rpc_address = \"localhost:8332\"
rpc_user = \"adit\"
rpc_password = \"hush hush\"
fee_threshold = 500
min_interval = \"5s\"
[declared.own]
pool = \"pool\"
jds_url = \"stratum2+tcp://pool.example:3334/{OWN_KEY}\"
templates = [\"node\", \"spare\"]
[solo.farm]
templates = [\"node\", \"spare\"]
payout = \"{ADDRESS}\"
signature = \"/farm/\"
extra_outputs = [\"{ADDRESS}=5_000\"]
[route.main]
listeners = [\"main\"]
sources = [\"own\", \"pool\", \"farm\"]
[state]
directory = \"/srv/adit\"
",
        url = url()
    )
}

fn load(text: &str) -> Loaded {
    Config::from_str_named("adit.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(|warning| format!("{}: {}", warning.key, warning.message)).collect()
}

#[test]
fn a_farm_that_makes_its_own_work_is_read_whole() {
    let loaded = load(&farm());
    assert_eq!(warnings(&loaded), Vec::<String>::new());
    let config = loaded.config;
    let node = &config.templates["node"];
    assert_eq!(
        (node.network, node.fee_threshold, node.min_interval),
        (Chain::Main, 10_000, Duration::from_secs(30))
    );
    let socket = Path::new("/run/bitcoind/node.sock");
    assert_eq!(node.from(), Some(TemplateFrom::BitcoinIpc { socket, interface: Interface::Auto }));
    let spare = &config.templates["spare"];
    let Some(TemplateFrom::BitcoinRpc {
        address: "localhost:8332",
        login: RpcLogin::User { name: "adit", password },
    }) = spare.from()
    else {
        panic!("{:?}", spare.from())
    };
    assert_eq!(password.reveal(), "hush hush");
    assert_eq!((spare.fee_threshold, spare.min_interval), (500, Duration::from_secs(5)));
    let declared = &config.declared["own"];
    assert_eq!((declared.pool.as_str(), declared.mode), ("pool", DeclareMode::FullTemplate));
    assert_eq!(declared.jds_url.port(), 3334);
    let solo = &config.solos["farm"];
    assert_eq!(solo.payout.script_on(Chain::Main).as_deref(), Some(&SCRIPT[..]));
    assert_eq!(solo.payout.script_on(Chain::Regtest), None);
    let extra = solo.extra_outputs[0].on(Chain::Main).unwrap();
    assert_eq!((extra.value, &*extra.script_pubkey), (5_000, &SCRIPT[..]));
    assert_eq!(signature_push(&solo.signature), b"\x06/farm/");
    assert_eq!(config.state.directory, Some(PathBuf::from("/srv/adit")));
}

#[test]
fn a_route_with_declared_jobs_has_one_channel_at_each_pool() {
    assert_eq!(load(&farm()).config.sources["pool"].miners_per_channel, Some(MinersPerChannel::All));
    let without = farm().replace("\"own\", ", "");
    assert_eq!(load(&without).config.sources["pool"].miners_per_channel, None);
}

#[test]
fn a_farm_may_mine_for_itself_alone() {
    let text = farm().replace("\"own\", \"pool\", ", "");
    let (before, rest) = text.split_once("[source.pool]").unwrap();
    let (_, rest) = rest.split_once("[template.node]").unwrap();
    let text = format!("{before}[template.node]{rest}");
    let (before, rest) = text.split_once("[declared.own]").unwrap();
    let (_, rest) = rest.split_once("[solo.farm]").unwrap();
    let loaded = load(&format!("{before}[solo.farm]{rest}"));
    assert!(loaded.config.sources.is_empty() && loaded.config.declared.is_empty());
    assert_eq!(warnings(&loaded), Vec::<String>::new());
}

#[test]
fn passwords_are_shown_nowhere() {
    let config = load(&farm()).config;
    let effective = config.effective_toml();
    assert!(effective.contains("rpc_password = \"***\"") && !effective.contains("hush"), "{effective}");
    assert!(!format!("{config:?}").contains("hush"));
    // That another password holds is told, and neither of the two.
    let other = load(&farm().replace("hush hush", "other")).config;
    assert_eq!(config.differences(&other), ["a secret"]);
}

#[test]
fn a_password_may_stand_in_a_file_or_in_the_environment() {
    let text = farm().replace("rpc_password = \"hush hush\"", "rpc_password_file = \"/run/secrets/rpc\"");
    let file = |path: &Path| match path.to_str() {
        Some("/run/secrets/rpc") => Ok("from the file\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let password = |text: &str, variables: &[(String, String)]| {
        let config = assemble("adit.toml", text, variables, false, Machine::default(), &file).unwrap().config;
        config.templates["spare"].rpc_password.as_ref().unwrap().reveal().to_owned()
    };
    assert_eq!(password(&text, &[]), "from the file");
    let variable = ("ADIT__TEMPLATE__SPARE__RPC_PASSWORD".to_owned(), "from the environment".to_owned());
    assert_eq!(password(&farm(), &[variable]), "from the environment");
}

#[test]
fn what_is_in_force_reads_back_as_itself() {
    let config = load(&farm()).config;
    let effective = config.effective_toml();
    // Only the password does not: it is masked.
    let again = load(&effective.replace("\"***\"", "\"hush hush\"")).config;
    assert_eq!(again, config, "{effective}");
}

#[test]
fn every_table_may_come_from_the_environment() {
    let (url, output) = (url(), format!("{ADDRESS}=7, {ADDRESS}=0"));
    let variables = [
        ("ADIT__DECLARED__OWN__JDS_URL", url.as_str()),
        ("ADIT__DECLARED__OWN__POOL", "main"),
        ("ADIT__DECLARED__OWN__TEMPLATES", "node"),
        ("ADIT__SOLO__FARM__EXTRA_OUTPUTS", &output),
        ("ADIT__SOLO__FARM__PAYOUT", ADDRESS),
        ("ADIT__SOLO__FARM__TEMPLATES", "[\"node\"]"),
        ("ADIT__SOURCE__MAIN__PAYOUT", ADDRESS),
        ("ADIT__STATE__DIRECTORY", "/srv/adit"),
        ("ADIT__TEMPLATE__NODE__INTERFACE", "31.99"),
        ("ADIT__TEMPLATE__NODE__KIND", "bitcoin-ipc"),
        ("ADIT__TEMPLATE__NODE__SOCKET", "/run/node.sock"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = Config::from_parts("adit.toml", &good().text(), &variables, Machine::default(), &|_| {
        Err(io::Error::from(io::ErrorKind::NotFound))
    });
    let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
    assert_eq!(config.templates["node"].interface, Some(Interface::V31_99));
    assert_eq!(config.solos["farm"].extra_outputs.len(), 2);
    assert_eq!(config.declared["own"].templates, config.solos["farm"].templates);
    assert_eq!(config.state.directory, Some(PathBuf::from("/srv/adit")));
    assert!(config.sources["main"].payout.is_some());
}

#[test]
fn a_pools_payout_is_an_address_or_a_script() {
    let rule = |lines: &str| load(&good().source(lines).text()).config.sources["main"].payout_rule();
    assert_eq!(rule(""), None);
    let script: Box<[u8]> = SCRIPT.into();
    for (lines, least_parts) in [
        (format!("payout = \"{ADDRESS}\""), 1_000_000),
        (format!("payout = \"0014{}\"\npayout_percent = 98.5", "11".repeat(20)), 985_000),
        (format!("payout = \"{}\"\npayout_percent = 0.0001", ADDRESSES[1].1), 1),
    ] {
        assert_eq!(rule(&lines), Some(PayoutRule { script: script.clone(), least_parts }), "{lines}");
    }
}

#[test]
fn a_signature_leaves_room_for_height_and_extranonce() {
    let with = |len: usize| {
        let text = farm().replace("/farm/", &"x".repeat(len));
        Config::from_str_named("adit.toml", &text)
    };
    assert_eq!(
        signature_push(&with(SIGNATURE_MAX).unwrap().config.solos["farm"].signature).len(),
        SIGNATURE_MAX + 1
    );
    assert_eq!(with(SIGNATURE_MAX + 1).unwrap_err().problems()[0].key, "solo.farm.signature");
    assert_eq!(signature_push(""), Vec::<u8>::new());
}

#[test]
fn satoshi_that_cannot_be_are_refused() {
    for (outputs, fix) in [
        (format!("\"{ADDRESS}=-1\""), "write a whole number of satoshi behind the =, 0 or more"),
        (format!("\"{ADDRESS}=0.5\""), "write a whole number of satoshi behind the =, 0 or more"),
        (
            format!("\"{ADDRESS}=2100000000000000\", \"{ADDRESS}=1\""),
            "write satoshi: a bitcoin has 100,000,000 of them",
        ),
        (
            vec![format!("\"{ADDRESS}=1\""); 101].join(","),
            "leave some out: each takes room from transactions that pay",
        ),
    ] {
        let text = farm().replace(&format!("\"{ADDRESS}=5_000\""), &outputs);
        let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
        assert_eq!(refused.problems()[0].fix, fix, "{outputs}");
    }
}

#[test]
fn what_the_farm_should_look_at_again_is_warned_of() {
    let text = farm()
        .replace("localhost:8332", "10.0.0.7:8332")
        .replace("\"own\", \"pool\", \"farm\"", "\"own\"")
        .replace("pool = \"pool\"", "pool = \"pool\"\nsignature = \"farm\"\nextra_outputs = [\"MAIN=1000\"]")
        .replace("MAIN", ADDRESS)
        .replace("templates = [\"node\", \"spare\"]", "templates = [\"spare\"]")
        .replace("\"account\"", "\"account\"\npayout_percent = 50");
    assert_eq!(
        warnings(&load(&text)),
        [
            "template.node: no solo or declared uses this template",
            "solo.farm: no route uses this source",
            "source.pool.payout_percent: this has no effect without payout",
            "template.spare.rpc_address: 10.0.0.7:8332 is not this machine, and RPC is not encrypted: anyone on the way \
             can read the password and change the templates; use a tunnel, or a node on this machine",
            "declared.own.signature: a pool need not take more than 3 bytes here (SV2 5.3.18: 8 with the height and the \
             byte that says how long the text is): one that does not refuses the jobs",
            "declared.own.extra_outputs: 1000 satoshi of each block are missing from the pool's payout: it may pay less \
             for shares, or refuse the jobs; ask the pool, or pay 0",
            "route.main.sources: nothing comes after [declared.own]: while templates are away or the pool refuses them \
             miners get no work; add \"pool\", for the pool's own jobs",
        ]
    );
    let alone = farm().replace("[\"node\", \"spare\"]\npayout", "[\"node\"]\npayout");
    assert_eq!(
        warnings(&load(&alone)),
        [
            "route.main.sources: nothing comes after [solo.farm], which has one template: while [template.node] is away \
             miners get no work; name a second template, or a source behind it"
        ]
    );
    let open = farm().replace(
        "kind = \"bitcoin-ipc\"\nsocket = \"/run/bitcoind/node.sock\"",
        "kind = \"template-provider\"\nurl = \"stratum2+tcp://127.0.0.1:8442\"\ninsecure = true",
    );
    assert_eq!(
        warnings(&load(&open)),
        [
            "template.node.insecure: nobody vouches for this provider: anyone on the way can pose as it and change the \
             templates"
        ]
    );
}

#[test]
fn an_insecure_pools_job_declarator_needs_no_key() {
    let text = farm().replace(&format!("3334/{OWN_KEY}"), "3334");
    assert!(Config::from_str_named("adit.toml", &text).is_err());
    let insecure = text.replace("\"account\"", "\"account\"\ninsecure = true");
    assert_eq!(load(&insecure).config.declared["own"].jds_url.authority(), None);
}

#[test]
fn a_template_that_a_variable_made_is_told_which_variables_it_lacks() {
    let variables = [("ADIT__TEMPLATE__NODE__KIND".to_owned(), "bitcoin-rpc".to_owned())];
    let refused = assemble("adit.toml", &good().text(), &variables, false, Machine::default(), &|_| {
        Err(io::Error::from(io::ErrorKind::NotFound))
    })
    .unwrap_err();
    let fixes: Vec<&str> = refused.problems().iter().map(|problem| problem.fix.as_str()).collect();
    assert_eq!(fixes, ["set ADIT__TEMPLATE__NODE__RPC_ADDRESS", "set ADIT__TEMPLATE__NODE__RPC_COOKIE_FILE"]);
}

#[test]
fn state_is_kept_in_the_documented_places() {
    let directory = |state: &State, env: &[(&str, &str)]| {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        state_directory(state, env).display().to_string()
    };
    let chosen = State { directory: Some("/srv/adit".into()), ..State::default() };
    let all =
        [("HOME", "/home/m"), ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/state")];
    assert_eq!(directory(&chosen, &all), "/srv/adit");
    assert_eq!(directory(&State::default(), &all), "/var/lib/a");
    assert_eq!(
        directory(&State::default(), &[("HOME", "/home/m"), ("XDG_STATE_HOME", "/state")]),
        "/state/adit"
    );
    let relative = [("HOME", "/home/m"), ("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "state")];
    assert_eq!(directory(&State::default(), &relative), "/home/m/.local/state/adit");
    assert_eq!(directory(&State::default(), &[("HOME", "")]), "/var/lib/adit");
}
