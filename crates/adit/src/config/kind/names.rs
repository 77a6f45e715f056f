//! Lists of names.

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
        let texts: Vec<&str> = match given {
            Given::Loose(text) => {
                // As in the file, or plain.
                let text = text.trim();
                let items = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
                items.split(',').map(|item| item.trim().trim_matches(['"', '\''])).collect()
            }
            Given::List(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(|(_, item)| item.text()).collect();
                texts.ok_or_else(|| {
                    let item = items.iter().position(|(_, item)| item.text().is_none());
                    let found = item.map(|at| items[at].1.to_string());
                    Refusal {
                        expected: Some(NAME_RULE.to_owned()),
                        found,
                        item,
                        ..Refusal::words("write the name in quotes, or leave it out")
                    }
                })?
            }
            Given::Text(text) if Name::new(text).is_some() => {
                return Err(Refusal::value(format!("[{}]", quoted(text))));
            }
            _ => return Err(Refusal::plain()),
        };
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
            })?);
        }
        Ok(names)
    }

    fn write(&self, value: &Vec<Name>) -> Option<String> {
        let names: Vec<String> = value.iter().map(|name| quoted(name.as_str())).collect();
        Some(format!("[{}]", names.join(", ")))
    }
}
