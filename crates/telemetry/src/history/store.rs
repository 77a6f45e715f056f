//! Values by series and time, in rings of three resolutions.

use std::collections::BTreeMap;
use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::layout::{COLUMNS, Column, NAME_MAX, NOTHING, RINGS, ROW, Ring, Values, row, values};
use super::medium::Medium;

/// The most points that one answer has of a series.
pub const POINTS_MAX: usize = 2_000;
/// When a column was used last is written this often, seconds.
const LAST_EVERY: u64 = 3_600;
/// A series that had no value for so long gives its column to one that has none, seconds.
const SILENT: u64 = 24 * 3_600;
/// Later moments are taken for this one, which is far enough, so that sums of times have room. Unix seconds.
const END_OF_TIME: u64 = 1 << 48;
/// Rows that are read at once.
const AT_ONCE: u64 = 256;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The names of series; all where there is none.
    pub series: Vec<String>,
    /// Unix seconds.
    pub from: u64,
    /// Unix seconds.
    pub to: u64,
    /// About so many points, at most [`POINTS_MAX`].
    pub points: usize,
}

/// What there is of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct HistoryAnswer {
    /// Seconds from a point to the next.
    pub step_seconds: u64,
    /// When the first point begins: a multiple of the step. Unix seconds.
    pub from: u64,
    /// Means over each step, `null` where nothing is known.
    pub series: BTreeMap<String, Vec<Option<f32>>>,
    /// Every series that there is.
    pub names: Vec<String>,
}

/// The rings and their columns, on a medium.
pub(super) struct Store {
    medium: Box<dyn Medium>,
    columns: Vec<Option<Column>>,
}

impl Store {
    /// What stands on the medium; columns that cannot be read are free.
    pub(super) fn open(medium: Box<dyn Medium>) -> io::Result<Self> {
        let mut columns = Vec::with_capacity(COLUMNS);
        for at in 0..COLUMNS {
            let mut bytes = Column::empty();
            medium.read_at(Column::place(at), &mut bytes)?;
            let column = Column::read(&bytes);
            // Whoever comes first under a name has it.
            let twice = column.as_ref().is_some_and(|c| of(&columns, &c.name).is_some());
            columns.push(column.filter(|_| !twice));
        }
        Ok(Self { medium, columns })
    }

    /// Takes the values of a moment. Gives how many series found no column.
    pub(super) fn record<'a>(
        &mut self,
        unix: u64,
        samples: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<usize> {
        let mut left_out = 0;
        let mut now = NOTHING;
        for (name, value) in samples {
            match self.column(name, unix)? {
                Some(at) if value.is_finite() => now[at] = narrow(value),
                Some(_) => {}
                None => left_out += 1,
            }
        }
        self.write(&RINGS[0], RINGS[0].start(unix), &now)?;
        // Each coarser row is the mean of the finer ones, always: whatever was lost between them, it is made anew.
        for pair in RINGS.windows(2) {
            let (fine, coarse) = (pair[0], pair[1]);
            let start = coarse.start(unix);
            let mut mean = Mean::default();
            self.each(&fine, start, coarse.step / fine.step, |_, values| mean.add(values))?;
            self.write(&coarse, start, &mean.values())?;
        }
        Ok(left_out)
    }

    /// What was asked for, as far as it can be read.
    pub(super) fn query(&self, query: &HistoryQuery, now: u64) -> io::Result<HistoryAnswer> {
        let points = query.points.clamp(1, POINTS_MAX) as u64;
        let to = query.to.min(END_OF_TIME);
        // Nothing is older than the coarsest ring reaches.
        let from = query.from.min(to).max(to.saturating_sub(RINGS[2].reach()));
        let wanted = (to - from).div_ceil(points).max(1);
        // The finest that is not finer than what is wanted, and reaches back so far.
        let covers = |ring: &&Ring| now.saturating_sub(from) <= ring.reach();
        let fits = |ring: &&Ring| ring.step <= wanted && covers(ring);
        let ring = RINGS.iter().rfind(fits).or_else(|| RINGS.iter().find(covers)).unwrap_or(&RINGS[2]);
        let step = wanted.next_multiple_of(ring.step);
        let from = from - from % step;
        let count = usize::try_from((to - from) / step + 1).unwrap_or(POINTS_MAX + 1).min(POINTS_MAX + 1);

        let names: Vec<String> = self.columns.iter().flatten().map(|column| column.name.clone()).collect();
        let asked: Vec<&String> = match query.series.is_empty() {
            true => names.iter().collect(),
            false => query.series.iter().take(COLUMNS).collect(),
        };
        let mut means = vec![Mean::default(); count];
        let rows = count as u64 * (step / ring.step);
        self.each(ring, from, rows, |start, values| {
            if start <= to {
                means[usize::try_from((start - from) / step).unwrap_or(0).min(count - 1)].add(values);
            }
        })?;
        let series = asked.into_iter().map(|name| {
            let column = of(&self.columns, name);
            let point = |mean: &Mean| column.map(|at| mean.value(at)).filter(|value| value.is_finite());
            (name.clone(), means.iter().map(point).collect())
        });
        let series = series.collect();
        Ok(HistoryAnswer { step_seconds: step, from, series, names })
    }

    /// The column of a series, a new one if need be; `None` where all are taken.
    fn column(&mut self, name: &str, unix: u64) -> io::Result<Option<usize>> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Ok(None);
        }
        if let Some(at) = of(&self.columns, name) {
            if let Some(column) = self.columns[at].as_mut()
                && unix.abs_diff(column.last) >= LAST_EVERY
            {
                column.last = unix;
                let bytes = column.bytes();
                self.medium.write_at(Column::place(at), &bytes)?;
            }
            return Ok(Some(at));
        }
        let free = self.columns.iter().position(Option::is_none).or_else(|| {
            let silent = |column: &Column| column.last.saturating_add(SILENT) <= unix;
            let last = |at: &usize| self.columns[*at].as_ref().map_or(0, |column| column.last);
            let at = (0..COLUMNS).min_by_key(last)?;
            self.columns[at].as_ref().is_some_and(silent).then_some(at)
        });
        let Some(at) = free else { return Ok(None) };
        self.wipe(at)?;
        let column = Column { name: name.to_owned(), last: unix };
        self.medium.write_at(Column::place(at), &column.bytes())?;
        self.columns[at] = Some(column);
        Ok(Some(at))
    }

    /// Forgets what a column holds of another series, if it ever had one.
    fn wipe(&mut self, at: usize) -> io::Result<()> {
        let mut described = Column::empty();
        self.medium.read_at(Column::place(at), &mut described)?;
        if described == Column::empty() {
            return Ok(());
        }
        self.columns[at] = None;
        let mut bytes = [0; ROW];
        for ring in RINGS {
            for slot in 0..ring.slots {
                let place = ring.at + slot * ROW as u64;
                self.medium.read_at(place, &mut bytes)?;
                if let Some((start, mut values)) = values(&bytes).filter(|(_, values)| values[at].is_finite())
                {
                    values[at] = f32::NAN;
                    self.medium.write_at(place, &row(start, &values))?;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, ring: &Ring, start: u64, values: &Values) -> io::Result<()> {
        self.medium.write_at(ring.place(start), &row(start, values))
    }

    /// Hands over the rows that there are among `count` from a slot on.
    fn each(&self, ring: &Ring, from: u64, count: u64, mut take: impl FnMut(u64, &Values)) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(AT_ONCE.min(count)).unwrap_or(0) * ROW];
        let mut done = 0;
        while done < count {
            let start = from + done * ring.step;
            // As far as the ring goes on without a jump back to its beginning.
            let until_end = ring.slots - start / ring.step % ring.slots;
            let rows = AT_ONCE.min(count - done).min(until_end);
            let part = &mut bytes[..usize::try_from(rows).unwrap_or(0) * ROW];
            self.medium.read_at(ring.place(start), part)?;
            for (n, bytes) in part.chunks_exact(ROW).enumerate() {
                let start = start + n as u64 * ring.step;
                // Another time in this place is that of a round before.
                if let Some((_, values)) = values(bytes).filter(|(time, _)| *time == start) {
                    take(start, &values);
                }
            }
            done += rows;
        }
        Ok(())
    }
}

fn of(columns: &[Option<Column>], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.as_ref().is_some_and(|column| column.name == name))
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for a chart")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Sums and counts, by column.
#[derive(Clone)]
struct Mean {
    sum: [f64; COLUMNS],
    count: [u32; COLUMNS],
}

impl Default for Mean {
    fn default() -> Self {
        Self { sum: [0.0; COLUMNS], count: [0; COLUMNS] }
    }
}

impl Mean {
    fn add(&mut self, values: &Values) {
        for ((sum, count), value) in self.sum.iter_mut().zip(&mut self.count).zip(values) {
            if value.is_finite() {
                *sum += f64::from(*value);
                *count += 1;
            }
        }
    }

    fn value(&self, at: usize) -> f32 {
        match self.count[at] {
            0 => f32::NAN,
            count => narrow(self.sum[at] / f64::from(count)),
        }
    }

    fn values(&self) -> Values {
        std::array::from_fn(|at| self.value(at))
    }
}
