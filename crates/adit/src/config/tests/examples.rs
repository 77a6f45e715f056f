//! The example configurations that are shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ADDRESS, OWN_KEY, url};
use crate::config::section::Table;
use crate::config::{Config, DeclareMode, FEE_THRESHOLD, Loaded, MIN_INTERVAL, NTIME_SLACK, tables};

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Takes the `#` from lines that are a header, or a key and a value: prose has a blank behind it.
fn every_key_active(text: &str) -> String {
    text.lines()
        .map(|line| {
            let active = |rest: &&str| rest.starts_with(|c: char| c.is_alphabetic() || c == '[');
            line.strip_prefix('#').filter(active).unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

fn filled_in(text: &str) -> String {
    text.replace("url = \"\"", &format!("url = \"{}\"", url()))
        .replace("user_identity = \"\"", "user_identity = \"account\"")
        .replace("AUTHORITY-KEY", OWN_KEY)
        .replace("SECRET-KEY", &noise::AuthoritySecretKey::from_bytes([3; 32]).unwrap().to_base58check())
        .replace("\"ADDRESS", &format!("\"{ADDRESS}"))
}

fn load(text: &str) -> Loaded {
    Config::from_str_named("example", text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_example_is_refused_until_the_pool_is_filled_in() {
    let text = example("adit.example.toml");
    let refused = Config::from_str_named("adit.example.toml", &text).unwrap_err();
    let keys: Vec<&str> = refused.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["source.main.url", "source.main.user_identity"]);
    assert_eq!(load(&filled_in(&text)).warnings, []);
}

#[test]
fn the_example_has_exactly_the_keys_there_are() {
    let text = every_key_active(&example("adit.example.toml"));
    let root = DeTable::parse(&text).unwrap();
    let mut found: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for (word, value) in root.get_ref() {
        let Some(table) = Table::of_word(word.get_ref()) else {
            assert_eq!(word.get_ref(), "version");
            continue;
        };
        // The example shows each kind of template and of pool: their keys stand in several tables.
        let tables: Vec<&DeValue<'_>> = match value.get_ref() {
            DeValue::Table(names) if table.named() => names.values().map(Spanned::get_ref).collect(),
            value => vec![value],
        };
        let keys = tables.iter().flat_map(|table| table.as_table().unwrap().keys());
        let mut keys: Vec<_> = keys.map(|key| (key.span().start, key.get_ref().to_string())).collect();
        keys.sort();
        let mut seen = BTreeSet::new();
        keys.retain(|(_, key)| seen.insert(key.clone()));
        found.insert(table.word().to_owned(), keys);
    }
    for table in Table::ALL {
        let mut found: Vec<&str> = found[table.word()].iter().map(|(_, key)| key.as_str()).collect();
        let mut known: Vec<&str> = tables::keys_of(table).iter().map(|key| key.name).collect();
        if matches!(table, Table::Template | Table::Source) {
            found.sort_unstable();
            known.sort_unstable();
        }
        assert_eq!(found, known, "{}", table.header());
    }
}

#[test]
fn the_example_says_the_defaults_that_hold() {
    let text = filled_in(&example("adit.example.toml"));
    let (shown, in_force) = (load(&every_key_active(&text)).config, load(&text).config);
    let farm = &shown.templates["node"];
    assert_eq!(
        (farm.network.as_str(), farm.fee_threshold, farm.min_interval),
        ("main", FEE_THRESHOLD, MIN_INTERVAL)
    );
    assert_eq!(shown.solos["own"].ntime_slack, NTIME_SLACK);
    assert_eq!(shown.declared["own-templates"].mode, DeclareMode::FullTemplate);
    let written = |config: &Config| {
        [
            (Table::Listener, config.listeners["main"].written()),
            (Table::Source, config.sources["main"].written()),
            (Table::Route, config.routes["main"].written()),
            (Table::Http, config.http.written()),
            (Table::Log, config.log.written()),
            (Table::Limits, config.limits.written()),
        ]
    };
    for ((table, shown), (_, in_force)) in written(&shown).into_iter().zip(written(&in_force)) {
        for ((key, shown), (_, in_force)) in shown.into_iter().zip(in_force) {
            // A key that is not set by default is shown with an example.
            if in_force.is_some() {
                assert_eq!(shown, in_force, "{}.{key}", table.word());
            }
        }
    }
}

#[test]
fn the_examples_comments_are_the_documentations_words() {
    let text = example("adit.example.toml").replace("\n# ", " ").replace(['"', '`'], "").to_lowercase();
    for table in Table::ALL {
        for key in tables::keys_of(table) {
            // Keys of one kind of template stand below its name.
            let about = key
                .about
                .split_once("`: ")
                .filter(|_| table == Table::Template)
                .map_or(key.about, |(_, about)| about);
            let about = about.split_once("must be set: ").map_or(about, |(_, about)| about);
            let first: String =
                about.replace('`', "").split(['.', ':', ',']).next().unwrap_or_default().to_lowercase();
            assert!(text.contains(&first), "{}.{}: {first:?} is not in the example", table.word(), key.name);
        }
    }
}

#[test]
fn the_small_examples_are_good_once_filled_in() {
    for (name, warnings) in [("farm.toml", 0), ("pool-edge.toml", 1), ("solo.toml", 0), ("declare.toml", 0)] {
        let text = example(name);
        let refused = Config::from_str_named(name, &text).unwrap_err();
        let to_fill_in = |key: &str| [".url", ".jds_url", ".payout"].iter().any(|end| key.ends_with(end));
        assert!(refused.problems().iter().all(|problem| to_fill_in(&problem.key)), "{refused}");
        let loaded = load(&filled_in(&text));
        assert_eq!(loaded.warnings.len(), warnings, "{name}: {:?}", loaded.warnings);
    }
}
