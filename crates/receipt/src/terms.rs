//! Terms: what a receipt is measured by, fixed before the period and signed.

use serde::Serialize;
use thiserror::Error;

use crate::coding::{Cursor, Encoder};
use crate::key::PublicKey;
use crate::tagged;

/// The longest name of a lease, route or worker, in bytes.
pub const MAX_NAME: usize = 255;
/// The longest note, in bytes.
pub const MAX_NOTE: usize = 1_024;
/// The longest tag of a pool, in bytes: no coinbase has room for more.
pub const MAX_POOL_TAG: usize = 100;
/// Payout scripts at most.
pub const MAX_SCRIPTS: usize = 16;
/// The longest payout script, in bytes.
pub const MAX_SCRIPT: usize = 520;
/// The highest hashrate, as a power of two: a million times all that there is.
pub const MAX_HASHRATE_LOG2: u32 = 90;
/// The most work, as a power of two.
pub const MAX_WORK_LOG2: u32 = 120;
/// The latest moment, Unix seconds: what a header can say.
pub const MAX_TIME: u64 = u32::MAX as u64;
/// All of a coinbase, in the parts in which [`Payout::least_parts`] counts: a millionth each.
pub const WHOLE: u32 = work::coinbase::WHOLE;
/// How long a filler tag may be, in bytes.
pub const TAG_LENGTHS: std::ops::RangeInclusive<u8> = 4..=8;

/// A chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Bitcoin.
    Mainnet,
    /// Testnet3.
    Testnet3,
    /// Testnet4.
    Testnet4,
    /// Signet, whatever its challenge.
    Signet,
    /// A private chain.
    Regtest,
}

impl Network {
    const ALL: [Self; 5] = [Self::Mainnet, Self::Testnet3, Self::Testnet4, Self::Signet, Self::Regtest];

    /// Whether a block's difficulty is that of every block that may follow on the same tip.
    pub(crate) fn has_steady_difficulty(self) -> bool {
        matches!(self, Self::Mainnet | Self::Signet)
    }
}

/// What a receipt is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum Subject {
    /// A lease: so much hashrate for somebody else.
    Lease(Box<str>),
    /// A route.
    Route(Box<str>),
    /// A worker.
    Worker(Box<str>),
}

impl Subject {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Lease(name) | Self::Route(name) | Self::Worker(name) => name,
        }
    }
}

/// Where the hashrate that the receipt difficulty follows from comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Both sides agreed on it.
    Agreed,
    /// It is what was delivered on the day before.
    PriorDay,
}

/// What ends the last period, besides [`Terms::to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Ending {
    /// Nothing: time alone.
    Period,
    /// So many hashes by the books, in which shares of lower difficulty than the receipt's count.
    Work {
        /// How many.
        #[serde(serialize_with = "crate::claim::as_float")]
        hashes: u128,
    },
    /// So many shares of the receipt: the last of them ends it.
    Shares {
        /// How many, at least 1.
        count: u64,
    },
}

/// Whom every coinbase has to pay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payout {
    /// The output scripts; none where the pool's account is credited, which no coinbase shows.
    pub scripts: Vec<Box<[u8]>>,
    /// The least part of the coinbase's value that all of them together are paid, in parts of [`WHOLE`].
    pub least_parts: u32,
}

/// The terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The chain that is mined on.
    pub network: Network,
    /// What is delivered.
    pub subject: Subject,
    /// Since when, Unix seconds.
    pub from: u64,
    /// Until when, Unix seconds; later than `from`.
    pub to: u64,
    /// There is a receipt for each so many seconds since `from`; the last may be for less. At most `to - from`.
    pub every: u64,
    /// Hashes per second that the receipt difficulty follows from; at least 1.
    pub hashrate: u128,
    /// Where that figure comes from.
    pub basis: Basis,
    /// What ends it earlier.
    pub ending: Ending,
    /// Who issues receipts: who delivers.
    pub issuer: PublicKey,
    /// Who receives, if known; somebody else.
    pub receiver: Option<PublicKey>,
    /// Whom coinbases pay.
    pub payout: Payout,
    /// A text that the pool writes into its coinbases. A hint only: anybody can write it.
    pub pool_tag: Box<str>,
    /// Bytes of this lease's tag ([`Terms::tag`]) that stand in every share, 4 to 8; 0: none do.
    pub tag_length: u8,
    /// Bytes that the receiver drew at random, and told last: so that nobody can look for two leases of the same tag.
    pub salt: [u8; 16],
    /// Anything else that both agree on: price, account, contract.
    pub note: Box<str>,
}

impl Terms {
    /// Checks that they are terms that can be written.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn check(&self) -> Result<(), TermsError> {
        let length =
            |what, got, most| if got > most { Err(TermsError::TooLong { what, got, most }) } else { Ok(()) };
        if self.subject.name().is_empty() {
            return Err(TermsError::NoName);
        }
        length("the name", self.subject.name().len(), MAX_NAME)?;
        length("the note", self.note.len(), MAX_NOTE)?;
        length("the pool's tag", self.pool_tag.len(), MAX_POOL_TAG)?;
        length("the list of payout scripts", self.payout.scripts.len(), MAX_SCRIPTS)?;
        for script in &self.payout.scripts {
            length("a payout script", script.len(), MAX_SCRIPT)?;
        }
        let (from, to) = (self.from, self.to);
        if from >= to || to > MAX_TIME {
            return Err(TermsError::Period { from, to });
        }
        if self.every == 0 || self.every > to - from {
            return Err(TermsError::Every { every: self.every, whole: to - from });
        }
        if self.receiver == Some(self.issuer) {
            return Err(TermsError::OneParty);
        }
        if self.hashrate == 0 || self.hashrate >> MAX_HASHRATE_LOG2 != 0 {
            return Err(TermsError::Hashrate { got: self.hashrate });
        }
        match self.ending {
            Ending::Work { hashes: 0 } | Ending::Shares { count: 0 } => return Err(TermsError::Ending),
            Ending::Work { hashes } if hashes >> MAX_WORK_LOG2 != 0 => return Err(TermsError::Ending),
            _ => {}
        }
        if self.payout.least_parts > WHOLE
            || (self.payout.scripts.is_empty() != (self.payout.least_parts == 0))
        {
            return Err(TermsError::Payout {
                parts: self.payout.least_parts,
                scripts: self.payout.scripts.len(),
            });
        }
        if self.tag_length != 0 && !TAG_LENGTHS.contains(&self.tag_length) {
            return Err(TermsError::TagLength { got: self.tag_length });
        }
        Ok(())
    }

    /// The bytes that stand for them; there is one way to write them only.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.byte(1);
        to.byte(position(&Network::ALL, &self.network));
        let (kind, name) = match &self.subject {
            Subject::Lease(name) => (1, name),
            Subject::Route(name) => (2, name),
            Subject::Worker(name) => (3, name),
        };
        to.byte(kind);
        to.string(name.as_bytes());
        for number in [self.from, self.to, self.every] {
            to.number(number);
        }
        to.wide(self.hashrate);
        to.byte(match self.basis {
            Basis::Agreed => 1,
            Basis::PriorDay => 2,
        });
        match self.ending {
            Ending::Period => to.byte(1),
            Ending::Work { hashes } => {
                to.byte(2);
                to.wide(hashes);
            }
            Ending::Shares { count } => {
                to.byte(3);
                to.number(count);
            }
        }
        to.raw(&self.issuer.to_bytes());
        match &self.receiver {
            None => to.byte(0),
            Some(key) => {
                to.byte(1);
                to.raw(&key.to_bytes());
            }
        }
        to.number(u64::from(self.payout.least_parts));
        to.number(self.payout.scripts.len() as u64);
        for script in &self.payout.scripts {
            to.string(script);
        }
        to.string(self.pool_tag.as_bytes());
        to.byte(self.tag_length);
        to.raw(&self.salt);
        to.string(self.note.as_bytes());
        to.bytes
    }

    /// Reads them.
    ///
    /// # Errors
    /// They are cut off, go on after their end, or are none that [`check`](Self::check) takes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TermsError> {
        let mut cursor = Cursor::new(bytes);
        let terms = Self::read(&mut cursor).ok_or(TermsError::Unreadable)?;
        if !cursor.is_empty() {
            return Err(TermsError::Unreadable);
        }
        terms.check()?;
        Ok(terms)
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        if from.byte()? != 1 {
            return None;
        }
        let network = *Network::ALL.get(usize::from(from.byte()?))?;
        let (kind, name) = (from.byte()?, from.text(MAX_NAME)?.into());
        let key = |bytes| PublicKey::from_bytes(bytes).ok();
        Some(Self {
            network,
            subject: match kind {
                1 => Subject::Lease(name),
                2 => Subject::Route(name),
                3 => Subject::Worker(name),
                _ => return None,
            },
            from: from.number()?,
            to: from.number()?,
            every: from.number()?,
            hashrate: from.wide()?,
            basis: match from.byte()? {
                1 => Basis::Agreed,
                2 => Basis::PriorDay,
                _ => return None,
            },
            ending: match from.byte()? {
                1 => Ending::Period,
                2 => Ending::Work { hashes: from.wide()? },
                3 => Ending::Shares { count: from.number()? },
                _ => return None,
            },
            issuer: key(from.array()?)?,
            receiver: match from.byte()? {
                0 => None,
                1 => Some(key(from.array()?)?),
                _ => return None,
            },
            payout: {
                let least_parts = u32::try_from(from.number()?).ok()?;
                let count = usize::try_from(from.number()?).ok().filter(|count| *count <= MAX_SCRIPTS)?;
                let scripts =
                    (0..count).map(|_| from.string(MAX_SCRIPT).map(Into::into)).collect::<Option<_>>()?;
                Payout { scripts, least_parts }
            },
            pool_tag: from.text(MAX_POOL_TAG)?.into(),
            tag_length: from.byte()?,
            salt: from.array()?,
            note: from.text(MAX_NOTE)?.into(),
        })
    }

    /// What they are known by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        tagged::hash(tagged::TERMS, &[&self.encode()])
    }

    /// The bytes that stand in the filler of every share: the first of [`hash`](Self::hash). Empty where there are none.
    #[must_use]
    pub fn tag(&self) -> Vec<u8> {
        self.hash()[..usize::from(self.tag_length.min(*TAG_LENGTHS.end()))].to_vec()
    }
}

fn position(all: &[Network], network: &Network) -> u8 {
    all.iter().position(|one| one == network).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

/// Why these are no terms.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TermsError {
    /// The bytes are none.
    #[error("these bytes are no terms of version 1: they are cut off, damaged, or go on after their end")]
    Unreadable,
    /// The subject has no name.
    #[error("the terms name no lease, route or worker")]
    NoName,
    /// Something has more bytes, or more parts, than it may have.
    #[error("{what} of the terms has a length of {got}; at most {most} is allowed")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long it is.
        got: usize,
        /// How long it may be.
        most: usize,
    },
    /// It ends before it begins, or too late.
    #[error("the terms are from {from} to {to}: the end must be after the beginning, and at most {MAX_TIME}")]
    Period {
        /// The beginning.
        from: u64,
        /// The end.
        to: u64,
    },
    /// Receipts are for nothing, or for more than the whole.
    #[error("the terms want a receipt for every {every} s of {whole} s: say 1 to {whole}")]
    Every {
        /// What they say.
        every: u64,
        /// The whole.
        whole: u64,
    },
    /// Issuer and receiver are the same.
    #[error(
        "the terms name one key as issuer and as receiver: nobody agrees with himself; leave the receiver out"
    )]
    OneParty,
    /// No hashrate.
    #[error("the terms' hashrate is {got} H/s: it must be 1 at least, and below 2^{MAX_HASHRATE_LOG2}")]
    Hashrate {
        /// What they say.
        got: u128,
    },
    /// Nothing ends it.
    #[error("the terms end with no work, no shares, or 2^{MAX_WORK_LOG2} hashes and more")]
    Ending,
    /// The parts do not fit the scripts.
    #[error(
        "the terms want {parts} millionths of each coinbase for {scripts} scripts: say 1 to {WHOLE} with scripts, 0 \
         without any"
    )]
    Payout {
        /// The parts.
        parts: u32,
        /// How many scripts.
        scripts: usize,
    },
    /// A tag of no allowed length.
    #[error("the terms' tag has {got} bytes: 4 to 8 are allowed, or 0 for none")]
    TagLength {
        /// What they say.
        got: u8,
    },
}
