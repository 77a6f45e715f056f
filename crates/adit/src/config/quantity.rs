//! Durations, sizes and hashrates as people write them: `"1h30m"`, `"16KiB"`, `"100 TH/s"`.

use std::time::Duration;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Units of time, in milliseconds. The first name of a length is the one written.
const TIME_UNITS: [(&str, u64); 6] =
    [("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("min", MINUTE_MS), ("s", SECOND_MS), ("ms", 1)];

/// Units of size, in bytes. The first name of a size is the one written.
const SIZE_UNITS: [(&str, u64); 6] =
    [("MiB", 1 << 20), ("KiB", 1 << 10), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000), ("B", 1)];

/// Prefixes of hashes a second.
const HASHRATE_PREFIXES: [(&str, f64); 8] =
    [("Z", 1e21), ("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)];

/// Reads a duration: numbers with units, largest first (`"1h30m"`, `"500ms"`), or a number of seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = plain_number(text) {
        return seconds_to_duration(seconds);
    }
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let (count, after) = split_digits(rest)?;
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (_, unit) = *TIME_UNITS.iter().find(|(name, _)| *name == &after[..unit_end])?;
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(count.checked_mul(unit)?)?;
        rest = after[unit_end..].trim_start();
    }
    (last_unit != u64::MAX).then(|| Duration::from_millis(total))
}

/// The duration that someone meant who wrote its unit out or in capitals: `"5 seconds"`, `"2H"`.
pub(crate) fn duration_meant(text: &str) -> Option<Duration> {
    let (count, unit) = split_digits(text.trim())?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    };
    duration(&format!("{count}{unit}"))
}

/// A duration from a number of seconds, to the millisecond.
pub(crate) fn seconds_to_duration(seconds: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    // A fraction such as 0.1 has no exact double: keep the milliseconds that were meant.
    Some(Duration::from_millis(u64::try_from((duration + Duration::from_micros(500)).as_millis()).ok()?))
}

/// Writes a duration with the largest unit that gives a whole number above one (hours: from one).
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let (name, unit) = TIME_UNITS
        .into_iter()
        .find(|(_, unit)| {
            ms.is_multiple_of(*unit) && (ms / unit > 1 || matches!(*unit, HOUR_MS | SECOND_MS | 1))
        })
        .unwrap_or(("ms", 1));
    format!("{}{name}", ms / unit)
}

/// Reads a size: a whole number with a unit (`"16KiB"`, `"64 KiB"`), or a number of bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (count, after) = split_digits(text.trim())?;
    let unit = match after.trim_start() {
        "" => 1,
        name => SIZE_UNITS.iter().find(|(unit, _)| *unit == name)?.1,
    };
    count.checked_mul(unit)
}

/// The size that someone meant who wrote its unit in another way: `"64k"`, `"1 megabyte"`.
pub(crate) fn size_meant(text: &str) -> Option<String> {
    let (count, unit) = split_digits(text.trim())?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => "B",
        "k" | "kb" | "kib" | "kilobyte" | "kilobytes" => "KiB",
        "m" | "mb" | "mib" | "megabyte" | "megabytes" => "MiB",
        _ => return None,
    };
    Some(format!("{count}{unit}"))
}

/// Writes a size with the largest binary unit that gives a whole number.
pub(crate) fn show_size(bytes: u64) -> String {
    let (name, unit) = SIZE_UNITS
        .into_iter()
        .find(|(name, unit)| name.contains('i') && bytes > 0 && bytes.is_multiple_of(*unit))
        .unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit)
}

/// Reads a hashrate in hashes a second: a number with a unit (`"100 TH/s"`, `"1.5PH"`), or a bare number.
pub(crate) fn hashrate(text: &str) -> Option<f64> {
    if let Some(number) = plain_number(text) {
        return Some(number);
    }
    let text = text.trim();
    let unit = text.strip_suffix("H/s").or_else(|| text.strip_suffix('H'))?.trim_end();
    for (prefix, factor) in HASHRATE_PREFIXES {
        if let Some(number) = unit.strip_suffix(prefix).or_else(|| unit.strip_suffix(upper(prefix))) {
            return Some(plain_number(number)? * factor).filter(|rate| rate.is_finite());
        }
    }
    None
}

/// The hashrate that someone meant who left `H/s` out or took other capitals: `"100 T"`, `"100 th/s"`.
pub(crate) fn hashrate_meant(text: &str) -> Option<String> {
    let upper = text.trim().to_ascii_uppercase();
    let number =
        upper.strip_suffix("H/S").or_else(|| upper.strip_suffix("HS")).or_else(|| upper.strip_suffix('H'));
    let meant = format!("{}H/s", number.unwrap_or(&upper));
    hashrate(&meant).map(show_hashrate)
}

/// Writes a hashrate with the largest unit that reads back as the same number.
pub(crate) fn show_hashrate(rate: f64) -> String {
    for (prefix, factor) in HASHRATE_PREFIXES {
        if rate >= factor {
            let text = format!("{} {prefix}H/s", rate / factor);
            if hashrate(&text) == Some(rate) {
                return text;
            }
        }
    }
    format!("{rate} H/s")
}

/// `k` may be written `K`.
fn upper(prefix: &str) -> &str {
    if prefix == "k" { "K" } else { prefix }
}

/// A finite number of digits, point and exponent alone: no sign, no `inf`, no `nan`.
fn plain_number(text: &str) -> Option<f64> {
    let text = text.trim().replace('_', "");
    let numeric = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    numeric.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

/// A whole number at the beginning (with `_` between digits) and what follows it.
fn split_digits(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let count = text[..end].replace('_', "").parse().ok()?;
    Some((count, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("10s"), Some(10_000));
        assert_eq!(ms("2h"), Some(7_200_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1h 30min"), Some(5_400_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1d"), Some(86_400_000));
        assert_eq!(ms("90"), Some(90_000));
        assert_eq!(ms("0.1"), Some(100));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "s", "10", "10 seconds", "-1s", "1m1h", "1s1s", "1.5h", "99999999999999d", "1e300", "nan"]
        {
            assert_eq!(duration(text).is_some(), text == "10", "{text}");
        }
    }

    #[test]
    fn durations_are_written_short() {
        for (seconds, text) in
            [(0, "0s"), (1, "1s"), (60, "60s"), (600, "10m"), (3_600, "1h"), (86_400, "24h")]
        {
            assert_eq!(show_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(show_duration(Duration::from_millis(1_500)), "1500ms");
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("16KiB", 16_384),
            ("64 KiB", 65_536),
            ("1MiB", 1_048_576),
            ("16kB", 16_000),
            ("7", 7),
            ("7 B", 7),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "16 kib", "-1", "1.5KiB", "99999999999999MiB", "16 K"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(show_size(65_536), "64KiB");
        assert_eq!(show_size(1_000), "1000B");
        assert_eq!(show_size(0), "0B");
    }

    #[test]
    fn hashrates_are_read_and_written() {
        for (text, rate) in [
            ("100 TH/s", 1e14),
            ("1.5PH", 1.5e15),
            ("500 kH/s", 5e5),
            ("500KH/s", 5e5),
            ("5e14", 5e14),
            ("7 H/s", 7.0),
        ] {
            assert_eq!(hashrate(text), Some(rate), "{text}");
        }
        for text in ["", "TH/s", "100 T", "-1 TH/s", "inf", "1e400", "1e308 TH/s", "100 Th/s"] {
            assert_eq!(hashrate(text), None, "{text}");
        }
        assert_eq!(show_hashrate(1e14), "100 TH/s");
    }

    #[test]
    fn other_ways_to_write_units_are_understood_to_suggest_the_right_one() {
        assert_eq!(duration_meant("5 seconds"), Some(Duration::from_secs(5)));
        assert_eq!(duration_meant("5 fortnights"), None);
        assert_eq!(size_meant("64 kilobytes").as_deref(), Some("64KiB"));
        assert_eq!(size_meant("64 acres"), None);
        assert_eq!(hashrate_meant("100 T").as_deref(), Some("100 TH/s"));
        assert_eq!(hashrate_meant("100 th/s").as_deref(), Some("100 TH/s"));
        assert_eq!(hashrate_meant("100 knots"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..u64::MAX / 2, bytes: u64, rate in 0.0..1e24_f64) {
            prop_assert_eq!(duration(&show_duration(Duration::from_millis(ms))), Some(Duration::from_millis(ms)));
            prop_assert_eq!(size(&show_size(bytes)), Some(bytes));
            prop_assert_eq!(hashrate(&show_hashrate(rate)), Some(rate));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = (duration(&text), size(&text), hashrate(&text));
            let _ = (duration_meant(&text), size_meant(&text), hashrate_meant(&text));
        }
    }
}
