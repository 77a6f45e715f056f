//! Lists of texts, as the file and the environment give them.

use super::Refusal;
use crate::config::given::Given;

/// The texts of a list. The environment's lists are as in the file or plain, with commas; an empty one there is one
/// empty text. What is no list is refused without a word, an item that is no text by `rule` and `fix`.
pub(super) fn texts<'g>(given: &'g Given, rule: &str, fix: &str) -> Result<Vec<&'g str>, Refusal> {
    match given {
        Given::Loose(text) => {
            let text = text.trim();
            let items = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            Ok(items.split(',').map(|item| item.trim().trim_matches(['"', '\''])).collect())
        }
        Given::List(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|(_, item)| item.text()).collect();
            texts.ok_or_else(|| {
                let item = items.iter().position(|(_, item)| item.text().is_none());
                Refusal {
                    expected: Some(rule.to_owned()),
                    found: item.map(|at| items[at].1.to_string()),
                    item,
                    ..Refusal::words(fix)
                }
            })
        }
        _ => Err(Refusal::plain()),
    }
}
