//! Shares that were there already.

use std::collections::BTreeMap;

use crate::write::short;

/// The shares of one receipt or of several, sixteen bytes each.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    shares: BTreeMap<[u8; 16], u32>,
    part: u32,
}

impl Seen {
    /// The next receipt begins: they are numbered from 1 on.
    pub(crate) fn begin(&mut self) {
        self.part += 1;
    }

    /// How many shares there are.
    pub(crate) fn len(&self) -> usize {
        self.shares.len()
    }

    /// Adds a share by its hash. If it was there already: in this receipt (`None`), or in another, whose number it is.
    pub(crate) fn insert(&mut self, hash: [u8; 32]) -> Option<Option<u32>> {
        match self.shares.insert(short(hash), self.part) {
            None => None,
            Some(part) if part == self.part => Some(None),
            Some(part) => Some(Some(part)),
        }
    }
}
