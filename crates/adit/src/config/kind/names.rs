//! Names of other tables, one or a list.

use super::list::texts;
use super::{Fix, Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};
use crate::config::name::{NAME_RULE, Name};

/// A list of names, in order.
pub(crate) struct Names;

impl Kind for Names {
    type Value = Vec<Name>;

    fn expected(&self) -> String {
        "a list of at least one name, such as [\"main\", \"backup\"]".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Vec<Name>, Refusal> {
        if let Given::Text(text) = given
            && Name::new(text).is_some()
        {
            return Err(Refusal::value(format!("[{}]", quoted(text))));
        }
        let texts = texts(given, NAME_RULE, "write the name in quotes, or leave it out")?;
        if texts.is_empty() {
            return Err(Refusal::plain());
        }
        let mut names = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            names.push(Name::new(text).ok_or_else(|| Refusal {
                expected: Some(NAME_RULE.to_owned()),
                found: Some(quoted_short(text)),
                fix: Some(Fix::Words(match Name::suggested(text) {
                    Some(name) => format!("write {}", quoted(name.as_str())),
                    None => "leave it out".to_owned(),
                })),
                item: Some(at),
                ..Refusal::default()
            })?);
        }
        Ok(names)
    }

    fn write(&self, value: &Vec<Name>) -> Option<String> {
        if value.is_empty() {
            return None;
        }
        let names: Vec<String> = value.iter().map(|name| quoted(name.as_str())).collect();
        Some(format!("[{}]", names.join(", ")))
    }
}

/// The name of one table.
pub(crate) struct OneName;

impl Kind for OneName {
    type Value = Name;

    fn expected(&self) -> String {
        NAME_RULE.to_owned()
    }

    fn read(&self, given: &Given) -> Result<Name, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        Name::new(text).ok_or_else(|| match Name::suggested(text) {
            Some(name) => Refusal::value(quoted(name.as_str())),
            None => Refusal::plain(),
        })
    }

    fn write(&self, value: &Name) -> Option<String> {
        Some(quoted(value.as_str()))
    }
}
