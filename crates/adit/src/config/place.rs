//! Where a value came from: a line of the file or a variable of the environment.

use std::fmt;
use std::ops::Range;

/// The longest piece of a line that an excerpt shows, in characters.
const EXCERPT_WIDTH: usize = 100;
/// How many characters stay visible before the marked part of a line that is too long to show whole.
const EXCERPT_LEAD: usize = 30;

/// Where a setting stands, for people to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A position in the configuration file.
    Line {
        /// The file as it was named to Adit.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
    },
    /// The file as a whole: something is missing from it.
    File(String),
    /// A variable of the environment.
    Variable(String),
    /// Nowhere: the value is Adit's default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::File(file) => f.write_str(file),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A line of the file with the part that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line's number, from 1.
    pub line: usize,
    /// The line, without control characters, shortened when it is very long.
    pub text: String,
    /// How many characters stand before the marked part.
    pub before: usize,
    /// How many characters are marked, at least one.
    pub marked: usize,
}

/// Where something stands before it is turned into a [`Place`] for people: cheap to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spot {
    /// Byte range in the text.
    Text(Range<usize>),
    /// Name of the variable.
    Variable(String),
    /// The text as a whole.
    Whole,
}

/// The text of a configuration and its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> Text<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }

    /// The place of a spot, as people read it.
    pub(crate) fn place(&self, spot: &Spot) -> Place {
        match spot {
            Spot::Text(range) => {
                let (start, line_start) = self.line_start(range.start);
                Place::Line {
                    file: self.name.to_owned(),
                    line: self.text[..line_start].matches('\n').count() + 1,
                    column: self.text[line_start..start].chars().count() + 1,
                }
            }
            Spot::Variable(name) => Place::Variable(name.clone()),
            Spot::Whole => Place::File(self.name.to_owned()),
        }
    }

    /// The line of a spot with the spot marked; nothing for a spot outside the text. `cut` ends the line
    /// it behind the marked part, for lines whose rest may hold what must not be shown.
    pub(crate) fn excerpt(&self, spot: &Spot, cut: bool) -> Option<Excerpt> {
        let Spot::Text(range) = spot else { return None };
        let (start, line_start) = self.line_start(range.start);
        let line_end = self.text[line_start..].find('\n').map_or(self.text.len(), |at| line_start + at);
        let marked_end = floor(self.text, range.end.clamp(start, line_end));
        let shown_end = if cut { marked_end } else { line_end };
        let line = self.text[line_start..shown_end].trim_end();
        let mut before = self.text[line_start..start].chars().count();
        let mut chars: Vec<char> = line.chars().map(visible).collect();
        let marked = self.text[start..marked_end].trim_end().chars().count().max(1);
        if before > EXCERPT_WIDTH - EXCERPT_LEAD {
            let dropped = before - EXCERPT_LEAD;
            chars.drain(..dropped.min(chars.len()));
            before = EXCERPT_LEAD;
        }
        chars.truncate(EXCERPT_WIDTH);
        Some(Excerpt {
            line: self.text[..line_start].matches('\n').count() + 1,
            text: chars.into_iter().collect(),
            before,
            marked: marked.min(EXCERPT_WIDTH - before),
        })
    }

    /// The text of a spot; empty for a spot outside the text.
    pub(crate) fn slice(&self, spot: &Spot) -> &'a str {
        match spot {
            Spot::Text(range) => {
                let start = floor(self.text, range.start);
                &self.text[start..floor(self.text, range.end).max(start)]
            }
            _ => "",
        }
    }

    /// The line on which a spot stands, without its end, and the part of it before the spot; empty for a
    /// spot outside the text.
    pub(crate) fn line_around(&self, spot: &Spot) -> (&'a str, &'a str) {
        let Spot::Text(range) = spot else { return ("", "") };
        let (at, start) = self.line_start(range.start);
        (self.text[start..].lines().next().unwrap_or_default(), &self.text[start..at])
    }

    /// All of the text.
    pub(crate) fn whole(&self) -> &'a str {
        self.text
    }

    /// `at`, moved back to a character boundary inside the text, and where its line begins. An error at
    /// the very end of a text belongs to the last line that holds something.
    fn line_start(&self, at: usize) -> (usize, usize) {
        let mut at = floor(self.text, at);
        if at == self.text.len() {
            at = self.text.trim_end().len();
        }
        (at, self.text[..at].rfind('\n').map_or(0, |newline| newline + 1))
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A character as a terminal may show it: control characters would move its cursor.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_in_characters() {
        let text = Text::new("a.toml", "x = 1\nä = \"b\"\n");
        assert_eq!(
            text.place(&Spot::Text(11..14)),
            Place::Line { file: "a.toml".to_owned(), line: 2, column: 5 }
        );
    }

    #[test]
    fn an_excerpt_marks_the_value_and_shows_no_control_characters() {
        let text = Text::new("a.toml", "a\t= \"\u{1b}[2J\"\r\n");
        let excerpt = text.excerpt(&Spot::Text(4..10), false).unwrap();
        assert_eq!(excerpt.text, "a = \"\u{fffd}[2J\"");
        assert_eq!((excerpt.line, excerpt.before, excerpt.marked), (1, 4, 6));
    }

    #[test]
    fn a_very_long_line_is_shortened_around_the_marked_part() {
        let line = format!("{}MARK{}", "x".repeat(5_000), "y".repeat(5_000));
        let excerpt = Text::new("a", &line).excerpt(&Spot::Text(5_000..5_004), false).unwrap();
        assert_eq!(excerpt.text.chars().count(), EXCERPT_WIDTH);
        let marked: String = excerpt.text.chars().skip(excerpt.before).take(excerpt.marked).collect();
        assert_eq!(marked, "MARK");
    }

    #[test]
    fn a_cut_excerpt_shows_nothing_behind_the_marked_part() {
        let text = Text::new("a", "tokn = \"hush\"");
        assert_eq!(text.excerpt(&Spot::Text(0..4), true).unwrap().text, "tokn");
    }

    #[test]
    fn any_range_gives_a_place_without_panic() {
        let text = Text::new("a", "ä\r\nö");
        for start in 0..9 {
            for end in 0..9 {
                let spot = Spot::Text(start..end);
                let _ = (text.place(&spot), text.excerpt(&spot, true), text.excerpt(&spot, false));
                let _ = (text.slice(&spot), text.line_around(&spot));
            }
        }
    }
}
