//! Committed files that say what the code does. `UPDATE_DOCS=1` rewrites them.

use std::path::{Path, PathBuf};

use telemetry::{compatible_table, metrics_table};

use crate::example;

const BEGIN: &str =
    "<!-- The table comes from the code; UPDATE_DOCS=1 cargo test -p adit-telemetry writes it. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compares a committed file with what it should hold; with `UPDATE_DOCS=1` writes it instead.
fn check_file(path: &str, wanted: &str) {
    let path = repository(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not what the code says: run the tests with UPDATE_DOCS=1",
        path.display()
    );
}

#[test]
fn the_documentation_lists_the_metrics_that_there_are() {
    let path = repository("docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md is there");
    let (before, rest) = text.split_once(BEGIN).expect("the table has a beginning");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    check_file("docs/metrics.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", metrics_table()));
}

#[test]
fn the_documentation_lists_the_compatibility_set() {
    let text = std::fs::read_to_string(repository("docs/metrics.md")).expect("docs/metrics.md is there");
    let table = compatible_table();
    assert!(text.contains(&table), "docs/metrics.md lacks this table:\n{table}");
}

#[test]
fn the_documentation_names_no_metric_that_there_is_not() {
    let text = std::fs::read_to_string(repository("docs/metrics.md")).expect("docs/metrics.md is there");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    for word in words.filter(|word| word.starts_with("adit_")) {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|s| word.strip_suffix(s)).unwrap_or(word);
        assert!(telemetry::METRICS.iter().any(|m| m.name == name), "{word}");
    }
}

#[test]
fn the_status_has_the_committed_shape() {
    let mut text = serde_json::to_string_pretty(&example::snapshot().with_sums()).expect("it can be written");
    text.push('\n');
    check_file("crates/telemetry/tests/served/status.json", &text);
}
