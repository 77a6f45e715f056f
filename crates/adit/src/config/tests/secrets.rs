//! Keys that hold secrets: from `KEY` or from the file that `KEY_file` names, and shown nowhere.

use std::io;
use std::path::Path;

use crate::config::given::Given;
use crate::config::kind::{Kind, Refusal};
use crate::config::place::{Spot, Text};
use crate::config::reader::{MASK, Reader};
use crate::config::section::{Entry, Section, Table};

/// A secret of at least 4 letters.
struct Password;

impl Kind for Password {
    type Value = String;
    const SECRET: bool = true;

    fn expected(&self) -> String {
        "a password of at least 4 letters".to_owned()
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().filter(|text| text.len() >= 4);
        text.map(str::to_owned).ok_or_else(|| Refusal::words("write a longer password"))
    }

    fn write(&self, _: &String) -> Option<String> {
        Some(format!("\"{MASK}\""))
    }
}

fn files(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/run/secrets/good") => Ok("hushhush\n".to_owned()),
        Some("/run/secrets/short") => Ok("abc\n".to_owned()),
        Some("/run/secrets/empty") => Ok("\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
    }
}

/// Reads `password` out of a section with these lines; gives its value and every problem's text.
fn read(lines: &[(&str, &str)]) -> (Option<String>, String) {
    let text: String = lines.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    let mut reader = Reader::new(Text::new("adit.toml", &text), &files);
    let mut section = Section::new(Table::Http, None, Spot::Whole);
    let mut at = 0;
    for (key, value) in lines {
        let spot = at + key.len() + 3;
        section.entries.insert(
            (*key).to_owned(),
            Entry {
                key_spot: Spot::Text(at..at + key.len()),
                spot: Spot::Text(spot..spot + value.len() + 2),
                given: Given::Text((*value).to_owned()),
            },
        );
        at = spot + value.len() + 3;
    }
    let value = reader.take(&mut section, "password", &Password, None);
    assert!(section.entries.is_empty());
    (value, reader.finish().0.iter().map(ToString::to_string).collect())
}

#[test]
fn a_secret_comes_from_its_key_or_from_a_file() {
    assert_eq!(read(&[("password", "hushhush")]), (Some("hushhush".to_owned()), String::new()));
    assert_eq!(read(&[("password_file", "/run/secrets/good")]), (Some("hushhush".to_owned()), String::new()));
}

#[test]
fn a_bad_secret_is_not_shown() {
    let expected = "adit.toml:1:1: http.password
    1 | password
      | ^^^^^^^^
    expected: a password of at least 4 letters
    found:    ***
    fix:      write a longer password
";
    assert_eq!(read(&[("password", "abc")]), (None, expected.to_owned()));
    let (_, text) = read(&[("password_file", "/run/secrets/short")]);
    assert!(text.contains("found:    ***") && !text.contains("abc"), "{text}");
}

#[test]
fn a_file_that_cannot_give_a_secret_is_told_once() {
    for (path, found) in [
        ("/run/secrets/empty", "an empty file"),
        ("/run/secrets/none", "permission denied"),
        ("", "an empty text"),
    ] {
        let (value, text) = read(&[("password_file", path)]);
        assert_eq!(value, None);
        assert!(text.contains(&format!("found:    {found}")), "{text}");
        assert_eq!(text.matches("expected:").count(), 1, "{text}");
    }
}

#[test]
fn a_secret_given_twice_is_refused() {
    let (value, text) = read(&[("password", "hushhush"), ("password_file", "/run/secrets/good")]);
    assert_eq!(value, None);
    assert!(text.contains("password or password_file, not both") && !text.contains("hushhush"), "{text}");
}
