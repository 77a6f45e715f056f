//! Numbers for keys and words while a ledger is written: what comes each second, of thousands of workers, is looked up by
//! its name once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::columns::Columns;
use crate::rows::{Column, RowKey};

/// The number of a [`RowKey`] in one ledger, as [`Taking::key`](crate::Taking::key) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    generation: u32,
    number: u32,
}

impl Key {
    /// As one number, which is never 0; to be kept where there is no room for more.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.number)
    }

    /// From what [`to_bits`](Self::to_bits) gave. `None`: 0.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let (generation, number) = ((bits >> 32) as u32, bits as u32);
        (bits != 0).then_some(Self { generation, number })
    }
}

/// See the module. Columns of the books have the numbers that [`Columns`] gives them.
#[derive(Debug)]
pub(crate) struct Numbers {
    keys: Vec<Arc<RowKey>>,
    by_key: HashMap<Arc<RowKey>, u32>,
    words: Vec<Column>,
    /// Numbers of keys are of this one; those of former ones are unknown.
    generation: u32,
}

/// No key has this number.
const NOBODY: u32 = u32::MAX;

impl Default for Numbers {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            by_key: HashMap::new(),
            words: Columns::default().words().to_vec(),
            generation: 1,
        }
    }
}

impl Numbers {
    pub(crate) fn key(&mut self, key: &RowKey) -> Key {
        let number = match self.by_key.get(key) {
            Some(number) => *number,
            None => self.number_anew(Arc::new(key.clone())),
        };
        Key { generation: self.generation, number }
    }

    /// The same for one that is shared already.
    pub(crate) fn shared_key(&mut self, key: &Arc<RowKey>) -> u32 {
        match self.by_key.get(key) {
            Some(number) => *number,
            None => self.number_anew(Arc::clone(key)),
        }
    }

    fn number_anew(&mut self, key: Arc<RowKey>) -> u32 {
        let number = u32::try_from(self.keys.len()).unwrap_or(NOBODY);
        self.keys.push(Arc::clone(&key));
        self.by_key.insert(key, number);
        number
    }

    /// The number of a key, if it is of the present generation.
    pub(crate) fn known(&self, key: Key) -> Option<u32> {
        (key.generation == self.generation).then_some(key.number)
    }

    pub(crate) fn word(&mut self, column: &Column) -> u32 {
        let at = self.words.iter().position(|word| word == column).unwrap_or_else(|| {
            self.words.push(Arc::clone(column));
            self.words.len() - 1
        });
        u32::try_from(at).unwrap_or(NOBODY)
    }

    pub(crate) fn key_of(&self, number: u32) -> &RowKey {
        self.shared(number)
    }

    pub(crate) fn shared(&self, number: u32) -> &Arc<RowKey> {
        &self.keys[number as usize]
    }

    pub(crate) fn word_of(&self, number: u32) -> &Column {
        &self.words[number as usize]
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Forgets all keys but those that `used` is told to be. What had numbers must be renumbered by the result.
    pub(crate) fn forget(&mut self, used: &[bool]) -> Renumbered {
        let mut to = vec![NOBODY; self.keys.len()];
        let keys = std::mem::take(&mut self.keys);
        self.by_key = HashMap::new();
        self.generation = self.generation.wrapping_add(1).max(1);
        for (from, key) in keys.into_iter().enumerate() {
            if used.get(from).is_some_and(|used| *used) {
                to[from] = self.number_anew(key);
            }
        }
        Renumbered(to)
    }
}

/// Keys' new numbers, by the former.
#[derive(Debug)]
pub(crate) struct Renumbered(Vec<u32>);

impl Renumbered {
    /// The new number; nothing for a key that is forgotten.
    pub(crate) fn of(&self, former: u32) -> Option<u32> {
        self.0.get(former as usize).copied().filter(|number| *number != NOBODY)
    }
}
