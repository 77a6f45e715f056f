//! A pool's URL with its authority key.

use noise::PoolUrl;

use super::{Fix, Kind, Refusal};
use crate::config::given::{Given, quoted};

/// A pool's URL, with or without its authority key: whether one must be there depends on `insecure`.
pub(crate) struct Url;

impl Kind for Url {
    type Value = PoolUrl;

    fn expected(&self) -> String {
        "a pool's URL, stratum2+tcp://host:port/authority-key".to_owned()
    }

    fn read(&self, given: &Given) -> Result<PoolUrl, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.is_empty() {
            return Err(Refusal::words(
                "write the URL that the pool publishes for Stratum V2, with its authority key",
            ));
        }
        let url = PoolUrl::parse_insecure(text).map_err(|error| Refusal::words(error.to_string()))?;
        match url.authority() {
            Some(key) if noise::is_published_example_key(key) => Err(Refusal {
                found: Some(format!("the authority key {key}, which is a published example")),
                fix: Some(Fix::Words(
                    "this key stands in documentation and its secret is known to everyone, so anyone could pose \
                     as the pool: ask the pool for its own key (to run a pool: adit keys makes one)"
                        .to_owned(),
                )),
                ..Refusal::default()
            }),
            _ => Ok(url),
        }
    }

    fn write(&self, value: &PoolUrl) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}
