//! A pool's reason against a share: SV1's numbers, or else its words.

use sv1::ErrorCode;
use sv1::client::PeerError;

use crate::books::RefuseCode;

/// What the books call it.
pub(super) fn refuse_code(error: Option<&PeerError<'_>>) -> RefuseCode {
    let Some(error) = error else { return RefuseCode::Other };
    match error.error_code() {
        Some(ErrorCode::JobNotFound) => RefuseCode::StaleShare,
        Some(ErrorCode::DuplicateShare) => RefuseCode::DuplicateShare,
        Some(ErrorCode::LowDifficulty) => RefuseCode::DifficultyTooLow,
        Some(ErrorCode::Unauthorized | ErrorCode::NotSubscribed) => RefuseCode::InvalidShare,
        Some(ErrorCode::Other) | None => by_words(&error.text),
    }
}

/// Pools that number nothing, or everything 20, still say what they mean.
fn by_words(text: &str) -> RefuseCode {
    let text: String = text.chars().take(100).flat_map(char::to_lowercase).collect();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["stale", "job not found", "unknown job", "invalid job"]) {
        RefuseCode::StaleShare
    } else if says(&["duplicate"]) {
        RefuseCode::DuplicateShare
    } else if says(&["low diff", "above target", "high-hash", "high hash", "difficulty"]) {
        RefuseCode::DifficultyTooLow
    } else if says(&["time"]) {
        RefuseCode::InvalidTimestamp
    } else if says(&["version"]) {
        RefuseCode::VersionRolling
    } else if says(&["nonce2", "extranonce"]) {
        RefuseCode::BadExtranonceSize
    } else if says(&["invalid"]) {
        RefuseCode::InvalidShare
    } else {
        RefuseCode::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_named_by_its_number_or_else_by_its_words() {
        for (code, text, named) in [
            (Some(21), "Job not found (=stale)", RefuseCode::StaleShare),
            (Some(22), "", RefuseCode::DuplicateShare),
            (Some(23), "Above target", RefuseCode::DifficultyTooLow),
            (Some(24), "Unauthorized worker", RefuseCode::InvalidShare),
            (Some(20), "Ntime out of range", RefuseCode::InvalidTimestamp),
            (Some(20), "Invalid version mask", RefuseCode::VersionRolling),
            (Some(-1), "Stale", RefuseCode::StaleShare),
            (None, "incorrect size of extranonce2", RefuseCode::BadExtranonceSize),
            (None, "\u{130}\u{130}\u{130}", RefuseCode::Other),
        ] {
            let error = PeerError { code, text: text.into() };
            assert_eq!(refuse_code(Some(&error)), named, "{code:?} {text}");
        }
        assert_eq!(refuse_code(None), RefuseCode::Other);
    }
}
