//! The account at a pool.

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// The longest `user_identity`, in bytes: SV2's STR0_255.
pub const USER_IDENTITY_MAX: usize = 255;

/// The account at a pool: a text that fits SV2's STR0_255.
pub(crate) struct Identity;

impl Kind for Identity {
    type Value = String;

    fn expected(&self) -> String {
        format!("the account at the pool, 1 to {USER_IDENTITY_MAX} bytes of text")
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.is_empty() {
            return Err(Refusal::words(
                "write the account or address that the pool credits, such as \"account.worker\"",
            ));
        }
        if text.len() > USER_IDENTITY_MAX {
            return Err(Refusal {
                found: Some(format!("{} bytes: {}", text.len(), quoted_short(text))),
                ..Refusal::words("shorten it: Stratum V2 has no room for more")
            });
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::words("leave out line ends, tabs and other control characters"));
        }
        if text.trim() != text {
            return Err(Refusal::value(quoted(text.trim())));
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}
