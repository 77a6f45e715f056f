//! Keys from the environment: `ADIT__SOURCE__MAIN__URL` is `url` of `[source.main]`.

use super::document::Document;
use super::given::{Given, listed};
use super::name::Name;
use super::nearest::nearest;
use super::place::Spot;
use super::reader::Reader;
use super::section::{Entry, Section, Table, variable};
use super::tables;

/// What every variable that sets a key begins with.
pub const PREFIX: &str = "ADIT__";
/// Between the parts of a variable's name.
const SEPARATOR: &str = "__";
/// The variable that sets the version.
const VERSION_VARIABLE: &str = "ADIT__VERSION";

/// Lays the variables over what the file gave: a variable replaces the file's value of its key, and a table
/// that the file does not have comes into being.
pub(crate) fn overlay(document: &mut Document, variables: &[(String, String)], reader: &mut Reader<'_>) {
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else {
            warn_of_near_prefix(variable, reader);
            continue;
        };
        let spot = Spot::Variable(variable.clone());
        let entry = Entry { key_spot: spot.clone(), spot: spot.clone(), given: Given::Loose(value.clone()) };
        if variable == VERSION_VARIABLE {
            document.version = Some(entry);
            continue;
        }
        match key_of(rest) {
            Some((table, name, key)) => {
                let section = document
                    .sections
                    .entry((table, name.clone()))
                    .or_insert_with(|| Section::new(table, name, spot));
                section.entries.insert(key, entry);
            }
            None => refuse(rest, &spot, document, reader),
        }
    }
}

/// The table, name and key of a variable without its prefix.
fn key_of(rest: &str) -> Option<(Table, Option<Name>, String)> {
    if rest.chars().any(|c| c.is_lowercase()) {
        return None;
    }
    let parts: Vec<String> = rest.split(SEPARATOR).map(str::to_ascii_lowercase).collect();
    match parts.as_slice() {
        [table, key] if !key.is_empty() => {
            let table = Table::of_word(table).filter(|table| !table.named())?;
            Some((table, None, key.clone()))
        }
        [table, name, key] if !key.is_empty() => {
            let table = Table::of_word(table).filter(|table| table.named())?;
            Some((table, Some(Name::new(&name.replace('_', "-"))?), key.clone()))
        }
        _ => None,
    }
}

/// Reports a variable that names no key.
fn refuse(rest: &str, spot: &Spot, document: &Document, reader: &mut Reader<'_>) {
    let named: Vec<&str> =
        Table::ALL.iter().filter(|table| table.named()).map(|table| table.word()).collect();
    let expected = format!(
        "{PREFIX}TABLE__KEY, and {PREFIX}TABLE__NAME__KEY for {}, in capitals with _ for -",
        listed(&named)
    );
    let upper = rest.to_ascii_uppercase();
    let parts: Vec<&str> = upper.split(SEPARATOR).collect();
    let word = parts.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let table = Table::of_word(&word)
        .or_else(|| nearest(&word, Table::ALL.iter().map(|table| table.word())).and_then(Table::of_word));
    let some_name = |table| document.names(table).into_iter().next().or_else(|| Name::new("main"));
    let meant = match (table, parts.as_slice()) {
        (Some(table), [_, key]) if table.named() => Some(variable(table, some_name(table).as_ref(), key)),
        (Some(table), [_, key]) => Some(variable(table, None, key)),
        (Some(table), [_, name, key]) if table.named() => {
            Name::suggested(name).map(|name| variable(table, Some(&name), key))
        }
        (Some(table), [_, _, key]) => Some(variable(table, None, key)),
        _ => None,
    };
    let fix = match meant.filter(|meant| key_of(&meant[PREFIX.len()..]).is_some()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove the variable".to_owned(),
    };
    let found = "a name that is no key".to_owned();
    reader.report(spot, "", expected, found, fix);
}

/// A variable that looks as if it were meant for Adit and has no effect. Others that begin with `ADIT_` are
/// left alone: service managers make such names up.
fn warn_of_near_prefix(variable: &str, reader: &mut Reader<'_>) {
    let upper = variable.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix("ADIT_") else {
        return;
    };
    let Some((table, name, key)) = key_of(rest.trim_start_matches('_')) else {
        return;
    };
    if tables::keys_of(table).iter().any(|known| known.name == key) {
        let meant = super::section::variable(table, name.as_ref(), &key);
        reader.warn_at(
            &Spot::Variable(variable.to_owned()),
            &format!("{}.{key}", Section::new(table, name, Spot::Whole).path()),
            format!("this variable has no effect; did you mean {meant}?"),
        );
    }
}
