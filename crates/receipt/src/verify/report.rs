//! What verifying comes to.

use serde::Serialize;

use super::findings::{Finding, FindingKind, Severity};
use super::statements::{NotProven, Proven};
use crate::claim::Figures;
use crate::counter::CounterSignature;
use crate::header::Header;
use crate::key::{PublicKey, hex};
use crate::terms::{Basis, Ending, Network, Subject, Terms, WHOLE};

/// What is to be made of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It proves what it claims.
    Holds,
    /// It proves less than it claims: some of its work is not counted, which its issuer could not know.
    Partly,
    /// It is not what its issuer signed, or its issuer signed what is not so. Nothing of it is to be believed.
    Refused,
    /// It cannot be read.
    Unreadable,
}

impl Outcome {
    /// The gravest that these findings lead to.
    pub(crate) fn of(findings: &[Finding]) -> Self {
        let gravest = findings.iter().map(|finding| finding.severity).max();
        match gravest {
            _ if findings.iter().any(|finding| finding.kind == FindingKind::Unreadable) => Self::Unreadable,
            Some(Severity::Refused) => Self::Refused,
            Some(Severity::NotCounted) => Self::Partly,
            _ => Self::Holds,
        }
    }

    /// A number for an exit code: 0 it holds, 1 refused, 2 unreadable, 3 in part.
    #[must_use]
    pub fn class(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Refused => 1,
            Self::Unreadable => 2,
            Self::Partly => 3,
        }
    }
}

/// What verifying a receipt comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The whole in a word.
    pub outcome: Outcome,
    /// What the receipt is known by: what its issuer signed, in hex. None if it could not be read so far.
    pub id: Option<String>,
    /// The terms.
    pub terms: Option<TermsShown>,
    /// The period and the receipt difficulty.
    pub header: Option<Header>,
    /// What the issuer claims.
    pub claimed: Option<Claimed>,
    /// What is proven: the figures that follow from the shares that count. None if the receipt is not to be believed.
    pub counted: Option<Figures>,
    /// Shares in it.
    pub shares: u64,
    /// Jobs that they refer to.
    pub jobs: u64,
    /// How coinbases pay.
    pub payout: Option<PayoutShown>,
    /// The newest counter-signature that holds: the receiver's, else a third key's, else the issuer's own.
    pub counter_signed: Option<CounterShown>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What is proven, in words.
    pub proven: Vec<Statement<Proven>>,
    /// What is not.
    pub not_proven: Vec<Statement<NotProven>>,
}

/// A sentence, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement<T> {
    /// What it is about.
    pub what: T,
    /// The sentence.
    pub text: String,
}

/// A claim, shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Claimed {
    /// Shares.
    pub shares: u64,
    /// Hashes.
    #[serde(serialize_with = "crate::claim::as_float")]
    pub hashes: u128,
    /// Their lower limit.
    pub low: f64,
    /// Their upper limit.
    pub high: f64,
    /// Hashes per second.
    pub hashrate: f64,
    /// When it was issued, by the issuer's clock, Unix seconds.
    pub at: u64,
}

/// Terms, shown. Texts have no control characters.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "they are those of `Terms`")]
pub struct TermsShown {
    pub network: Network,
    pub subject: Subject,
    pub from: u64,
    pub to: u64,
    pub every: u64,
    #[serde(serialize_with = "crate::claim::as_float")]
    pub hashrate: u128,
    pub basis: Basis,
    pub ending: Ending,
    pub issuer: PublicKey,
    pub receiver: Option<PublicKey>,
    pub payout_scripts: Vec<String>,
    pub least_part_paid: f64,
    pub pool_tag: String,
    pub tag: Option<String>,
    pub note: String,
    /// What they are known by.
    pub hash: String,
}

impl TermsShown {
    /// Of terms.
    #[must_use]
    pub fn of(terms: &Terms) -> Self {
        let Terms {
            network, ref subject, from, to, every, hashrate, basis, ending, issuer, receiver, ..
        } = *terms;
        let name = plain(subject.name()).into();
        Self {
            network,
            subject: match subject {
                Subject::Lease(_) => Subject::Lease(name),
                Subject::Route(_) => Subject::Route(name),
                Subject::Worker(_) => Subject::Worker(name),
            },
            from,
            to,
            every,
            hashrate,
            basis,
            ending,
            issuer,
            receiver,
            payout_scripts: terms.payout.scripts.iter().map(|script| hex(script)).collect(),
            least_part_paid: f64::from(terms.payout.least_parts) / f64::from(WHOLE),
            pool_tag: plain(&terms.pool_tag),
            tag: (terms.tag_length > 0).then(|| hex(&terms.tag())),
            note: plain(&terms.note),
            hash: hex(&terms.hash()),
        }
    }
}

/// A text of somebody else's that nobody's terminal obeys.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// How the coinbases of the counted shares pay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PayoutShown {
    /// The least part of a coinbase's value that the terms' scripts are paid, 0 to 1.
    pub least: f64,
    /// The part on average over the shares.
    pub mean: f64,
    /// In how many shares' coinbases the pool's tag stands. A hint: anybody can write it.
    pub with_pool_tag: u64,
}

/// A counter-signature, shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CounterShown {
    /// How many shares it is for.
    pub shares: u64,
    /// When it was made, by its signer's clock.
    pub at: u64,
    /// Whose it is.
    pub key: PublicKey,
    /// Whether that is the receiver of the terms.
    pub by_receiver: bool,
}

impl CounterShown {
    pub(crate) fn of(signature: &CounterSignature, terms: &Terms) -> Self {
        let CounterSignature { shares, at, key, .. } = *signature;
        Self { shares, at, key, by_receiver: terms.receiver == Some(key) }
    }
}
