//! Sums: how many shares, and how much work, of whom, in which state and for which reason.

use std::collections::HashMap;
use std::sync::Arc;

/// Whose shares a row sums up. Names, not numbers: they stay the same when the configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// The worker, by its whole name; empty where nobody asks.
    pub worker: Box<str>,
    /// The listener.
    pub listener: Box<str>,
    /// The route.
    pub route: Box<str>,
    /// The source; empty for shares that came while the route had none.
    pub source: Box<str>,
}

/// A state, or a state and its reason with a stroke between them: `local`, `rejected/stale`. The words are those of
/// metrics and API, and stand in the file, so that a later reader needs no table of them.
pub type Column = Arc<str>;

/// A count and a sum of work. Signed: what is open goes down, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Shares.
    pub count: i64,
    /// Hashes: difficulty x 2^32, to the whole number, so that sums of them are exact in whatever order they are made.
    pub hashes: i128,
}

impl Amount {
    /// Nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.hashes = self.hashes.saturating_add(other.hashes);
    }
}

/// The sums of one [`RowKey`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The sum of the squares of the verified shares' difficulties: what the statistical error of their work is told from.
    /// Not exact.
    pub squares: f64,
    /// Each column that is not zero, in no order.
    pub cells: Vec<(Column, Amount)>,
}

impl Row {
    /// The amount of a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Amount {
        self.cells.iter().find(|(word, _)| &**word == column).map(|cell| cell.1).unwrap_or_default()
    }

    /// Adds to a column.
    pub fn put(&mut self, column: &Column, amount: Amount) {
        match self.cells.iter_mut().find(|(word, _)| word == column) {
            Some((_, sum)) => sum.add(amount),
            None if amount.is_zero() => {}
            None => self.cells.push((Arc::clone(column), amount)),
        }
    }

    /// Adds another row.
    pub fn add(&mut self, other: &Self) {
        self.squares += other.squares;
        for (column, amount) in &other.cells {
            self.put(column, *amount);
        }
    }

    /// Nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(|(_, amount)| amount.is_zero())
    }
}

/// Rows by their keys.
pub type Rows = HashMap<Arc<RowKey>, Row>;

/// Adds a row to others.
pub fn add_row(rows: &mut Rows, key: &Arc<RowKey>, row: &Row) {
    match rows.get_mut(key) {
        Some(sum) => sum.add(row),
        None => {
            rows.insert(Arc::clone(key), row.clone());
        }
    }
}

/// The same rows without workers' names: what is left of hours that are evicted.
#[must_use]
pub fn without_workers(rows: &Rows) -> Rows {
    let mut sums = Rows::new();
    for (key, row) in rows {
        add_row(&mut sums, &Arc::new(RowKey { worker: "".into(), ..(**key).clone() }), row);
    }
    sums
}
