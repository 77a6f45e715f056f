//! About which shares stand in a receipt: the sample, the threshold, the period, the times.

use super::super::draft::nth;
use super::{Forgery, drafted, refused, tampered, unproven};
use crate::fixture::{FROM, header, issuer, receiver, share, terms};
use crate::records::kind;
use crate::{FindingKind as Kind, NotProven, sampling};

pub(super) const FORGERIES: &[Forgery] = &[
    refused("a share twice", Kind::Duplicate, "is the same as one before it", || {
        drafted(|draft| {
            let again = draft.shares[40].clone();
            draft.shares.insert(41, again);
        })
    }),
    refused(
        "two shares re-ordered",
        Kind::Root,
        "the claim's root is not that of these shares, in this order",
        || {
            tampered(|records| {
                // Two of one job, so that both still refer to it.
                let (a, b) = (nth(records, kind::SHARE, 41), nth(records, kind::SHARE, 42));
                records.swap(a, b);
            })
        },
    ),
    refused("a nonce altered", Kind::AboveTarget, "which is above the receipt difficulty's target", || {
        tampered(|records| {
            let at = nth(records, kind::SHARE, 41);
            let end = records[at].1.len();
            records[at].1[end - 8] ^= 1;
        })
    }),
    refused("a version altered", Kind::AboveTarget, "which is above the receipt difficulty's target", || {
        tampered(|records| {
            let at = nth(records, kind::SHARE, 41);
            let end = records[at].1.len();
            records[at].1[end - 2] ^= 1;
        })
    }),
    refused(
        "a share of another difficulty among them",
        Kind::AboveTarget,
        "which is above the receipt",
        || {
            drafted(|draft| {
                let (job, easy) = &mut draft.shares[50];
                let target = sampling::target(draft.header.exponent);
                while easy.block_hash(job).meets(&target) {
                    easy.nonce += 1;
                }
            })
        },
    ),
    refused(
        "an easier receipt difficulty",
        Kind::Threshold,
        "from the terms and the highest difficulty",
        || drafted(|draft| draft.header.exponent -= 3),
    ),
    refused(
        "a harder receipt difficulty without a reason",
        Kind::Threshold,
        "from the terms and the highest",
        || drafted(|draft| draft.header.exponent += 1),
    ),
    unproven(
        "a threshold chosen afterwards, with a reason made up",
        NotProven::Raised,
        "That the receipt difficulty had to be 2^-24 instead of 2^-25",
        || {
            drafted(|draft| {
                draft.header.exponent += 1;
                draft.header.highest = draft.header.exponent;
                let target = sampling::target(draft.header.exponent);
                draft.shares.retain(|(job, share)| share.block_hash(job).meets(&target));
                draft.counters.clear();
            })
        },
    ),
    unproven(
        "terms written afterwards",
        NotProven::ChosenByIssuer,
        "period and threshold chosen by the issuer, since no receiver signed the terms",
        || drafted(|draft| draft.terms.agreements.retain(|agreement| agreement.key == issuer().public())),
    ),
    unproven(
        "terms signed afterwards",
        NotProven::ChosenByIssuer,
        "the receiver signed the terms at 2027-01-15 09:",
        || drafted(|draft| draft.terms.sign(FROM + 3_601, &receiver()).expect("a party")),
    ),
    unproven(
        "a period chosen afterwards",
        NotProven::ChosenByIssuer,
        "is none of the terms' periods",
        || {
            drafted(|draft| {
                (draft.header.from, draft.header.to) = (FROM + 600, FROM + 1_800);
                draft.shares.retain(|(_, share)| (FROM + 600..=FROM + 1_800).contains(&share.at));
                draft.counters.clear();
            })
        },
    ),
    refused(
        "another period after signing",
        Kind::ClaimSignature,
        "the claim is not signed by the terms' issuer",
        || {
            tampered(|records| {
                let mut header = header(&terms());
                header.to -= 1;
                records[1].1 = header.encode();
            })
        },
    ),
    refused(
        "a period longer than the terms'",
        Kind::Period,
        "the terms are for 2027-01-15 08:00:00 UTC to",
        || drafted(|draft| draft.header.to += 3_600),
    ),
    refused("a share from after the period", Kind::OutsidePeriod, "outside the period", || {
        drafted(|draft| {
            let job = draft.shares[59].0.clone();
            let late = share(&terms(), &draft.header, &job, FROM + 3_601, 5);
            draft.shares.push((job, late));
        })
    }),
    refused("a share from hours before, said to be of today", Kind::Ntime, "more than 7200 s away", || {
        drafted(|draft| {
            draft.counters.clear();
            let (mut job, at) = (draft.shares[10].0.clone(), draft.shares[10].1.at);
            job.min_ntime -= 9_000;
            let mut old = share(&terms(), &draft.header, &job, at - 8_000, 7);
            old.at = at;
            draft.shares[10] = (job, old);
        })
    }),
    refused("a header's time below its job's", Kind::Ntime, "below its job's min_ntime", || {
        drafted(|draft| {
            draft.counters.clear();
            let (job, early) = &mut draft.shares[10];
            let found = share(&terms(), &draft.header, job, early.at, 9);
            job.min_ntime = found.ntime + 1;
            *early = found;
        })
    }),
];
