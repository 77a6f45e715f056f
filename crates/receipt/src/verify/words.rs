//! Figures and times as people read them.

/// A number of hashes, or of hashes a second, in three digits and SI's letters: `1.23 P`.
#[must_use]
pub fn in_words(number: impl Into<Hashes>) -> String {
    let Hashes(mut number) = number.into();
    let mut letters = " kMGTPEZYRQ".chars();
    let mut letter = letters.next().unwrap_or(' ');
    while number >= 999.5 {
        let Some(next) = letters.next() else { break };
        (number, letter) = (number / 1_000.0, next);
    }
    let digits = match number {
        n if n >= 99.95 => format!("{n:.0}"),
        n if n >= 9.995 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    };
    format!("{digits} {letter}").trim_end().to_owned()
}

/// A number of hashes.
#[derive(Clone, Copy, Debug)]
pub struct Hashes(f64);

impl From<f64> for Hashes {
    fn from(number: f64) -> Self {
        Self(number)
    }
}

impl From<u128> for Hashes {
    fn from(number: u128) -> Self {
        Self(crate::claim::float(number))
    }
}

/// Unix seconds as `2027-01-15 08:00:00 UTC`. Times after the year 9999 are left as they are.
#[must_use]
pub fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    if days > 2_932_896 {
        return format!("{seconds} s after 1970");
    }
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant's algorithm).
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_800_000_000, "2027-01-15 08:00:00 UTC"),
            (4_294_967_295, "2106-02-07 06:28:15 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        assert_eq!(utc(u64::MAX), format!("{} s after 1970", u64::MAX));
    }

    #[test]
    fn figures_have_three_digits() {
        for (number, text) in [
            (0.0, "0.00"),
            (1.0, "1.00"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (12_345.0, "12.3 k"),
            (1.5e15, "1.50 P"),
            (9.99e32, "999 Q"),
        ] {
            assert_eq!(in_words(number), text);
        }
    }
}
