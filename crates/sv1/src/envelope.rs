//! The outer object of a message: its known members as raw values, in whatever order they come.

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Key, Value};
use crate::{Id, RequestError, RequestErrorKind};

/// The members of a message that mean something; all others are skipped.
#[derive(Debug, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) id: Option<Value<'a>>,
    pub(crate) method: Option<Value<'a>>,
    pub(crate) params: Option<Value<'a>>,
    pub(crate) result: Option<Value<'a>>,
    pub(crate) error: Option<Value<'a>>,
    pub(crate) reject_reason: Option<Value<'a>>,
    duplicate: Option<&'static str>,
}

impl<'a> Envelope<'a> {
    /// Reads one line. The id is found even if what follows it is broken.
    pub(crate) fn parse(line: &'a [u8]) -> Result<(Id<'a>, Self), RequestError<'a>> {
        let (text, bad_utf8) = match std::str::from_utf8(line) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.valid_up_to();
                (std::str::from_utf8(&line[..at]).unwrap_or_default(), Some(at + 1))
            }
        };
        let mut envelope = Envelope::default();
        let mut de = serde_json::Deserializer::from_str(text);
        let parsed = EnvelopeSeed(&mut envelope).deserialize(&mut de).and_then(|()| de.end());
        let id = match envelope.id {
            None => Ok(Id::MISSING),
            Some(id) => Id::from_json(id.text()).ok_or(RequestErrorKind::BadId { len: id.text().len() }),
        };
        let kind = if let Some(at) = bad_utf8 {
            Some(RequestErrorKind::NotUtf8 { at })
        } else if let Some(key) = envelope.duplicate {
            Some(RequestErrorKind::DuplicateKey { key })
        } else {
            parsed.err().map(|error| not_json(text, &error))
        };
        match (kind, id) {
            (None, Ok(id)) => Ok((id, envelope)),
            (None, Err(kind)) => Err(RequestError { id: None, kind }),
            (Some(kind), id) => Err(RequestError { id: id.ok().filter(|id| !id.is_missing()), kind }),
        }
    }
}

fn not_json(text: &str, error: &serde_json::Error) -> RequestErrorKind {
    let problem = match error.classify() {
        serde_json::error::Category::Data => return RequestErrorKind::NotAnObject,
        serde_json::error::Category::Eof => "the message ends in the middle",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
            // The parser's own words for the mistakes that people make by hand; the rest in general terms.
            let said = error.to_string();
            if said.starts_with("trailing comma") || is_trailing_comma(text, error.column()) {
                "trailing comma"
            } else if said.starts_with("trailing characters") {
                "more text after the message: one message a line"
            } else if said.starts_with("control character") {
                "control character in a string"
            } else if said.starts_with("key must be a string") {
                "a key must be a string in double quotes"
            } else if said.starts_with("invalid escape") {
                "invalid escape in a string"
            } else if said.starts_with("invalid number") {
                "invalid number"
            } else {
                "unexpected character"
            }
        }
    };
    RequestErrorKind::NotJson { at: error.column(), problem }
}

/// Whether the error at `column` (from 1) is a bracket after a comma.
fn is_trailing_comma(text: &str, column: usize) -> bool {
    let before = column.checked_sub(1).and_then(|at| text.get(..at));
    before.is_some_and(|before| {
        text[before.len()..].starts_with([']', '}']) && before.trim_end().ends_with(',')
    })
}

struct EnvelopeSeed<'e, 'a>(&'e mut Envelope<'a>);

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let (name, slot) = match &*key.0 {
                "id" => ("id", &mut self.0.id),
                "method" => ("method", &mut self.0.method),
                "params" => ("params", &mut self.0.params),
                "result" => ("result", &mut self.0.result),
                "error" => ("error", &mut self.0.error),
                "reject-reason" => ("reject-reason", &mut self.0.reject_reason),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.is_some() {
                self.0.duplicate = Some(name);
                return Err(A::Error::custom("duplicate key"));
            }
            *slot = Some(Value::from_raw(map.next_value::<&RawValue>()?));
        }
        Ok(())
    }
}
