//! The PROXY protocol, versions 1 and 2: what a load balancer says of a connection before its first byte.
//!
//! The specification is `proxy-protocol.txt` of HAProxy; section numbers are its.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Bytes that a version 1 header has at most, its line end among them (2.1).
const V1_MAX: usize = 107;
/// Bytes that a version 2 header has at most here: the longest addresses, and as much again for fields besides them
/// (2.2 allows 65,551).
const V2_MAX: usize = 536;
/// The longest header that is taken.
pub const PROXY_HEADER_MAX: usize = V2_MAX;

/// How a version 1 header begins.
const V1: &[u8] = b"PROXY ";
/// How a version 2 header begins.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before a version 2 header's addresses.
const V2_FIXED: usize = 16;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its bytes; the connection's own begin after them.
    pub length: usize,
    /// Who connected to the sender of the header. Nothing when the sender speaks for itself (a health check) or does not
    /// say it: then the connection's own address holds.
    pub source: Option<SocketAddr>,
}

/// Why bytes are no header.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProxyHeaderError {
    /// The connection begins with something else.
    #[error("expected a PROXY header, version 1 or 2: its address is one of proxy_protocol_from")]
    Missing,
    /// No line end within the longest version 1 header.
    #[error("a PROXY line of more than {V1_MAX} bytes")]
    LineTooLong,
    /// A version 1 line that is not as it should be.
    #[error(
        "a PROXY line that cannot be read: expected PROXY TCP4, TCP6 or UNKNOWN with two addresses and two ports"
    )]
    BadLine,
    /// Neither version 2 nor a command of it.
    #[error("a PROXY header of version and command {0:#04x}: expected 0x20 or 0x21")]
    BadCommand(u8),
    /// No stream of a family that there is.
    #[error("a PROXY header for family and transport {0:#04x}: expected a TCP or Unix stream, or nothing")]
    BadFamily(u8),
    /// Longer than it may be.
    #[error("a PROXY header of {0} bytes: at most {V2_MAX} are taken")]
    TooLong(usize),
    /// Shorter than its addresses.
    #[error("a PROXY header of {0} bytes is too short for its addresses")]
    TooShort(usize),
}

/// Whether a connection's first bytes begin a PROXY header of either version: `None` while it may still become one.
#[must_use]
pub(super) fn begins_proxy_header(first: &[u8]) -> Option<bool> {
    let begins = [V1, V2].into_iter().any(|sign| first.starts_with(sign));
    let may = [V1, V2].into_iter().any(|sign| sign.starts_with(first));
    if begins { Some(true) } else { (!may).then_some(false) }
}

/// Reads the header that a connection's first bytes begin with; `None`: more are needed. Never more than
/// [`PROXY_HEADER_MAX`] are.
///
/// # Errors
/// [`ProxyHeaderError`], as soon as it is certain.
pub fn proxy_header(first: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    match begins_proxy_header(first) {
        None => Ok(None),
        Some(false) => Err(ProxyHeaderError::Missing),
        Some(true) if first.starts_with(V1) => version_1(first),
        Some(true) => version_2(first),
    }
}

/// 2.1: `PROXY TCP4 198.51.100.7 192.0.2.1 56324 3333\r\n`
fn version_1(first: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let line = &first[..first.len().min(V1_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if first.len() < V1_MAX { Ok(None) } else { Err(ProxyHeaderError::LineTooLong) };
    };
    let text = std::str::from_utf8(&line[V1.len()..end]).map_err(|_| ProxyHeaderError::BadLine)?;
    let length = end + 2;
    // What follows it is to be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(Some(ProxyHeader { length, source: None }));
    }
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(ProxyHeaderError::BadLine);
    let (family, source, destination, port, own_port) = (word()?, word()?, word()?, word()?, word()?);
    let (source, _destination): (IpAddr, IpAddr) = match family {
        "TCP4" => (read::<Ipv4Addr>(source)?.into(), read::<Ipv4Addr>(destination)?.into()),
        "TCP6" => (read::<Ipv6Addr>(source)?.into(), read::<Ipv6Addr>(destination)?.into()),
        _ => return Err(ProxyHeaderError::BadLine),
    };
    let (port, _own_port) = (read_port(port)?, read_port(own_port)?);
    match words.next() {
        None => Ok(Some(ProxyHeader { length, source: Some(SocketAddr::new(source, port)) })),
        Some(_) => Err(ProxyHeaderError::BadLine),
    }
}

fn read<T: FromStr>(word: &str) -> Result<T, ProxyHeaderError> {
    word.parse().map_err(|_| ProxyHeaderError::BadLine)
}

/// Digits without leading zeros.
fn read_port(word: &str) -> Result<u16, ProxyHeaderError> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (word.len() > 1 && word.starts_with('0')) {
        return Err(ProxyHeaderError::BadLine);
    }
    read(word)
}

/// 2.2
fn version_2(first: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let Some((&command, rest)) = first[V2.len()..].split_first() else { return Ok(None) };
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyHeaderError::BadCommand(command)),
    };
    let &[family, high, low, ..] = rest else { return Ok(None) };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MAX {
        return Err(ProxyHeaderError::TooLong(length));
    }
    // Of a family that it does not know, a receiver takes a LOCAL header all the same.
    let addresses = match family {
        _ if local => 0,
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Err(ProxyHeaderError::BadFamily(family)),
    };
    if length < V2_FIXED + addresses {
        return Err(ProxyHeaderError::TooShort(length));
    }
    let Some(block) = first.get(V2_FIXED..length) else { return Ok(None) };
    let source = match (family, block) {
        _ if local => None,
        (0x11, &[a, b, c, d, _, _, _, _, high, low, ..]) => {
            Some(SocketAddr::new([a, b, c, d].into(), u16::from_be_bytes([high, low])))
        }
        (0x21, block) => block.first_chunk::<36>().map(|block| {
            let mut address = [0; 16];
            address.copy_from_slice(&block[..16]);
            SocketAddr::new(address.into(), u16::from_be_bytes([block[32], block[33]]))
        }),
        _ => None,
    };
    Ok(Some(ProxyHeader { length, source }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("short").to_be_bytes();
        [V2, &[command, family], &length, block].concat()
    }

    fn source(bytes: &[u8]) -> Option<String> {
        let header = proxy_header(bytes).expect("a header").expect("all of it");
        assert_eq!(header.length, bytes.len());
        header.source.map(|source| source.to_string())
    }

    #[test]
    fn the_specifications_lines_are_read() {
        let longest = "PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"
            .replace("ffff:f...f:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        for (line, expected) in [
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535")),
            ("PROXY TCP4 198.51.100.7 192.0.2.1 0 3333\r\n", Some("198.51.100.7:0")),
            ("PROXY TCP6 2001:db8::7 ::1 56324 3333\r\n", Some("[2001:db8::7]:56324")),
            (&longest, Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        ] {
            assert_eq!(source(line.as_bytes()).as_deref(), expected, "{line}");
        }
        let unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MAX - 16));
        assert_eq!((unknown.len(), source(unknown.as_bytes())), (V1_MAX, None));
    }

    #[test]
    fn lines_that_are_not_as_they_should_be_are_refused() {
        for line in [
            "PROXY TCP4 198.51.100.7 192.0.2.1 1\r\n",
            "PROXY TCP4 198.51.100.7 192.0.2.1 1 2 3\r\n",
            "PROXY TCP4 198.51.100.7  192.0.2.1 1 2\r\n",
            "PROXY TCP4 198.51.100.7 192.0.2.1 01 2\r\n",
            "PROXY TCP4 198.51.100.7 192.0.2.1 +1 2\r\n",
            "PROXY TCP4 198.51.100.7 192.0.2.1 1 65536\r\n",
            "PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            "PROXY TCP6 198.51.100.7 192.0.2.1 1 2\r\n",
            "PROXY UDP4 198.51.100.7 192.0.2.1 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(proxy_header(line.as_bytes()), Err(ProxyHeaderError::BadLine), "{line}");
        }
        let endless = [V1, &[b'x'; V1_MAX]].concat();
        assert_eq!(proxy_header(&endless[..V1_MAX - 1]), Ok(None));
        assert_eq!(proxy_header(&endless), Err(ProxyHeaderError::LineTooLong));
    }

    #[test]
    fn version_2_is_read_with_what_it_has_besides_addresses() {
        let v4 = [&[198, 51, 100, 7, 192, 0, 2, 1, 0xdc, 4, 13, 5][..], &[4, 0, 1, 0]].concat();
        assert_eq!(source(&v2(0x21, 0x11, &v4)).as_deref(), Some("198.51.100.7:56324"));
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 1]);
        (v6[15], v6[33]) = (7, 9);
        assert_eq!(source(&v2(0x21, 0x21, &v6)).as_deref(), Some("[2001::7]:9"));
        // A health check, somebody whom the sender does not know, and a Unix stream.
        assert_eq!(source(&v2(0x20, 0x11, &v4)), None);
        assert_eq!(source(&v2(0x20, 0x77, &[])), None);
        assert_eq!(source(&v2(0x21, 0, &[1, 2, 3])), None);
        assert_eq!(source(&v2(0x21, 0x31, &[0; 216])), None);
        assert_eq!(source(&v2(0x21, 0x11, &[0; V2_MAX - V2_FIXED])).as_deref(), Some("0.0.0.0:0"));
    }

    #[test]
    fn version_2_is_refused_as_soon_as_it_is_certain() {
        use ProxyHeaderError::*;
        assert_eq!(proxy_header(&v2(0x11, 0x11, &[0; 12])[..13]), Err(BadCommand(0x11)));
        assert_eq!(proxy_header(&v2(0x22, 0x11, &[0; 12])), Err(BadCommand(0x22)));
        assert_eq!(proxy_header(&v2(0x21, 0x12, &[0; 12])[..16]), Err(BadFamily(0x12)));
        assert_eq!(proxy_header(&v2(0x21, 0x11, &[0; 11])[..16]), Err(TooShort(27)));
        assert_eq!(proxy_header(&v2(0x20, 0, &[0; 521])[..16]), Err(TooLong(537)));
        for other in [&b"{\"id\":1,\"method\""[..], b"\r\n\r\n\r\n", b"PROXX", &[22, 3, 1], &[0xff]] {
            assert_eq!(proxy_header(other), Err(Missing), "{other:?}");
        }
        assert_eq!(proxy_header(b""), Ok(None));
    }

    fn begun() -> impl Strategy<Value = Vec<u8>> {
        let line = "PROXY (TCP[46]|UNKNOWN|)( [0-9a-f.:]{1,30}){0,5}(\r\n|\r|\n|)[ -~]{0,90}";
        let fixed = (0x1f..0x23_u8, prop::sample::select(vec![0, 0x11, 0x12, 0x21, 0x31, 0x41]), 0..600_u16);
        let binary = (fixed, prop::collection::vec(any::<u8>(), 0..600)).prop_map(
            |((command, family, length), block)| {
                [V2, &[command, family], &length.to_be_bytes(), &block].concat()
            },
        );
        prop_oneof![line.prop_map(String::into_bytes), binary, prop::collection::vec(any::<u8>(), 0..100)]
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_bytes_come_and_bounded(bytes in begun()) {
            let whole = proxy_header(&bytes);
            let decided = (0..=bytes.len()).find(|n| proxy_header(&bytes[..*n]) != Ok(None));
            match decided {
                Some(n) => {
                    prop_assert_eq!(&proxy_header(&bytes[..n]), &whole);
                    prop_assert!(n <= PROXY_HEADER_MAX);
                    if let Ok(Some(header)) = whole {
                        prop_assert_eq!(header.length, n, "nothing of what follows is waited for or taken");
                    }
                }
                None => prop_assert!(whole == Ok(None) && bytes.len() < PROXY_HEADER_MAX),
            }
        }

        #[test]
        fn an_address_that_is_written_is_read(a: [u8; 16], port: u16, v4: bool) {
            let address: IpAddr = if v4 { [a[0], a[1], a[2], a[3]].into() } else { a.into() };
            let (word, family, end) = if v4 { ("TCP4", 0x11, "192.0.2.1") } else { ("TCP6", 0x21, "::1") };
            let line = format!("PROXY {word} {address} {end} {port} 3333\r\n");
            let expected = Some(SocketAddr::new(address, port).to_string());
            prop_assert_eq!(&source(line.as_bytes()), &expected);
            let size = if v4 { 4 } else { 16 };
            let block = [&a[..size], &[0; 16][..size], &port.to_be_bytes(), &[0, 1]].concat();
            prop_assert_eq!(source(&v2(0x21, family, &block)), expected);
        }
    }
}
