//! Terms, receipts and what verifying them came to, as text.

use std::fmt::{self, Write as _};

use receipt::{
    Basis, Claimed, Ending, Figures, Finding, Header, MergedReport, Network, Outcome, Report, Severity,
    SignedRoot, SignedTerms, Subject, TermsShown, Verified, in_words, utc,
};
use serde_json::{Value, json};

use super::drawn::Made;

/// A number of hashes, as `in_words` has it, with its unit.
#[must_use]
pub fn with_unit(number: &str, unit: &str) -> String {
    let blank = if number.ends_with(|c: char| c.is_ascii_digit()) { " " } else { "" };
    format!("{number}{blank}{unit}")
}

/// For people.
#[must_use]
pub fn terms_text(signed: &SignedTerms) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_terms(&mut out, &TermsShown::of(&signed.terms));
    for (who, key) in [("issuer", Some(signed.terms.issuer)), ("receiver", signed.terms.receiver)] {
        let Some(key) = key else { continue };
        let _ = match signed.agreements.iter().find(|agreement| agreement.key == key) {
            Some(agreement) if agreement.holds(signed.terms.hash()) => {
                writeln!(out, "signed       by the {who} at {}, by its own clock", utc(agreement.at))
            }
            Some(_) => writeln!(out, "! the {who}'s signature does not hold"),
            None => writeln!(out, "not signed   by the {who}"),
        };
    }
    out
}

/// For programs.
#[must_use]
pub fn terms_json(signed: &SignedTerms) -> Value {
    let hash = signed.terms.hash();
    let signatures: Vec<Value> = signed
        .agreements
        .iter()
        .map(|agreement| json!({ "key": agreement.key, "at": agreement.at, "holds": agreement.holds(hash) }))
        .collect();
    json!({ "terms": TermsShown::of(&signed.terms), "signatures": signatures })
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Lease(name) => format!("lease {name:?}"),
        Subject::Route(name) => format!("route {name:?}"),
        Subject::Worker(name) => format!("worker {name:?}"),
    }
}

fn network(network: Network) -> &'static str {
    match network {
        Network::Mainnet => "mainnet",
        Network::Testnet3 => "testnet3",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

fn write_terms(out: &mut String, terms: &TermsShown) -> fmt::Result {
    writeln!(out, "terms        {}", terms.hash)?;
    writeln!(out, "for          {} on {}", subject(&terms.subject), network(terms.network))?;
    writeln!(out, "period       {} to {}", utc(terms.from), utc(terms.to))?;
    if terms.every < terms.to.saturating_sub(terms.from) {
        writeln!(out, "             a receipt for each {} s", terms.every)?;
    }
    let basis = match terms.basis {
        Basis::Agreed => "agreed on",
        Basis::PriorDay => "of the day before",
    };
    writeln!(out, "hashrate     {}, {basis}", with_unit(&in_words(terms.hashrate), "H/s"))?;
    match terms.ending {
        Ending::Period => {}
        Ending::Work { hashes } => {
            writeln!(out, "ends         earlier with {}", with_unit(&in_words(hashes), "H"))?
        }
        Ending::Shares { count } => writeln!(out, "ends         earlier with share {count} of the receipt")?,
    }
    writeln!(out, "issuer       {}", terms.issuer)?;
    match terms.receiver {
        Some(key) => writeln!(out, "receiver     {key}")?,
        None => writeln!(out, "receiver     nobody is named")?,
    }
    for (at, script) in terms.payout_scripts.iter().enumerate() {
        let label = if at == 0 { "pays        " } else { "            " };
        writeln!(out, "{label} {script}")?;
    }
    if !terms.payout_scripts.is_empty() {
        writeln!(out, "             {} % of each coinbase at least", terms.least_part_paid * 100.0)?;
    }
    if !terms.pool_tag.is_empty() {
        writeln!(out, "pool's tag   {:?} (a hint)", terms.pool_tag)?;
    }
    if let Some(tag) = &terms.tag {
        writeln!(out, "tag          {tag}")?;
    }
    if !terms.note.is_empty() {
        writeln!(out, "note         {:?}", terms.note)?;
    }
    Ok(())
}

/// What a running root says.
#[must_use]
pub fn root_text(root: &SignedRoot) -> String {
    let mut out = terms_text(&root.terms);
    let _ = write_root(&mut out, root);
    out
}

/// For programs.
#[must_use]
pub fn root_json(root: &SignedRoot) -> Value {
    let SignedRoot { terms, from, to, exponent, shares, at, .. } = root;
    let digest: String = root.root.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "terms": TermsShown::of(&terms.terms), "from": from, "to": to, "exponent": exponent, "shares": shares,
        "root": digest, "at": at,
    })
}

fn write_root(out: &mut String, root: &SignedRoot) -> fmt::Result {
    let SignedRoot { from, to, exponent, shares, at, .. } = root;
    writeln!(out, "receipt for  {} to {}", utc(*from), utc(*to))?;
    writeln!(out, "so far       {shares} shares of difficulty 2^{exponent} before {}", utc(*at))?;
    let hashes = receipt::sampling::hashes(*exponent).saturating_mul(u128::from(*shares));
    writeln!(out, "             {}, says the issuer", with_unit(&in_words(hashes), "H"))
}

/// What was made, and what its maker should know.
#[must_use]
pub fn receipt_text(made: &Made) -> String {
    let mut out = String::new();
    let _ = write_made(&mut out, made);
    out
}

fn write_made(out: &mut String, made: &Made) -> fmt::Result {
    let (Header { from, to, exponent, miners, left_out, .. }, claim, drawn) =
        (made.header, &made.claim, &made.drawn);
    writeln!(out, "period       {} to {}", utc(from), utc(to))?;
    writeln!(out, "shares       {} of difficulty 2^{exponent}, of {miners} workers", claim.shares)?;
    writeln!(
        out,
        "work         {}, {} to {} (95 %)",
        with_unit(&in_words(claim.hashes), "H"),
        with_unit(&in_words(claim.low), "H"),
        with_unit(&in_words(claim.high), "H")
    )?;
    writeln!(out, "hashrate     {}", with_unit(&in_words(claim.hashrate), "H/s"))?;
    writeln!(out, "size         {} bytes", made.file.len())?;
    if drawn.counter_signed > 0 {
        writeln!(out, "carries      {} counter-signatures", drawn.counter_signed)?;
    }
    for remark in drawn.remarks() {
        writeln!(out, "! {remark}")?;
    }
    if left_out > 0 {
        writeln!(
            out,
            "! {left_out} workers are left out: nothing of theirs is claimed, and the receipt says so"
        )?;
    }
    Ok(())
}

impl super::Drawn {
    /// What its maker should know, in sentences.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.not_kept.is_empty() {
            remarks.push(format!(
                "of {} workers no share was kept yet, such as {:?}: their hashrate was not known",
                self.not_kept.len(),
                self.not_kept.first().map_or("", String::as_str)
            ));
        }
        if self.odd_times > 0 {
            remarks.push(format!(
                "{} shares have a header's time that is too far from when they came: they are not in it",
                self.odd_times
            ));
        }
        if self.untagged > 0 {
            remarks.push(format!(
                "{} shares do not carry the terms' tag, since it had not reached their miners yet or had no room: they are not in it",
                self.untagged
            ));
        }
        if self.lost > 0 {
            remarks.push(format!("the ledger lost {} shares in or near the period (adit report)", self.lost));
        }
        if let Some(until) = self.evicted_until_ms {
            remarks
                .push(format!("evidence until {} was evicted: what is left is claimed", utc(until / 1_000)));
        }
        if !self.misfits.is_empty() {
            remarks.push(format!(
                "{} counter-signatures do not fit the shares that came before them, and are not in it: the receipt difficulty was \
                 raised after them, or shares reached the ledger late",
                self.misfits.len()
            ));
        }
        for damage in self.damages.iter().filter(|damage| !damage.newest) {
            remarks.push(format!(
                "{} is damaged at byte {}: what follows is missing",
                damage.file, damage.offset
            ));
        }
        remarks
    }
}

/// What a file says, unverified.
#[must_use]
pub fn shown_text(verified: &Verified) -> String {
    let mut out = String::new();
    let reports = match verified {
        Verified::One(report) => std::slice::from_ref(&**report),
        Verified::Merged(merged) => &merged.receipts[..],
    };
    for (at, report) in reports.iter().enumerate() {
        let _ = write_shown(&mut out, report, at);
    }
    out.push_str("unverified: adit receipt verify\n");
    out
}

fn write_shown(out: &mut String, report: &Report, at: usize) -> fmt::Result {
    if at > 0 {
        writeln!(out)?;
    }
    if let Some(id) = &report.id {
        writeln!(out, "receipt      {id}")?;
    }
    if let Some(terms) = &report.terms {
        write_terms(out, terms)?;
    }
    if let Some(Header { from, to, exponent, miners, left_out, .. }) = report.header {
        writeln!(out, "receipt for  {} to {}", utc(from), utc(to))?;
        writeln!(out, "difficulty   2^{exponent}; {miners} workers, {left_out} left out")?;
    }
    writeln!(out, "content      {} shares of {} jobs", report.shares, report.jobs)?;
    if let Some(Claimed { hashes, low, high, hashrate, at, .. }) = report.claimed {
        writeln!(
            out,
            "claims       {}, {} to {} (95 %), {}; issued {}",
            with_unit(&in_words(hashes), "H"),
            with_unit(&in_words(low), "H"),
            with_unit(&in_words(high), "H"),
            with_unit(&in_words(hashrate), "H/s"),
            utc(at)
        )?;
    }
    Ok(())
}

/// What verifying a file came to.
#[must_use]
pub fn verified_text(name: &str, verified: &Verified) -> String {
    let mut out = String::new();
    let _ = match verified {
        Verified::One(report) => write_verified(&mut out, name, report),
        Verified::Merged(merged) => write_merged(&mut out, name, merged),
    };
    out
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Holds => "it holds",
        Outcome::Partly => "it holds in part: some of its work is not counted",
        Outcome::Refused => "REFUSED: nothing of it is to be believed",
        Outcome::Unreadable => "UNREADABLE",
    }
}

fn write_verified(out: &mut String, name: &str, report: &Report) -> fmt::Result {
    writeln!(out, "{name}: {}", outcome(report.outcome))?;
    write_findings(out, &report.findings)?;
    if let Some(terms) = &report.terms {
        writeln!(out, "for          {} on {}", subject(&terms.subject), network(terms.network))?;
        writeln!(out, "issuer       {}", terms.issuer)?;
    }
    if let Some(header) = report.header {
        writeln!(out, "period       {} to {}", utc(header.from), utc(header.to))?;
    }
    if let Some(Figures { shares, hashes, low, high, hashrate, .. }) = report.counted {
        writeln!(
            out,
            "work         {}, {} to {} (95 %)",
            with_unit(&in_words(hashes), "H"),
            with_unit(&in_words(low), "H"),
            with_unit(&in_words(high), "H")
        )?;
        writeln!(out, "hashrate     {} over the period", with_unit(&in_words(hashrate), "H/s"))?;
        writeln!(out, "shares       {shares} of {} count", report.shares)?;
    }
    if !report.proven.is_empty() {
        writeln!(out, "proven")?;
    }
    for statement in &report.proven {
        writeln!(out, "  + {}", statement.text)?;
    }
    if !report.not_proven.is_empty() {
        writeln!(out, "not proven")?;
    }
    for statement in &report.not_proven {
        writeln!(out, "  - {}", statement.text)?;
    }
    Ok(())
}

fn write_findings(out: &mut String, findings: &[Finding]) -> fmt::Result {
    for finding in findings {
        let weight = match finding.severity {
            Severity::Refused => "!",
            Severity::NotCounted => "not counted:",
            Severity::Note => "note:",
        };
        match finding.shares {
            0 | 1 => writeln!(out, "  {weight} {}", finding.text)?,
            shares => writeln!(out, "  {weight} {} ({shares} shares)", finding.text)?,
        }
    }
    Ok(())
}

fn write_merged(out: &mut String, name: &str, merged: &MergedReport) -> fmt::Result {
    writeln!(out, "{name}: {} receipts: {}", merged.receipts.len(), outcome(merged.outcome))?;
    write_findings(out, &merged.findings)?;
    if let Some(sum) = merged.sum {
        writeln!(out, "period       {} to {}", utc(sum.from), utc(sum.to))?;
        writeln!(
            out,
            "work         {}, {} to {} (95 %), in {} shares",
            with_unit(&in_words(sum.hashes), "H"),
            with_unit(&in_words(sum.low), "H"),
            with_unit(&in_words(sum.high), "H"),
            sum.shares
        )?;
        writeln!(out, "hashrate     {} over the whole time", with_unit(&in_words(sum.hashrate), "H/s"))?;
    }
    for (at, report) in (1..).zip(&merged.receipts) {
        write_verified(out, &format!("\nreceipt {at}"), report)?;
    }
    Ok(())
}
