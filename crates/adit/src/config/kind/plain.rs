//! Flags, numbers and words.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{Kind, Refusal, nearest_bound};
use crate::config::given::{Given, quoted};
use crate::config::nearest::nearest;

/// `true` or `false`.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, given: &Given) -> Result<bool, Refusal> {
        given.flag().ok_or_else(|| match given.text().map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "on" | "true" | "1") => Refusal::value("true"),
            Some("no" | "off" | "false" | "0") => Refusal::value("false"),
            _ => match given.whole() {
                Some(1) => Refusal::value("true"),
                Some(0) => Refusal::value("false"),
                _ => Refusal::plain(),
            },
        })
    }

    fn write(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// A whole number of a range.
pub(crate) struct Whole<T>(pub(crate) RangeInclusive<T>);

impl<T> Kind for Whole<T>
where
    T: TryFrom<i64> + PartialOrd + Copy + Display,
{
    type Value = T;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, given: &Given) -> Result<T, Refusal> {
        let Some(number) = given.whole() else {
            return Err(match given {
                Given::Whole { digits, .. } if digits.starts_with('-') => {
                    Refusal::value(self.0.start().to_string())
                }
                Given::Whole { .. } => Refusal::value(self.0.end().to_string()),
                _ => Refusal::plain(),
            });
        };
        let value = T::try_from(number).map_err(|_| {
            Refusal::value(if number < 0 { self.0.start() } else { self.0.end() }.to_string())
        })?;
        if self.0.contains(&value) {
            Ok(value)
        } else {
            Err(Refusal::value(nearest_bound(&value, &self.0).to_string()))
        }
    }

    fn write(&self, value: &T) -> Option<String> {
        Some(value.to_string())
    }
}

/// A number of a range, with or without a point.
pub(crate) struct Number(pub(crate) RangeInclusive<f64>);

impl Kind for Number {
    type Value = f64;

    fn expected(&self) -> String {
        format!("a number from {} to {}", show_number(*self.0.start()), show_number(*self.0.end()))
    }

    fn read(&self, given: &Given) -> Result<f64, Refusal> {
        let number = given.number().ok_or_else(Refusal::plain)?;
        if self.0.contains(&number) {
            Ok(number)
        } else {
            Err(Refusal::value(show_number(nearest_bound(&number, &self.0))))
        }
    }

    fn write(&self, value: &f64) -> Option<String> {
        Some(show_number(*value))
    }
}

/// A number as TOML: without a point where it has no fraction.
fn show_number(number: f64) -> String {
    // Outside this range an exponent is easier to read than zeros.
    if number == 0.0 || (1e-4..1e7).contains(&number.abs()) {
        format!("{number}")
    } else {
        format!("{number:e}")
    }
}

/// One of a few words.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| quoted(word)).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn read(&self, given: &Given) -> Result<T, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        Err(match nearest(text, self.0.iter().map(|(word, _)| *word)) {
            Some(word) => Refusal::value(quoted(word)),
            None => Refusal::plain(),
        })
    }

    fn write(&self, value: &T) -> Option<String> {
        self.0.iter().find(|(_, known)| known == value).map(|(word, _)| quoted(word))
    }
}

/// How many miners share one channel to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinersPerChannel {
    /// At most this many, at least 1. With 1 each miner's own identity is passed through.
    AtMost(u32),
    /// All miners of the route.
    All,
}

/// [`MinersPerChannel`]: a number of a range or `"all"`.
pub(crate) struct Channels(pub(crate) RangeInclusive<u32>);

impl Kind for Channels {
    type Value = MinersPerChannel;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}, or \"all\"", self.0.start(), self.0.end())
    }

    fn read(&self, given: &Given) -> Result<MinersPerChannel, Refusal> {
        match given.text() {
            Some("all") => Ok(MinersPerChannel::All),
            Some(text) if nearest(text, ["all"]).is_some() => Err(Refusal::value("\"all\"")),
            _ => Whole(self.0.clone()).read(given).map(MinersPerChannel::AtMost),
        }
    }

    fn write(&self, value: &MinersPerChannel) -> Option<String> {
        Some(match value {
            MinersPerChannel::AtMost(miners) => miners.to_string(),
            MinersPerChannel::All => "\"all\"".to_owned(),
        })
    }
}
