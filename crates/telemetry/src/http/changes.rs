//! `PATCH /api/v1/routes`: changes to the running process. From this machine alone, since there is no password.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};

/// The longest change, bytes.
pub const CHANGE_LENGTH_MAX: usize = 64 * 1024;

/// Applies a change, whole or not at all. It must not block.
///
/// # Errors
/// What is wrong with it, for people; nothing has changed then.
pub type Changes = Arc<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

/// The client is on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) bool);

/// Whether a request may change anything, by where it comes from and how.
pub(super) fn allowed(local: Local, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    // A page of another site that a browser of this machine shows must not be able to ask: it cannot set the type without
    // being asked about first, and a name of its own that leads here is not this machine's.
    let host = text(header::HOST).unwrap_or_default();
    if !local.0 || !is_this_machine(host) {
        let message = "changes are taken from this machine alone: ask at 127.0.0.1, [::1] or localhost";
        return Err((StatusCode::FORBIDDEN, message));
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        let message = "send JSON, with content-type: application/json";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    Ok(())
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Takes a change.
pub(super) fn take(changes: Option<&Changes>, body: &Bytes) -> Result<(), (StatusCode, String)> {
    let Some(changes) = changes else {
        return Err((StatusCode::FORBIDDEN, "this process takes no changes".to_owned()));
    };
    if body.len() > CHANGE_LENGTH_MAX {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("at most {CHANGE_LENGTH_MAX} bytes")));
    }
    changes(body).map_err(|message| (StatusCode::UNPROCESSABLE_ENTITY, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str, kind: &'static str) -> HeaderMap {
        let values = [(header::HOST, host), (header::CONTENT_TYPE, kind)];
        values.into_iter().map(|(name, value)| (name, header::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_this_machine_may_change_anything() {
        let json = "application/json; charset=utf-8";
        for host in ["127.0.0.1:23480", "localhost", "[::1]:80", "127.8.8.8"] {
            assert!(allowed(Local(true), &headers(host, json)).is_ok(), "{host}");
        }
        let refused = |local, host, kind| allowed(Local(local), &headers(host, kind)).unwrap_err().0;
        assert_eq!(refused(false, "127.0.0.1", json), StatusCode::FORBIDDEN);
        for host in ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "", "[::1"] {
            if host != "[::1" {
                assert_eq!(refused(true, host, json), StatusCode::FORBIDDEN, "{host}");
            }
        }
        assert_eq!(refused(true, "localhost", "text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
