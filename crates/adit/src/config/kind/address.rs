//! Addresses to listen on.

use std::net::{IpAddr, SocketAddr};

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};

/// An address and port to listen on, with the port to suggest.
pub(crate) struct Address(pub(crate) u16);

impl Kind for Address {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        let port = self.0;
        format!(
            "an IP address and a port, such as \"127.0.0.1:{port}\" or \"[::1]:{port}\" (port 0: any free one)"
        )
    }

    fn read(&self, given: &Given) -> Result<SocketAddr, Refusal> {
        let text = given.text().ok_or_else(|| match given.whole() {
            Some(port @ 1..=65_535) => Refusal::value(quoted(&format!("127.0.0.1:{port}"))),
            _ => Refusal::plain(),
        })?;
        text.parse().map_err(|_| {
            address_meant(text, self.0)
                .map_or_else(Refusal::plain, |address| Refusal::value(quoted(&address.to_string())))
        })
    }

    fn write(&self, value: &SocketAddr) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

/// The address that someone meant who left out the host or wrote it as other programs take it.
fn address_meant(text: &str, usual_port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
        return Some(SocketAddr::new(ip, usual_port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => ("127.0.0.1", text),
    };
    let host = match host.trim() {
        "" | "*" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        host => host,
    };
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip, port.trim().parse().ok()?))
}
