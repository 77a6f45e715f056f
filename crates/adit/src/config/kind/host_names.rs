//! Names that this machine is asked for by.

use super::host::is_name;
use super::list::texts;
use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// The most names of a list.
const NAMES_MAX: usize = 100;

/// A list of host names; it may be empty.
pub(crate) struct HostNames;

impl Kind for HostNames {
    type Value = Vec<String>;

    fn expected(&self) -> String {
        "a list of host names, such as [\"adit.farm.example\"]".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Vec<String>, Refusal> {
        if let Given::Text(text) = given {
            return Err(Refusal::value(format!("[{}]", quoted(text))));
        }
        let rule = "a host's name without a port";
        let mut texts = texts(given, rule, "write the name in quotes, or leave it out")?;
        if matches!(given, Given::Loose(_)) {
            texts.retain(|text| !text.is_empty());
        }
        if texts.len() > NAMES_MAX {
            return Err(Refusal {
                expected: Some(format!("at most {NAMES_MAX} names")),
                found: Some(texts.len().to_string()),
                ..Refusal::words("leave some out")
            });
        }
        match texts.iter().position(|text| !is_name(text)) {
            None => Ok(texts.into_iter().map(str::to_owned).collect()),
            Some(at) => Err(Refusal {
                expected: Some(rule.to_owned()),
                found: Some(quoted_short(texts[at])),
                item: Some(at),
                ..Refusal::words("correct it, or leave it out")
            }),
        }
    }

    fn write(&self, value: &Vec<String>) -> Option<String> {
        let names: Vec<String> = value.iter().map(|name| quoted(name)).collect();
        Some(format!("[{}]", names.join(", ")))
    }
}
