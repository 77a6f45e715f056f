//! Words for people, and patterns.

use super::list::texts;
use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// The most patterns of a list.
pub(crate) const PATTERNS_MAX: usize = 32;
/// The longest pattern, in bytes.
pub(crate) const PATTERN_MAX: usize = 64;

/// A text of printable characters.
pub(crate) struct Text {
    /// Bytes.
    pub(crate) at_most: usize,
}

impl Kind for Text {
    type Value = String;

    fn expected(&self) -> String {
        format!("a text of at most {} bytes", self.at_most)
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.len() > self.at_most {
            return Err(Refusal {
                found: Some(format!("{} bytes: {}", text.len(), quoted_short(text))),
                ..Refusal::words("make it shorter")
            });
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::words("leave out the control characters"));
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}

/// A list of patterns in which `*` stands for any text.
pub(crate) struct Patterns;

impl Kind for Patterns {
    type Value = Vec<String>;

    fn expected(&self) -> String {
        format!(
            "a list of 1 to {PATTERNS_MAX} patterns of at most {PATTERN_MAX} bytes, such as [\"cgminer/*\"]"
        )
    }

    fn read(&self, given: &Given) -> Result<Vec<String>, Refusal> {
        if let Given::Text(text) = given {
            return Err(Refusal::value(format!("[{}]", quoted(text))));
        }
        let rule = format!("a pattern of 1 to {PATTERN_MAX} printable ASCII characters");
        let texts = texts(given, &rule, "write the pattern in quotes, or leave it out")?;
        if texts.is_empty() || texts.len() > PATTERNS_MAX {
            return Err(Refusal::plain());
        }
        let good = |text: &&str| {
            (1..=PATTERN_MAX).contains(&text.len()) && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        };
        match texts.iter().position(|text| !good(text)) {
            None => Ok(texts.into_iter().map(str::to_owned).collect()),
            Some(at) => Err(Refusal {
                expected: Some(rule),
                found: Some(quoted_short(texts[at])),
                item: Some(at),
                ..Refusal::words("write a shorter pattern, or leave it out")
            }),
        }
    }

    fn write(&self, value: &Vec<String>) -> Option<String> {
        if value.is_empty() {
            return None;
        }
        let patterns: Vec<String> = value.iter().map(|pattern| quoted(pattern)).collect();
        Some(format!("[{}]", patterns.join(", ")))
    }
}
