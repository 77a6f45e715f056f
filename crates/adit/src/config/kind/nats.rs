//! How a NATS system is found, and words of its subjects.

use super::list::texts;
use super::{Kind, Refusal, is_host_and_port};
use crate::config::given::{Given, quoted, quoted_short};

/// The most servers of a list.
const SERVERS_MAX: usize = 16;
/// The longest word, or words, of a subject.
const TOKENS_MAX: usize = 64;

/// URLs of NATS servers; none is none.
pub(crate) struct NatsServers;

impl Kind for NatsServers {
    type Value = Vec<String>;

    fn expected(&self) -> String {
        format!("a list of at most {SERVERS_MAX} servers, such as [\"nats://nats.example:4222\"]")
    }

    fn read(&self, given: &Given) -> Result<Vec<String>, Refusal> {
        if let Given::Text(text) = given {
            let hidden = text.contains('@');
            return Err(match hidden {
                true => Refusal { hidden, ..Refusal::words("write a list of servers, without users") },
                false => Refusal::value(format!("[{}]", quoted(text))),
            });
        }
        let rule = "nats://host:port, or tls://host:port";
        let mut texts = texts(given, rule, "write the server in quotes, or leave it out")?;
        if matches!(given, Given::Loose(_)) {
            texts.retain(|text| !text.is_empty());
        }
        if texts.len() > SERVERS_MAX {
            return Err(Refusal { found: Some(texts.len().to_string()), ..Refusal::words("a few will do") });
        }
        match texts.iter().position(|text| !is_server(text)) {
            None => Ok(texts.into_iter().map(str::to_owned).collect()),
            Some(at) if texts[at].contains('@') => Err(Refusal {
                expected: Some(rule.to_owned()),
                found: Some("a user in the URL".to_owned()),
                item: Some(at),
                hidden: true,
                ..Refusal::words("write user and password, or token, as keys of their own")
            }),
            Some(at) => Err(Refusal {
                expected: Some(rule.to_owned()),
                found: Some(quoted_short(texts[at])),
                item: Some(at),
                ..match is_host_and_port(texts[at]) {
                    true => Refusal::value(format!("[{}]", quoted(&format!("nats://{}", texts[at])))),
                    false => Refusal::words("the usual port is 4222"),
                }
            }),
        }
    }

    fn write(&self, value: &Vec<String>) -> Option<String> {
        let servers: Vec<String> = value.iter().map(|server| quoted(server)).collect();
        Some(format!("[{}]", servers.join(", ")))
    }
}

fn is_server(text: &str) -> bool {
    let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    rest.is_some_and(is_host_and_port)
}

/// Words of a subject, or a name that may stand in one.
pub(crate) struct SubjectTokens {
    several: bool,
}

impl SubjectTokens {
    /// One word.
    pub(crate) const ONE: Self = Self { several: false };
    /// One or several, with dots between them.
    pub(crate) const SEVERAL: Self = Self { several: true };
}

impl Kind for SubjectTokens {
    type Value = String;

    fn expected(&self) -> String {
        let several = if self.several { ", or several with dots between them" } else { "" };
        format!("a word of letters, digits, - and _{several}, at most {TOKENS_MAX} characters")
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let good =
            text.len() <= TOKENS_MAX && if self.several { text.split('.').all(word) } else { word(text) };
        if good { Ok(text.to_owned()) } else { Err(Refusal::plain()) }
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}
