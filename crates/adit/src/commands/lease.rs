//! `adit lease`: terms of lent hashrate.

use std::path::Path;
use std::process::ExitCode;

use receipt::{Basis, Ending, MAX_TERMS, Network, Payout, SignedTerms, Subject, Terms, WHOLE};

use super::{EX_UNAVAILABLE, EX_USAGE, complain, say};
use crate::cli::{LeaseArgs, LeaseCommand, MakeTermsArgs, ReceiptNetwork, SignTermsArgs, TermsCommand};
use crate::receipts::{read_bounded, read_key, replace, terms_json, terms_text, write_new};

pub(super) fn lease(args: &LeaseArgs) -> ExitCode {
    let LeaseCommand::Terms(terms) = &args.command;
    let done = match terms {
        TermsCommand::Make(args) => make(args),
        TermsCommand::Sign(args) => sign(args),
        TermsCommand::Show(args) => read_terms(&args.file).map(|signed| {
            if args.json { say(terms_json(&signed)) } else { say(terms_text(&signed).trim_end()) }
        }),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

/// A file of terms.
pub(super) fn read_terms(path: &Path) -> Result<SignedTerms, ExitCode> {
    let bytes = read_bounded(path, 2 * MAX_TERMS as u64).map_err(|error| unavailable(path, &error))?;
    SignedTerms::from_file(&bytes).map_err(|error| wrong(path, &error))
}

/// What the system does not let us have.
pub(super) fn unavailable(path: &Path, error: &dyn std::fmt::Display) -> ExitCode {
    complain(format_args!("{}: {error}", path.display()));
    ExitCode::from(EX_UNAVAILABLE)
}

/// What was given is wrong.
pub(super) fn wrong(path: &Path, error: &dyn std::fmt::Display) -> ExitCode {
    complain(format_args!("{}: {error}", path.display()));
    ExitCode::from(EX_USAGE)
}

/// Unix seconds.
pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

pub(super) fn network_of(network: ReceiptNetwork) -> Network {
    match network {
        ReceiptNetwork::Mainnet => Network::Mainnet,
        ReceiptNetwork::Testnet3 => Network::Testnet3,
        ReceiptNetwork::Testnet4 => Network::Testnet4,
        ReceiptNetwork::Signet => Network::Signet,
        ReceiptNetwork::Regtest => Network::Regtest,
    }
}

fn make(args: &MakeTermsArgs) -> Result<(), ExitCode> {
    let now_ms = now().saturating_mul(1_000);
    let (from, to) = (args.from.before(now_ms) / 1_000, args.to.before(now_ms) / 1_000);
    let name = |name: &Option<String>| name.as_deref().map(Box::from);
    let subject = match (name(&args.subject.lease), name(&args.subject.route), name(&args.subject.worker)) {
        (Some(lease), ..) => Subject::Lease(lease),
        (_, Some(route), _) => Subject::Route(route),
        (.., worker) => Subject::Worker(worker.unwrap_or_default()),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 percent")]
    let least_parts = (args.pay_least / 100.0 * f64::from(WHOLE)).round() as u32;
    let terms = Terms {
        network: network_of(args.network),
        subject,
        from,
        to,
        every: args.every.unwrap_or_else(|| to.saturating_sub(from)),
        hashrate: args.hashrate,
        basis: if args.prior_day { Basis::PriorDay } else { Basis::Agreed },
        ending: match (args.end_work, args.end_shares) {
            (Some(hashes), _) => Ending::Work { hashes },
            (_, Some(count)) => Ending::Shares { count },
            _ => Ending::Period,
        },
        issuer: args.issuer,
        receiver: args.receiver,
        payout: Payout {
            scripts: args.pay.clone(),
            least_parts: if args.pay.is_empty() { 0 } else { least_parts },
        },
        pool_tag: args.pool_tag.as_str().into(),
        tag_length: args.tag,
        salt: args.salt.unwrap_or_else(rand::random),
        note: args.note.as_str().into(),
    };
    let signed = SignedTerms::new(terms).map_err(|error| {
        complain(error);
        ExitCode::from(EX_USAGE)
    })?;
    write_new(&args.file, &signed.to_file(), 0o666).map_err(|error| unavailable(&args.file, &error))?;
    say(terms_text(&signed).trim_end());
    Ok(())
}

fn sign(args: &SignTermsArgs) -> Result<(), ExitCode> {
    let mut signed = read_terms(&args.file)?;
    let key = read_key(&args.key).map_err(|error| wrong(&args.key, &error))?;
    if args.draw_salt {
        signed.draw_salt(rand::random(), &key.public()).map_err(|error| wrong(&args.file, &error))?;
    }
    signed.sign(now(), &key).map_err(|error| wrong(&args.file, &error))?;
    match &args.out {
        Some(out) => write_new(out, &signed.to_file(), 0o666).map_err(|error| unavailable(out, &error))?,
        None => replace(&args.file, &signed.to_file()).map_err(|error| unavailable(&args.file, &error))?,
    }
    say(terms_text(&signed).trim_end());
    Ok(())
}
