//! Where a node answers.

use std::net::IpAddr;

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};

/// The longest host name that there is (RFC 1035).
const HOST_MAX: usize = 253;

/// A host, by name or address, and a port; with the example to show.
pub(crate) struct HostPort(pub(crate) &'static str);

impl Kind for HostPort {
    type Value = String;

    fn expected(&self) -> String {
        format!("a host and a port, such as {}", quoted(self.0))
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if let Some(rest) = text.strip_prefix("http://") {
            let meant = rest.trim_end_matches('/');
            return Err(match is_host_and_port(meant) {
                true => Refusal::value(quoted(meant)),
                false => Refusal::plain(),
            });
        }
        if is_host_and_port(text) { Ok(text.to_owned()) } else { Err(Refusal::plain()) }
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}

/// A name or an address, the latter in brackets if it is IPv6, a colon, and a port.
pub(crate) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    port && match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        None => is_name(host),
    }
}

/// A name, or an IPv4 address, which looks like one.
pub(super) fn is_name(host: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    host.len() <= HOST_MAX && host.split('.').all(|part| !part.is_empty() && part.bytes().all(good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_with_a_port() {
        for good in ["127.0.0.1:8332", "[::1]:8332", "localhost:18443", "node-1.farm.example:1"] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:+1",
            ":8332",
            "::1:8332",
            "[127.0.0.1]:8332",
            "user@node:8332",
            "node:8332/wallet",
            "a..b:1",
            "no de:1",
        ] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
