//! Tagged hashes as in BIP 340: what is hashed for one purpose never hashes to the same as for another.

use sha2::{Digest as _, Sha256};

/// What terms are known by.
pub const TERMS: &str = "Adit/receipt/terms";
/// What who agrees to terms signs.
pub const AGREEMENT: &str = "Adit/receipt/agreement";
/// What jobs are known by.
pub const JOB: &str = "Adit/receipt/job";
/// A leaf of the tree: a share.
pub const LEAF: &str = "Adit/receipt/leaf";
/// A node of the tree: two nodes or leaves below it.
pub const NODE: &str = "Adit/receipt/node";
/// The tree's root: the number of leaves and the topmost node.
pub const ROOT: &str = "Adit/receipt/root";
/// The header.
pub const HEADER: &str = "Adit/receipt/header";
/// What the issuer signs.
pub const CLAIM: &str = "Adit/receipt/claim";
/// What who counter-signs a running root signs.
pub const COUNTER: &str = "Adit/receipt/counter";

/// What the issuer signs of a period that still runs.
pub const RUNNING: &str = "Adit/receipt/running";

/// `SHA-256(SHA-256(tag) | SHA-256(tag) | parts, one after the other)`.
#[must_use]
pub fn hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let tag = Sha256::digest(tag.as_bytes());
    let mut hasher = Sha256::new_with_prefix(tag);
    hasher.update(tag);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bip_340s() {
        // BIP 340's own tag, of nothing.
        let tag = Sha256::digest(b"BIP0340/challenge");
        let plain: [u8; 32] = Sha256::digest([tag.as_slice(), tag.as_slice(), b"ab"].concat()).into();
        assert_eq!(hash("BIP0340/challenge", &[b"a", b"b"]), plain);
    }
}
