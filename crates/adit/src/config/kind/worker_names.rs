//! Names that workers go by.

use engine::miner::MAX_WORKER_NAME;

use super::list::texts;
use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// The most names of a list.
const NAMES_MAX: usize = 1_000;

/// A list of workers' names; it may be empty.
pub(crate) struct WorkerNames;

impl Kind for WorkerNames {
    type Value = Vec<String>;

    fn expected(&self) -> String {
        "a list of workers' names, such as [\"account.rig1\"]".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Vec<String>, Refusal> {
        if let Given::Text(text) = given {
            return Err(Refusal::value(format!("[{}]", quoted(text))));
        }
        let rule = format!("a worker's name of 1 to {MAX_WORKER_NAME} bytes");
        let mut texts = texts(given, &rule, "write the name in quotes, or leave it out")?;
        if matches!(given, Given::Loose(_)) {
            texts.retain(|text| !text.is_empty());
        }
        if texts.len() > NAMES_MAX {
            return Err(Refusal {
                expected: Some(format!("at most {NAMES_MAX} names")),
                found: Some(texts.len().to_string()),
                ..Refusal::words("those with the most work have series anyway")
            });
        }
        match texts.iter().position(|text| !(1..=MAX_WORKER_NAME).contains(&text.len())) {
            None => Ok(texts.into_iter().map(str::to_owned).collect()),
            Some(at) => Err(Refusal {
                expected: Some(rule),
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
