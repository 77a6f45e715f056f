//! Small readers of JSON values over `serde_json`, which checks the syntax and never recurses over what it skips.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The kind of a JSON value, by the first byte of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number,
    String,
    List,
    Object,
}

/// One JSON value: text that `serde_json` has found well-formed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    pub(crate) const NULL: Value<'static> = Value("null");

    /// From text that is one well-formed JSON value without white space around it.
    pub(crate) fn from_raw(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }

    /// Parses `text` as one value; `None` if it is not.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(Self::from_raw)
    }

    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    pub(crate) fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::List,
            Some(b'{') => Kind::Object,
            Some(b't') => Kind::Bool(true),
            Some(b'f') => Kind::Bool(false),
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The string, unescaped; `None` if it is another kind or escapes half a surrogate pair.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        if self.kind() != Kind::String {
            return None;
        }
        if self.0.contains('\\') {
            return serde_json::from_str(self.0).ok().map(Cow::Owned);
        }
        self.0.get(1..self.0.len() - 1).map(Cow::Borrowed)
    }

    /// A string, or the text of a number or truth value: for names that firmware writes without quotes.
    pub(crate) fn name(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => self.string(),
            Kind::Number | Kind::Bool(_) => Some(Cow::Borrowed(self.0)),
            Kind::Null | Kind::List | Kind::Object => None,
        }
    }

    /// A finite number, or a string that holds one.
    pub(crate) fn number(self) -> Option<f64> {
        let number: f64 = match self.kind() {
            Kind::Number => self.0.parse().ok()?,
            Kind::String => self.string()?.trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// An unsigned integer, or a string that holds one in decimal.
    pub(crate) fn integer(self) -> Option<u64> {
        match self.kind() {
            Kind::Number => self.0.parse().ok(),
            Kind::String => self.string()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// The elements of a list, in order; `None` if it is no list. `N` are kept, the rest is skipped.
    pub(crate) fn list<const N: usize>(self) -> Option<List<'a, N>> {
        if self.kind() != Kind::List {
            return None;
        }
        let mut list = List { items: [Value::NULL; N], len: 0 };
        let mut de = serde_json::Deserializer::from_str(self.0);
        ListSeed(&mut list).deserialize(&mut de).ok()?;
        Some(list)
    }

    /// Calls `each` for every element of a list until it returns false; no list has no elements.
    pub(crate) fn for_each(self, each: impl FnMut(Value<'a>) -> bool) {
        if self.kind() == Kind::List {
            let mut de = serde_json::Deserializer::from_str(self.0);
            // The text is known to be well-formed: nothing can fail.
            let _ = EachElement(each).deserialize(&mut de);
        }
    }

    /// Calls `each` for every member of an object, in order; no object has no members.
    pub(crate) fn for_each_member(self, each: impl FnMut(&str, Value<'a>)) {
        if self.kind() == Kind::Object {
            let mut de = serde_json::Deserializer::from_str(self.0);
            // A key that escapes half a surrogate pair ends the walk: such an object says nothing to us.
            let _ = EachMember(each).deserialize(&mut de);
        }
    }
}

/// The first `N` elements of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a, const N: usize> {
    items: [Value<'a>; N],
    len: usize,
}

impl<'a, const N: usize> List<'a, N> {
    pub(crate) const EMPTY: Self = List { items: [Value::NULL; N], len: 0 };

    /// `None` for an element that is missing or null.
    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        self.items[..self.len].get(index).copied().filter(|value| !value.is_null())
    }

    /// The last element that was kept.
    pub(crate) fn last(&self) -> Option<Value<'a>> {
        self.items[..self.len].last().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

struct ListSeed<'l, 'a, const N: usize>(&'l mut List<'a, N>);

impl<'de, const N: usize> DeserializeSeed<'de> for ListSeed<'_, 'de, N> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for ListSeed<'_, 'de, N> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(slot) = self.0.items.get_mut(self.0.len) {
            let Some(raw) = seq.next_element::<&RawValue>()? else {
                return Ok(());
            };
            *slot = Value::from_raw(raw);
            self.0.len += 1;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

struct EachElement<F>(F);

impl<'de, F: FnMut(Value<'de>) -> bool> DeserializeSeed<'de> for EachElement<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Value<'de>) -> bool> Visitor<'de> for EachElement<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            if !(self.0)(Value::from_raw(raw)) {
                break;
            }
        }
        Ok(())
    }
}

struct EachMember<F>(F);

impl<'de, F: FnMut(&str, Value<'de>)> DeserializeSeed<'de> for EachMember<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, Value<'de>)> Visitor<'de> for EachMember<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let value = Value::from_raw(map.next_value::<&RawValue>()?);
            (self.0)(&key.0, value);
        }
        Ok(())
    }
}

/// An object's key, copied only if it has escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value<'_> {
        Value::parse(text).unwrap()
    }

    #[test]
    fn strings_are_borrowed_unless_they_have_escapes() {
        assert!(matches!(value("\"a.b\"").string(), Some(Cow::Borrowed("a.b"))));
        assert_eq!(value(r#""\u0061\"\n""#).string().as_deref(), Some("a\"\n"));
        assert_eq!(value(r#""\ud800""#).string(), None);
        assert_eq!(value("12").string(), None);
        assert_eq!(value("12").name().as_deref(), Some("12"));
        assert_eq!(value("null").name(), None);
    }

    #[test]
    fn numbers_are_finite_or_nothing() {
        assert_eq!(value("1e3").number(), Some(1000.0));
        assert_eq!(value("\" 0.5 \"").number(), Some(0.5));
        for text in ["1e999", "\"inf\"", "\"NaN\"", "true", "[]"] {
            assert_eq!(value(text).number(), None, "{text}");
        }
        assert_eq!(value("-1").integer(), None);
        assert_eq!(value("99999999999999999999999").integer(), None);
        assert_eq!(value("\"3333\"").integer(), Some(3333));
    }

    #[test]
    fn a_list_keeps_its_first_elements_and_skips_the_rest() {
        let list = value(r#"[1, null, {"a":[2]} , "x", 5]"#).list::<4>().unwrap();
        assert_eq!(list.len(), 4);
        assert_eq!(list.get(0).unwrap().text(), "1");
        assert!(list.get(1).is_none());
        assert_eq!(list.get(2).unwrap().text(), r#"{"a":[2]}"#);
        assert_eq!(list.last().unwrap().text(), "\"x\"");
        assert!(list.get(4).is_none() && list.get(100).is_none());
        assert!(value("{}").list::<4>().is_none());
    }
}
