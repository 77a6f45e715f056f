//! Verifies receipts: everything that follows from a file and, if it can be asked, from the chain.
//!
//! Memory is bounded by the limits of [`crate::records`]: the newest jobs, twenty-four bytes a share, some thousand blocks.

mod blocks;
mod coinbase;
mod findings;
mod report;
mod seen;
mod statements;
mod words;

use std::io::Read;

pub use blocks::CHAIN_TOLERANCE;
pub use findings::{Finding, FindingKind, Severity};
pub use report::{Claimed, CounterShown, Outcome, PayoutShown, Report, Statement, TermsShown};
pub(crate) use seen::Seen;
pub use statements::{NotProven, Proven};
pub use words::{in_words, utc};

use blocks::Blocks;
use coinbase::{Coinbases, Pays};
use findings::Findings;
use statements::Facts;

use crate::chain::HeaderSource;
use crate::claim::{Claim, Figures};
use crate::counter::CounterSignature;
use crate::header::Header;
use crate::job::Share;
use crate::key::hex;
use crate::read::{Part, ReadError, Reader};
use crate::sampling;
use crate::terms::{Ending, Terms};
use crate::times::{self, TimeError};
use crate::tree::RunningRoot;
use crate::window::KnownJob;

/// How much later than a counter-signature a share before it may have come, in seconds: two clocks.
pub const COUNTER_TOLERANCE: u64 = 600;

/// Verifies a receipt. Without a source of headers it is not looked up whether the blocks were there, and the report says so.
pub fn verify(from: impl Read, source: Option<&mut dyn HeaderSource>) -> Report {
    verify_among(from, source, &mut Seen::default())
}

/// Verifies one of several, `seen` being the shares of those before.
pub(crate) fn verify_among(
    from: impl Read,
    source: Option<&mut dyn HeaderSource>,
    seen: &mut Seen,
) -> Report {
    seen.begin();
    match Reader::new(from) {
        Ok(mut reader) => {
            let mut walk = Walk::new(reader.terms().terms.clone(), *reader.header(), source, seen);
            walk.beginning(&reader);
            let end = walk.parts(&mut reader);
            walk.report(&reader, end)
        }
        Err(error) => unreadable(error.to_string()),
    }
}

/// The report of what cannot be read.
pub(crate) fn unreadable(why: String) -> Report {
    let mut findings = Findings::default();
    findings.whole(FindingKind::Unreadable, why);
    Report {
        outcome: Outcome::Unreadable,
        id: None,
        terms: None,
        header: None,
        claimed: None,
        counted: None,
        shares: 0,
        jobs: 0,
        payout: None,
        counter_signed: None,
        findings: findings.into_vec(),
        proven: Vec::new(),
        not_proven: Vec::new(),
    }
}

/// One pass over a receipt.
struct Walk<'s, 'a> {
    terms: Terms,
    terms_hash: [u8; 32],
    tag: Vec<u8>,
    header: Header,
    target: work::Target,
    blocks: Blocks<'s>,
    seen: &'a mut Seen,
    findings: Findings,
    coinbases: Coinbases,
    tree: RunningRoot,
    jobs: u64,
    last: u64,
    longest_prefix: u8,
    counted: u64,
    least_paid: f64,
    sum_paid: f64,
    with_pool_tag: u64,
    counter: Option<CounterSignature>,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(
        terms: Terms,
        header: Header,
        source: Option<&'s mut dyn HeaderSource>,
        seen: &'a mut Seen,
    ) -> Self {
        Self {
            terms_hash: terms.hash(),
            tag: terms.tag(),
            header,
            target: sampling::target(header.exponent),
            blocks: Blocks::new(source, terms.network),
            seen,
            findings: Findings::default(),
            coinbases: Coinbases::default(),
            tree: RunningRoot::default(),
            jobs: 0,
            last: header.from,
            longest_prefix: 0,
            counted: 0,
            least_paid: 1.0,
            sum_paid: 0.0,
            with_pool_tag: 0,
            counter: None,
            terms,
        }
    }

    /// Terms and header.
    fn beginning<R: Read>(&mut self, reader: &Reader<R>) {
        let (Terms { from, to, .. }, header) = (&self.terms, self.header);
        for agreement in &reader.terms().agreements {
            let party = agreement.key == self.terms.issuer || Some(agreement.key) == self.terms.receiver;
            if !party || !agreement.holds(self.terms_hash) {
                let what = if party { "does not hold" } else { "is by somebody whom the terms do not name" };
                let text = format!("the signature on the terms by {} {what}", agreement.key);
                self.findings.whole(FindingKind::TermsSignature, text);
            }
        }
        if header.from < *from || header.to > *to {
            let text = format!(
                "the receipt is for {} to {}, the terms are for {} to {}",
                utc(header.from),
                utc(header.to),
                utc(*from),
                utc(*to)
            );
            self.findings.whole(FindingKind::Period, text);
        }
        let (alone, right) =
            (sampling::exponent(&self.terms), sampling::exponent_with(&self.terms, header.highest));
        if header.exponent != right {
            let text = format!(
                "the receipt difficulty is 2^{}; from the terms and the highest difficulty of a miner, 2^{}, follows 2^{right}",
                header.exponent, header.highest
            );
            self.findings.whole(FindingKind::Threshold, text);
        } else if right != alone {
            let text = format!(
                "the receipt difficulty is 2^{right} instead of the terms' 2^{alone}, because a miner had that difficulty, \
                 says the issuer"
            );
            self.findings.whole(FindingKind::Raised, text);
        }
        if header.left_out > 0 {
            let text = format!(
                "{} miners are left out, because their difficulty was too high: their work is not in this receipt",
                header.left_out
            );
            self.findings.whole(FindingKind::LeftOut, text);
        }
    }

    /// Everything up to the claim, or to where it cannot be read.
    fn parts<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<Claim, ReadError> {
        loop {
            match reader.next_part()? {
                Some(Part::Share(share, job)) => self.share(&share, &job),
                Some(Part::Counter(signature)) => self.counter(&signature),
                Some(Part::Claim(claim)) => return Ok(claim),
                None => return Err(ReadError::Truncated),
            }
        }
    }

    fn share(&mut self, share: &Share, job: &KnownJob) {
        self.tree.push(share.leaf(&job.hash));
        self.jobs = self.jobs.max(job.number + 1);
        self.last = share.at;
        self.longest_prefix = self.longest_prefix.max(job.job.prefix_length);
        let place = self.tree.leaves();
        match self.judge(share, job) {
            Ok(pays) => {
                self.counted += 1;
                self.least_paid = self.least_paid.min(pays.part());
                self.sum_paid += pays.part();
                self.with_pool_tag += u64::from(pays.pool_tag);
            }
            Err((kind, text)) => self.findings.share(kind, place, || text),
        }
    }

    /// The first thing that is wrong with a share.
    fn judge(&mut self, share: &Share, job: &KnownJob) -> Result<Pays, (FindingKind, String)> {
        let hash = share.block_hash(&job.job);
        if !hash.meets(&self.target) {
            let text =
                format!("hashes to {hash}, which is above the receipt difficulty's target {}", self.target);
            return Err((FindingKind::AboveTarget, text));
        }
        if let Some(before) = self.seen.insert(hash.to_bytes()) {
            let text = match before {
                None => format!("is the same as one before it: {hash}"),
                Some(part) => format!("stands in receipt {part} too: {hash}"),
            };
            return Err((FindingKind::Duplicate, text));
        }
        times::check(share, &job.job, &self.header).map_err(|error| {
            let kind = match error {
                TimeError::Outside { .. } => FindingKind::OutsidePeriod,
                TimeError::Ntime { .. } | TimeError::BelowJob { .. } => FindingKind::Ntime,
            };
            (kind, format!("is of another time: {error}"))
        })?;
        let at = usize::from(job.job.prefix_length);
        if share.extranonce.get(at..at + self.tag.len()) != Some(&self.tag[..]) {
            let text = format!(
                "has the extranonce {}, in which the lease's tag {} does not stand after the first {at} bytes",
                hex(&share.extranonce),
                hex(&self.tag)
            );
            return Err((FindingKind::Tag, text));
        }
        let pays = self
            .coinbases
            .pays(job, share.extranonce.len(), &self.terms)
            .map_err(|error| (FindingKind::Coinbase, format!("has a coinbase that is none: {error}")))?;
        if !pays.suffices(&self.terms) {
            let text = format!(
                "pays the terms' scripts {} of {} satoshi; the terms want {} %",
                pays.paid.unwrap_or(0),
                pays.total,
                f64::from(self.terms.payout.least_parts) / 10_000.0
            );
            return Err((FindingKind::Payout, text));
        }
        self.blocks.judge(share, &job.job)?;
        Ok(pays)
    }

    fn counter(&mut self, signature: &CounterSignature) {
        let (here, root) = (self.tree.leaves(), self.tree.root());
        if (signature.shares, signature.root) != (here, root) || !signature.holds(self.terms_hash) {
            let text = format!(
                "the counter-signature by {} after share {here} does not hold for these terms and shares",
                signature.key
            );
            self.findings.whole(FindingKind::CounterSignature, text);
        } else if self.last > signature.at.saturating_add(COUNTER_TOLERANCE) {
            let text = format!(
                "share {here} came at {}, after the counter-signature that is said to have seen it, at {}",
                utc(self.last),
                utc(signature.at)
            );
            self.findings.whole(FindingKind::CounterTime, text);
        } else if self.counter.is_none_or(|before| self.weight(&before) <= self.weight(signature)) {
            self.counter = Some(*signature);
        }
    }

    /// Whose clock tells most: the receiver's; then a third one's, who may be anybody; the issuer's own tells others nothing.
    fn weight(&self, signature: &CounterSignature) -> u8 {
        match signature.key {
            key if key == self.terms.issuer => 0,
            key if Some(key) == self.terms.receiver => 2,
            _ => 1,
        }
    }

    /// The claim, held against all that was found.
    fn claim(&mut self, claim: &Claim) {
        let (header, shares) = (self.header, self.tree.leaves());
        if claim.root != self.tree.root() {
            let text = "the claim's root is not that of these shares, in this order".to_owned();
            self.findings.whole(FindingKind::Root, text);
        }
        let figures = Figures::of(shares, &self.terms, &header);
        if !claim.follows_from(&figures) {
            let text = format!(
                "{} shares of difficulty 2^{} are {} hashes, {} to {}; the claim says {}, {} to {}",
                shares,
                header.exponent,
                in_words(figures.hashes),
                in_words(figures.low),
                in_words(figures.high),
                in_words(claim.hashes),
                in_words(claim.low),
                in_words(claim.high)
            );
            self.findings.whole(FindingKind::Claim, text);
        }
        if !self.terms.issuer.verifies(claim.message(self.terms_hash, header.hash()), &claim.signature) {
            let text = format!("the claim is not signed by the terms' issuer, {}", self.terms.issuer);
            self.findings.whole(FindingKind::ClaimSignature, text);
        }
        if let Ending::Shares { count } = self.terms.ending
            && header.from == self.terms.from
        {
            if shares > count {
                let text = format!("the terms end with share {count}, and there are {shares}");
                self.findings.whole(FindingKind::Ending, text);
            } else if shares == count && header.to != self.last {
                let text = format!(
                    "share {count}, which ends it by the terms, came at {}; the period goes on to {}",
                    utc(self.last),
                    utc(header.to)
                );
                self.findings.whole(FindingKind::Ending, text);
            }
        }
    }

    fn report<R: Read>(mut self, reader: &Reader<R>, end: Result<Claim, ReadError>) -> Report {
        let claim = match end {
            Ok(claim) => {
                self.claim(&claim);
                Some(claim)
            }
            Err(error) => {
                // What was found before is of a file that is not whole.
                self.findings = Findings::default();
                self.findings.whole(FindingKind::Unreadable, error.to_string());
                None
            }
        };
        if let Some(error) = self.blocks.error() {
            let text = format!("blocks could not be looked up: {error}");
            self.findings.whole(FindingKind::NoAnswer, text);
        }
        let shares = self.tree.leaves();
        let findings = std::mem::take(&mut self.findings).into_vec();
        let outcome = Outcome::of(&findings);
        let believed = matches!(outcome, Outcome::Holds | Outcome::Partly);
        let counted = believed.then(|| Figures::of(self.counted, &self.terms, &self.header));
        let (proven, not_proven) = match &counted {
            None => Default::default(),
            Some(counted) => statements::statements(&Facts {
                terms: reader.terms(),
                header: &self.header,
                counted,
                shares,
                counter: self.counter.as_ref(),
                blocks: self.blocks.answers(),
                longest_prefix: self.longest_prefix,
            }),
        };
        let payout = (believed && self.counted > 0).then(|| PayoutShown {
            least: self.least_paid,
            mean: self.sum_paid / crate::claim::float(self.counted.into()),
            with_pool_tag: self.with_pool_tag,
        });
        Report {
            outcome,
            id: claim.map(|claim| hex(&claim.message(self.terms_hash, self.header.hash()))),
            terms: Some(TermsShown::of(&self.terms)),
            header: Some(self.header),
            claimed: claim.map(|Claim { shares, hashes, low, high, hashrate, at, .. }| Claimed {
                shares,
                hashes,
                low,
                high,
                hashrate,
                at,
            }),
            counted,
            shares,
            jobs: self.jobs,
            payout,
            counter_signed: self.counter.map(|signature| CounterShown::of(&signature, &self.terms)),
            findings,
            proven,
            not_proven,
        }
    }
}
