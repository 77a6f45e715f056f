//! Which protocol the first bytes of a connection speak.
//!
//! A Stratum V2 connection begins with a public key as ElligatorSwift: 64 bytes that cannot be told from random ones.
//! So whatever is called TLS or Stratum V1 must look like it in so many bytes that random ones do not by chance:
//! they are taken for text in 1 of 10^10 connections, for TLS in 1 of 10^16.

use super::proxy_header::begins_proxy_header;

/// Bytes that are looked at: those of the first Noise message.
pub const LOOKED_AT: usize = 64;
/// Printable bytes that make text that begins a JSON object Stratum V1. The shortest request has more than twice as
/// many, and what a miner calls itself comes after them.
const OBJECT: usize = 16;
/// And any other text, which is no request: its sender is told so by the state machine for Stratum V1.
const TEXT: usize = 24;

/// TLS's record type for a handshake (RFC 8446 5.1).
const HANDSHAKE: u8 = 22;
/// TLS's handshake type for a `ClientHello` (RFC 8446 4).
const CLIENT_HELLO: u8 = 1;
/// The shortest record with a `ClientHello`: its header, version, random, an empty session, one cipher suite and one
/// compression method (RFC 8446 4.1.2).
const RECORD_MIN: u16 = 4 + 2 + 32 + 1 + 4 + 2;
/// The longest record that is not encrypted (RFC 8446 5.1).
const RECORD_MAX: u16 = 1 << 14;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// TLS, with Stratum V1 in it.
    Tls,
    /// Stratum V1.
    Sv1,
    /// The PROXY protocol: a load balancer that speaks of a miner.
    ProxyHeader,
    /// A Noise handshake, with Stratum V2 after it; or anything that is none of the others.
    Noise,
    /// Too few bytes to tell.
    Undecided,
}

/// Tells what a connection speaks by the first bytes that came, of which at most [`LOOKED_AT`] are looked at. Once it is
/// decided, more bytes change nothing.
#[must_use]
pub fn spoken(first: &[u8]) -> Spoken {
    let first = &first[..first.len().min(LOOKED_AT)];
    match (begins_proxy_header(first), first) {
        (Some(true), _) => Spoken::ProxyHeader,
        (None, _) => Spoken::Undecided,
        (Some(false), [HANDSHAKE, ..]) => tls(first),
        (Some(false), _) => text(first),
    }
}

/// Of bytes that begin as TLS does: each that has come must fit.
fn tls(first: &[u8]) -> Spoken {
    let byte = |at: usize| first.get(at).copied();
    let two = |at: usize| Some(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
    let (record, message) = (two(3), two(7));
    let fits = byte(1).is_none_or(|major| major == 3)
        && byte(2).is_none_or(|minor| minor <= 4)
        && record.is_none_or(|length| (RECORD_MIN..=RECORD_MAX).contains(&length))
        && byte(5).is_none_or(|kind| kind == CLIENT_HELLO)
        // The message fills its record, or is longer and goes on in the next.
        && byte(6).is_none_or(|highest| highest == 0)
        && record.zip(message).is_none_or(|(record, message)| message >= record - 4)
        && byte(9).is_none_or(|major| major == 3)
        && byte(10).is_none_or(|minor| minor <= 4);
    match fits {
        false => Spoken::Noise,
        true if first.len() > 10 => Spoken::Tls,
        true => Spoken::Undecided,
    }
}

fn text(first: &[u8]) -> Spoken {
    let printable = first.iter().take_while(|byte| is_printable(**byte)).count();
    let object = begins_object(&first[..printable]);
    if printable >= TEXT || (object && printable >= OBJECT) {
        Spoken::Sv1
    } else if printable < first.len() {
        Spoken::Noise
    } else {
        Spoken::Undecided
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

fn begins_object(text: &[u8]) -> bool {
    let inside = text.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    matches!(inside, Some([b'"' | b'}', ..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// Random first messages.
    const MESSAGES: u32 = 1_000_000;
    /// As a TLS 1.2 client begins.
    const TLS: [u8; 16] = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5];

    #[test]
    fn no_random_noise_message_is_misread_whole_or_in_part() {
        let mut random = StdRng::seed_from_u64(1);
        let (mut message, mut bytes, mut misread) = ([0; LOOKED_AT], 0_usize, 0);
        for _ in 0..MESSAGES {
            random.fill_bytes(&mut message);
            let decided = (1..=LOOKED_AT).find(|n| spoken(&message[..*n]) != Spoken::Undecided);
            bytes += decided.expect("64 bytes are enough");
            misread += u32::from(decided.map(|n| spoken(&message[..n])) != Some(Spoken::Noise));
            assert_eq!(spoken(&message), Spoken::Noise);
        }
        assert_eq!(misread, 0);
        println!(
            "{MESSAGES} random first messages: {misread} misread, decided after {:.2} bytes",
            bytes as f64 / f64::from(MESSAGES)
        );
    }

    /// The first bytes are drawn from those that begin the other protocols, as one random message in millions has them.
    #[test]
    fn noise_that_begins_like_something_else_is_noise_by_its_later_bytes() {
        let mut random = StdRng::seed_from_u64(2);
        let mut message = [0; LOOKED_AT];
        let beginnings: [&[u8]; 7] = [b"{", b"{\"", b" {\"i", b"\r\n{ }", &TLS[..1], &TLS[..3], &TLS[..6]];
        for beginning in beginnings {
            for _ in 0..10_000 {
                random.fill_bytes(&mut message);
                message[..beginning.len()].copy_from_slice(beginning);
                assert_eq!(spoken(&message), Spoken::Noise, "{message:02x?}");
            }
        }
    }

    #[test]
    fn what_miners_begin_with_is_stratum_v1() {
        for line in [
            "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n",
            "{\"id\": 1, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], {}]}\n",
            "{\"method\":\"mining.subscribe\",\"id\":0,\"params\":[\"\u{e9}\"]}\n",
            "\r\n  {\t\"id\":null,\"method\":\"mining.subscribe\",\"params\":[]}\n",
            "{ }\n{ }\n{ }\n{ }\n{ }\n",
            // Text, but no Stratum: the state machine says so.
            "GET / HTTP/1.1\r\nHost: pool.example\r\n\r\n",
            "[{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}]\n",
            "                                                        ",
        ] {
            assert_eq!(spoken(line.as_bytes()), Spoken::Sv1, "{line}");
        }
        assert_eq!(spoken(b""), Spoken::Undecided);
        assert_eq!(spoken(b"{\"id\":1"), Spoken::Undecided);
    }

    #[test]
    fn a_client_hello_is_tls_and_what_cannot_be_one_is_not() {
        assert_eq!(spoken(&TLS), Spoken::Tls);
        for n in 1..=10 {
            assert_eq!(spoken(&TLS[..n]), Spoken::Undecided, "{n}");
        }
        for (at, bad) in [(1, 2), (2, 5), (3, 0x41), (5, 2), (6, 1), (7, 0), (9, 2), (10, 9)] {
            let mut other = TLS;
            other[at] = bad;
            assert_eq!(spoken(&other), Spoken::Noise, "byte {at}");
            assert_eq!(spoken(&other[..at]), Spoken::Undecided, "before byte {at}");
        }
    }

    #[test]
    fn a_proxy_header_is_one_by_its_first_bytes() {
        for header in [&b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n!"] {
            assert_eq!(spoken(header), Spoken::ProxyHeader);
            assert_eq!(spoken(&header[..5]), Spoken::Undecided);
        }
        assert_eq!(spoken(b"\r\n\r\n{\"id\":1,\"method\""), Spoken::Sv1);
        assert_eq!(spoken(b"\r\n\r\n\0\r\nQUIT\0"), Spoken::Noise);
    }

    fn begun() -> impl Strategy<Value = Vec<u8>> {
        let text = "[ \r\n\t]{0,3}[{]? ?\"?[ -~]{0,70}".prop_map(String::into_bytes);
        let tls = (prop::collection::vec(any::<u8>(), 0..70), 0..TLS.len())
            .prop_map(|(end, n)| [&TLS[..n], &end].concat());
        let header = prop_oneof![Just(&b"PROXY "[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n"[..])];
        let header = (header, 0..12_usize, prop::collection::vec(any::<u8>(), 0..70))
            .prop_map(|(begin, n, end)| [&begin[..n.min(begin.len())], &end].concat());
        prop_oneof![prop::collection::vec(any::<u8>(), 0..70), text, tls, header]
    }

    proptest! {
        #[test]
        fn what_is_decided_stays_so_however_the_bytes_come(bytes in begun()) {
            let mut before = Spoken::Undecided;
            for n in 0..=bytes.len() {
                let now = spoken(&bytes[..n]);
                if before != Spoken::Undecided {
                    prop_assert_eq!(now, before, "{} bytes", n);
                }
                before = now;
            }
            if bytes.len() >= TEXT {
                prop_assert_ne!(before, Spoken::Undecided);
            }
        }
    }
}
