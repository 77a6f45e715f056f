//! `stratum2+tcp://host:port/key`: where a pool is and which authority it must prove (section 4.7).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::authority_key::AuthorityPublicKey;
use crate::key_text::KeyError;

/// The scheme of a Stratum V2 URL, without `://`.
pub const SCHEME: &str = "stratum2+tcp";
/// Longest host name that DNS allows, in bytes.
const HOST_MAX: usize = 253;
/// Longest label of a host name, in bytes.
const LABEL_MAX: usize = 63;

/// Where a Stratum V2 server listens, and the authority key that it must prove.
///
/// The port is mandatory: neither the specification nor any registry gives Stratum V2 a default one. The
/// key is mandatory too, unless the URL is read by [`PoolUrl::parse_insecure`].
///
/// ```
/// let text = "stratum2+tcp://thepool.com:34254/9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
/// let url: noise::PoolUrl = text.parse()?;
/// assert_eq!((url.host(), url.port()), ("thepool.com", 34254));
/// assert_eq!(url.to_string(), text);
/// # Ok::<(), noise::PoolUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolUrl {
    /// A name or an address; IPv6 without brackets.
    host: String,
    port: u16,
    authority: Option<AuthorityPublicKey>,
}

/// What is wrong with a pool URL, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolUrlError {
    /// No `://`.
    #[error("{text:?} has no scheme: write {SCHEME}://host:port/authority-key")]
    NoScheme {
        /// The whole text.
        text: String,
    },
    /// Another scheme.
    #[error(
        "the scheme {got:?} is not {SCHEME}: an SV2 pool is {SCHEME}://host:port/authority-key{}",
        scheme_hint(got)
    )]
    Scheme {
        /// The scheme found.
        got: String,
    },
    /// A user name before an `@`.
    #[error("the URL has a user before '@': a user identity is a setting of its own, not part of the URL")]
    User,
    /// Nothing where the host belongs.
    #[error("the URL has no host: write {SCHEME}://host:port/authority-key")]
    NoHost,
    /// A host that is neither an address nor a name that DNS can hold.
    #[error(
        "{got:?} is not a host: expected a DNS name (letters, digits, '-', '_' and '.'; other scripts in \
         their xn-- form), an IPv4 address, or an IPv6 address in brackets"
    )]
    Host {
        /// The host found.
        got: String,
    },
    /// No port.
    #[error(
        "the URL has no port after the host {host:?}: Stratum V2 has no default port, ask the pool for it"
    )]
    NoPort {
        /// The host found.
        host: String,
    },
    /// A port that is not a number from 1 to 65535.
    #[error("{got:?} is not a port: expected a number from 1 to 65535")]
    Port {
        /// The port found.
        got: String,
    },
    /// No authority key where one is mandatory.
    #[error(
        "the URL has no authority key: write {SCHEME}://{host}:{port}/authority-key with the key that the \
         pool publishes, so that nobody else can pose as the pool; without one, only `insecure = true` connects"
    )]
    NoKey {
        /// The host found, IPv6 in brackets.
        host: String,
        /// The port found.
        port: u16,
    },
    /// A key that is none.
    #[error("the URL's authority key is wrong: {0}")]
    Key(#[from] KeyError),
    /// Anything after the key.
    #[error("the URL goes on after the authority key with {got:?}: nothing may follow the key")]
    AfterKey {
        /// What follows.
        got: String,
    },
}

fn scheme_hint(got: &str) -> &'static str {
    match got {
        "stratum+tcp" | "stratum+ssl" | "stratum+tls" | "stratum1+tcp" => " (this one is Stratum V1)",
        _ => "",
    }
}

impl PoolUrl {
    /// From parts. IPv6 addresses without brackets.
    ///
    /// # Errors
    /// [`PoolUrlError::Host`], [`PoolUrlError::NoHost`] or [`PoolUrlError::Port`].
    pub fn new(host: &str, port: u16, authority: Option<AuthorityPublicKey>) -> Result<Self, PoolUrlError> {
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) => name_or_ipv4(host)?,
        };
        if port == 0 {
            return Err(PoolUrlError::Port { got: "0".to_owned() });
        }
        Ok(Self { host, port, authority })
    }

    /// Reads a URL whose authority key may be missing: only for a source that its owner configured as
    /// insecure. A key that is there must still be right, and is then still to be verified.
    ///
    /// # Errors
    /// [`PoolUrlError`].
    pub fn parse_insecure(text: &str) -> Result<Self, PoolUrlError> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| PoolUrlError::NoScheme { text: text.to_owned() })?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(PoolUrlError::Scheme { got: scheme.to_owned() });
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        if place.contains('@') {
            return Err(PoolUrlError::User);
        }
        let (host, port) = split_port(place)?;
        let port = match port {
            None | Some("") => return Err(PoolUrlError::NoPort { host }),
            Some(digits) => parse_port(digits)?,
        };
        Ok(Self { host, port, authority: parse_path(path)? })
    }

    /// A DNS name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key that the server's certificate must be signed by. Always there unless the URL was read by
    /// [`PoolUrl::parse_insecure`] or made from parts without one.
    #[must_use]
    pub fn authority(&self) -> Option<&AuthorityPublicKey> {
        self.authority.as_ref()
    }

    /// `host:port` for a socket or a log, an IPv6 address in brackets.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

impl FromStr for PoolUrl {
    type Err = PoolUrlError;

    fn from_str(text: &str) -> Result<Self, PoolUrlError> {
        let url = Self::parse_insecure(text)?;
        if url.authority.is_none() {
            return Err(PoolUrlError::NoKey { host: bracketed(&url.host), port: url.port });
        }
        Ok(url)
    }
}

impl fmt::Display for PoolUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}://{}", self.host_and_port())?;
        match &self.authority {
            Some(key) => write!(f, "/{key}"),
            None => Ok(()),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// The checked host, and what stands after its colon.
fn split_port(place: &str) -> Result<(String, Option<&str>), PoolUrlError> {
    if let Some(rest) = place.strip_prefix('[') {
        let wrong = || PoolUrlError::Host { got: place.to_owned() };
        let (address, after) = rest.split_once(']').ok_or_else(wrong)?;
        let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((address.to_string(), Some(port))),
            None if after.is_empty() => Ok((address.to_string(), None)),
            None => Err(wrong()),
        };
    }
    // More than one colon is an IPv6 address without its brackets.
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(PoolUrlError::Host { got: place.to_owned() }),
        Some((host, port)) => Ok((name_or_ipv4(host)?, Some(port))),
        None => Ok((name_or_ipv4(place)?, None)),
    }
}

fn name_or_ipv4(host: &str) -> Result<String, PoolUrlError> {
    if host.is_empty() {
        return Err(PoolUrlError::NoHost);
    }
    let label_ok = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A trailing dot marks a name as complete.
    let name = host.strip_suffix('.').unwrap_or(host);
    let name_ok = name.len() <= HOST_MAX && name.split('.').all(label_ok);
    // What ends in a number is an address or a mistyped one, never a name.
    let last_is_number =
        name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if name_ok && (!last_is_number || host.parse::<Ipv4Addr>().is_ok()) {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(PoolUrlError::Host { got: host.to_owned() })
    }
}

fn parse_port(digits: &str) -> Result<u16, PoolUrlError> {
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match number {
        Some(port) if port > 0 => Ok(port),
        _ => Err(PoolUrlError::Port { got: digits.to_owned() }),
    }
}

/// The key of a path `/key`; `None` for no path or a bare `/`.
fn parse_path(path: &str) -> Result<Option<AuthorityPublicKey>, PoolUrlError> {
    let Some(rest) = path.strip_prefix('/') else {
        return if path.is_empty() { Ok(None) } else { Err(PoolUrlError::AfterKey { got: path.to_owned() }) };
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (key, after) = rest.split_at(end);
    let key = if key.is_empty() { None } else { Some(key.parse()?) };
    if !after.is_empty() {
        return Err(PoolUrlError::AfterKey { got: after.to_owned() });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";

    fn parse(text: &str) -> Result<PoolUrl, PoolUrlError> {
        text.replace("KEY", KEY).parse()
    }

    #[test]
    fn names_and_addresses_are_read_and_written_back() {
        for (text, host, port, shown) in [
            ("stratum2+tcp://thepool.com:34254/KEY", "thepool.com", 34_254, None),
            ("stratum2+tcp://192.168.1.7:3336/KEY", "192.168.1.7", 3_336, None),
            ("stratum2+tcp://[2001:db8::1]:1/KEY", "2001:db8::1", 1, None),
            ("stratum2+tcp://localhost:65535/KEY", "localhost", 65_535, None),
            (
                "stratum2+tcp://_a-1.xn--bcher-kva.example.:34254/KEY",
                "_a-1.xn--bcher-kva.example.",
                34_254,
                None,
            ),
            (
                "STRATUM2+TCP://The.Pool:34254/KEY",
                "the.pool",
                34_254,
                Some("stratum2+tcp://the.pool:34254/KEY"),
            ),
            (
                "stratum2+tcp://[2001:DB8:0:0::1]:034/KEY",
                "2001:db8::1",
                34,
                Some("stratum2+tcp://[2001:db8::1]:34/KEY"),
            ),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.authority().unwrap().to_string(), KEY);
            assert_eq!(url.to_string(), shown.unwrap_or(text).replace("KEY", KEY));
            assert_eq!(parse(&url.to_string()), Ok(url));
        }
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        use PoolUrlError as E;
        let text = |text: &str| text.to_owned();
        for (url, error) in [
            ("", E::NoScheme { text: text("") }),
            ("thepool.com:34254", E::NoScheme { text: text("thepool.com:34254") }),
            ("stratum+tcp://thepool.com:3333", E::Scheme { got: text("stratum+tcp") }),
            (" stratum2+tcp://p:1/KEY", E::Scheme { got: text(" stratum2+tcp") }),
            ("stratum2+tcp://", E::NoHost),
            ("stratum2+tcp:///KEY", E::NoHost),
            ("stratum2+tcp://:34254/KEY", E::NoHost),
            ("stratum2+tcp://me@thepool.com:1/KEY", E::User),
            ("stratum2+tcp://the pool:1/KEY", E::Host { got: text("the pool") }),
            ("stratum2+tcp://bücher.example:1/KEY", E::Host { got: text("bücher.example") }),
            ("stratum2+tcp://a..b:1/KEY", E::Host { got: text("a..b") }),
            ("stratum2+tcp://-a.b:1/KEY", E::Host { got: text("-a.b") }),
            ("stratum2+tcp://1.2.3:1/KEY", E::Host { got: text("1.2.3") }),
            ("stratum2+tcp://1.2.3.256:1/KEY", E::Host { got: text("1.2.3.256") }),
            ("stratum2+tcp://2001:db8::1:34254/KEY", E::Host { got: text("2001:db8::1:34254") }),
            ("stratum2+tcp://[2001:db8::1/KEY", E::Host { got: text("[2001:db8::1") }),
            ("stratum2+tcp://[::1]34254/KEY", E::Host { got: text("[::1]34254") }),
            ("stratum2+tcp://[1.2.3.4]:34254/KEY", E::Host { got: text("[1.2.3.4]:34254") }),
            ("stratum2+tcp://thepool.com/KEY", E::NoPort { host: text("thepool.com") }),
            ("stratum2+tcp://thepool.com:/KEY", E::NoPort { host: text("thepool.com") }),
            ("stratum2+tcp://[::1]/KEY", E::NoPort { host: text("::1") }),
            ("stratum2+tcp://p:0/KEY", E::Port { got: text("0") }),
            ("stratum2+tcp://p:65536/KEY", E::Port { got: text("65536") }),
            ("stratum2+tcp://p:+1/KEY", E::Port { got: text("+1") }),
            ("stratum2+tcp://p:abc/KEY", E::Port { got: text("abc") }),
            ("stratum2+tcp://p:1", E::NoKey { host: text("p"), port: 1 }),
            ("stratum2+tcp://[::1]:1/", E::NoKey { host: text("[::1]"), port: 1 }),
            ("stratum2+tcp://p:1/9bXiEd8b", E::Key(KeyError::Checksum)),
            ("stratum2+tcp://p:1/KEY/", E::AfterKey { got: text("/") }),
            ("stratum2+tcp://p:1/KEY?x=1", E::AfterKey { got: text("?x=1") }),
            ("stratum2+tcp://p:1?x", E::AfterKey { got: text("?x") }),
        ] {
            assert_eq!(parse(url), Err(error), "{url}");
        }
        let long = format!("stratum2+tcp://{}:1/KEY", "a.".repeat(130));
        assert!(matches!(parse(&long), Err(PoolUrlError::Host { .. })));
    }

    #[test]
    fn only_the_insecure_reader_lets_the_key_be_missing_and_it_still_refuses_a_wrong_one() {
        for text in ["stratum2+tcp://p:1", "stratum2+tcp://p:1/"] {
            let url = PoolUrl::parse_insecure(text).unwrap();
            assert_eq!(url.authority(), None);
            assert_eq!(url.to_string(), "stratum2+tcp://p:1");
        }
        let with_key = format!("stratum2+tcp://p:1/{KEY}");
        assert!(PoolUrl::parse_insecure(&with_key).unwrap().authority().is_some());
        assert_eq!(
            PoolUrl::parse_insecure("stratum2+tcp://p:1/9bXiEd8b"),
            Err(PoolUrlError::Key(KeyError::Checksum))
        );
    }

    #[test]
    fn errors_say_what_would_be_right_and_never_repeat_a_key() {
        let shown = parse("stratum+tcp://thepool.com:3333").unwrap_err().to_string();
        assert!(shown.contains("Stratum V1") && shown.contains("stratum2+tcp://host:port/"), "{shown}");
        let secret = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n";
        let shown = parse(&format!("stratum2+tcp://p:1/{secret}")).unwrap_err().to_string();
        assert!(shown.contains("secret key") && !shown.contains(secret), "{shown}");
    }

    #[test]
    fn made_from_parts_it_is_checked_alike() {
        let url = PoolUrl::new("::1", 7, None).unwrap();
        assert_eq!(
            (url.to_string().as_str(), url.host_and_port().as_str()),
            ("stratum2+tcp://[::1]:7", "[::1]:7")
        );
        assert_eq!(PoolUrl::new("", 7, None), Err(PoolUrlError::NoHost));
        assert_eq!(PoolUrl::new("p", 0, None), Err(PoolUrlError::Port { got: "0".to_owned() }));
        assert!(matches!(PoolUrl::new("[::1]", 7, None), Err(PoolUrlError::Host { .. })));
    }
}
