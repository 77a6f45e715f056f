//! A table of the configuration as it was given: which one it is and what it holds.

use std::collections::BTreeMap;

use super::given::Given;
use super::name::Name;
use super::place::Spot;

/// The tables that a configuration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Listener,
    Source,
    Template,
    Solo,
    Declared,
    Route,
    Goal,
    Pin,
    Firmware,
    State,
    Ledger,
    Nats,
    Receipts,
    Http,
    Log,
    Limits,
}

impl Table {
    pub(crate) const ALL: [Self; 16] = [
        Self::Listener,
        Self::Source,
        Self::Template,
        Self::Solo,
        Self::Declared,
        Self::Route,
        Self::Goal,
        Self::Pin,
        Self::Firmware,
        Self::State,
        Self::Ledger,
        Self::Nats,
        Self::Receipts,
        Self::Http,
        Self::Log,
        Self::Limits,
    ];
    /// The tables that work comes from: a route's `sources` name any of them, so their names differ.
    pub(crate) const WORK: [Self; 3] = [Self::Source, Self::Solo, Self::Declared];

    /// The word for it in a file.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Source => "source",
            Self::Template => "template",
            Self::Solo => "solo",
            Self::Declared => "declared",
            Self::Route => "route",
            Self::Goal => "goal",
            Self::Pin => "pin",
            Self::Firmware => "firmware",
            Self::State => "state",
            Self::Ledger => "ledger",
            Self::Nats => "nats",
            Self::Receipts => "receipts",
            Self::Http => "http",
            Self::Log => "log",
            Self::Limits => "limits",
        }
    }

    /// The table of a word.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.word() == word)
    }

    /// Whether there are several, each with a name.
    pub(crate) const fn named(self) -> bool {
        !matches!(
            self,
            Self::State | Self::Ledger | Self::Nats | Self::Receipts | Self::Http | Self::Log | Self::Limits
        )
    }

    /// Its header in a file, with `NAME` where a name belongs.
    pub(crate) fn header(self) -> String {
        if self.named() { format!("[{}.NAME]", self.word()) } else { format!("[{}]", self.word()) }
    }
}

/// A key's value and where both stand.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key_spot: Spot,
    pub(crate) spot: Spot,
    pub(crate) given: Given,
}

/// A table with what was given for it.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) table: Table,
    /// There for tables that have names.
    pub(crate) name: Option<Name>,
    /// The header's name, or the first variable that made the table.
    pub(crate) header: Spot,
    pub(crate) entries: BTreeMap<String, Entry>,
}

impl Section {
    pub(crate) fn new(table: Table, name: Option<Name>, header: Spot) -> Self {
        Self { table, name, header, entries: BTreeMap::new() }
    }

    /// The table's path, such as `source.main`.
    pub(crate) fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("{}.{name}", self.table.word()),
            None => self.table.word().to_owned(),
        }
    }

    /// The variable that sets a key of this table.
    pub(crate) fn variable(&self, key: &str) -> String {
        variable(self.table, self.name.as_ref(), key)
    }
}

/// The variable of the environment that sets a key.
pub(crate) fn variable(table: Table, name: Option<&Name>, key: &str) -> String {
    let mut variable = format!("{}{}__", super::environment::PREFIX, table.word().to_ascii_uppercase());
    if let Some(name) = name {
        variable.push_str(&name.in_environment());
        variable.push_str("__");
    }
    variable.push_str(&key.to_ascii_uppercase());
    variable
}
