//! What is found to be wrong, each kind once, with how many shares it concerns.

use std::collections::BTreeMap;

use serde::Serialize;

/// How many shares of a finding are named.
const EXAMPLES: usize = 8;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Some work is not counted; the rest stands.
    NotCounted,
    /// The receipt is not what its issuer signed, or its issuer signed what is not so.
    Refused,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The file cannot be read to its end.
    Unreadable,
    /// A signature on the terms does not hold, or is not by a party.
    TermsSignature,
    /// The period is not within the terms'.
    Period,
    /// The receipt difficulty does not follow from the terms and the header.
    Threshold,
    /// A share is easier than the receipt difficulty.
    AboveTarget,
    /// A share stands there twice, or in another of several receipts.
    Duplicate,
    /// A share came outside the period.
    OutsidePeriod,
    /// A header's time does not fit the time when its share came, or its job.
    Ntime,
    /// A coinbase is none that a node would take.
    Coinbase,
    /// A coinbase does not pay as the terms say.
    Payout,
    /// The lease's tag is not at its place.
    Tag,
    /// A counter-signature does not hold for the shares before it.
    CounterSignature,
    /// Shares before a counter-signature came after it was made.
    CounterTime,
    /// The period did not end as the terms say.
    Ending,
    /// The root is not that of the shares.
    Root,
    /// The claim's figures do not follow from the shares.
    Claim,
    /// The claim is not signed by the issuer that the terms name.
    ClaimSignature,
    /// The same receipt stands there twice.
    SameReceipt,
    /// The block below a share is not known.
    UnknownBlock,
    /// The block below a share is not on the best chain.
    OffChain,
    /// The block below a share was not the tip when the share came.
    NotTheTip,
    /// A job's difficulty is not that of the block after its tip.
    Nbits,
    /// The receipt difficulty is higher than the terms alone would have it.
    Raised,
    /// Miners are left out.
    LeftOut,
    /// Blocks could not be looked up.
    NoAnswer,
}

impl FindingKind {
    /// How much it weighs.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::UnknownBlock | Self::OffChain | Self::NotTheTip | Self::Nbits => Severity::NotCounted,
            Self::Raised | Self::LeftOut | Self::NoAnswer => Severity::Note,
            _ => Severity::Refused,
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// How much it weighs.
    pub severity: Severity,
    /// How many shares it concerns; 0 where it concerns the whole.
    pub shares: u64,
    /// The first of them, by their place in the receipt, from 1 on.
    pub examples: Vec<u64>,
    /// It in words; where it concerns shares, of the first of them.
    pub text: String,
}

/// Collects findings. Memory is bounded by the number of kinds.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: BTreeMap<FindingKind, Finding>,
}

impl Findings {
    /// Of the whole.
    pub(crate) fn whole(&mut self, kind: FindingKind, text: String) {
        self.entry(kind, || text);
    }

    /// Of the share at that place.
    pub(crate) fn share(&mut self, kind: FindingKind, place: u64, text: impl FnOnce() -> String) {
        let finding = self.entry(kind, || format!("share {place} {}", text()));
        finding.shares += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(place);
        }
    }

    fn entry(&mut self, kind: FindingKind, text: impl FnOnce() -> String) -> &mut Finding {
        self.found.entry(kind).or_insert_with(|| Finding {
            kind,
            severity: kind.severity(),
            shares: 0,
            examples: Vec::new(),
            text: text(),
        })
    }

    /// All, the gravest first.
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.found.into_values().collect();
        all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        all
    }
}
