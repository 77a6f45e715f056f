//! The configuration in force, written out whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::section::Table;
use super::tables::VERSION;
use super::{Config, Name, Source};

/// A table's keys with their values as TOML.
type Written = Vec<(&'static str, Option<String>)>;

impl Config {
    /// The configuration in force as TOML: every key, those from the environment and the defaults too, in a
    /// form that reads back as the same configuration. Secrets are masked. Keys that are not set stand in
    /// comments.
    #[must_use]
    pub fn effective_toml(&self) -> String {
        let mut text = format!("version = {VERSION}\n");
        for (table, name, keys) in self.written() {
            // Writing to a String cannot fail.
            let _ = match name {
                Some(name) => writeln!(text, "\n[{}.{name}]", table.word()),
                None => writeln!(text, "\n[{}]", table.word()),
            };
            for (key, value) in keys {
                let _ = match value {
                    Some(value) => writeln!(text, "{key} = {value}"),
                    None => writeln!(text, "# {key} is not set"),
                };
            }
        }
        text
    }

    /// The same as JSON.
    #[must_use]
    pub fn effective_json(&self) -> serde_json::Value {
        let table: toml::Table = toml::from_str(&self.effective_toml()).unwrap_or_default();
        serde_json::to_value(table).unwrap_or_default()
    }

    /// The keys, such as `limits.memory`, whose values are others there or which are only in one of the two.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.by_path(), other.by_path());
        let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differs = |path: &&&String| ours.get(**path) != theirs.get(**path);
        let mut differing: Vec<String> = paths.iter().filter(differs).map(|path| (*path).clone()).collect();
        if differing.is_empty() && self != other {
            // Secrets are masked when they are written.
            differing.push("a secret".to_owned());
        }
        differing
    }

    fn by_path(&self) -> BTreeMap<String, Option<String>> {
        let mut keys = BTreeMap::new();
        for (table, name, written) in self.written() {
            let table = match name {
                Some(name) => format!("{}.{name}", table.word()),
                None => table.word().to_owned(),
            };
            keys.extend(written.into_iter().map(|(key, value)| (format!("{table}.{key}"), value)));
        }
        keys
    }

    fn written(&self) -> impl Iterator<Item = (Table, Option<&Name>, Written)> {
        /// The tables of one kind.
        macro_rules! named {
            ($table:ident, $of:expr) => {
                $of.iter().map(|(name, table)| (Table::$table, Some(name), table.written()))
            };
        }
        let single = [
            (Table::State, None, self.state.written()),
            (Table::Ledger, None, self.ledger.written()),
            (Table::Nats, None, self.nats.written()),
            (Table::Receipts, None, self.receipts.written()),
            (Table::Http, None, self.http.written()),
            (Table::Log, None, self.log.written()),
            (Table::Limits, None, self.limits.written()),
        ];
        named!(Listener, self.listeners)
            .chain(
                self.sources
                    .iter()
                    .map(|(name, source)| (Table::Source, Some(name), of_its_protocol(source))),
            )
            .chain(named!(Template, self.templates))
            .chain(named!(Solo, self.solos))
            .chain(named!(Declared, self.declared))
            .chain(named!(Route, self.routes))
            .chain(named!(Goal, self.goals))
            .chain(named!(Pin, self.pins))
            .chain(named!(Firmware, self.firmware))
            .chain(single)
    }
}

/// A pool's keys, those of the other protocol left out.
fn of_its_protocol(source: &Source) -> Written {
    source.written().into_iter().filter(|(key, _)| !source.foreign_keys().contains(key)).collect()
}
