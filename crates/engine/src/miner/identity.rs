//! Rules by which workers' names are rewritten before anything else sees them.

use std::borrow::Cow;
use std::fmt;

/// What stands in a pattern for any text, and in a replacement for that text.
const ANY: char = '*';

/// Names that match a pattern are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRule {
    pattern: Box<str>,
    replacement: Box<str>,
}

impl IdentityRule {
    /// A pattern and a replacement, each with at most one `*`; in the replacement only if the pattern has one. Neither is
    /// empty.
    #[must_use]
    pub fn new(pattern: &str, replacement: &str) -> Option<Self> {
        let stars = |text: &str| text.matches(ANY).count();
        let good = !pattern.is_empty()
            && !replacement.is_empty()
            && stars(pattern) <= 1
            && stars(replacement) <= stars(pattern);
        good.then(|| Self { pattern: pattern.into(), replacement: replacement.into() })
    }

    /// The name instead of this one; nothing where it does not match.
    fn apply(&self, name: &str) -> Option<String> {
        let Some((begin, end)) = self.pattern.split_once(ANY) else {
            return (*self.pattern == *name).then(|| self.replacement.to_string());
        };
        let any = name.strip_prefix(begin)?.strip_suffix(end)?;
        Some(self.replacement.replacen(ANY, any, 1))
    }
}

impl fmt::Display for IdentityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.pattern, self.replacement)
    }
}

/// A name as it goes up: rewritten by the first rule that it matches, unchanged where it matches none.
#[must_use]
pub fn rewrite_identity<'n>(rules: &[IdentityRule], name: &'n str) -> Cow<'n, str> {
    rules.iter().find_map(|rule| rule.apply(name)).map_or(Cow::Borrowed(name), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(&str, &str)]) -> Vec<IdentityRule> {
        rules.iter().map(|(from, to)| IdentityRule::new(from, to).expect("a rule")).collect()
    }

    #[test]
    fn the_first_rule_that_matches_rewrites_a_name() {
        let rules = rules(&[
            ("bench", "account.test"),
            ("old.*", "account.*"),
            ("*@hall-2", "account.hall-2-*"),
            ("ab*ba", "x*y"),
            ("guest*", "account.guests"),
        ]);
        for (name, expected) in [
            ("bench", "account.test"),
            ("bench.1", "bench.1"),
            ("old.rig7", "account.rig7"),
            ("old.", "account."),
            ("rig7@hall-2", "account.hall-2-rig7"),
            ("abba", "xy"),
            // What stands before and after must not overlap.
            ("aba", "aba"),
            ("guest.9", "account.guests"),
            ("\u{e9}", "\u{e9}"),
            ("", ""),
            ("old.*", "account.*"),
        ] {
            assert_eq!(rewrite_identity(&rules, name), expected, "{name}");
        }
        assert_eq!(rewrite_identity(&[], "any"), "any");
    }

    #[test]
    fn a_prefix_is_a_rule_for_every_name() {
        let rules = rules(&[("*", "edge-1.*")]);
        assert_eq!(rewrite_identity(&rules, "account.rig"), "edge-1.account.rig");
        assert_eq!(rules[0].to_string(), "* = edge-1.*");
    }

    #[test]
    fn what_is_no_rule_is_none() {
        for (pattern, replacement) in [("", "a"), ("a", ""), ("**", "a"), ("a*", "*b*"), ("a", "*")] {
            assert_eq!(IdentityRule::new(pattern, replacement), None, "{pattern} = {replacement}");
        }
    }
}
