//! The URL of a pool, or of what else speaks Stratum V2, with its authority key.

use noise::PoolUrl;

use super::{Fix, Kind, Refusal};
use crate::config::given::{Given, quoted};

/// The URL of a pool (or of what the word says), with or without its authority key: whether one must be there depends on
/// `insecure`.
pub(crate) struct Url(pub(crate) &'static str);

impl Kind for Url {
    type Value = PoolUrl;

    fn expected(&self) -> String {
        format!("a {}'s URL, stratum2+tcp://host:port/authority-key", self.0)
    }

    fn read(&self, given: &Given) -> Result<PoolUrl, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.is_empty() {
            let whose = self.0;
            return Err(Refusal::words(format!(
                "write the URL that the {whose} publishes for Stratum V2, with its authority key"
            )));
        }
        let url = PoolUrl::parse_insecure(text).map_err(|error| Refusal::words(error.to_string()))?;
        match url.authority() {
            Some(key) if noise::is_published_example_key(key) => Err(Refusal {
                found: Some(format!("the authority key {key}, which is a published example")),
                fix: Some(Fix::Words(format!(
                    "this key stands in documentation and its secret is known to everyone, so anyone could pose \
                     as the {0}: ask the {0} for its own key (to run a {0}: adit keys makes one)",
                    self.0
                ))),
                ..Refusal::default()
            }),
            _ => Ok(url),
        }
    }

    fn write(&self, value: &PoolUrl) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}
