//! The URL of a pool, or of what else speaks Stratum V2, with its authority key.

use link::Sv1Url;
use noise::PoolUrl;

use super::{Fix, Kind, Refusal};
use crate::config::given::{Given, quoted};

/// Where a pool is, and so what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceUrl {
    /// Stratum V2.
    Sv2(PoolUrl),
    /// Stratum V1.
    Sv1(Sv1Url),
}

impl SourceUrl {
    /// The URL of a Stratum V2 pool, if it is one.
    #[must_use]
    pub fn sv2(&self) -> Option<&PoolUrl> {
        match self {
            Self::Sv2(url) => Some(url),
            Self::Sv1(_) => None,
        }
    }

    /// The URL of a Stratum V1 pool, if it is one.
    #[must_use]
    pub fn sv1(&self) -> Option<&Sv1Url> {
        match self {
            Self::Sv1(url) => Some(url),
            Self::Sv2(_) => None,
        }
    }
}

impl std::fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sv2(url) => url.fmt(f),
            Self::Sv1(url) => url.fmt(f),
        }
    }
}

/// The URL of a pool of either protocol.
pub(crate) struct Pool;

impl Kind for Pool {
    type Value = SourceUrl;

    fn expected(&self) -> String {
        "a pool's URL, stratum2+tcp://host:port/authority-key, or stratum+tcp://host:port (or stratum+ssl://) of Stratum V1".to_owned()
    }

    fn read(&self, given: &Given) -> Result<SourceUrl, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if Sv1Url::is_meant(text) {
            let url = text.parse().map_err(|error: link::Sv1UrlError| Refusal::words(error.to_string()))?;
            return Ok(SourceUrl::Sv1(url));
        }
        Url("pool").read(given).map(SourceUrl::Sv2)
    }

    fn write(&self, value: &SourceUrl) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

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
