//! `PATCH /api/v1/routes`: changes to the running process. Who may is decided before ([`access`](super::access)).

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

/// Takes a change.
pub(super) fn take(
    changes: Option<&Changes>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(), (StatusCode, String)> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A page of another site cannot set this type without the browser asking first.
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let message = "send JSON, with content-type: application/json";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message.to_owned()));
    }
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

    #[test]
    fn only_json_is_taken() {
        let changes: Changes = Arc::new(|_| Ok(()));
        let sent = |kind: &'static str| {
            let headers = [(header::CONTENT_TYPE, header::HeaderValue::from_static(kind))];
            take(Some(&changes), &headers.into_iter().collect(), &Bytes::from_static(b"{}"))
        };
        assert_eq!(sent("application/json; charset=utf-8"), Ok(()));
        for kind in ["text/plain", "", "application/x-www-form-urlencoded"] {
            assert_eq!(sent(kind).unwrap_err().0, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
        assert_eq!(
            take(None, &HeaderMap::new(), &Bytes::new()).unwrap_err().0,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
    }
}
