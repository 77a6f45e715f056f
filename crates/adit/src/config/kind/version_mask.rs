//! Version bits that miners may roll.

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};

/// The version bits that miners may ever roll: those of BIP 323, without the three lowest that Adit's own
/// mask of BIP 310 requests do not name.
pub const VERSION_BITS_ROLLABLE: u32 = 0x1fff_ffe0;

/// Version bits as 8 hex digits.
pub(crate) struct VersionMask;

impl Kind for VersionMask {
    type Value = u32;

    fn expected(&self) -> String {
        format!("version bits as 1 to 8 hex digits, none outside \"{VERSION_BITS_ROLLABLE:08x}\" (BIP 323)")
    }

    fn read(&self, given: &Given) -> Result<u32, Refusal> {
        let mask = match given {
            Given::Whole { value, radix: 16, .. } => value.and_then(|value| u32::try_from(value).ok()),
            // The digits of a decimal number may be meant as hex digits: ask, do not guess.
            Given::Whole { digits, radix: 10, .. } if digits.len() <= 8 => {
                return Err(Refusal::value(quoted(digits)));
            }
            Given::Whole { value: Some(value), .. } => {
                let mask = u32::try_from(*value).map_err(|_| Refusal::plain())?;
                return Err(Refusal::value(quoted(&format!("{:08x}", mask & VERSION_BITS_ROLLABLE))));
            }
            _ => given.text().and_then(|text| {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let hex = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
                hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
            }),
        };
        let mask = mask.ok_or_else(Refusal::plain)?;
        if mask & !VERSION_BITS_ROLLABLE == 0 {
            Ok(mask)
        } else {
            Err(Refusal::value(quoted(&format!("{:08x}", mask & VERSION_BITS_ROLLABLE))))
        }
    }

    fn write(&self, value: &u32) -> Option<String> {
        Some(quoted(&format!("{value:08x}")))
    }
}
