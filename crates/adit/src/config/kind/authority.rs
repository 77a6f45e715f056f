//! The authority key that a listener proves itself with to Stratum V2 miners.

use std::fmt;

use noise::AuthoritySecretKey;

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};
use crate::config::reader::MASK;

/// An authority's secret key. It is shown nowhere, `Debug` included.
#[derive(Clone)]
pub struct AuthoritySecret(AuthoritySecretKey);

impl AuthoritySecret {
    /// The key itself, for whoever signs with it.
    #[must_use]
    pub fn reveal(&self) -> &AuthoritySecretKey {
        &self.0
    }
}

impl PartialEq for AuthoritySecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.public() == other.0.public()
    }
}

impl fmt::Debug for AuthoritySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// An authority's secret key as `adit keys` writes it.
pub(crate) struct AuthorityKey;

impl Kind for AuthorityKey {
    type Value = AuthoritySecret;
    const SECRET: bool = true;

    fn expected(&self) -> String {
        "an authority's secret key, as adit keys makes it".to_owned()
    }

    fn read(&self, given: &Given) -> Result<AuthoritySecret, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        let key: AuthoritySecretKey =
            text.trim().parse().map_err(|error: noise::KeyError| Refusal::words(error.to_string()))?;
        if noise::is_published_example_key(&key.public()) {
            return Err(Refusal::words(
                "this key is a published example, and everyone knows it: make one with adit keys",
            ));
        }
        Ok(AuthoritySecret(key))
    }

    fn write(&self, _: &AuthoritySecret) -> Option<String> {
        Some(quoted(MASK))
    }
}
