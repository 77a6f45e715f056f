//! What a receipt claims: so much work, and how sure that is.

use serde::{Serialize, Serializer};

use crate::coding::{Cursor, Encoder};
use crate::header::Header;
use crate::interval::Interval;
use crate::key::Signature;
use crate::sampling;
use crate::tagged;
use crate::terms::{Ending, Terms};

/// The figures that follow from a number of shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How many shares.
    pub shares: u64,
    /// The estimate of the work, in hashes: shares x receipt difficulty x 2^32. It has no bias, whatever ended the period.
    #[serde(serialize_with = "crate::claim::as_float")]
    pub hashes: u128,
    /// The true work is at least this much, in hashes (95 % for both limits together).
    pub low: f64,
    /// The true work is at most this much.
    pub high: f64,
    /// The estimate of the hashrate over the period, in hashes per second. Where the last share ended the period, it is
    /// without that share: so it has no bias.
    pub hashrate: f64,
    /// Whether the terms say that the last of these shares ended the period.
    pub last_ended_it: bool,
}

impl Figures {
    /// Of so many shares under these terms and this header.
    #[must_use]
    pub fn of(shares: u64, terms: &Terms, header: &Header) -> Self {
        let each = sampling::hashes(header.exponent);
        let Interval { low, high } = Interval::of(shares);
        let last_ended_it = match terms.ending {
            Ending::Shares { count } => count == shares && header.from == terms.from,
            Ending::Period | Ending::Work { .. } => false,
        };
        let for_rate = shares.saturating_sub(u64::from(last_ended_it));
        Self {
            shares,
            hashes: each.saturating_mul(u128::from(shares)),
            low: low * float(each),
            high: high * float(each),
            hashrate: float(each) * float(for_rate.into()) / float(header.seconds().max(1).into()),
            last_ended_it,
        }
    }

    /// Whether these say the same, within the rounding of another's arithmetic.
    fn agrees(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs());
        self.shares == other.shares
            && self.hashes == other.hashes
            && near(self.low, other.low)
            && near(self.high, other.high)
            && near(self.hashrate, other.hashrate)
    }
}

/// The claim, as it stands in a receipt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The root over all shares.
    pub root: [u8; 32],
    /// When it was issued, by the issuer's clock, Unix seconds.
    pub at: u64,
    /// How many shares.
    pub shares: u64,
    /// The work, in hashes.
    pub hashes: u128,
    /// The work's lower limit, in hashes.
    pub low: f64,
    /// Its upper limit.
    pub high: f64,
    /// Hashes per second.
    pub hashrate: f64,
    /// The issuer's signature of [`Claim::message`].
    pub signature: Signature,
}

impl Claim {
    /// Whether its figures are those that follow from the shares.
    #[must_use]
    pub fn follows_from(&self, figures: &Figures) -> bool {
        figures.agrees(&Figures {
            shares: self.shares,
            hashes: self.hashes,
            low: self.low,
            high: self.high,
            hashrate: self.hashrate,
            last_ended_it: figures.last_ended_it,
        })
    }

    /// What is signed: terms, header, and the claim without its signature.
    #[must_use]
    pub fn message(&self, terms: [u8; 32], header: [u8; 32]) -> [u8; 32] {
        tagged::hash(tagged::CLAIM, &[&terms, &header, &self.body()])
    }

    fn body(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.raw(&self.root);
        to.number(self.at);
        to.number(self.shares);
        to.wide(self.hashes);
        for number in [self.low, self.high, self.hashrate] {
            to.float(number);
        }
        to.bytes
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = self.body();
        body.extend_from_slice(&self.signature.0);
        body
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor::new(bytes);
        let claim = Self {
            root: from.array()?,
            at: from.number()?,
            shares: from.number()?,
            hashes: from.wide()?,
            low: from.float()?,
            high: from.float()?,
            hashrate: from.float()?,
            signature: Signature(from.array()?),
        };
        from.is_empty().then_some(claim)
    }
}

/// The nearest number.
#[expect(clippy::cast_precision_loss, reason = "an estimate: rounded once")]
pub(crate) fn float(number: u128) -> f64 {
    number as f64
}

/// For JSON, whose numbers are floats to most who read them. Multiples of a power of two by less than 2^53 are exact.
pub(crate) fn as_float<S: Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(float(*number))
}
