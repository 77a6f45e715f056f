//! `adit receipt countersign`, and roots as `adit receipt show` shows them.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use receipt::{
    COUNTER_MAGIC, CounterSignedRoot, MAX_ROOT_FILE, Outcome, ROOT_MAGIC, RootError, SignedRoot, utc,
};
use serde_json::json;

use super::lease::{now, read_terms, unavailable, wrong};
use super::receipt::usage;
use super::{complain, say};
use crate::cli::CountersignArgs;
use crate::receipts::{read_bounded, read_key, root_json, root_text, write_new};

/// A root, or one that was counter-signed, for people or programs; nothing if the file is something else.
pub(super) fn shown(path: &Path, json: bool) -> Result<Option<String>, ExitCode> {
    let mut magic = Vec::new();
    let file = File::open(path).map_err(|error| unavailable(path, &error))?;
    file.take(8).read_to_end(&mut magic).map_err(|error| unavailable(path, &error))?;
    let is_root = magic == ROOT_MAGIC;
    if !is_root && magic != COUNTER_MAGIC {
        return Ok(None);
    }
    let file = read_bounded(path, MAX_ROOT_FILE as u64).map_err(|error| unavailable(path, &error))?;
    let unreadable = |error: RootError| {
        complain(format_args!("{}: {error}", path.display()));
        ExitCode::from(Outcome::Unreadable.class())
    };
    let (root, counter) = if is_root {
        (SignedRoot::from_file(&file).map_err(unreadable)?, None)
    } else {
        let CounterSignedRoot { root, counter } = CounterSignedRoot::from_file(&file).map_err(unreadable)?;
        (root, Some(counter))
    };
    if json {
        let mut shown = root_json(&root);
        if let Some(counter) = counter {
            shown["counter_signed"] = json!({ "at": counter.at, "key": counter.key });
        }
        return Ok(Some(shown.to_string()));
    }
    let mut text = root_text(&root);
    if let Some(counter) = counter {
        text.push_str(&format!("counter-signed by {} at {}\n", counter.key, utc(counter.at)));
    }
    Ok(Some(text))
}

pub(super) fn countersign(args: &CountersignArgs) -> Result<ExitCode, ExitCode> {
    let key = read_key(&args.key).map_err(|error| wrong(&args.key, &error))?;
    let file =
        read_bounded(&args.file, MAX_ROOT_FILE as u64).map_err(|error| unavailable(&args.file, &error))?;
    let root = SignedRoot::from_file(&file).map_err(|error| wrong(&args.file, &error))?;
    if let Some(path) = &args.terms {
        let wanted = read_terms(path)?;
        if wanted.terms != root.terms.terms {
            return Err(usage(format_args!(
                "{} is of other terms than {}",
                args.file.display(),
                path.display()
            )));
        }
    }
    if key.public() == root.terms.terms.issuer {
        return Err(usage("this is the issuer's own key: what it counter-signs proves nothing to others"));
    }
    let now = now();
    if now.saturating_sub(root.at) > args.age {
        return Err(usage(format_args!(
            "the root is of {}, {} s ago: take the newest one, or allow more with --age (if it is new, one of the clocks is wrong)",
            utc(root.at),
            now.saturating_sub(root.at)
        )));
    }
    let shares = root.shares;
    let text = root_text(&root);
    let signed = CounterSignedRoot::sign(root, now, &key).map_err(usage)?;
    let out = args.out.clone().unwrap_or_else(|| {
        let mut name: OsString = args.file.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{shares}.counter"));
        args.file.with_file_name(name)
    });
    write_new(&out, &signed.to_file(), 0o666).map_err(|error| unavailable(&out, &error))?;
    say(text.trim_end());
    say(format_args!("you say      that these shares were there at {}", utc(now)));
    say(format_args!("written to   {}", out.display()));
    Ok(ExitCode::SUCCESS)
}
