//! `adit keys`

use std::process::ExitCode;

use super::{EX_USAGE, complain, say};
use crate::cli::KeysArgs;
use crate::receipts::{make_key, read_key};

pub(super) fn keys(args: &KeysArgs) -> ExitCode {
    use noise::AuthoritySecretKey;
    if let Some(path) = args.receipt.as_ref().or(args.receipt_public_of.as_ref()) {
        let public = match &args.receipt {
            Some(path) => make_key(path, rand::random),
            None => read_key(path).map(|secret| secret.public()),
        };
        return match public {
            Ok(public) => {
                say(format_args!("receipt_public_key = \"{public}\""));
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(format_args!("{}: {error}", path.display()));
                ExitCode::from(EX_USAGE)
            }
        };
    }
    let secret = match &args.public_of {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => match text.trim().parse::<AuthoritySecretKey>() {
                Ok(secret) => secret,
                Err(error) => {
                    complain(format_args!("{}: {error}", path.display()));
                    return ExitCode::from(EX_USAGE);
                }
            },
            Err(error) => {
                complain(format_args!("{}: {error}", path.display()));
                return ExitCode::from(EX_USAGE);
            }
        },
        None => loop {
            // Nearly every 32 bytes are a key.
            if let Ok(secret) = AuthoritySecretKey::from_bytes(rand::random()) {
                break secret;
            }
        },
    };
    say(format_args!("authority_public_key = \"{}\"", secret.public()));
    if args.public_of.is_none() {
        say(format_args!("authority_secret_key = \"{}\"", *secret.to_base58check()));
    }
    ExitCode::SUCCESS
}
