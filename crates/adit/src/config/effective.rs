//! The configuration in force, written out whole.

use std::fmt::Write as _;

use super::Config;
use super::section::Table;
use super::tables::VERSION;

impl Config {
    /// The configuration in force as TOML: every key, those from the environment and the defaults too, in a
    /// form that reads back as the same configuration. Secrets are masked. Keys that are not set stand in
    /// comments.
    #[must_use]
    pub fn effective_toml(&self) -> String {
        let mut text = format!("version = {VERSION}\n");
        let listeners =
            self.listeners.iter().map(|(name, table)| (Table::Listener, Some(name), table.written()));
        let sources = self.sources.iter().map(|(name, table)| (Table::Source, Some(name), table.written()));
        let routes = self.routes.iter().map(|(name, table)| (Table::Route, Some(name), table.written()));
        let single = [
            (Table::Http, None, self.http.written()),
            (Table::Log, None, self.log.written()),
            (Table::Limits, None, self.limits.written()),
        ];
        for (table, name, keys) in listeners.chain(sources).chain(routes).chain(single) {
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
}
