//! What a connection begins with: a PROXY header, perhaps, and the bytes that tell what a miner speaks.
//!
//! Input: the connection's first bytes, as they are on the wire.
//!
//! Promises:
//! - what is decided of a header, and of what is spoken, stays so however the bytes come, and never needs more of them
//!   than are bounded;
//! - a header ends where it says, before the first byte that is not its own;
//! - its address is the one that a second, simple reader finds;
//! - what is called TLS or Stratum V1 looks like it.

use std::net::{IpAddr, SocketAddr};

use adit::downstream::{LOOKED_AT, PROXY_HEADER_MAX, Spoken, proxy_header, spoken};

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the second reader finds another port.
pub(crate) fn check(data: &[u8], planted: bool) {
    check_spoken(data);
    let whole = proxy_header(data);
    match (0..=data.len()).find(|n| proxy_header(&data[..*n]) != Ok(None)) {
        None => assert!(whole == Ok(None) && data.len() < PROXY_HEADER_MAX, "{whole:?}"),
        Some(n) => {
            assert!(n <= PROXY_HEADER_MAX, "{n} bytes were needed");
            assert_eq!(whole, proxy_header(&data[..n]), "decided after {n} bytes");
        }
    }
    let Ok(Some(header)) = whole else { return };
    let (own, rest) = data.split_at(header.length);
    assert_eq!(proxy_header(own), Ok(Some(header)), "it needs no byte beyond its own");
    let mut source = second_reader(own);
    if let Some(source) = source.as_mut().filter(|_| planted) {
        source.set_port(!source.port());
    }
    assert_eq!(header.source, source, "{own:02x?}");
    check_spoken(rest);
}

/// A header that was taken, read without any doubt in it.
fn second_reader(header: &[u8]) -> Option<SocketAddr> {
    if header.starts_with(b"PROXY ") {
        let text = String::from_utf8_lossy(header);
        let words: Vec<&str> = text.split_whitespace().collect();
        return match words[..] {
            ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
                let address: IpAddr = source.parse().expect("an address");
                assert_eq!(address.is_ipv4(), words[1] == "TCP4");
                Some(SocketAddr::new(address, port.parse().expect("a port")))
            }
            _ => None,
        };
    }
    let port = |at: usize| u16::from(header[at]) * 256 + u16::from(header[at + 1]);
    match (header[12], header[13]) {
        (0x21, 0x11) => {
            let address = <[u8; 4]>::try_from(&header[16..20]).expect("four bytes");
            Some(SocketAddr::new(address.into(), port(24)))
        }
        (0x21, 0x21) => {
            let address = <[u8; 16]>::try_from(&header[16..32]).expect("sixteen bytes");
            Some(SocketAddr::new(address.into(), port(48)))
        }
        _ => None,
    }
}

fn check_spoken(data: &[u8]) {
    let whole = spoken(data);
    match (0..=data.len()).find(|n| spoken(&data[..*n]) != Spoken::Undecided) {
        None => assert!(whole == Spoken::Undecided && data.len() < LOOKED_AT, "{data:02x?}"),
        Some(n) => {
            assert!(n <= LOOKED_AT, "{n} bytes were needed");
            assert_eq!(whole, spoken(&data[..n]), "decided after {n} bytes");
        }
    }
    match whole {
        Spoken::Tls => assert!(data.starts_with(&[22, 3]) && data[5] == 1, "{data:02x?}"),
        Spoken::Sv1 => assert!(data[..16].iter().all(|byte| byte.is_ascii() && *byte != 0), "{data:02x?}"),
        Spoken::ProxyHeader | Spoken::Noise | Spoken::Undecided => {}
    }
}
