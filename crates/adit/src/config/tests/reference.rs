//! The documentation's tables of keys are those of the code.

use std::fs;
use std::path::{Path, PathBuf};

use super::OWN_KEY;
use crate::config::section::Table;
use crate::config::{Config, reference_markdown, tables};

const BEGIN: &str = "<!-- keys: written by the test `the_documentation_has_every_key`, see its message -->\n";
const END: &str = "<!-- end of keys -->\n";

fn documentation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

#[test]
fn the_documentation_has_every_key() {
    let path = documentation();
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the documentation has the line that begins the keys");
    let (now, after) = rest.split_once(END).expect("the documentation has the line that ends the keys");
    let reference = format!("{}\n", reference_markdown());
    if std::env::var_os("ADIT_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{reference}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        now, reference,
        "docs/configuration.md is not up to date; write it anew: ADIT_WRITE_DOCS=1 cargo test -p adit documentation"
    );
}

#[test]
fn every_key_says_what_it_does_and_takes() {
    for table in Table::ALL {
        for key in tables::keys_of(table) {
            assert!(key.about.ends_with('.') && !key.about.contains('|'), "{}: {}", key.name, key.about);
            assert!(!key.expected.is_empty(), "{}", key.name);
            // Unset says nothing by itself.
            assert!(key.required || key.default.is_some() || key.says.is_some(), "{}", key.name);
        }
    }
}

/// Durations, sizes and hashrates have their units in what they take; a bare number needs its unit in words.
#[test]
fn every_number_says_what_it_counts() {
    const UNITS: [&str; 12] = [
        "bytes",
        "shares",
        "clients",
        "connections",
        "miners",
        "servers",
        "workers",
        "percent",
        "satoshi",
        "proportion",
        "difficulty",
        "no miner gets",
    ];
    for table in Table::ALL {
        for key in tables::keys_of(table) {
            let bare = ["a number from", "a whole number from"];
            if bare.iter().any(|number| key.expected.starts_with(number)) {
                let about = key.about.to_lowercase();
                assert!(UNITS.iter().any(|unit| about.contains(unit)), "{}: {}", key.name, key.about);
            }
        }
    }
}

/// The documentation's first block of a language.
fn block(language: &str) -> String {
    let text = fs::read_to_string(documentation()).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_documentations_shortest_configuration_is_good() {
    let text = block("toml").replace("AUTHORITY-KEY", OWN_KEY);
    let loaded = Config::from_str_named("adit.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn the_documentations_errors_are_what_one_gets() {
    let text = block("toml").replace("AUTHORITY-KEY", OWN_KEY);
    let text = text.replacen(":3333\"\n", ":3333\"\nextranonce2_size = 9\nvradiff = true\n", 1);
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
    assert_eq!(format!("{refused}\n"), block("text"));
}
