//! About what is claimed, signed and built on.

use super::super::draft::{Draft, nth};
use super::{Forgery, Inputs, ORPHAN, drafted, mine_again, other_terms, refused, row, tampered, unproven};
use crate::fixture::{FROM, chain, forger, issuer, receiver, share, terms};
use crate::records::kind;
use crate::{Agreement, CounterSignature, Ending, FindingKind as Kind, Network, NotProven, Outcome};

pub(super) const FORGERIES: &[Forgery] = &[
    refused(
        "shares left out after signing",
        Kind::Root,
        "the claim's root is not that of these shares",
        || {
            tampered(|records| {
                let at = nth(records, kind::SHARE, 58);
                records.remove(at);
            })
        },
    ),
    refused("an inflated claim", Kind::Claim, "the claim says", || {
        drafted(|draft| {
            draft.claim = |claim| {
                claim.shares *= 2;
                claim.hashes *= 2;
            };
        })
    }),
    refused("an interval that is too good", Kind::Claim, "the claim says", || {
        drafted(|draft| draft.claim = |claim| claim.low *= 1.1)
    }),
    refused("an inflated hashrate", Kind::Claim, "the claim says", || {
        drafted(|draft| draft.claim = |claim| claim.hashrate *= 1.001)
    }),
    refused("signed by another key", Kind::ClaimSignature, "not signed by the terms' issuer", || {
        drafted(|draft| draft.key = forger())
    }),
    refused(
        "terms that name the forger as issuer",
        Kind::TermsSignature,
        "the signature on the terms by",
        || {
            drafted(|draft| {
                draft.terms.terms.issuer = forger().public();
                draft.key = forger();
            })
        },
    ),
    refused("terms altered after signing", Kind::TermsSignature, "does not hold", || {
        drafted(|draft| {
            draft.counters.clear();
            draft.terms.terms.note = "2 sat a PH/s and day".into();
            let terms = draft.terms.terms.clone();
            for (job, found) in &mut draft.shares {
                *found = share(&terms, &draft.header, job, found.at, 3);
            }
        })
    }),
    refused(
        "terms signed by a stranger",
        Kind::TermsSignature,
        "by somebody whom the terms do not name",
        || {
            drafted(|draft| {
                let stranger = Agreement::sign(&draft.terms.terms, FROM - 100, &forger());
                draft.terms.agreements[0] = stranger;
            })
        },
    ),
    refused(
        "a counter-signature at another place",
        Kind::CounterSignature,
        "does not hold for these terms and",
        || drafted(|draft| draft.counters[0].0 = 40),
    ),
    refused(
        "a share slipped in before a counter-signature",
        Kind::CounterSignature,
        "does not hold for these",
        || {
            drafted(|draft| {
                let (job, at) = (draft.shares[10].0.clone(), draft.shares[10].1.at);
                let slipped = share(&terms(), &draft.header, &job, at, 1 << 30);
                draft.shares.insert(11, (job, slipped));
                draft.counters[0].0 = 31;
            })
        },
    ),
    refused(
        "a counter-signature for other terms",
        Kind::CounterSignature,
        "does not hold for these terms",
        || {
            drafted(|draft| {
                let (_, here) = draft.counters[0];
                let other = CounterSignature::sign([0; 32], here.shares, here.root, here.at, &receiver());
                draft.counters[0].1 = other;
            })
        },
    ),
    refused(
        "shares made after they were counter-signed",
        Kind::CounterTime,
        "after the counter-signature",
        || {
            drafted(|draft| {
                draft.counters.clear();
                draft.counter_sign(30, FROM + 900);
            })
        },
    ),
    unproven(
        "shares made later on an old block",
        NotProven::MadeLater,
        "a share can be made later on an old block",
        || drafted(|draft| draft.counters.clear()),
    ),
    unproven(
        "a counter-signature by the issuer itself",
        NotProven::MadeLater,
        "That the shares were done in the period",
        || {
            drafted(|draft| {
                draft.counters.clear();
                draft.counter_sign_by(60, FROM + 3_600, &issuer());
            })
        },
    ),
    refused("more shares than end it", Kind::Ending, "the terms end with share 50, and there are 60", || {
        Draft::under(&other_terms(|terms| terms.ending = Ending::Shares { count: 50 })).file()
    }),
    refused("a period that goes on after its last share", Kind::Ending, "the period goes on to", || {
        Draft::under(&other_terms(|terms| terms.ending = Ending::Shares { count: 60 })).file()
    }),
    row(
        "a block that never was",
        Inputs::Headers,
        Kind::UnknownBlock,
        Outcome::Partly,
        "which is not known",
        || drafted(|draft| mine_again(draft, |job| job.prev_hash = [3; 32])),
    ),
    row(
        "an orphaned tip",
        Inputs::Node,
        Kind::OffChain,
        Outcome::Partly,
        "which is not on the best chain",
        || drafted(|draft| mine_again(draft, |job| job.prev_hash = ORPHAN)),
    ),
    row(
        "a block that was no longer the tip",
        Inputs::Headers,
        Kind::NotTheTip,
        Outcome::Partly,
        "which was no longer the tip then",
        || drafted(|draft| mine_again(draft, |job| job.prev_hash = chain()[0].hash().to_bytes())),
    ),
    row(
        "an easier network target",
        Inputs::Headers,
        Kind::Nbits,
        Outcome::Partly,
        "no block would have come of it",
        || {
            let mut draft = Draft::under(&other_terms(|terms| terms.network = Network::Signet));
            mine_again(&mut draft, |job| job.nbits = 0x207f_fffe);
            draft.file()
        },
    ),
    unproven("blocks that nobody looked up", NotProven::Blocks, "no headers to look them up in", || {
        Draft::honest().file()
    }),
    unproven(
        "a pool's account",
        NotProven::PoolAccount,
        "a pool's account is not visible in a coinbase",
        || Draft::under(&other_terms(|terms| terms.payout = crate::Payout::default())).file(),
    ),
];
