//! The tables of keys as documentation.

use std::fmt::Write as _;

use super::section::Table;
use super::tables;

/// Every key with its default, what it takes and what it does, as Markdown: the last section of
/// `docs/configuration.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut text = String::new();
    for table in Table::ALL {
        let about = match table {
            Table::Listener => "One port that miners connect to; at least one.",
            Table::Source => "One pool that work comes from. There is at least one source, solo or declared.",
            Table::Template => "One node, or template provider, that says what the next block may hold.",
            Table::Solo => "Mining for the farm itself, without a pool: a source of its own.",
            Table::Declared => {
                "Mining for a pool on templates of the farm's own choice: a source of its own."
            }
            Table::Route => "Binds listeners to sources; at least one.",
            Table::Pin => "Workers that mine for one goal alone.",
            Table::Goal => "A part of a route's work, with sources of its own (docs/routes.md).",
            Table::Firmware => "What is known of a kind of miners; `adit profiles` lists what is shipped.",
            Table::State => "What Adit keeps between its runs.",
            Table::Ledger => "What is written down of every share, to be added up later (docs/ledger.md).",
            Table::Nats => "A NATS JetStream system that the ledger is published to (docs/nats.md).",
            Table::Receipts => {
                "Receipts of delivered hashrate that are issued by themselves (docs/guide/receipts.md)."
            }
            Table::Http => "Metrics, health and status over HTTP.",
            Table::Log => "What is logged.",
            Table::Limits => "Bounds that keep one peer from costing the others.",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n### `{}`\n\n{about}\n", table.header());
        text.push_str("| key | default | takes | what it does |\n| --- | --- | --- | --- |\n");
        for key in tables::keys_of(table) {
            let default = match (&key.default, key.says) {
                _ if key.required => "none: must be set".to_owned(),
                (_, Some(words)) => words.to_owned(),
                (Some(value), None) => format!("`{value}`"),
                (None, None) => "not set".to_owned(),
            };
            let takes = key.expected.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {default} | {takes} | {} |", key.name, key.about);
        }
    }
    text
}
