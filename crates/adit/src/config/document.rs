//! From the text of a file to its sections: syntax errors, unknown tables and wrong names are reported
//! here; what the sections hold is judged by the tables.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::given::{Given, quoted, quoted_short};
use super::name::{NAME_RULE, Name};
use super::nearest::nearest;
use super::place::Spot;
use super::reader::{PROBLEMS_KEPT, Reader, bare_or_quoted};
use super::section::{Entry, Section, Table};
use super::{foreign, tables};

/// The key of the format's version.
pub(crate) const VERSION_KEY: &str = "version";

/// Everything that was given, ordered by table and name.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) version: Option<Entry>,
    pub(crate) sections: BTreeMap<(Table, Option<Name>), Section>,
}

impl Document {
    /// Reads the reader's text.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let (root, errors) = DeTable::parse_recoverable(reader.text().whole());
        let mut document = Self::default();
        let mut headers_broken = false;
        for error in errors.iter().take(PROBLEMS_KEPT) {
            headers_broken |= report_syntax(reader, error);
        }
        // Below a broken header keys belong to nobody knows what: nothing is said about them.
        if !headers_broken {
            document.root(root.get_ref(), reader);
        }
        document
    }

    fn root(&mut self, root: &DeTable<'_>, reader: &mut Reader<'_>) {
        for (key, value) in in_order(root) {
            if reader.is_full() {
                return;
            }
            let key_spot = Spot::Text(key.span());
            let word = key.get_ref().as_ref();
            if word == VERSION_KEY {
                self.version = Some(entry(key, value));
                continue;
            }
            let Some(table) = Table::of_word(word) else {
                unknown_table(reader, &key_spot, word);
                continue;
            };
            match value.get_ref() {
                DeValue::Table(inner) if table.named() => self.named(table, inner, reader),
                DeValue::Table(inner) => self.section(table, None, Spot::Text(key.span()), inner),
                other => {
                    let found = match other {
                        DeValue::Array(items) if items.iter().all(|item| item.get_ref().is_table()) => {
                            format!("a list of tables [[{word}]]")
                        }
                        other => Given::of(other).to_string(),
                    };
                    let fix = match table.named() {
                        true => format!("write [{word}.main]; its name takes the place of a list's order"),
                        false => format!("write [{word}] and its keys below it"),
                    };
                    reader.report(&key_spot, word, format!("a table {}", table.header()), found, fix);
                }
            }
        }
    }

    fn named(&mut self, table: Table, tables_by_name: &DeTable<'_>, reader: &mut Reader<'_>) {
        let word = table.word();
        for (key, value) in in_order(tables_by_name) {
            let (spot, text) = (Spot::Text(key.span()), key.get_ref().as_ref());
            let path = format!("{word}.{}", bare_or_quoted(text));
            let DeValue::Table(inner) = value.get_ref() else {
                let fix = if tables::keys_of(table).iter().any(|known| known.name == text) {
                    format!("give the table a name, [{word}.main], and write {text} below it")
                } else {
                    format!("write [{path}] and its keys below it")
                };
                let found = Given::of(value.get_ref()).to_string();
                reader.report_cut(&spot, &path, true, format!("a table {}", table.header()), found, fix);
                continue;
            };
            match Name::new(text) {
                Some(name) => self.section(table, Some(name), spot, inner),
                None => {
                    let fix = match Name::suggested(text) {
                        Some(name) => format!("write [{word}.{name}]"),
                        None => format!("write [{word}.main]"),
                    };
                    reader.report(&spot, &path, NAME_RULE.to_owned(), quoted(text), fix);
                }
            }
        }
    }

    fn section(&mut self, table: Table, name: Option<Name>, header: Spot, inner: &DeTable<'_>) {
        let mut section = Section::new(table, name.clone(), header);
        for (key, value) in in_order(inner) {
            section.entries.insert(key.get_ref().clone().into_owned(), entry(key, value));
        }
        self.sections.insert((table, name), section);
    }

    /// The names that a table has, in their order.
    pub(crate) fn names(&self, table: Table) -> Vec<Name> {
        self.sections.keys().filter(|(of, _)| *of == table).filter_map(|(_, name)| name.clone()).collect()
    }

    /// The sections of a table, taken out, in the order of their names.
    pub(crate) fn take(&mut self, table: Table) -> Vec<Section> {
        let keys: Vec<_> = self.sections.keys().filter(|(of, _)| *of == table).cloned().collect();
        keys.iter().filter_map(|key| self.sections.remove(key)).collect()
    }
}

fn entry(key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Entry {
    Entry {
        key_spot: Spot::Text(key.span()),
        spot: Spot::Text(value.span()),
        given: Given::of(value.get_ref()),
    }
}

/// A table's entries as they stand in the text.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn unknown_table(reader: &mut Reader<'_>, spot: &Spot, word: &str) {
    let words = Table::ALL.iter().map(|table| table.word());
    let fix = if let Some(near) = nearest(word, words.chain([VERSION_KEY])) {
        match Table::of_word(near) {
            Some(table) => format!("did you mean {}?", table.header()),
            None => format!("did you mean {near} = {}?", tables::VERSION),
        }
    } else if let Some(table) =
        Table::ALL.into_iter().find(|table| tables::keys_of(*table).iter().any(|key| key.name == word))
    {
        format!("{word} belongs in {}", table.header())
    } else if let Some(advice) = foreign::advice(word) {
        advice.to_owned()
    } else {
        "remove it".to_owned()
    };
    let headers: Vec<String> = Table::ALL.iter().map(|table| table.header()).collect();
    let expected = format!("{VERSION_KEY} or one of {}", headers.join(" "));
    let key = bare_or_quoted(word);
    reader.report_cut(spot, &key, true, expected, "an unknown key or table".to_owned(), fix);
}

/// What other formats write for `true` and `false`.
fn word_for_flag(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => Some(true),
        "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// Reports an error of the file's syntax; true if a table's header is broken.
fn report_syntax(reader: &mut Reader<'_>, error: &toml::de::Error) -> bool {
    let span = error.span().unwrap_or(0..0);
    let spot = Spot::Text(span.clone());
    let at_line_end =
        reader.text().whole().get(span.start..).is_some_and(|rest| rest.starts_with(['\r', '\n']));
    let part = reader.text().slice(&spot).trim().to_owned();
    let (line, before) = reader.text().line_around(&spot);
    let key = before.split_once('=').map_or("", |(key, _)| key.trim());
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, expected.to_owned()),
        None => (error.message(), "TOML".to_owned()),
    };
    let (expected, found, fix) = match what {
        "string values must be quoted" if part.is_empty() => (
            "a value".to_owned(),
            "nothing".to_owned(),
            "write a value behind the =, or remove the line".to_owned(),
        ),
        "string values must be quoted" => match word_for_flag(&part) {
            Some(flag) => ("true or false, or a text in quotes".to_owned(), part, format!("{key} = {flag}")),
            None => {
                let quoted = quoted_short(&part);
                (
                    "a text in quotes".to_owned(),
                    format!("{quoted} without quotes"),
                    format!("{key} = {quoted}"),
                )
            }
        },
        "duplicate key" => (
            "each key and each table once".to_owned(),
            format!("{} for the second time", quoted_short(&part)),
            "remove one of the two, or put both together".to_owned(),
        ),
        "invalid basic string" | "invalid literal string" if at_line_end => (
            "a quotation mark at the end of the text".to_owned(),
            "the end of the line".to_owned(),
            "close the text with the quotation mark that it begins with".to_owned(),
        ),
        "unclosed table" => (
            "] at the end of the header".to_owned(),
            "a header without it".to_owned(),
            format!("write {}]", line.trim()),
        ),
        "key with no value" => (
            "key = value".to_owned(),
            "a key without =".to_owned(),
            "write = between the key and its value".to_owned(),
        ),
        what => (
            expected,
            what.to_owned(),
            "write [table] headers, and key = value lines below them (the syntax: https://toml.io)"
                .to_owned(),
        ),
    };
    // The line may hold a secret with a quotation mark missing: only a marked key or value is shown.
    reader.report_syntax(&spot, key, expected, found, fix);
    line.trim_start().starts_with('[') && what != "duplicate key"
}
