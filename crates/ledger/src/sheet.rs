//! The sums of a span of time while they are made: rows and cells by number, one after the other in memory, so that adding
//! to them and writing them needs no names. Used again when it is written.

use crate::numbers::Renumbered;
use crate::rows::Amount;

/// No cell follows.
const END: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SheetRow {
    /// Whose.
    pub(crate) key: u32,
    /// How many cells it has.
    pub(crate) cells: u32,
    first: u32,
    last: u32,
    pub(crate) squares: f64,
}

/// An [`Amount`] without the room that an `i128` has around it: there are many, and what they cost is to reach them.
#[derive(Clone, Copy, Debug)]
struct Cell {
    count: i64,
    hashes: [u64; 2],
    word: u32,
    next: u32,
}

impl Cell {
    fn amount(&self) -> Amount {
        let [high, low] = self.hashes.map(u128::from);
        Amount { count: self.count, hashes: (high << 64 | low).cast_signed() }
    }

    fn set(&mut self, amount: Amount) {
        let hashes = amount.hashes.cast_unsigned();
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let halves = [(hashes >> 64) as u64, hashes as u64];
        (self.count, self.hashes) = (amount.count, halves);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    /// By the number of the key: the place of its row, plus one.
    places: Vec<u32>,
    rows: Vec<SheetRow>,
    cells: Vec<Cell>,
}

impl Sheet {
    /// Adds to a key's row: to its cells by the numbers of their words.
    pub(crate) fn add(&mut self, key: u32, squares: f64, cells: impl IntoIterator<Item = (u32, Amount)>) {
        let at = key as usize;
        if at >= self.places.len() {
            // Keys come in the order of their numbers, as a rule.
            self.places.resize(at + at / 2 + 16, 0);
        }
        let (rows, arena) = (&mut self.rows, &mut self.cells);
        let place = &mut self.places[at];
        if *place == 0 {
            rows.push(SheetRow { key, cells: 0, first: END, last: END, squares: 0.0 });
            *place = number(rows.len());
        }
        let row = &mut rows[*place as usize - 1];
        row.squares += squares;
        for (word, amount) in cells {
            let mut next = row.first;
            // The same words come in the same order, as a rule, and there are few.
            while let Some(cell) = arena.get_mut(next as usize) {
                if cell.word == word {
                    let mut sum = cell.amount();
                    sum.add(amount);
                    cell.set(sum);
                    break;
                }
                next = cell.next;
            }
            if next != END {
                continue;
            }
            let here = number(arena.len());
            let mut cell = Cell { count: 0, hashes: [0; 2], word, next: END };
            cell.set(amount);
            arena.push(cell);
            match arena.get_mut(row.last as usize) {
                Some(last) => last.next = here,
                None => row.first = here,
            }
            row.last = here;
            row.cells += 1;
        }
    }

    /// Adds all of another's rows.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for row in &other.rows {
            self.add(row.key, row.squares, other.cells(row));
        }
    }

    pub(crate) fn rows(&self) -> &[SheetRow] {
        &self.rows
    }

    /// A row's cells, by the numbers of their words.
    pub(crate) fn cells<'s>(&'s self, row: &SheetRow) -> impl Iterator<Item = (u32, Amount)> + use<'s> {
        let mut next = row.first;
        std::iter::from_fn(move || {
            let cell = self.cells.get(next as usize)?;
            next = cell.next;
            Some((cell.word, cell.amount()))
        })
    }

    /// Nothing is in it; the memory stays.
    pub(crate) fn clear(&mut self) {
        for row in self.rows.drain(..) {
            self.places[row.key as usize] = 0;
        }
        self.cells.clear();
    }

    /// Notes which keys it has.
    pub(crate) fn mark(&self, used: &mut [bool]) {
        for row in &self.rows {
            used[row.key as usize] = true;
        }
    }

    /// Its keys have new numbers; all that it has are among them.
    pub(crate) fn renumber(&mut self, numbers: &Renumbered) {
        self.places.clear();
        for (at, row) in self.rows.iter_mut().enumerate() {
            let Some(key) = numbers.of(row.key) else { continue };
            row.key = key;
            let place = key as usize;
            if place >= self.places.len() {
                self.places.resize(place + 1, 0);
            }
            self.places[place] = number(at + 1);
        }
    }
}

/// A place. There is no memory for so many that it would not do.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(END)
}
