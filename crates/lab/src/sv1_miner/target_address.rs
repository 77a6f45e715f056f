//! Where an SV1 server listens, as people write it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A host and a port: `host:port` or `stratum+tcp://host:port`, IPv6 addresses in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// An address that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{input:?} is not a server address: {why}; expected host:port or stratum+tcp://host:port")]
pub struct BadAddress {
    /// What was given.
    pub input: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for ServerAddress {
    type Err = BadAddress;

    fn from_str(input: &str) -> Result<ServerAddress, BadAddress> {
        let bad = |why| BadAddress { input: input.to_owned(), why };
        let rest = match input.split_once("://") {
            Some(("stratum+tcp" | "stratum", rest)) => rest.trim_end_matches('/'),
            Some(("stratum2+tcp", _)) => return Err(bad("that is an SV2 server, this speaks SV1")),
            Some(("stratum+ssl" | "stratum+tls", _)) => return Err(bad("TLS is not supported")),
            Some(_) => return Err(bad("unknown scheme")),
            None => input,
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("no port"))?;
        let port = port.parse().map_err(|_| bad("the port is not a number from 1 to 65535"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(bad("no host"));
        }
        if port == 0 {
            return Err(bad("the port is not a number from 1 to 65535"));
        }
        Ok(ServerAddress { host: host.to_owned(), port })
    }
}

impl From<std::net::SocketAddr> for ServerAddress {
    fn from(address: std::net::SocketAddr) -> ServerAddress {
        ServerAddress { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_an_address_are_read() {
        for input in
            ["pool.example:3333", "stratum+tcp://pool.example:3333", "stratum+tcp://pool.example:3333/"]
        {
            let address: ServerAddress = input.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), ("pool.example", 3333));
        }
        assert_eq!("[::1]:1".parse::<ServerAddress>().unwrap().to_string(), "[::1]:1");
    }

    #[test]
    fn a_bad_address_says_why() {
        for (input, why) in [
            ("pool.example", "no port"),
            (":3333", "no host"),
            ("a:0", "the port is not a number from 1 to 65535"),
            ("a:70000", "the port is not a number from 1 to 65535"),
            ("stratum2+tcp://a:1/key", "that is an SV2 server, this speaks SV1"),
            ("stratum+ssl://a:1", "TLS is not supported"),
            ("http://a:1", "unknown scheme"),
        ] {
            assert_eq!(input.parse::<ServerAddress>().unwrap_err().why, why, "{input}");
        }
    }
}
