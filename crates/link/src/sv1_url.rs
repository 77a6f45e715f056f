//! `stratum+tcp://host:port`, `stratum+ssl://host:port`: where a Stratum V1 pool is.

use std::fmt;
use std::str::FromStr;

use noise::{PoolUrl, PoolUrlError};
use thiserror::Error;

/// Where a Stratum V1 pool listens. Without TLS nothing proves that it is the pool.
///
/// ```
/// let url: link::Sv1Url = "stratum+tcp://pool.example:3333".parse()?;
/// assert_eq!((url.host(), url.port()), ("pool.example", 3333));
/// assert_eq!(url.to_string(), "stratum+tcp://pool.example:3333");
/// # Ok::<(), link::Sv1UrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sv1Url {
    /// Host and port, as every pool's URL has them.
    place: PoolUrl,
    tls: bool,
}

/// What is wrong with the URL of a Stratum V1 pool.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Sv1UrlError {
    /// Another scheme, or none.
    #[error(
        "{got:?} is not the scheme of a Stratum V1 pool: write stratum+tcp://host:port, or stratum+ssl://host:port with TLS"
    )]
    Scheme {
        /// The scheme found.
        got: String,
    },
    /// Something behind the port.
    #[error("the URL goes on after the port with {got:?}: a Stratum V1 pool's ends there")]
    AfterPort {
        /// What follows.
        got: String,
    },
    /// Host and port.
    #[error("{0}")]
    Place(#[from] PoolUrlError),
    /// No port.
    #[error("the URL has no port after the host {host:?}: ask the pool for it, 3333 is usual")]
    NoPort {
        /// The host found.
        host: String,
    },
}

impl Sv1Url {
    /// Whether a text is meant to be one: it has a scheme of Stratum V1.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| is_tls(scheme).is_some())
    }

    /// From its parts, IPv6 without brackets.
    ///
    /// # Errors
    /// No host, or no port.
    pub fn new(host: &str, port: u16, tls: bool) -> Result<Self, Sv1UrlError> {
        Ok(Self { place: PoolUrl::new(host, port, None)?, tls })
    }

    /// The connection is encrypted, and the pool proves who it is.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// A DNS name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.place.host()
    }

    /// The TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port()
    }

    /// `host:port` for a log, an IPv6 address in brackets.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        self.place.host_and_port()
    }
}

/// Whether a scheme of Stratum V1 is one with TLS; `None` for other schemes.
fn is_tls(scheme: &str) -> Option<bool> {
    let is = |known: &[&str]| known.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    match () {
        () if is(&["stratum+tcp", "stratum1+tcp"]) => Some(false),
        () if is(&["stratum+ssl", "stratum+tls", "stratum1+ssl", "stratum1+tls"]) => Some(true),
        () => None,
    }
}

impl FromStr for Sv1Url {
    type Err = Sv1UrlError;

    fn from_str(text: &str) -> Result<Self, Sv1UrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let Some(tls) = is_tls(scheme) else {
            return Err(Sv1UrlError::Scheme { got: scheme.to_owned() });
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#']) {
            return Err(Sv1UrlError::AfterPort { got: rest[at..].to_owned() });
        }
        let place = PoolUrl::parse_insecure(&format!("{}://{rest}", noise::SCHEME));
        let place = place.map_err(|error| match error {
            PoolUrlError::NoPort { host } => Sv1UrlError::NoPort { host },
            other => Sv1UrlError::Place(other),
        })?;
        Ok(Self { place, tls })
    }
}

impl fmt::Display for Sv1Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "stratum+ssl" } else { "stratum+tcp" };
        write!(f, "{scheme}://{}", self.host_and_port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_and_port_and_nothing_else() {
        for (text, shown) in [
            ("stratum+tcp://pool.example:3333", "stratum+tcp://pool.example:3333"),
            ("STRATUM+TCP://10.0.0.1:1/", "stratum+tcp://10.0.0.1:1"),
            ("stratum1+tcp://[::1]:3333", "stratum+tcp://[::1]:3333"),
            ("stratum+tls://pool.example:443", "stratum+ssl://pool.example:443"),
            ("stratum+ssl://pool.example:443", "stratum+ssl://pool.example:443"),
        ] {
            assert!(Sv1Url::is_meant(text));
            assert_eq!(text.parse::<Sv1Url>().unwrap().to_string(), shown);
        }
        assert!(!Sv1Url::is_meant("stratum2+tcp://pool.example:3333/key"));
        for (text, says) in [
            ("pool.example:3333", "write stratum+tcp://host:port"),
            ("stratum+tcp://pool.example", "3333 is usual"),
            ("stratum+tcp://pool.example:0", "a number from 1 to 65535"),
            ("stratum+tcp://pool.example:3333/worker", "\"/worker\""),
            ("stratum+tcp://worker@pool.example:3333", "a setting of its own"),
            ("stratum+tcp://:3333", "host"),
        ] {
            let said = text.parse::<Sv1Url>().unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
