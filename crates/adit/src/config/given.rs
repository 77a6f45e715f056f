//! A value as it was given, before anyone knows what it should be.

use std::fmt;

use toml::de::DeValue;

use super::place::Spot;

/// The longest value that a message repeats, in characters.
const SHOWN_MAX: usize = 60;

/// A value of the file or of the environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given {
    /// A quoted text of the file.
    Text(String),
    /// A value of the environment: text that takes the form that its key asks for.
    Loose(String),
    /// A whole number of the file. The digits are kept as written; `value` is absent when it is too large.
    Whole { value: Option<i64>, radix: u32, digits: String },
    /// A number with a point or exponent.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A list, each item with its own spot.
    List(Vec<(Spot, Given)>),
    /// A date or time; no key takes one.
    Date(String),
    /// A table where a value belongs.
    Table,
}

impl Given {
    /// Copies a value out of a parsed file.
    pub(crate) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.clone().into_owned()),
            DeValue::Integer(number) => Self::Whole {
                value: i64::from_str_radix(number.as_str(), number.radix()).ok(),
                radix: number.radix(),
                digits: number.as_str().to_owned(),
            },
            // The parser has checked the form: only inf, nan and numbers come here.
            DeValue::Float(number) => Self::Number(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Datetime(date) => Self::Date(date.to_string()),
            DeValue::Array(items) => Self::List(
                items.iter().map(|item| (Spot::Text(item.span()), Self::of(item.get_ref()))).collect(),
            ),
            DeValue::Table(_) => Self::Table,
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole { value, .. } => *value,
            Self::Loose(text) => text.replace('_', "").parse().ok(),
            _ => None,
        }
    }

    /// The number, if it is one and finite.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Number(number) => Some(*number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "settings have far fewer than 53 significant bits"
            )]
            Self::Whole { value: Some(value), .. } => Some(*value as f64),
            Self::Loose(text) => text.replace('_', "").parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// `true` or `false`, if it is one.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Loose(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The same value as text whose form is open, as if it came from the environment: to find out whether
    /// only quotes are missing or too many.
    pub(crate) fn loosened(&self) -> Option<Self> {
        match self {
            Self::Text(text) => Some(Self::Loose(text.clone())),
            Self::Whole { digits, radix: 10, .. } => Some(Self::Text(digits.clone())),
            Self::List(items) => match items.as_slice() {
                [(_, item)] => Some(item.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// As messages repeat it: what kind of thing it is and what stands there.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Loose(text) if text.is_empty() => f.write_str("an empty text"),
            Self::Text(text) | Self::Loose(text) => f.write_str(&quoted_short(text)),
            Self::Whole { digits, radix, .. } => {
                let prefix = match radix {
                    2 => "0b",
                    8 => "0o",
                    16 => "0x",
                    _ => "",
                };
                write!(f, "the number {prefix}{}", short(digits))
            }
            Self::Number(number) => write!(f, "the number {number:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(items) if items.is_empty() => f.write_str("an empty list"),
            Self::List(items) => write!(f, "a list of {}", items.len()),
            Self::Date(date) => write!(f, "the date {date}"),
            Self::Table => f.write_str("a table"),
        }
    }
}

/// A text in quotes, control characters escaped, as TOML would read it back.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Words with commas and a last `and` between them.
pub(crate) fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// A text in quotes, shortened when it is long.
pub(crate) fn quoted_short(text: &str) -> String {
    quoted(&short(text))
}

fn short(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN_MAX - 3).collect();
    short.push_str("...");
    short
}
