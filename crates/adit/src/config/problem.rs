//! What is wrong with a configuration, said so that it can be put right without looking anything up.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::place::{Excerpt, Place};

/// How many problems are written out; the rest are counted. More than this is not a configuration with
/// mistakes but another kind of file.
pub const PROBLEMS_SHOWN: usize = 50;

/// One thing that is wrong: where, what was expected, what came, what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The key, such as `source.main.url`; empty for an error of the file's syntax.
    pub key: String,
    /// The line that it is about, for problems of the file.
    pub excerpt: Option<Excerpt>,
    /// What would have been accepted.
    pub expected: String,
    /// What stands there instead.
    pub found: String,
    /// What to write or do.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        writeln!(f)?;
        if let Some(excerpt) = &self.excerpt {
            let number = excerpt.line.to_string();
            writeln!(f, "    {number} | {}", excerpt.text)?;
            let (gutter, before) = (number.len(), excerpt.before);
            writeln!(f, "    {:gutter$} | {:before$}{}", "", "", "^".repeat(excerpt.marked))?;
        }
        writeln!(f, "    expected: {}", self.expected)?;
        writeln!(f, "    found:    {}", self.found)?;
        writeln!(f, "    fix:      {}", self.fix)
    }
}

/// Something that is allowed but deserves a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub place: Place,
    /// The key, such as `listener.main.listen`.
    pub key: String,
    /// What it means and what to do about it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.key, self.message)
    }
}

/// Why there is no configuration to run with. `Display` gives the whole text for people, every problem in
/// it, and ends without a line end.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// No file was named and none stands where one is looked for.
    #[error("{}", not_found(looked_at))]
    NotFound {
        /// The places, in the order in which they were looked at.
        looked_at: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is longer than a configuration can be.
    #[error(
        "cannot read the configuration {}: it is longer than {limit} bytes; is it another kind of file?",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The file is no text.
    #[error(
        "cannot read the configuration {}: the byte at position {at} is not UTF-8 text; save the file as UTF-8",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// Position of the first wrong byte, from 0.
        at: usize,
    },
    /// It was read and is refused: every problem found, in the order of the file, those of the environment
    /// last.
    #[error("{}", refused(name, problems))]
    Refused {
        /// The configuration as it was named.
        name: String,
        /// What is wrong with it; never empty.
        problems: Vec<Problem>,
    },
}

impl ConfigErrors {
    /// The problems of a configuration that was read and refused; empty otherwise.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Refused { problems, .. } => problems,
            _ => &[],
        }
    }
}

fn not_found(looked_at: &[PathBuf]) -> String {
    let mut text = "no configuration found; looked at:".to_owned();
    for path in looked_at {
        text.push_str(&format!("\n    {}", path.display()));
    }
    text
}

fn refused(name: &str, problems: &[Problem]) -> String {
    let count = problems.len();
    let errors = if count == 1 { "error" } else { "errors" };
    let mut text = format!("{count} {errors} in the configuration ({name}):\n");
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        text.push_str(&format!("\n{problem}"));
    }
    if count > PROBLEMS_SHOWN {
        text.push_str(&format!("\nand {} more", count - PROBLEMS_SHOWN));
    }
    text.truncate(text.trim_end().len());
    text
}
