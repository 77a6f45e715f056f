//! What nobody but its owner is to see, and the name that goes with it.

use std::fmt;

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};
use crate::config::reader::MASK;

/// A secret. It is shown nowhere, `Debug` included.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for whoever has to present it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A password: any text in one line.
pub(crate) struct Password;

impl Kind for Password {
    type Value = Secret;
    const SECRET: bool = true;

    fn expected(&self) -> String {
        "a password, one line of text".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Secret, Refusal> {
        let text = given.text().filter(|text| !text.is_empty()).ok_or_else(|| {
            Refusal::words(
                "write the password in quotes, or name the file that holds it with _file behind the key",
            )
        })?;
        if text.chars().any(char::is_control) {
            return Err(Refusal::words("leave out line ends, tabs and other control characters"));
        }
        Ok(Secret(text.to_owned()))
    }

    fn write(&self, _: &Secret) -> Option<String> {
        Some(quoted(MASK))
    }
}

/// A bearer token (RFC 6750), too long to be guessed.
pub(crate) struct Token;

/// The lengths of a [`Token`], letters.
const TOKEN_LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

impl Kind for Token {
    type Value = Secret;
    const SECRET: bool = true;

    fn expected(&self) -> String {
        "a token of 16 to 256 letters, digits and -._~+/=".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Secret, Refusal> {
        let good = |text: &&str| {
            TOKEN_LENGTH.contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
        };
        let text = given.text().filter(good).ok_or_else(|| {
            Refusal::words(
                "make one with `openssl rand -hex 24`, or name the file that holds it with _file behind the key",
            )
        })?;
        Ok(Secret(text.to_owned()))
    }

    fn write(&self, _: &Secret) -> Option<String> {
        Some(quoted(MASK))
    }
}

/// The name of a user of a node's RPC: no colon, since HTTP ends the name there.
pub(crate) struct UserName;

impl Kind for UserName {
    type Value = String;

    fn expected(&self) -> String {
        "a user's name, without a colon".to_owned()
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        match text.split_once(':') {
            Some((name, _)) => {
                // Both in one key: what is behind the colon is a password, and is not repeated.
                let found = Some("a text with a colon".to_owned());
                let words = format!("write {} here, and the password as rpc_password", quoted(name));
                Err(Refusal { found, hidden: true, ..Refusal::words(words) })
            }
            None if text.is_empty() || text.chars().any(char::is_control) => Err(Refusal::plain()),
            None => Ok(text.to_owned()),
        }
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}
