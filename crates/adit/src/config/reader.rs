//! Reads typed values out of sections and keeps every problem met on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::given::{Given, quoted, quoted_short};
use super::kind::{Fix, Kind, Refusal};
use super::nearest::nearest;
use super::place::{Place, Spot, Text};
use super::problem::{Problem, Warning};
use super::section::{Entry, Section, Table};
use super::table::KeyInfo;
use super::{foreign, tables};

/// What stands in place of a secret wherever values are shown.
pub(crate) const MASK: &str = "***";
/// The longest file that a secret is read from, in bytes.
pub(crate) const SECRET_FILE_MAX: usize = 64 * 1024;

/// How many problems are kept. The text of an error shows fewer; a file with more is no configuration.
pub(crate) const PROBLEMS_KEPT: usize = 1_000;

/// How a file that holds a secret is read.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> std::io::Result<String>;

/// The reading of one configuration.
pub(crate) struct Reader<'a> {
    text: Text<'a>,
    read_file: ReadFile<'a>,
    problems: Vec<(Spot, Problem)>,
    /// Lines with a syntax error: what else is wrong on them follows from it.
    broken_lines: BTreeSet<usize>,
    /// Parts of the text could not be read: what is missing is not reported.
    broken: bool,
    warnings: Vec<Warning>,
    /// Where each key and each list item (`route.main.sources[1]`) stands.
    spots: BTreeMap<String, Spot>,
    /// Where the names of keys stand.
    key_spots: BTreeMap<String, Spot>,
    /// Keys with a bad value: what is compared with them is not judged.
    bad: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: Text<'a>, read_file: ReadFile<'a>) -> Self {
        Self {
            text,
            read_file,
            problems: Vec::new(),
            broken_lines: BTreeSet::new(),
            broken: false,
            warnings: Vec::new(),
            spots: BTreeMap::new(),
            key_spots: BTreeMap::new(),
            bad: BTreeSet::new(),
        }
    }

    pub(crate) fn text(&self) -> &Text<'a> {
        &self.text
    }

    /// Every problem, in the order of the file, those of the file as a whole and of the environment last;
    /// and every warning.
    pub(crate) fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        self.problems.sort_by_key(|(spot, _)| match spot {
            Spot::Text(range) => (0, range.start, String::new()),
            Spot::Whole => (1, 0, String::new()),
            Spot::Variable(name) => (2, 0, name.clone()),
        });
        (self.problems.into_iter().map(|(_, problem)| problem).collect(), self.warnings)
    }

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Whether so much is wrong that no more is kept.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_KEPT
    }

    /// Whether parts of the text could not be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reports an error of the syntax, one a line: further ones on its line follow from it.
    pub(crate) fn report_syntax(
        &mut self,
        spot: &Spot,
        key: &str,
        expected: String,
        found: String,
        fix: String,
    ) {
        self.broken = true;
        self.report_cut(spot, key, true, expected, found, fix);
        if let Place::Line { line, .. } = self.text.place(spot) {
            self.broken_lines.insert(line);
        }
    }

    /// Whether this key had a bad value, or this table a bad or missing one.
    pub(crate) fn is_bad(&self, path: &str) -> bool {
        self.bad.contains(path)
    }

    /// Where a key or list item stands, if it was set.
    pub(crate) fn spot(&self, path: &str) -> Option<&Spot> {
        self.spots.get(path)
    }

    /// Where a key's name stands, if it was set: for keys whose value may be a secret.
    pub(crate) fn key_spot(&self, path: &str) -> Option<&Spot> {
        self.key_spots.get(path)
    }

    /// Reports a problem at a spot.
    pub(crate) fn report(&mut self, spot: &Spot, key: &str, expected: String, found: String, fix: String) {
        self.report_cut(spot, key, false, expected, found, fix);
    }

    /// Reports a problem; with `cut` the excerpt ends behind the marked part.
    pub(crate) fn report_cut(
        &mut self,
        spot: &Spot,
        key: &str,
        cut: bool,
        expected: String,
        found: String,
        fix: String,
    ) {
        if self.is_full() {
            return;
        }
        let place = self.text.place(spot);
        if matches!(&place, Place::Line { line, .. } if self.broken_lines.contains(line)) {
            return;
        }
        let problem = Problem {
            place,
            key: key.to_owned(),
            excerpt: self.text.excerpt(spot, cut),
            expected,
            found,
            fix,
        };
        self.problems.push((spot.clone(), problem));
    }

    /// Adds a warning about a key, at its place or, where it is not set, at the default's.
    pub(crate) fn warn(&mut self, key: &str, message: String) {
        let place = self.spots.get(key).map_or(Place::Default, |spot| self.text.place(spot));
        self.warnings.push(Warning { place, key: key.to_owned(), message });
    }

    /// Adds a warning about a spot.
    pub(crate) fn warn_at(&mut self, spot: &Spot, key: &str, message: String) {
        self.warnings.push(Warning { place: self.text.place(spot), key: key.to_owned(), message });
    }

    /// Takes a key out of a section. A bad value is reported and gives the default, so that the rest of the
    /// configuration can still be judged; a missing one without default is reported and gives nothing.
    pub(crate) fn take<K: Kind>(
        &mut self,
        section: &mut Section,
        key: &'static str,
        kind: &K,
        default: Option<K::Value>,
    ) -> Option<K::Value> {
        let path = format!("{}.{key}", section.path());
        let entry = if K::SECRET { self.secret(section, key, &path) } else { section.entries.remove(key) };
        let Some(entry) = entry else {
            if default.is_none() && !self.is_bad(&path) {
                self.missing(section, key, &path, kind);
            }
            return default;
        };
        self.key_spots.insert(path.clone(), entry.key_spot.clone());
        // Nothing ever points at a secret.
        let spot = if K::SECRET { &entry.key_spot } else { &entry.spot };
        self.spots.insert(path.clone(), spot.clone());
        if let Given::List(items) = &entry.given {
            for (at, (spot, _)) in items.iter().enumerate() {
                self.spots.insert(format!("{path}[{at}]"), spot.clone());
            }
        }
        match kind.read(&entry.given) {
            Ok(value) => Some(value),
            Err(refusal) => {
                let default_text = default.as_ref().and_then(|value| kind.write(value));
                self.refuse_value(section, key, &entry, kind, refusal, default_text);
                self.bad.insert(path);
                default
            }
        }
    }

    /// Takes a secret from its key or from the file that `KEY_file` names.
    fn secret(&mut self, section: &mut Section, key: &'static str, path: &str) -> Option<Entry> {
        let file_key = format!("{key}_file");
        let direct = section.entries.remove(key);
        let Some(file) = section.entries.remove(&file_key) else {
            return direct;
        };
        let file_path = format!("{}.{file_key}", section.path());
        self.bad.insert(path.to_owned());
        if direct.is_some() {
            self.report(
                &file.spot,
                &file_path,
                format!("{key} or {file_key}, not both"),
                "both".to_owned(),
                format!("remove {key}, and keep the secret in the file alone"),
            );
            return None;
        }
        let Some(name) = file.given.text().filter(|name| !name.is_empty()) else {
            let expected = "the path of a file that holds the secret".to_owned();
            self.report(
                &file.spot,
                &file_path,
                expected,
                file.given.to_string(),
                "write a path in quotes".to_owned(),
            );
            return None;
        };
        let problem = match (self.read_file)(Path::new(name)) {
            Ok(text) if text.len() > SECRET_FILE_MAX => format!("{} bytes", text.len()),
            Ok(text) if text.trim().is_empty() => "an empty file".to_owned(),
            Ok(text) => {
                self.bad.remove(path);
                return Some(Entry { given: Given::Text(text.trim().to_owned()), ..file });
            }
            Err(error) => error.to_string(),
        };
        let expected = "a file that Adit may read, with the secret as its only text".to_owned();
        let fix = format!("check the path and the permissions of {}", quoted_short(name));
        self.report(&file.spot, &file_path, expected, problem, fix);
        None
    }

    fn missing<K: Kind>(&mut self, section: &Section, key: &str, path: &str, kind: &K) {
        self.bad.insert(path.to_owned());
        let known = tables::keys_of(section.table);
        let misspelt = |other: &String| {
            nearest(other, [key]).is_some() && !known.iter().any(|known| known.name == other.as_str())
        };
        // What is misspelt is reported as unknown, with what was meant.
        if self.broken || section.entries.keys().any(misspelt) {
            return;
        }
        let fix = match &section.header {
            Spot::Variable(made_by) => format!(
                "set {}; the table exists only because {made_by} is set: is its name right?",
                section.variable(key)
            ),
            _ => format!("write {key} = ... below {}", section.header_text()),
        };
        self.report(&section.header, path, kind.expected(), "nothing".to_owned(), fix);
    }

    fn refuse_value<K: Kind>(
        &mut self,
        section: &Section,
        key: &str,
        entry: &Entry,
        kind: &K,
        refusal: Refusal,
        default: Option<String>,
    ) {
        let path = format!("{}.{key}", section.path());
        let meant = || {
            let value = kind.read(&entry.given.loosened()?).ok()?;
            kind.write(&value).map(Fix::Value)
        };
        let fix = match refusal.fix.or_else(meant) {
            Some(Fix::Value(value)) => self.assignment(section, key, &entry.spot, &value),
            Some(Fix::Words(words)) => words,
            None => match default {
                Some(value) => {
                    format!("{} (the default)", self.assignment(section, key, &entry.spot, &value))
                }
                None => format!("write {}", kind.expected()),
            },
        };
        let item = match (&entry.given, refusal.item) {
            (Given::List(items), Some(at)) => items.get(at).map(|(spot, _)| (spot, format!("{path}[{at}]"))),
            _ => None,
        };
        let (spot, path) = item.unwrap_or((&entry.spot, path));
        let found = match refusal.found {
            _ if K::SECRET => MASK.to_owned(),
            Some(found) => found,
            None => entry.given.to_string(),
        };
        let expected = refusal.expected.unwrap_or_else(|| kind.expected());
        // The marked value itself would show the secret: mark the key.
        let hidden = K::SECRET || refusal.hidden;
        let (spot, cut) = if hidden { (&entry.key_spot, true) } else { (spot, false) };
        self.report_cut(spot, &path, cut, expected, found, fix);
    }

    /// `key = value` in a file, `VARIABLE=value` in the environment.
    fn assignment(&self, section: &Section, key: &str, spot: &Spot, toml: &str) -> String {
        match spot {
            Spot::Variable(_) => {
                let plain = toml.trim_matches(['[', ']']).replace("\", \"", ",");
                format!("{}={}", section.variable(key), plain.trim_matches('"'))
            }
            _ => format!("{key} = {toml}"),
        }
    }

    /// Reports every key that no one took.
    pub(crate) fn refuse_leftover(&mut self, section: &mut Section, keys: &[KeyInfo]) {
        for (key, entry) in std::mem::take(&mut section.entries) {
            if self.is_full() {
                return;
            }
            let expected = match &section.name {
                Some(_) => format!("a key of {}", section.table.header()),
                None => format!("a key of [{}]", section.table.word()),
            };
            let in_environment = matches!(entry.key_spot, Spot::Variable(_));
            let write = |key: &str| {
                if in_environment { section.variable(key) } else { key.to_owned() }
            };
            let fix = if let Some(near) = nearest(&key, keys.iter().map(|key| key.name)) {
                // Its default was never meant: nothing is compared with it.
                self.bad.insert(format!("{}.{near}", section.path()));
                format!("did you mean {}?", write(near))
            } else if let Some(other) = table_with(&key) {
                format!("{key} belongs in {}", other.header())
            } else if let Some(advice) = foreign::advice(&key) {
                advice.to_owned()
            } else {
                let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                format!("remove it; the keys are {}", names.join(", "))
            };
            let path = format!("{}.{}", section.path(), bare_or_quoted(&key));
            // A misspelt key may hold a secret: the excerpt ends behind the key.
            self.report_cut(&entry.key_spot, &path, true, expected, "an unknown key".to_owned(), fix);
        }
    }
}

impl Section {
    fn header_text(&self) -> String {
        format!("[{}]", self.path())
    }
}

/// The table that has a key of this name.
fn table_with(key: &str) -> Option<Table> {
    Table::ALL.into_iter().find(|table| tables::keys_of(*table).iter().any(|known| known.name == key))
}

/// A key as TOML writes it.
pub(crate) fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare {
        key.to_owned()
    } else if key.is_empty() {
        quoted(key)
    } else {
        quoted_short(key)
    }
}
