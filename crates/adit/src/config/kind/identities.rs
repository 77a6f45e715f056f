//! Rules that rewrite workers' names.

use engine::miner::IdentityRule;

use super::list::texts;
use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// The most rules of a listener: each name is held against all of them.
const RULES_MAX: usize = 1_000;
/// The longest rule, in bytes.
const RULE_MAX: usize = 512;

/// A list of rules `PATTERN = NAME`; it may be empty.
pub(crate) struct Identities;

const RULE: &str =
    "a pattern and the name instead, such as \"old.* = account.*\", with at most one * on each side";

impl Kind for Identities {
    type Value = Vec<IdentityRule>;

    fn expected(&self) -> String {
        "a list of patterns and names instead, such as [\"old.* = account.*\", \"* = edge-1.*\"]".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Vec<IdentityRule>, Refusal> {
        if let Given::Text(text) = given
            && read_rule(text).is_some()
        {
            return Err(Refusal::value(format!("[{}]", quoted(text))));
        }
        let mut texts = texts(given, RULE, "write it in quotes, or leave it out")?;
        if matches!(given, Given::Loose(_)) {
            texts.retain(|text| !text.is_empty());
        }
        if texts.len() > RULES_MAX {
            return Err(Refusal {
                expected: Some(format!("at most {RULES_MAX} rules")),
                found: Some(texts.len().to_string()),
                ..Refusal::words("one rule with a * does for many names")
            });
        }
        let rule = |(at, text): (usize, &&str)| {
            read_rule(text).ok_or_else(|| Refusal {
                expected: Some(RULE.to_owned()),
                found: Some(quoted_short(text)),
                item: Some(at),
                ..Refusal::words("correct it, or leave it out")
            })
        };
        texts.iter().enumerate().map(rule).collect()
    }

    fn write(&self, value: &Vec<IdentityRule>) -> Option<String> {
        let rules: Vec<String> = value.iter().map(|rule| quoted(&rule.to_string())).collect();
        Some(format!("[{}]", rules.join(", ")))
    }
}

fn read_rule(text: &str) -> Option<IdentityRule> {
    let (pattern, name) = text.split_once('=')?;
    let good = text.len() <= RULE_MAX && !text.chars().any(char::is_control);
    IdentityRule::new(pattern.trim(), name.trim()).filter(|_| good)
}
