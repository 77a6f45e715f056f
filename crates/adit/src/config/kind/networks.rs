//! Lists of addresses and networks.

use std::fmt;
use std::net::IpAddr;

use super::list::texts;
use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// An address, or a network of addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address: IPv4 addresses are never in IPv6 form.
    address: IpAddr,
    /// Bits that its addresses have in common.
    bits: u8,
}

impl Network {
    /// Whether an address is in it; an IPv4 address in IPv6 form counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        first_of(address.to_canonical(), self.bits) == Some(self.address)
    }

    /// From `203.0.113.7`, `203.0.113.0/24` or `2001:db8::/32`. `Err`: the network that was meant, where the
    /// address has bits beyond those in common.
    pub(crate) fn parse(text: &str) -> Result<Self, Option<Self>> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| None)?;
        let address = if bits.is_none() { address.to_canonical() } else { address };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| None)?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        let network = Self { address: first_of(address, bits).ok_or(None)?, bits };
        if network.address == address { Ok(network) } else { Err(Some(network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == whole {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

/// The first address of the network of `bits` bits that an address is in; nothing where it has fewer bits.
fn first_of(address: IpAddr, bits: u8) -> Option<IpAddr> {
    let bits = u32::from(bits);
    Some(match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    })
}

/// A list of addresses and networks; it may be empty.
pub(crate) struct Networks;

const RULE: &str = "an address such as \"203.0.113.7\", or a network such as \"203.0.113.0/24\"";

impl Kind for Networks {
    type Value = Vec<Network>;

    fn expected(&self) -> String {
        "a list of addresses and networks, such as [\"203.0.113.7\", \"2001:db8::/32\"]".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Vec<Network>, Refusal> {
        if let Given::Text(text) = given
            && Network::parse(text).is_ok()
        {
            return Err(Refusal::value(format!("[{}]", quoted(text))));
        }
        let mut texts = texts(given, RULE, "write it in quotes, or leave it out")?;
        if matches!(given, Given::Loose(_)) {
            texts.retain(|text| !text.is_empty());
        }
        let network = |(at, text): (usize, &&str)| {
            Network::parse(text).map_err(|meant| Refusal {
                expected: Some(RULE.to_owned()),
                found: Some(quoted_short(text)),
                item: Some(at),
                ..Refusal::words(match meant {
                    Some(network) => format!("write {}", quoted(&network.to_string())),
                    None => "correct it, or leave it out".to_owned(),
                })
            })
        };
        texts.iter().enumerate().map(network).collect()
    }

    fn write(&self, value: &Vec<Network>) -> Option<String> {
        let networks: Vec<String> = value.iter().map(|network| quoted(&network.to_string())).collect();
        Some(format!("[{}]", networks.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        let in_it = |network: &str, address: &str| {
            Network::parse(network).expect(network).contains(address.parse().expect(address))
        };
        assert!(in_it("203.0.113.0/24", "203.0.113.255") && !in_it("203.0.113.0/24", "203.0.114.0"));
        assert!(in_it("203.0.113.7", "::ffff:203.0.113.7") && in_it("::ffff:203.0.113.7", "203.0.113.7"));
        assert!(in_it("0.0.0.0/0", "8.8.8.8") && !in_it("0.0.0.0/0", "2001:db8::1"));
        assert!(in_it("2001:db8::/32", "2001:db8:ffff::1") && !in_it("2001:db8::/32", "2001:db9::1"));
        assert!(in_it("::/0", "2001:db9::1") && !in_it("2001:db8::1", "2001:db8::2"));
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_was_meant() {
        let meant = Network::parse("203.0.113.7/24").unwrap_err().map(|n| n.to_string());
        assert_eq!(meant.as_deref(), Some("203.0.113.0/24"));
        for bad in
            ["", "farm", "203.0.113.0/33", "203.0.113.0/", "203.0.113/24", "2001:db8::/129", "1.2.3.4/-1"]
        {
            assert_eq!(Network::parse(bad), Err(None), "{bad}");
        }
    }
}
