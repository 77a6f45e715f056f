//! What the keys of `[nats]` must be to each other, and to the ledger.

use std::time::Duration;

use super::Parts;
use crate::config::reader::Reader;
use crate::config::tables::{Ledger, Nats};

/// The stream's window is this much longer than the spool's age at least.
pub(crate) const WINDOW_MARGIN: Duration = Duration::from_secs(300);

/// Reports what does not fit.
pub(super) fn check(parts: &Parts, reader: &mut Reader<'_>) {
    let Parts { nats, ledger, .. } = parts;
    if !nats.enabled() {
        return;
    }
    kept(ledger, reader);
    login(nats, reader);
    let mut refuse = |key: &str, expected: &str, found: &str, fix: &str| {
        let path = format!("nats.{key}");
        if let Some(spot) = reader.spot(&path).cloned() {
            reader.report(&spot, &path, expected.to_owned(), found.to_owned(), fix.to_owned());
        }
    };
    let tls = nats.servers.iter().any(|server| server.starts_with("tls://"));
    for (key, given) in [("ca_file", &nats.ca_file), ("certificate_file", &nats.certificate_file)] {
        if given.is_some() && !tls {
            let fix = format!("remove {key}, or correct servers");
            refuse(key, "a server with TLS, tls://host:port", "none", &fix);
        }
    }
    match (&nats.certificate_file, &nats.private_key_file) {
        (Some(_), None) => refuse(
            "certificate_file",
            "its private key, too",
            "none",
            "write private_key_file = \"PATH\" too, or remove certificate_file",
        ),
        (None, Some(_)) => refuse(
            "private_key_file",
            "the certificate that it belongs to",
            "none",
            "write certificate_file = \"PATH\" too, or remove private_key_file",
        ),
        _ => {}
    }
    let window = nats.spool_age * 2;
    if nats.stream_age.is_some_and(|age| age < window) {
        let expected = "at least twice spool_age: a stream knows again only what it may hold";
        refuse("stream_age", expected, "less", "keep records for longer, or lower spool_age");
    }
    if !nats.sums && !nats.evidence {
        refuse("evidence", "sums or evidence", "neither", "remove servers, or publish one of them");
    }
}

/// What is published is the ledger.
fn kept(ledger: &Ledger, reader: &mut Reader<'_>) {
    if ledger.enabled == Some(false)
        && let Some(spot) = reader.spot("ledger.enabled").cloned()
    {
        let expected = "true: nats.servers publishes the ledger".to_owned();
        let fix = "enabled = true, or remove servers from [nats]".to_owned();
        reader.report(&spot, "ledger.enabled", expected, "false".to_owned(), fix);
    }
}

/// Adit logs in one way.
fn login(nats: &Nats, reader: &mut Reader<'_>) {
    let ways = [
        ("user", nats.user.is_some()),
        ("token", nats.token.is_some()),
        ("credentials_file", nats.credentials_file.is_some()),
        ("nkey_file", nats.nkey_file.is_some()),
    ];
    let mut given = ways.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
    let (first, second) = (given.next(), given.next());
    let report = |key: &str, expected: String, found: String, fix: String, reader: &mut Reader<'_>| {
        let path = format!("nats.{key}");
        // Only the key is shown: what is behind it may be a secret.
        if let Some(spot) = reader.key_spot(&path).cloned() {
            reader.report_cut(&spot, &path, true, expected, found, fix);
        }
    };
    if let (Some(first), Some(second)) = (first, second) {
        let expected = "one of user, token, credentials_file and nkey_file".to_owned();
        report(second, expected, format!("{first} and {second}"), format!("remove {second}"), reader);
    }
    if nats.password.is_some() && nats.user.is_none() && !reader.is_bad("nats.user") {
        let (expected, found) = ("the user whose password it is".to_owned(), "none".to_owned());
        report("password", expected, found, "write user = \"NAME\" too".to_owned(), reader);
    }
    if nats.user.is_some() && nats.password.is_none() && !reader.is_bad("nats.password") {
        let (expected, found) = ("its password, too".to_owned(), "none".to_owned());
        report("user", expected, found, "write password_file = \"PATH\" too".to_owned(), reader);
    }
}
