//! `adit keys`

use std::process::ExitCode;

use super::{EX_USAGE, complain, say};
use crate::cli::KeysArgs;

pub(super) fn keys(args: &KeysArgs) -> ExitCode {
    use noise::AuthoritySecretKey;
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
