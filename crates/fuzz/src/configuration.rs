//! What an owner writes: the file and the variables of the environment.
//!
//! Input: the file's text up to the first byte 0xff; then one variable `NAME=VALUE` after each 0xff. (0xff stands
//! in no UTF-8.)
//!
//! Promises:
//! - any text and any variables are a configuration, or errors: never a panic, and the same each time;
//! - errors are not empty, stand at a place that exists, and show a piece of the line that they speak of;
//! - a configuration that is taken, written out as it is in force, reads back as itself.

use std::io;

use adit::config::{Config, Machine, Place, Problem};

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` each problem is taken to stand a line further down.
pub(crate) fn check(data: &[u8], planted: bool) {
    let mut parts = data.split(|byte| *byte == 0xff).map(String::from_utf8_lossy);
    let text = parts.next().unwrap_or_default();
    let variables: Vec<(String, String)> = parts
        .filter_map(|part| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .take(8)
        .collect();
    let read = || {
        let machine = Machine { open_files: Some(4_096) };
        Config::from_parts("adit.toml", &text, &variables, machine, &|_| Err(io::ErrorKind::NotFound.into()))
    };
    match read() {
        Ok(loaded) => {
            let config = loaded.config;
            for warning in &loaded.warnings {
                assert!(!warning.message.is_empty() && !warning.key.is_empty(), "{warning:?}");
                assert_place(&warning.place, &text, &variables);
            }
            let written = config.effective_toml();
            let again = Config::from_str_named("effective", &written);
            let again = again.unwrap_or_else(|error| refused(&error.to_string(), &written)).config;
            assert_eq!(again, config, "what is in force reads back as another configuration");
        }
        Err(errors) => {
            let said = errors.to_string();
            assert!(!errors.problems().is_empty() && !said.is_empty() && !said.ends_with('\n'));
            for problem in errors.problems() {
                let mut problem = problem.clone();
                if planted && let Place::Line { line, .. } = &mut problem.place {
                    *line += 1;
                }
                assert_problem(&problem, &text, &variables);
            }
            let again = read().err().map(|errors| errors.to_string());
            assert_eq!(again.as_deref(), Some(&*said), "the same text is refused in another way");
        }
    }
}

#[expect(clippy::panic, reason = "a broken promise")]
fn refused(error: &str, written: &str) -> ! {
    panic!("what is in force is refused: {error}\n{written}")
}

fn assert_problem(problem: &Problem, text: &str, variables: &[(String, String)]) {
    assert!(
        !problem.expected.is_empty() && !problem.found.is_empty() && !problem.fix.is_empty(),
        "{problem:?}"
    );
    assert_place(&problem.place, text, variables);
    let Some(excerpt) = &problem.excerpt else { return };
    let Place::Line { line, column, .. } = &problem.place else {
        return assert!(variables.is_empty(), "an excerpt without a line: {problem:?}");
    };
    assert_eq!(*line, excerpt.line, "the place and the excerpt differ: {problem:?}");
    let whole = line_of(text, *line).unwrap_or_default();
    let visible = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let whole: String = whole.chars().map(visible).collect();
    assert!(whole.contains(&excerpt.text), "the excerpt is no part of its line: {problem:?}");
    assert!(excerpt.marked >= 1 && excerpt.before + excerpt.marked <= 100, "{problem:?}");
    assert!(excerpt.before < *column, "more before the mark than the line has: {problem:?}");
}

fn assert_place(place: &Place, text: &str, variables: &[(String, String)]) {
    match place {
        Place::Line { file, line, column } => {
            assert_eq!(file, "adit.toml");
            let whole = line_of(text, *line);
            let length = whole.map(|line| line.chars().count());
            assert!(length.is_some_and(|length| (1..=length + 1).contains(column)), "{place:?}");
        }
        Place::Variable(name) => {
            assert!(variables.iter().any(|(known, _)| known == name), "no such variable: {name}");
        }
        Place::File(name) => assert_eq!(name, "adit.toml"),
        Place::Default => {}
    }
}

/// The line of that number, from 1.
fn line_of(text: &str, number: usize) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').nth(number.checked_sub(1)?)
}
