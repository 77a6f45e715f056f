//! What is known of miners' firmware: limits that it does not tell, found by its user agent.

use std::sync::Arc;

/// Bytes of a user agent that are looked at.
pub const USER_AGENT_MAX: usize = 128;

/// The limits of one kind of firmware. What is not known limits nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Firmware {
    /// Its name, for messages.
    pub name: Arc<str>,
    /// User agents of `mining.subscribe` that it goes by, each a pattern in which `*` stands for any text. Upper and
    /// lower case are the same.
    pub user_agents: Vec<Box<str>>,
    /// The fewest bytes of extranonce2 that it works with.
    pub extranonce2_min: u8,
    /// The most.
    pub extranonce2_max: u8,
    /// The longest coinbase, in bytes (`coinb1`, both extranonces and `coinb2`), that it hashes whole.
    pub coinbase_max: Option<u32>,
    /// Version bits that it may be granted.
    pub version_mask: u32,
    /// The lowest difficulty that it works at.
    pub difficulty_min: Option<f64>,
    /// It applies `mining.set_difficulty` at once to jobs that it has, unless a job with `clean_jobs` follows.
    pub difficulty_with_clean_jobs: bool,
    /// It works with an `extranonce1` of no bytes.
    pub empty_extranonce1: bool,
    /// It also connects only to see whether somebody is there, and leaves without a share.
    pub probe: bool,
}

impl Firmware {
    /// A firmware about which nothing is known but its name.
    #[must_use]
    pub fn unlimited(name: &str, user_agents: &[&str]) -> Self {
        Self {
            name: Arc::from(name),
            user_agents: user_agents.iter().map(|pattern| Box::from(*pattern)).collect(),
            extranonce2_min: 0,
            extranonce2_max: u8::MAX,
            coinbase_max: None,
            version_mask: u32::MAX,
            difficulty_min: None,
            difficulty_with_clean_jobs: false,
            empty_extranonce1: false,
            probe: false,
        }
    }

    /// Whether a miner with this user agent is one of these.
    #[must_use]
    pub fn matches(&self, user_agent: &str) -> bool {
        let agent = super::cut(user_agent, USER_AGENT_MAX);
        self.user_agents.iter().any(|pattern| glob(pattern.as_bytes(), agent.as_bytes()))
    }
}

/// The firmware that is known, in the order in which it is looked through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Firmwares(Vec<Arc<Firmware>>);

impl Firmwares {
    /// The first that matches a user agent counts.
    #[must_use]
    pub fn new(known: Vec<Firmware>) -> Self {
        Self(known.into_iter().map(Arc::new).collect())
    }

    /// The firmware that goes by this user agent.
    #[must_use]
    pub fn find(&self, user_agent: &str) -> Option<&Arc<Firmware>> {
        self.0.iter().find(|firmware| firmware.matches(user_agent))
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = &Firmware> {
        self.0.iter().map(|firmware| &**firmware)
    }
}

/// Whether `text` is what `pattern` says; steps are bounded by the product of both lengths, and text is cut before.
#[must_use]
pub fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // After a star: where the pattern goes on, and how much of the text the star has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(wanted) if wanted.eq_ignore_ascii_case(byte) => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((after, taken)) => {
                    *taken += 1;
                    (p, t) = (*after, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_what_it_says() {
        for (pattern, text, matches) in [
            ("cgminer/*", "cgminer/4.11.1", true),
            ("CGMiner/*", "cgMINER/", true),
            ("cgminer/*", "bfgminer/5", false),
            ("*bosminer*", "2022-09-27-0;bosminer-plus-am1-s9 0.9.0", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_that_matches_counts_and_a_long_user_agent_costs_little() {
        let known = Firmwares::new(vec![
            Firmware::unlimited("s21", &["Antminer S21/*"]),
            Firmware::unlimited("antminer", &["antminer*", "bmminer/*"]),
        ]);
        let name = |agent: &str| known.find(agent).map(|firmware| &*firmware.name);
        assert_eq!(name("Antminer S21/Thu"), Some("s21"));
        assert_eq!(name("Antminer S19"), Some("antminer"));
        assert_eq!(name("bmminer/2.0.0"), Some("antminer"));
        assert_eq!(name("cgminer/4"), None);
        let stars = Firmware::unlimited("stars", &["*a*a*a*a*a*a*a*b"]);
        assert!(!stars.matches(&"a".repeat(16_000)));
    }
}
