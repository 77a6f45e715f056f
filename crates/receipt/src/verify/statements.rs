//! What a receipt that is believed proves, and what it does not, in plain words.

use serde::Serialize;

use super::report::Statement;
use super::words::{in_words, utc};
use crate::agreement::SignedTerms;
use crate::claim::Figures;
use crate::counter::CounterSignature;
use crate::header::Header;
use crate::sampling;
use crate::terms::{Ending, Terms};

/// What is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proven {
    /// So much work was done.
    Work,
    /// Its coinbases pay whom they should.
    Payout,
    /// It builds on real blocks of the time.
    Blocks,
    /// It belongs to one lease.
    OneLease,
    /// It was there at a time.
    Time,
    /// Both sides agreed to the terms.
    Terms,
    /// The issuer says so.
    Issuer,
}

/// What is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotProven {
    /// That period and threshold were fixed before.
    ChosenByIssuer,
    /// What was delivered in the other periods of the same terms.
    OtherPeriods,
    /// That the receipt difficulty had to be raised.
    Raised,
    /// That it was not sold to somebody else too.
    SoldTwice,
    /// That it was done in the period and not later.
    MadeLater,
    /// That it builds on real blocks.
    Blocks,
    /// Who was credited by the pool.
    PoolAccount,
    /// Who did the work.
    Miners,
}

/// What the statements follow from.
pub(super) struct Facts<'a> {
    pub(super) terms: &'a SignedTerms,
    pub(super) header: &'a Header,
    pub(super) counted: &'a Figures,
    pub(super) shares: u64,
    pub(super) counter: Option<&'a CounterSignature>,
    pub(super) blocks: bool,
    pub(super) longest_prefix: u8,
}

type Statements = (Vec<Statement<Proven>>, Vec<Statement<NotProven>>);

pub(super) fn statements(facts: &Facts<'_>) -> Statements {
    let (mut proven, mut not) = (Vec::new(), Vec::new());
    let mut yes = |what, text: String| proven.push(Statement { what, text });
    let mut no = |what, text: String| not.push(Statement { what, text });
    let (terms, header, counted) = (&facts.terms.terms, facts.header, facts.counted);

    yes(Proven::Work, work(counted, header));
    yes(Proven::Issuer, format!("This claim is that of the key {}.", terms.issuer));
    match terms.payout.scripts.len() {
        0 => no(
            NotProven::PoolAccount,
            "Whom the pool credited: the terms name no payout script, and a pool's account is not visible in a coinbase."
                .into(),
        ),
        _ => yes(
            Proven::Payout,
            format!(
                "A block of any of these shares would have paid at least {} % of its coinbase to the scripts of the terms.",
                f64::from(terms.payout.least_parts) / 10_000.0
            ),
        ),
    }
    if facts.blocks && counted.shares > 0 {
        let text = "It builds on blocks of the best chain that were its tip at the time, so it was not done before them.";
        yes(Proven::Blocks, text.into());
    } else if facts.blocks {
        no(
            NotProven::Blocks,
            "That it builds on blocks of the best chain: none of its shares counts.".into(),
        );
    } else {
        let text = "That the blocks it builds on were ever there: no headers to look them up in (give a headers file or a node).";
        no(NotProven::Blocks, text.into());
    }
    agreed(facts, &mut yes, &mut no);
    if header.exponent != sampling::exponent(terms) {
        let text = format!(
            "That the receipt difficulty had to be 2^{} instead of 2^{}: what difficulty a miner had is the issuer's word. \
             Who may choose among thresholds afterwards can take the luckiest.",
            header.exponent,
            sampling::exponent(terms)
        );
        no(NotProven::Raised, text);
    }
    if header.seconds() < terms.to - terms.from && terms.every < terms.to - terms.from {
        let text = format!(
            "What was delivered in the other periods of these terms, which go from {} to {}: who shows some of them may show \
             the luckiest.",
            utc(terms.from),
            utc(terms.to)
        );
        no(NotProven::OtherPeriods, text);
    }
    one_lease(facts, &mut yes, &mut no);
    time(facts, &mut yes, &mut no);
    let text = "Who ran the miners, and what the pool paid: a receipt shows work and where its reward would have gone.";
    no(NotProven::Miners, text.into());
    (proven, not)
}

fn work(counted: &Figures, header: &Header) -> String {
    let range = format!("{} to {} hashes", in_words(counted.low), in_words(counted.high));
    format!(
        "{} shares of difficulty 2^{}: {} hashes were done, with 95 % confidence {range} (exact Poisson interval); over the period of {} s \
         that is {}H/s.",
        counted.shares,
        header.exponent,
        in_words(counted.hashes),
        header.seconds(),
        with_unit(counted.hashrate)
    )
}

fn with_unit(number: f64) -> String {
    let words = in_words(number);
    if words.ends_with(|last: char| last.is_ascii_digit()) { format!("{words} ") } else { words }
}

/// Whether period and threshold were fixed before.
fn agreed(facts: &Facts<'_>, yes: &mut impl FnMut(Proven, String), no: &mut impl FnMut(NotProven, String)) {
    let (terms, header) = (&facts.terms.terms, facts.header);
    let receiver = terms.receiver.as_ref().and_then(|key| facts.terms.agreed(key));
    match receiver {
        Some(agreement) if agreement.at <= terms.from => {
            let text = format!(
                "The receiver, {}, agreed to these terms, by its own clock at {}, before their beginning.",
                agreement.key,
                utc(agreement.at)
            );
            yes(Proven::Terms, text);
        }
        Some(agreement) => {
            let text = format!(
                "That period and threshold were fixed before: the receiver signed the terms at {}, after their beginning. \
                 Period and threshold may have been chosen by the issuer.",
                utc(agreement.at)
            );
            no(NotProven::ChosenByIssuer, text);
        }
        None => {
            let text = "That period and threshold were fixed before: period and threshold chosen by the issuer, since no receiver \
                        signed the terms. Who may choose among periods can take the luckiest.";
            no(NotProven::ChosenByIssuer, text.into());
        }
    }
    if !is_fixed(terms, header) {
        let text = format!(
            "That the period was fixed before: {} to {} is none of the terms' periods ({} s each, from {} on), so it was chosen \
             by the issuer.",
            utc(header.from),
            utc(header.to),
            terms.every,
            utc(terms.from)
        );
        no(NotProven::ChosenByIssuer, text);
    }
}

/// Whether the period is one of the terms', or ended early as they say.
fn is_fixed(terms: &Terms, header: &Header) -> bool {
    let whole = Header { to: header.from.saturating_add(terms.every).min(terms.to), ..*header };
    header.is_fixed_by(terms)
        || (terms.ending != Ending::Period && whole.is_fixed_by(terms) && header.to <= whole.to)
}

/// Whether the work belongs to one lease only.
fn one_lease(
    facts: &Facts<'_>,
    yes: &mut impl FnMut(Proven, String),
    no: &mut impl FnMut(NotProven, String),
) {
    let terms = &facts.terms.terms;
    if terms.tag_length == 0 {
        let text = "That it was delivered once: nothing in the shares names these terms, so they could be sold twice.";
        return no(NotProven::SoldTwice, text.into());
    }
    let text = format!(
        "Each share carries the {} bytes of these terms' tag at the one place for it, so it belongs to no terms with another \
         tag.",
        terms.tag_length
    );
    yes(Proven::OneLease, text);
    let receiver_drew =
        terms.salt != [0; 16] && terms.receiver.is_some_and(|key| facts.terms.agreed(&key).is_some());
    if !receiver_drew || terms.tag_length < 8 {
        let text = if receiver_drew {
            format!(
                "That no other terms have the same tag: it has {} bytes only, and whoever writes terms finds others with the \
                 same in {} tries.",
                terms.tag_length,
                in_words(f64::from(8 * u32::from(terms.tag_length)).exp2())
            )
        } else {
            "That no other terms have the same tag: the receiver drew no salt and signed it, so the issuer was free to look for \
             two leases with one tag; they could be sold twice."
                .to_owned()
        };
        no(NotProven::SoldTwice, text);
    }
    if facts.longest_prefix >= 4 {
        let text = format!(
            "That the {} bytes before the tag are the pool's, as the issuer says, and not the tag of another lease: compare them \
             with the extranonce prefix that the pool gave.",
            facts.longest_prefix
        );
        no(NotProven::SoldTwice, text);
    }
}

/// When it was done.
fn time(facts: &Facts<'_>, yes: &mut impl FnMut(Proven, String), no: &mut impl FnMut(NotProven, String)) {
    // What the issuer says by itself bounds nothing.
    let by_others = facts.counter.filter(|signature| signature.key != facts.terms.terms.issuer);
    let seen = by_others.map_or(0, |signature| signature.shares);
    if let Some(signature) = facts.counter {
        let by = match facts.terms.terms.receiver {
            Some(receiver) if receiver == signature.key => "the receiver",
            _ if facts.terms.terms.issuer == signature.key => {
                "the issuer itself, which proves nothing to others"
            }
            _ => "a third key",
        };
        let text = format!(
            "The first {} of {} shares were there at {}, by the clock of {} ({by}).",
            signature.shares,
            facts.shares,
            utc(signature.at),
            signature.key
        );
        yes(Proven::Time, text);
    }
    if seen < facts.shares {
        let text = format!(
            "That {} were done in the period: a share can be made later on an old block unless somebody else counter-signed it.",
            if seen == 0 {
                "the shares".to_owned()
            } else {
                format!("the last {} shares", facts.shares - seen)
            }
        );
        no(NotProven::MadeLater, text);
    }
}
