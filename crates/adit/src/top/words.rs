//! Figures in few letters.

/// Hashes per second, in three or four digits.
pub(super) fn hashrate(rate: f64) -> String {
    format!("{}H/s", scaled(rate))
}

/// A number in three or four digits, with a unit's prefix.
pub(super) fn scaled(number: f64) -> String {
    const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
    if !number.is_finite() || number <= 0.0 {
        return "0 ".to_owned();
    }
    let (mut number, mut at) = (number, 0);
    while number >= 999.5 && at + 1 < PREFIXES.len() {
        number /= 1000.0;
        at += 1;
    }
    let digits = match number {
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$} {}", PREFIXES[at])
}

/// A count, with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A time in its two largest units.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a screen")]
pub(super) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The time of the day, UTC.
pub(super) fn clock(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A part of a whole.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
pub(super) fn percent(part: u64, of: u64) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.2} %", part as f64 * 100.0 / of as f64) }
}

/// The newest values as a line of bars, so many at most, each over the highest.
pub(super) fn bars(values: &[f64], most: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values = &values[values.len().saturating_sub(most)..];
    let highest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let bar = |value: &f64| {
        if !value.is_finite() || *value <= 0.0 || highest <= 0.0 {
            return ' ';
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
        let at = (value / highest * 7.0).round() as usize;
        BARS[at.min(7)]
    };
    values.iter().map(bar).collect()
}

/// What a peer wrote, without anything that a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|letter| if hidden(letter) { '·' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let rates = [
            (0.0, "0 H/s"),
            (f64::NAN, "0 H/s"),
            (5.0, "5.00 H/s"),
            (999.4, "999 H/s"),
            (999.6, "1.00 kH/s"),
        ];
        for (rate, text) in rates {
            assert_eq!(hashrate(rate), text);
        }
        assert_eq!(hashrate(123.4e15), "123 PH/s");
        assert_eq!(hashrate(1e30), "1000000000 ZH/s");
        assert_eq!([count(0), count(999), count(1_234_567)], ["0", "999", "1 234 567"]);
        assert_eq!(
            [span(-1.0), span(59.9), span(61.0), span(7_260.0), span(90_000.0)],
            ["0s", "59s", "1m01", "2h01", "1d01h"]
        );
        assert_eq!(clock(86_400_000 + 3_661_000), "01:01:01");
        assert_eq!((percent(1, 0), percent(1, 3)), ("-".into(), "33.33 %".into()));
        assert_eq!(bars(&[9.0, 0.0, 1.0, 4.0, 8.0, f64::NAN], 5), " ▂▅█ ");
        assert_eq!(bars(&[], 5), "");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_of_a_name() {
        assert_eq!(harmless("a\u{1b}[2J\nb\u{202e}c\u{7}ä"), "a·[2J·b·c·ä");
    }
}
