//! `adit receipt`

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use ledger::Reader;
use receipt::{
    Basis, CounterSignature, CounterSignedRoot, Ending, FindingKind, HeaderSource, MAX_ROOT_FILE, Merger,
    Outcome, Payout, SecretKey, SignedTerms, Subject, Terms, Verified, in_words, utc, verify_file,
};
use serde_json::json;
use template::rpc::{RpcAuth, RpcNode};

use super::lease::{network_of, now, read_terms, unavailable, wrong};
use super::{EX_UNAVAILABLE, EX_USAGE, complain, load, say};
use crate::cli::{MakeReceiptArgs, MergeArgs, ReceiptArgs, ReceiptCommand, ShowReceiptArgs, VerifyArgs};
use crate::config::environment;
use crate::ledger::ledger_directory;
use crate::receipts::{
    Choice, Made, MakeError, NodeHeaders, make, prior_day, read_bounded, read_headers, read_key,
    receipt_text, shown_text, verified_text, with_unit, write_new,
};

/// Without terms and without `--from`: the last day.
const DAY: u64 = 86_400;
/// The longest file that is merged.
const LONGEST: u64 = 256 << 20;

pub(super) fn receipt(args: &ReceiptArgs) -> ExitCode {
    let done = match &args.command {
        ReceiptCommand::Make(args) => make_receipt(args),
        ReceiptCommand::Show(args) => show(args),
        ReceiptCommand::Verify(args) => verify(args),
        ReceiptCommand::Merge(args) => merge(args),
        ReceiptCommand::Countersign(args) => super::countersign::countersign(args),
    };
    done.unwrap_or_else(|code| code)
}

pub(super) fn usage(why: impl std::fmt::Display) -> ExitCode {
    complain(why);
    ExitCode::from(EX_USAGE)
}

fn make_receipt(args: &MakeReceiptArgs) -> Result<ExitCode, ExitCode> {
    let key = read_key(&args.key).map_err(|error| wrong(&args.key, &error))?;
    let directory = match &args.ledger {
        Some(directory) => directory.clone(),
        None => {
            let loaded = load(&args.config)?;
            ledger_directory(&loaded.config, environment()).ok_or_else(|| {
                usage("this configuration keeps no ledger ([ledger] in docs/configuration.md); --ledger DIR reads another one")
            })?
        }
    };
    let cannot_read = |error: &dyn std::fmt::Display| {
        complain(format_args!("cannot read a ledger in {}: {error}", directory.display()));
        ExitCode::from(EX_UNAVAILABLE)
    };
    let ledger = Reader::open(&directory).map_err(|error| cannot_read(&error))?;
    let mut choice = Choice {
        worker: args.worker.clone(),
        route: args.route.clone(),
        sources: args.source.iter().cloned().collect(),
        without: args.without.iter().cloned().collect(),
    };
    let (signed, period) = match &args.terms {
        Some(path) => {
            let signed = read_terms(path)?;
            if signed.terms.issuer != key.public() {
                return Err(usage(format_args!(
                    "the terms name {} as issuer; {} holds the key {}",
                    signed.terms.issuer,
                    args.key.display(),
                    key.public()
                )));
            }
            choose_by(&signed.terms, &mut choice)?;
            let period = period_of(args, &signed.terms)?;
            (signed, period)
        }
        None => own_terms(args, &key, &ledger, &choice, &cannot_read)?,
    };
    let counters = counters_of(args, &signed, period)?;
    let made =
        make(&ledger, &signed, period, &choice, &counters, (now(), &key)).map_err(|error| match error {
            MakeError::Io(error) => cannot_read(&error),
            other => usage(other),
        })?;
    write_new(&args.file, &made.file, 0o666).map_err(|error| unavailable(&args.file, &error))?;
    if args.json {
        say(made_json(&made))
    } else {
        say(receipt_text(&made).trim_end())
    }
    Ok(ExitCode::SUCCESS)
}

fn made_json(made: &Made) -> serde_json::Value {
    let claim = &made.claim;
    json!({
        "header": made.header,
        "shares": claim.shares,
        "hashes": claim.hashes,
        "low": claim.low,
        "high": claim.high,
        "hashrate": claim.hashrate,
        "bytes": made.file.len(),
        "highest": made.drawn.highest,
        "counter_signatures": made.drawn.counter_signed,
        "remarks": made.drawn.remarks(),
    })
}

/// The counter-signatures that were given, which must be of these terms and this period.
fn counters_of(
    args: &MakeReceiptArgs,
    signed: &SignedTerms,
    period: (u64, u64),
) -> Result<Vec<CounterSignature>, ExitCode> {
    let mut counters = Vec::new();
    for path in &args.counter {
        let file = read_bounded(path, MAX_ROOT_FILE as u64).map_err(|error| unavailable(path, &error))?;
        let CounterSignedRoot { root, counter } =
            CounterSignedRoot::from_file(&file).map_err(|error| wrong(path, &error))?;
        if root.terms.terms != signed.terms || (root.from, root.to) != period {
            return Err(wrong(path, &"it is of other terms, or of another of their periods"));
        }
        counters.push(counter);
    }
    Ok(counters)
}

/// What the terms are about limits whose shares there are.
fn choose_by(terms: &Terms, choice: &mut Choice) -> Result<(), ExitCode> {
    let (mine, named, what) = match &terms.subject {
        Subject::Route(name) => (&mut choice.route, name, "--route"),
        Subject::Worker(name) => (&mut choice.worker, name, "--worker"),
        Subject::Lease(name) if choice.sources.is_empty() => {
            return Err(usage(format_args!(
                "the terms are for the lease {name:?}: --source NAME says where its work goes, as the goal of the lease has it"
            )));
        }
        Subject::Lease(_) => return Ok(()),
    };
    if mine.as_deref().is_some_and(|mine| mine != &**named) {
        return Err(usage(format_args!("the terms are for {named:?}: leave {what} out, or say the same")));
    }
    *mine = Some(named.to_string());
    Ok(())
}

/// One of the periods that the terms fix: the one that was asked for, or the newest that is over.
fn period_of(args: &MakeReceiptArgs, terms: &Terms) -> Result<(u64, u64), ExitCode> {
    let now = now();
    let asked = |moment: crate::cli::Moment| moment.before(now.saturating_mul(1_000)) / 1_000;
    let from = args.from.map(asked).or_else(|| {
        // The last may be shorter.
        let over = now.min(terms.to).checked_sub(terms.from)?;
        let whole = if now >= terms.to { over.saturating_sub(1) } else { over.saturating_sub(terms.every) };
        (now >= terms.to || over >= terms.every).then(|| terms.from + whole / terms.every * terms.every)
    });
    let Some(from) = from else {
        return Err(usage(format_args!(
            "the first period of these terms ends at {}: it is not over",
            utc(terms.from.saturating_add(terms.every).min(terms.to))
        )));
    };
    let to = args.to.map_or_else(|| from.saturating_add(terms.every).min(terms.to), asked);
    let header = receipt::Header::new(terms, from, to, receipt::sampling::MIN_EXPONENT, 0, 0);
    if from >= to || !header.is_fixed_by(terms) {
        return Err(usage(format_args!(
            "the terms fix periods of {} s from {} on, until {}; {} to {} is none of them",
            terms.every,
            utc(terms.from),
            utc(terms.to),
            utc(from),
            utc(to)
        )));
    }
    if to > now {
        return Err(usage(format_args!("the period ends at {}: it is not over", utc(to))));
    }
    Ok((from, to))
}

/// Terms of the issuer's own, which a verifier is told.
fn own_terms(
    args: &MakeReceiptArgs,
    key: &SecretKey,
    ledger: &Reader,
    choice: &Choice,
    cannot_read: &dyn Fn(&dyn std::fmt::Display) -> ExitCode,
) -> Result<(SignedTerms, (u64, u64)), ExitCode> {
    let now_ms = now().saturating_mul(1_000);
    let to = args.to.map_or(now_ms, |moment| moment.before(now_ms)) / 1_000;
    let from = args.from.map_or_else(|| to.saturating_sub(DAY), |moment| moment.before(now_ms) / 1_000);
    if from >= to {
        return Err(usage("--from is not before --to"));
    }
    let subject = match (&choice.worker, &choice.route) {
        (Some(worker), _) => Subject::Worker(worker.as_str().into()),
        (None, Some(route)) => Subject::Route(route.as_str().into()),
        (None, None) => {
            return Err(usage("say whose work it is: --terms FILE, --route NAME or --worker NAME"));
        }
    };
    let (hashrate, basis) = match args.hashrate {
        Some(hashrate) => (hashrate, Basis::Agreed),
        None => match prior_day(ledger, from, choice).map_err(|error| cannot_read(&error))? {
            Some(hashrate) => (hashrate, Basis::PriorDay),
            None => {
                return Err(usage(format_args!(
                    "the ledger has no work of the day before {}, which the receipt difficulty follows from: say --hashrate",
                    utc(from)
                )));
            }
        },
    };
    // Whoever reads it must see what was chosen.
    let mut note = args.note.clone();
    if !choice.sources.is_empty() {
        let sources: Vec<&str> = choice.sources.iter().map(String::as_str).collect();
        note = format!("{note}{}sources: {}", if note.is_empty() { "" } else { "; " }, sources.join(", "));
    }
    let terms = Terms {
        network: network_of(args.network),
        subject,
        from,
        to,
        every: to - from,
        hashrate,
        basis,
        ending: Ending::Period,
        issuer: key.public(),
        receiver: None,
        payout: Payout::default(),
        pool_tag: "".into(),
        tag_length: 0,
        salt: [0; 16],
        note: note.as_str().into(),
    };
    let signed = SignedTerms::new(terms).map(|mut signed| {
        // The issuer is a party.
        let _ = signed.sign(now(), key);
        signed
    });
    signed.map(|signed| (signed, (from, to))).map_err(usage)
}

fn open(path: &Path) -> Result<BufReader<File>, ExitCode> {
    File::open(path).map(BufReader::new).map_err(|error| unavailable(path, &error))
}

fn show(args: &ShowReceiptArgs) -> Result<ExitCode, ExitCode> {
    if let Some(root) = super::countersign::shown(&args.file, args.json)? {
        say(root.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let verified = verify_file(open(&args.file)?, None);
    if args.json {
        say(shown_json(&verified));
    } else if verified.outcome() != Outcome::Unreadable {
        say(shown_text(&verified).trim_end());
    }
    if verified.outcome() == Outcome::Unreadable {
        let findings = match &verified {
            Verified::One(report) => &report.findings,
            Verified::Merged(merged) => &merged.findings,
        };
        let why = findings.first().map_or("it cannot be read", |finding| finding.text.as_str());
        complain(format_args!("{}: {why}", args.file.display()));
        return Ok(ExitCode::from(Outcome::Unreadable.class()));
    }
    Ok(ExitCode::SUCCESS)
}

fn shown_json(verified: &Verified) -> serde_json::Value {
    let shown = |report: &receipt::Report| {
        json!({
            "id": report.id,
            "terms": report.terms,
            "header": report.header,
            "claimed": report.claimed,
            "shares": report.shares,
            "jobs": report.jobs,
        })
    };
    match verified {
        Verified::One(report) => shown(report),
        Verified::Merged(merged) => merged.receipts.iter().map(shown).collect(),
    }
}

fn verify(args: &VerifyArgs) -> Result<ExitCode, ExitCode> {
    let terms = args.terms.as_deref().map(read_terms).transpose()?;
    let mut source = header_source(args)?;
    let (mut worst, mut unanswered) = (Outcome::Holds, false);
    let mut reports = Vec::new();
    for path in &args.files {
        let file = open(path)?;
        let verified = match &mut source {
            Some(source) => verify_file(file, Some(&mut **source)),
            None => verify_file(file, None),
        };
        worst = worst.max(verified.outcome());
        unanswered |= is_unanswered(&verified);
        let other = terms.as_ref().is_some_and(|terms| is_for_other_terms(&verified, terms));
        if other {
            worst = worst.max(Outcome::Refused);
        }
        if args.json {
            reports.push(
                json!({ "file": path.display().to_string(), "other_terms": other, "report": verified }),
            );
            continue;
        }
        say(verified_text(&path.display().to_string(), &verified).trim_end());
        if other {
            say("  ! it is for other terms than those that --terms names");
        }
    }
    if args.json {
        say(serde_json::Value::from(reports));
    }
    if unanswered && worst == Outcome::Holds {
        // It was asked for, and not had: that must not look like a check that went well.
        complain("the node did not answer for all blocks: what depends on them is not verified");
        return Ok(ExitCode::from(EX_UNAVAILABLE));
    }
    Ok(ExitCode::from(worst.class()))
}

fn is_unanswered(verified: &Verified) -> bool {
    let lacks = |report: &receipt::Report| {
        report.findings.iter().any(|finding| finding.kind == FindingKind::NoAnswer)
    };
    match verified {
        Verified::One(report) => lacks(report),
        Verified::Merged(merged) => merged.receipts.iter().any(lacks),
    }
}

fn is_for_other_terms(verified: &Verified, wanted: &SignedTerms) -> bool {
    let wanted = receipt::TermsShown::of(&wanted.terms).hash;
    let is_other = |report: &receipt::Report| report.terms.as_ref().is_none_or(|terms| terms.hash != wanted);
    match verified {
        Verified::One(report) => is_other(report),
        Verified::Merged(merged) => merged.receipts.iter().any(is_other),
    }
}

fn header_source(args: &VerifyArgs) -> Result<Option<Box<dyn HeaderSource>>, ExitCode> {
    if let Some(path) = &args.headers {
        let headers = read_headers(path).map_err(|error| wrong(path, &error))?;
        return Ok(Some(Box::new(headers)));
    }
    let (Some(address), Some(cookie)) = (&args.node_rpc, &args.node_cookie) else { return Ok(None) };
    let runtime = super::runtime()?;
    let node = RpcNode { address: address.clone(), auth: RpcAuth::Cookie(cookie.clone()) };
    Ok(Some(Box::new(NodeHeaders::new(node, runtime))))
}

fn merge(args: &MergeArgs) -> Result<ExitCode, ExitCode> {
    let cannot_write = |error: &dyn std::fmt::Display| unavailable(&args.out, error);
    let mut merger = Merger::new(Vec::new()).map_err(|error| cannot_write(&error))?;
    for path in &args.files {
        let file = read_bounded(path, LONGEST).map_err(|error| unavailable(path, &error))?;
        merger.add(&file).map_err(|error| {
            complain(format_args!("{}: {error}", path.display()));
            ExitCode::from(Outcome::Refused.class())
        })?;
    }
    let (file, sum) = merger.finish().map_err(|error| cannot_write(&error))?;
    write_new(&args.out, &file, 0o666).map_err(|error| cannot_write(&error))?;
    say(format_args!("{} receipts, {} shares", sum.receipts, sum.shares));
    say(format_args!("period       {} to {}", utc(sum.from), utc(sum.to)));
    let hashes = |number: &str| with_unit(number, "H");
    say(format_args!(
        "work         {}, {} to {} (95 %)",
        hashes(&in_words(sum.hashes)),
        hashes(&in_words(sum.low)),
        hashes(&in_words(sum.high))
    ));
    Ok(ExitCode::SUCCESS)
}
