//! Durations, sizes and hashrates within bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Fix, Kind, Refusal, nearest_bound};
use crate::config::given::{Given, quoted};
use crate::config::quantity;

/// A duration of a range.
pub(crate) struct Span {
    /// The shortest and the longest.
    pub(crate) range: RangeInclusive<Duration>,
    /// Only whole seconds make sense: what it is compared with has no finer ones.
    pub(crate) whole_seconds: bool,
}

impl Span {
    /// Any duration of the range, to the millisecond.
    pub(crate) const fn of(range: RangeInclusive<Duration>) -> Self {
        Self { range, whole_seconds: false }
    }

    /// Whole seconds of the range.
    pub(crate) const fn seconds(range: RangeInclusive<Duration>) -> Self {
        Self { range, whole_seconds: true }
    }
}

impl Kind for Span {
    type Value = Duration;

    fn expected(&self) -> String {
        format!(
            "a duration from {} to {}{}, such as \"90s\" or \"1h30m\", or a number of seconds",
            quantity::show_duration(*self.range.start()),
            quantity::show_duration(*self.range.end()),
            if self.whole_seconds { " in whole seconds" } else { "" },
        )
    }

    fn read(&self, given: &Given) -> Result<Duration, Refusal> {
        let duration = match given {
            Given::Text(text) | Given::Loose(text) => quantity::duration(text),
            _ => given.number().and_then(quantity::seconds_to_duration),
        };
        let meant = || {
            Some(given.text().and_then(quantity::duration_meant)?).filter(|meant| self.range.contains(meant))
        };
        let duration = duration.ok_or_else(|| {
            if let Some(meant) = meant() {
                return Refusal { fix: self.write(&meant).map(Fix::Value), ..Refusal::default() };
            }
            given.number().map_or_else(Refusal::plain, |number| {
                let bound = if number < 0.0 { self.range.start() } else { self.range.end() };
                Refusal { fix: self.write(bound).map(Fix::Value), ..Refusal::default() }
            })
        })?;
        if !self.range.contains(&duration) {
            let bound = nearest_bound(&duration, &self.range);
            return Err(Refusal { fix: self.write(&bound).map(Fix::Value), ..Refusal::default() });
        }
        if self.whole_seconds && duration.subsec_nanos() != 0 {
            let up = Duration::from_secs(duration.as_secs() + 1).min(*self.range.end());
            return Err(Refusal { fix: self.write(&up).map(Fix::Value), ..Refusal::default() });
        }
        Ok(duration)
    }

    fn write(&self, value: &Duration) -> Option<String> {
        Some(quoted(&quantity::show_duration(*value)))
    }
}

/// A size in bytes of a range.
pub(crate) struct Size(pub(crate) RangeInclusive<usize>);

impl Kind for Size {
    type Value = usize;

    fn expected(&self) -> String {
        format!(
            "a size from {} to {}, such as \"64KiB\", or a number of bytes",
            quantity::show_size(*self.0.start() as u64),
            quantity::show_size(*self.0.end() as u64),
        )
    }

    fn read(&self, given: &Given) -> Result<usize, Refusal> {
        let size = match given {
            Given::Text(text) | Given::Loose(text) => quantity::size(text),
            _ => given.whole().map(|number| u64::try_from(number).unwrap_or(0)),
        };
        let size = size.ok_or_else(|| match given.text().and_then(quantity::size_meant) {
            Some(meant) => Refusal::value(quoted(&meant)),
            None => Refusal::plain(),
        })?;
        match usize::try_from(size) {
            Ok(size) if self.0.contains(&size) => Ok(size),
            size => {
                let bound = nearest_bound(&size.unwrap_or(usize::MAX), &self.0);
                Err(Refusal { fix: self.write(&bound).map(Fix::Value), ..Refusal::default() })
            }
        }
    }

    fn write(&self, value: &usize) -> Option<String> {
        Some(quoted(&quantity::show_size(*value as u64)))
    }
}

/// An amount of work, as people trade it: a hashrate for a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Hashes per second.
    pub rate: f64,
    /// For so long.
    pub time: Duration,
}

impl Work {
    /// The hashes that it is: shares' difficulty x 2^32.
    #[must_use]
    pub fn hashes(&self) -> f64 {
        self.rate * self.time.as_secs_f64()
    }
}

/// [`Work`] as `5 PH/s for 24h`.
pub(crate) struct Amount;

impl Kind for Amount {
    type Value = Work;

    fn expected(&self) -> String {
        "an amount of work, such as \"5 PH/s for 24h\"".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Work, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        let (rate, time) = text.split_once(" for ").ok_or_else(Refusal::plain)?;
        let work = match (quantity::hashrate(rate), quantity::duration(time.trim())) {
            (Some(rate), Some(time)) => Work { rate, time },
            _ => return Err(Refusal::plain()),
        };
        if (1.0..=1e30).contains(&work.hashes()) {
            Ok(work)
        } else {
            Err(Refusal::words("an amount above nothing"))
        }
    }

    fn write(&self, value: &Work) -> Option<String> {
        let (rate, time) = (quantity::show_hashrate(value.rate), quantity::show_duration(value.time));
        Some(quoted(&format!("{rate} for {time}")))
    }
}

/// A hashrate in hashes a second.
pub(crate) struct Hashrate(pub(crate) RangeInclusive<f64>);

impl Kind for Hashrate {
    type Value = f64;

    fn expected(&self) -> String {
        format!(
            "a hashrate from {} to {}, such as \"100 TH/s\", or a number of hashes a second",
            quantity::show_hashrate(*self.0.start()),
            quantity::show_hashrate(*self.0.end()),
        )
    }

    fn read(&self, given: &Given) -> Result<f64, Refusal> {
        let rate = match given {
            Given::Text(text) | Given::Loose(text) => quantity::hashrate(text),
            _ => given.number(),
        };
        let rate = rate.ok_or_else(|| match given.text().and_then(quantity::hashrate_meant) {
            Some(meant) => Refusal::value(quoted(&meant)),
            None => Refusal::plain(),
        })?;
        if self.0.contains(&rate) {
            Ok(rate)
        } else {
            let bound = nearest_bound(&rate, &self.0);
            Err(Refusal { fix: self.write(&bound).map(Fix::Value), ..Refusal::default() })
        }
    }

    fn write(&self, value: &f64) -> Option<String> {
        Some(quoted(&quantity::show_hashrate(*value)))
    }
}
