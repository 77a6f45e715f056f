//! Names of listeners, sources and routes.

use std::borrow::Borrow;
use std::fmt;

/// The longest name, in characters: names are labels of metrics and parts of variables.
pub const NAME_LENGTH_MAX: usize = 32;

/// What a name may be, in words.
pub(crate) const NAME_RULE: &str =
    "a name of 1 to 32 lower-case letters, digits and single '-' between them, such as main or hall-2";

/// The name of a listener, source or route: lower-case letters, digits and single `-` between them, at most
/// [`NAME_LENGTH_MAX`] characters.
///
/// The rule is this narrow so that a name and its form in the environment (upper case, `_` for `-`)
/// determine each other: `hall-2` is `HALL_2`, and nothing else is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Takes a name that keeps to the rule; nothing otherwise.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let parts = || text.split('-');
        let letters = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let good = text.len() <= NAME_LENGTH_MAX && parts().all(|part| !part.is_empty() && letters(part));
        good.then(|| Self(text.to_owned()))
    }

    /// The nearest name that keeps to the rule, to suggest it: `Main_Pool` gives `main-pool`.
    #[must_use]
    pub fn suggested(text: &str) -> Option<Self> {
        let mut name = String::new();
        for c in text.chars().map(|c| c.to_ascii_lowercase()) {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                name.push(c);
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
            if name.len() == NAME_LENGTH_MAX {
                break;
            }
        }
        Self::new(name.trim_end_matches('-'))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it stands in a variable of the environment.
    #[must_use]
    pub fn in_environment(&self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_variables_determine_each_other() {
        for name in ["main", "hall-2", "3333", "a-b-c"] {
            let name = Name::new(name).unwrap();
            let back = name.in_environment().to_ascii_lowercase().replace('_', "-");
            assert_eq!(Name::new(&back), Some(name));
        }
    }

    #[test]
    fn names_outside_the_rule_are_refused_and_a_good_one_suggested() {
        for (bad, good) in [
            ("Main", Some("main")),
            ("a_b", Some("a-b")),
            ("-a", Some("a")),
            ("a--b", Some("a-b")),
            ("", None),
        ] {
            assert_eq!(Name::new(bad), None, "{bad}");
            assert_eq!(Name::suggested(bad).as_ref().map(Name::as_str), good, "{bad}");
        }
        assert_eq!(Name::new(&"x".repeat(33)), None);
        assert_eq!(Name::suggested(&"x".repeat(33)).unwrap().as_str().len(), 32);
        assert_eq!(Name::suggested("äöü"), None);
    }
}
