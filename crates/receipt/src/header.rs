//! A receipt's header: the period that it is for, and the receipt difficulty with what it follows from.

use serde::Serialize;

use crate::coding::{Cursor, Encoder};
use crate::sampling::{self, MAX_EXPONENT, MIN_EXPONENT};
use crate::tagged;
use crate::terms::Terms;

/// What stands before the shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Since when, Unix seconds.
    pub from: u64,
    /// Until when, Unix seconds; later.
    pub to: u64,
    /// The receipt difficulty is two to the power of this.
    pub exponent: i8,
    /// The highest difficulty that held for an included miner in this period, rounded up to a power of two (two to the power
    /// of this): assigned to it, or that its evidence was kept from. The issuer's word.
    pub highest: i8,
    /// How many miners are included.
    pub miners: u32,
    /// How many are left out, because their difficulty would have raised the receipt's too far. Their work is not claimed.
    pub left_out: u32,
}

impl Header {
    /// A header with the receipt difficulty that follows from the terms and from the highest difficulty that held for an
    /// included miner ([`sampling::exponent_above`]; [`MIN_EXPONENT`] if there was none).
    #[must_use]
    pub fn new(terms: &Terms, from: u64, to: u64, highest: i8, miners: u32, left_out: u32) -> Self {
        Self { from, to, exponent: sampling::exponent_with(terms, highest), highest, miners, left_out }
    }

    /// Whether the period is one of those that the terms fix: it begins a multiple of `every` after the beginning, and ends
    /// `every` later or when the terms end.
    #[must_use]
    pub fn is_fixed_by(&self, terms: &Terms) -> bool {
        let since = self.from.checked_sub(terms.from);
        since.is_some_and(|since| since.is_multiple_of(terms.every))
            && self.from < terms.to
            && self.to == self.from.saturating_add(terms.every).min(terms.to)
    }

    /// Seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// What the claim is signed with.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        tagged::hash(tagged::HEADER, &[&self.encode()])
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.number(self.from);
        to.number(self.to);
        to.byte(self.exponent.cast_unsigned());
        to.byte(self.highest.cast_unsigned());
        to.number(u64::from(self.miners));
        to.number(u64::from(self.left_out));
        to.bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor::new(bytes);
        let exponent = |byte: u8| {
            Some(byte.cast_signed()).filter(|exponent| (MIN_EXPONENT..=MAX_EXPONENT).contains(exponent))
        };
        let header = Self {
            from: from.number()?,
            to: from.number()?,
            exponent: exponent(from.byte()?)?,
            highest: exponent(from.byte()?)?,
            miners: from.number()?.try_into().ok()?,
            left_out: from.number()?.try_into().ok()?,
        };
        (from.is_empty() && header.from < header.to).then_some(header)
    }
}
