//! About what stands in the shares and in the file: payouts, jobs, leases, lengths.

use super::super::draft::{Draft, nth, pack_bytes};
use super::{
    Forgery, Inputs, drafted, merged, mine_again, other_terms, refused, row, tampered, unproven, unreadable,
};
use crate::fixture::{FROM, signed};
use crate::records::kind;
use crate::{FindingKind as Kind, NotProven, Outcome, Share};

pub(super) const FORGERIES: &[Forgery] = &[
    refused(
        "another payout",
        Kind::Payout,
        "pays the terms' scripts 0 of 100 satoshi; the terms want 98 %",
        || {
            drafted(|draft| {
                mine_again(draft, |job| {
                    let at = job
                        .coinbase_suffix
                        .windows(20)
                        .position(|part| part == [0xab; 20])
                        .expect("the script");
                    job.coinbase_suffix[at] ^= 1;
                });
            })
        },
    ),
    refused("a part of the payout", Kind::Payout, "pays the terms' scripts 80 of 100 satoshi", || {
        drafted(|draft| {
            mine_again(draft, |job| {
                // The first output's value, and the second's.
                job.coinbase_suffix[5] = 80;
                let second = 5 + 8 + 1 + 22;
                job.coinbase_suffix[second] = 20;
            });
        })
    }),
    refused("a coinbase that no node takes", Kind::Coinbase, "has a coinbase that is none", || {
        drafted(|draft| mine_again(draft, |job| job.coinbase_suffix.push(0)))
    }),
    refused("a job spliced in", Kind::AboveTarget, "which is above the receipt difficulty's target", || {
        tampered(|records| {
            let at = nth(records, kind::JOB, 10);
            let end = records[at].1.len();
            records[at].1[end - 1] ^= 1;
        })
    }),
    refused("a share said to be of the job before", Kind::AboveTarget, "which is above the receipt", || {
        tampered(|records| {
            let at = nth(records, kind::SHARE, 41);
            // After the seconds since the share before: one job further back.
            records[at].1[1] += 1;
        })
    }),
    refused("shares of another lease", Kind::Tag, "in which the lease's tag", || {
        drafted(|draft| {
            draft.counters.clear();
            let other = Draft::under(&other_terms(|terms| terms.note = "another lease".into()));
            draft.shares = other.shares;
        })
    }),
    row(
        "the same shares sold in a second lease",
        Inputs::Merged,
        Kind::Duplicate,
        Outcome::Refused,
        "stands in receipt 1 too",
        || {
            let first = Draft::under(&other_terms(|terms| terms.tag_length = 0));
            let mut second = first.clone();
            second.terms = signed(&other_terms(|terms| {
                terms.tag_length = 0;
                terms.note = "for somebody else".into();
            }));
            second.counters.clear();
            merged(&[first.file(), second.file()])
        },
    ),
    unproven(
        "a lease without a tag, which may be sold twice",
        NotProven::SoldTwice,
        "so they could be sold twice",
        || Draft::under(&other_terms(|terms| terms.tag_length = 0)).file(),
    ),
    unproven(
        "two leases looked for that have one tag",
        NotProven::SoldTwice,
        "the issuer was free to look for two leases with one tag",
        || Draft::under(&other_terms(|terms| terms.salt = [0; 16])).file(),
    ),
    unproven(
        "the tag of a second lease before that of this one",
        NotProven::SoldTwice,
        "and not the tag of another lease",
        || Draft::honest().file(),
    ),
    row(
        "a receipt merged with itself",
        Inputs::Merged,
        Kind::SameReceipt,
        Outcome::Refused,
        "is the same as one before it",
        || merged(&[Draft::honest().file(), Draft::honest().file()]),
    ),
    unreadable("cut off", "the receipt is cut off", || {
        let file = Draft::honest().file();
        file[..file.len() / 2].to_vec()
    }),
    unreadable("cut off after its last share", "the receipt is cut off", || {
        tampered(|records| {
            records.pop();
        })
    }),
    unreadable("something after it", "something follows the claim", || {
        [Draft::honest().file(), vec![0]].concat()
    }),
    unreadable("a share after the claim", "something follows the claim", || {
        tampered(|records| records.push(records[nth(records, kind::SHARE, 20)].clone()))
    }),
    unreadable("a byte damaged", "cannot be unpacked", || {
        let mut file = Draft::honest().file();
        let end = file.len() - 1;
        file[end] ^= 1;
        file
    }),
    unreadable("a decompression bomb", "more than 67108864 bytes when it is unpacked", bomb),
    unreadable("a number in a longer form", "a record of kind 2 is damaged", || {
        let mut stream = crate::coding::Encoder::default();
        let records = Draft::honest().records();
        stream.byte(records[0].0);
        stream.string(&records[0].1);
        stream.raw(&[kind::HEADER, 0x80 | 14, 0x00]);
        stream.raw(&records[1].1);
        pack_bytes(&stream.bytes)
    }),
];

/// Terms and header, then records of zeros without end.
fn bomb() -> Vec<u8> {
    let records = Draft::honest().records();
    let mut stream = crate::coding::Encoder::default();
    for (kind, body) in &records[..2] {
        stream.byte(*kind);
        stream.string(body);
    }
    // A counter-signature's length is not bounded by its content before it is read: the longest record, again and again.
    let job = crate::Job { coinbase_suffix: vec![0; 65_535], ..crate::Job::default() };
    let mut other = job.clone();
    other.coinbase_suffix[0] = 1;
    other.coinbase_suffix[65_534] = 1;
    let share = Share { at: FROM, extranonce: Vec::new(), ntime: 0, nonce: 0, version: 0 };
    for n in 0..1_100 {
        let (this, before) = if n % 2 == 0 { (&job, &other) } else { (&other, &job) };
        let first = crate::Job::default();
        stream.byte(kind::JOB);
        stream.string(&this.encode(if n == 0 { &first } else { before }));
        stream.byte(kind::SHARE);
        stream.string(&share.encode(0, FROM));
    }
    pack_bytes(&stream.bytes)
}
