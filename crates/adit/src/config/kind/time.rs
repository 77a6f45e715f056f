//! Moments and hours of the day.

use std::fmt;

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};

const DAY: u64 = 86_400;

/// A moment, Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// From `2026-12-01T22:00:00Z`, with any offset, without seconds, or a date alone: its first moment, UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, rest) = text.split_at_checked(10)?;
        let mut parts = date.split('-').map(number);
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() || !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
            return None;
        }
        if day < 1 || day > days_of(year, month) {
            return None;
        }
        let midnight = days_until(year, month, day) * DAY;
        if rest.is_empty() {
            return Some(Self(midnight));
        }
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let zone = rest.find(['Z', 'z', '+', '-'])?;
        let (time, zone) = rest.split_at(zone);
        let at = i64::try_from(midnight + u64::from(clock(time, true)?)).ok()?;
        let offset = match zone {
            "Z" | "z" => 0,
            _ => {
                let (hours, minutes) = zone.get(1..)?.split_once(':')?;
                let seconds = i64::try_from(number(hours)? * 3_600 + number(minutes)? * 60).ok()?;
                if zone.starts_with('-') { -seconds } else { seconds }
            }
        };
        u64::try_from(at - offset).ok().map(Self)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut day, second) = (self.0 / DAY, self.0 % DAY);
        let mut year = 1970;
        while day >= if is_leap(year) { 366 } else { 365 } {
            day -= if is_leap(year) { 366 } else { 365 };
            year += 1;
        }
        let mut month = 1;
        while day >= days_of(year, month) {
            day -= days_of(year, month);
            month += 1;
        }
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1)
    }
}

fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 until a date.
fn days_until(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    years + (1..month).map(|month| days_of(year, month)).sum::<u64>() + day - 1
}

/// Seconds after midnight, from `22:00`, with seconds where they are allowed.
fn clock(text: &str, seconds: bool) -> Option<u32> {
    let mut parts = text.split(':').map(|part| number(part).filter(|_| part.len() == 2));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        Some(second) if seconds => second?,
        Some(_) => return None,
        None => 0,
    };
    let is_end = (hour, minute, second) == (24, 0, 0) && !seconds;
    let good = parts.next().is_none() && (hour < 24 || is_end) && minute < 60 && second < 60;
    good.then(|| u32::try_from(hour * 3_600 + minute * 60 + second).ok()).flatten()
}

/// A [`UnixTime`] as RFC 3339 has it.
pub(crate) struct Moment;

impl Kind for Moment {
    type Value = UnixTime;

    fn expected(&self) -> String {
        "a moment as RFC 3339 has it, such as \"2026-12-01T22:00:00Z\" or \"2026-12-01T22:00:00+01:00\", or a date"
            .to_owned()
    }

    fn read(&self, given: &Given) -> Result<UnixTime, Refusal> {
        let text = match given {
            Given::Date(text) => text,
            _ => given.text().ok_or_else(Refusal::plain)?,
        };
        UnixTime::parse(text).ok_or_else(|| match UnixTime::parse(&format!("{text}Z")) {
            Some(utc) => Refusal::value(quoted(&utc.to_string())),
            None => Refusal::plain(),
        })
    }

    fn write(&self, value: &UnixTime) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

/// Hours of each day, in seconds after midnight, UTC; the second is not of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayHours {
    /// The first.
    pub from: u32,
    /// The end. Before `from`, it is over midnight.
    pub to: u32,
}

/// [`DayHours`] as `22:00-06:00`.
pub(crate) struct Hours;

impl Kind for Hours {
    type Value = DayHours;

    fn expected(&self) -> String {
        "hours of the day in UTC, such as \"22:00-06:00\"".to_owned()
    }

    fn read(&self, given: &Given) -> Result<DayHours, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        let (from, to) = text.split_once('-').ok_or_else(Refusal::plain)?;
        let read = |part: &str| clock(part.trim(), false).ok_or_else(Refusal::plain);
        let hours = DayHours { from: read(from)?, to: read(to)? };
        if hours.from == hours.to || u64::from(hours.from) >= DAY {
            return Err(Refusal::words(
                "two different times, the first before 24:00; leave the key out for all day",
            ));
        }
        Ok(hours)
    }

    fn write(&self, value: &DayHours) -> Option<String> {
        let show = |seconds: u32| format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60);
        Some(quoted(&format!("{}-{}", show(value.from), show(value.to))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_and_written() {
        let read = |text: &str| UnixTime::parse(text).map(|t| t.0);
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T12:34:56Z"), Some(951_827_696));
        assert_eq!(read("2026-11-29T15:00:00+01:00"), read("2026-11-29T14:00Z"));
        assert_eq!(read("2026-11-29"), read("2026-11-29T00:00:00Z"));
        for text in [
            "",
            "2026-13-01",
            "2026-02-29",
            "2026-11-29T25:00Z",
            "2026-11-29T10:00",
            "29.11.2026",
            "2026-11-2é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for seconds in [0, 951_827_696, 1_796_000_000, 4_102_444_799] {
            assert_eq!(read(&UnixTime(seconds).to_string()), Some(seconds));
        }
    }

    #[test]
    fn hours_are_read_and_written() {
        let read = |text: &str| Hours.read(&Given::Text(text.to_owned())).ok();
        let night = DayHours { from: 22 * 3_600, to: 6 * 3_600 };
        assert_eq!(read("22:00-06:00"), Some(night));
        assert_eq!(Hours.write(&night).as_deref(), Some("\"22:00-06:00\""));
        assert_eq!(read("08:30 - 24:00"), Some(DayHours { from: 30_600, to: 86_400 }));
        for text in ["", "22:00", "22-06", "24:00-01:00", "7:00-8:00", "10:00-10:00", "10:60-11:00"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
