//! TLV fields: what extensions append to another's message (specification, section 3.4.3).

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use crate::data_types::LengthError;
use crate::extensions::{UserIdentity, WORKER_HASHRATE_TRACKING};

/// Bytes of a TLV field before its value: `extension_type` (2), `field_type` (1), length (2).
const HEADER_LEN: usize = 5;

/// The byte order of a TLV field's `extension_type` and length.
///
/// The specification says two things: its example bytes (`00 02 01 00 0A ..`, sections 3.4.3 and
/// extension 0x0002) are big-endian, its rule that multibyte types "are always serialized as
/// little-endian" (section 3.1) is not suspended for TLV fields. The reference implementation
/// (`parsers_sv2` 0.6.0, and with it `pool_sv2` 0.7.0) reads and writes little-endian, and drops fields
/// in the other order without a word. So a client has to know its pool; a receiver does not:
/// [`Tlvs`] recognises both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlvByteOrder {
    /// As in the specification's example bytes.
    BigEndian,
    /// As the reference implementation has it.
    LittleEndian,
}

impl TlvByteOrder {
    const fn read(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::BigEndian => u16::from_be_bytes(bytes),
            Self::LittleEndian => u16::from_le_bytes(bytes),
        }
    }

    fn write(self, number: u16, out: &mut BytesMut) {
        match self {
            Self::BigEndian => out.put_u16(number),
            Self::LittleEndian => out.put_u16_le(number),
        }
    }
}

/// Why the bytes after a message's last field are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlvError {
    /// They are no list of whole TLV fields, in neither byte order.
    #[error(
        "no TLV fields in either byte order: field at byte {offset} needs {needed} bytes, {left} are left"
    )]
    Malformed {
        /// Where the field that cannot be read begins, counted from the end of the message's fields.
        offset: usize,
        /// Bytes that the field's header or value takes.
        needed: usize,
        /// Bytes that are left for it.
        left: usize,
    },
    /// Extension 0x0002's `user_identity` is longer than [`UserIdentity::MAX`]: a receiver has to reject
    /// the message (section 3.4.3).
    #[error("user_identity of {len} bytes, at most {max} are allowed", max = UserIdentity::MAX)]
    UserIdentityTooLong {
        /// Bytes that were sent.
        len: usize,
    },
}

/// One TLV field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    extension_type: u16,
    field_type: u8,
    value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The most bytes that a value can have.
    pub const MAX_VALUE_LEN: usize = 65_535;

    /// Puts a field together.
    ///
    /// # Errors
    /// [`LengthError`] when the value has more than [`Self::MAX_VALUE_LEN`] bytes.
    pub const fn new(extension_type: u16, field_type: u8, value: &'a [u8]) -> Result<Self, LengthError> {
        let (max, len) = (Self::MAX_VALUE_LEN, value.len());
        if len > max {
            return Err(LengthError { data_type: "TLV value", unit: "bytes", max, len });
        }
        Ok(Self { extension_type, field_type, value })
    }

    /// The extension that defines the field.
    #[must_use]
    pub const fn extension_type(&self) -> u16 {
        self.extension_type
    }

    /// The field's number within its extension.
    #[must_use]
    pub const fn field_type(&self) -> u8 {
        self.field_type
    }

    /// The field's value.
    #[must_use]
    pub const fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Bytes that the field takes on the wire.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        HEADER_LEN + self.value.len()
    }

    /// Appends the field.
    pub fn write(&self, order: TlvByteOrder, out: &mut BytesMut) {
        // The constructors bound the value's length, so that it is never cut here.
        let length = u16::try_from(self.value.len()).unwrap_or(u16::MAX);
        order.write(self.extension_type, out);
        out.put_u8(self.field_type);
        order.write(length, out);
        out.put_slice(self.value);
    }

    /// Takes one field off the front of `input`; `Err` says how many bytes were needed and left.
    fn read(input: &mut &'a [u8], order: TlvByteOrder) -> Result<Self, (usize, usize)> {
        let Some((&[type_0, type_1, field_type, length_0, length_1], rest)) =
            input.split_first_chunk::<HEADER_LEN>()
        else {
            return Err((HEADER_LEN, input.len()));
        };
        let length = usize::from(order.read([length_0, length_1]));
        let Some((value, rest)) = rest.split_at_checked(length) else {
            return Err((length, rest.len()));
        };
        *input = rest;
        Ok(Self { extension_type: order.read([type_0, type_1]), field_type, value })
    }
}

impl<'a> From<UserIdentity<'a>> for Tlv<'a> {
    fn from(identity: UserIdentity<'a>) -> Self {
        Self {
            extension_type: WORKER_HASHRATE_TRACKING,
            field_type: UserIdentity::FIELD_TYPE,
            value: identity.as_bytes(),
        }
    }
}

/// The TLV fields after a message, all of them well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
    order: TlvByteOrder,
    unexpected: usize,
    user_identity: Option<UserIdentity<'a>>,
}

impl<'a> Tlvs<'a> {
    /// Reads the fields in whichever byte order they are in: the specification's example order if that
    /// gives whole fields and one of a negotiated extension, else the reference's by the same rule, else
    /// whichever gives whole fields.
    pub(crate) fn parse(bytes: &'a [u8], negotiated: &[u16]) -> Result<Self, TlvError> {
        let big = scan(bytes, TlvByteOrder::BigEndian, negotiated);
        let little = scan(bytes, TlvByteOrder::LittleEndian, negotiated);
        let (order, unexpected) = match (big, little) {
            (Ok(big), little) if big.expected > 0 || little.is_err() => {
                (TlvByteOrder::BigEndian, big.unexpected)
            }
            (_, Ok(little)) if little.expected > 0 => (TlvByteOrder::LittleEndian, little.unexpected),
            (Ok(big), _) => (TlvByteOrder::BigEndian, big.unexpected),
            (Err(_), Ok(little)) => (TlvByteOrder::LittleEndian, little.unexpected),
            (Err(error), Err(_)) => return Err(error),
        };
        let mut tlvs = Self { bytes, order, unexpected, user_identity: None };
        if negotiated.contains(&WORKER_HASHRATE_TRACKING) {
            tlvs.user_identity = tlvs
                .get(WORKER_HASHRATE_TRACKING, UserIdentity::FIELD_TYPE)
                .map(|name| {
                    UserIdentity::new(name).map_err(|error| TlvError::UserIdentityTooLong { len: error.len })
                })
                .transpose()?;
        }
        Ok(tlvs)
    }

    /// All fields in the order that they came in, those of extensions that were not negotiated included.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'a>> + use<'a> {
        let Self { mut bytes, order, .. } = *self;
        std::iter::from_fn(move || Tlv::read(&mut bytes, order).ok())
    }

    /// The value of the first field of that extension and number, negotiated or not.
    #[must_use]
    pub fn get(&self, extension_type: u16, field_type: u8) -> Option<&'a [u8]> {
        self.iter()
            .find(|tlv| (tlv.extension_type, tlv.field_type) == (extension_type, field_type))
            .map(|tlv| tlv.value)
    }

    /// The worker's name, if extension 0x0002 is negotiated and the peer sent it.
    #[must_use]
    pub const fn user_identity(&self) -> Option<UserIdentity<'a>> {
        self.user_identity
    }

    /// How many fields belong to extensions that were not negotiated. A receiver ignores them; who wants
    /// to be stricter refuses the message when this is not 0.
    #[must_use]
    pub const fn unexpected(&self) -> usize {
        self.unexpected
    }

    /// Whether there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The byte order that the fields are in: the one to answer this peer in. Of no meaning when there are
    /// none.
    #[must_use]
    pub const fn byte_order(&self) -> TlvByteOrder {
        self.order
    }
}

/// How many fields of negotiated and of other extensions there are.
struct Counts {
    expected: usize,
    unexpected: usize,
}

fn scan(bytes: &[u8], order: TlvByteOrder, negotiated: &[u16]) -> Result<Counts, TlvError> {
    let mut counts = Counts { expected: 0, unexpected: 0 };
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        let tlv = Tlv::read(&mut rest, order).map_err(|(needed, left)| TlvError::Malformed {
            offset,
            needed,
            left,
        })?;
        if negotiated.contains(&tlv.extension_type) {
            counts.expected += 1;
        } else {
            counts.unexpected += 1;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's example, section 3.4.3.
    const EXAMPLE: [u8; 15] = *b"\x00\x02\x01\x00\x0aWorker_001";
    const NEGOTIATED: [u16; 1] = [WORKER_HASHRATE_TRACKING];

    fn written(tlvs: &[Tlv<'_>], order: TlvByteOrder) -> BytesMut {
        let mut out = BytesMut::new();
        tlvs.iter().for_each(|tlv| tlv.write(order, &mut out));
        out
    }

    #[test]
    fn the_specifications_example_is_written_and_read() {
        let identity = UserIdentity::try_from("Worker_001").unwrap();
        assert_eq!(written(&[identity.into()], TlvByteOrder::BigEndian)[..], EXAMPLE);
        let tlvs = Tlvs::parse(&EXAMPLE, &NEGOTIATED).unwrap();
        assert_eq!(tlvs.user_identity(), Some(identity));
        assert_eq!((tlvs.byte_order(), tlvs.unexpected()), (TlvByteOrder::BigEndian, 0));
    }

    #[test]
    fn both_byte_orders_are_recognised_for_every_length_of_name() {
        for len in 0..=UserIdentity::MAX {
            let name = vec![b'w'; len];
            let identity = UserIdentity::new(&name).unwrap();
            for order in [TlvByteOrder::BigEndian, TlvByteOrder::LittleEndian] {
                let bytes = written(&[identity.into()], order);
                let tlvs = Tlvs::parse(&bytes, &NEGOTIATED).unwrap();
                assert_eq!((tlvs.user_identity(), tlvs.byte_order()), (Some(identity), order));
            }
        }
    }

    #[test]
    fn fields_of_other_extensions_are_counted_and_ignored() {
        let other = Tlv::new(0x0003, 7, b"x").unwrap();
        let name = Tlv::new(0x0002, 1, b"worker").unwrap();
        let bytes = written(&[other, name], TlvByteOrder::BigEndian);

        let tlvs = Tlvs::parse(&bytes, &NEGOTIATED).unwrap();
        assert_eq!((tlvs.unexpected(), tlvs.iter().count()), (1, 2));
        assert_eq!(tlvs.user_identity().map(|name| name.as_bytes()), Some(&b"worker"[..]));
        assert_eq!(tlvs.get(3, 7), Some(&b"x"[..]));

        let tlvs = Tlvs::parse(&bytes, &[]).unwrap();
        assert_eq!((tlvs.unexpected(), tlvs.user_identity()), (2, None));
    }

    #[test]
    fn a_name_over_32_bytes_is_refused_only_when_the_extension_is_negotiated() {
        let name = [b'w'; 33];
        let bytes = written(&[Tlv::new(2, 1, &name).unwrap()], TlvByteOrder::BigEndian);
        assert_eq!(Tlvs::parse(&bytes, &NEGOTIATED), Err(TlvError::UserIdentityTooLong { len: 33 }));
        assert!(Tlvs::parse(&bytes, &[]).is_ok());
        assert!(UserIdentity::new(&name).is_err());
    }

    #[test]
    fn what_is_no_list_of_fields_is_refused() {
        for end in 1..EXAMPLE.len() {
            assert!(Tlvs::parse(&EXAMPLE[..end], &NEGOTIATED).is_err(), "first {end} bytes");
        }
        assert_eq!(
            Tlvs::parse(&EXAMPLE[..6], &[]),
            Err(TlvError::Malformed { offset: 0, needed: 10, left: 1 })
        );
        assert!(Tlvs::parse(&[], &NEGOTIATED).is_ok_and(|tlvs| tlvs.is_empty()));
    }

    #[test]
    fn a_value_that_the_length_cannot_say_is_refused() {
        let value = vec![0; 65_536];
        assert!(Tlv::new(0x4000, 0, &value[1..]).is_ok());
        assert!(Tlv::new(0x4000, 0, &value).is_err());
    }
}
