//! The kinds of values that keys take: what each expects, how it is read and how it is written.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use noise::PoolUrl;

use super::given::{Given, quoted, quoted_short};
use super::name::{NAME_RULE, Name};
use super::nearest::nearest;
use super::quantity;

/// The longest `user_identity`, in bytes: SV2's STR0_255.
pub const USER_IDENTITY_MAX: usize = 255;
/// The version bits that miners may ever roll: those of BIP 323, without the three lowest that Adit's own
/// mask of BIP 310 requests do not name.
pub const VERSION_BITS_ROLLABLE: u32 = 0x1fff_ffe0;

/// What kind of value a key takes.
pub(crate) trait Kind {
    /// What it becomes.
    type Value;
    /// Never shown, and also read from the file that `KEY_file` names.
    const SECRET: bool = false;

    /// What is accepted, in words that complete "expected: ...".
    fn expected(&self) -> String;

    /// Reads a value.
    fn read(&self, given: &Given) -> Result<Self::Value, Refusal>;

    /// The value as TOML; nothing for a key that is not set.
    fn write(&self, value: &Self::Value) -> Option<String>;
}

/// Why a value is refused, as far as its kind knows better than the general words.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Refusal {
    /// What came, when it is worth other words than the value itself.
    pub(crate) found: Option<String>,
    /// What would be right.
    pub(crate) fix: Option<Fix>,
    /// Which item of a list it is about.
    pub(crate) item: Option<usize>,
}

/// What would be right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fix {
    /// This value, as TOML.
    Value(String),
    /// Anything else, in words.
    Words(String),
}

impl Refusal {
    fn plain() -> Self {
        Self::default()
    }

    fn value(toml: impl Into<String>) -> Self {
        Self { fix: Some(Fix::Value(toml.into())), ..Self::default() }
    }

    pub(crate) fn words(words: impl Into<String>) -> Self {
        Self { fix: Some(Fix::Words(words.into())), ..Self::default() }
    }
}

/// The bound that a value outside a range is nearest to.
fn nearest_bound<T: PartialOrd + Copy>(value: &T, range: &RangeInclusive<T>) -> T {
    if value < range.start() { *range.start() } else { *range.end() }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, given: &Given) -> Result<bool, Refusal> {
        given.flag().ok_or_else(|| match given.text().map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "on" | "true" | "1") => Refusal::value("true"),
            Some("no" | "off" | "false" | "0") => Refusal::value("false"),
            _ => match given.whole() {
                Some(1) => Refusal::value("true"),
                Some(0) => Refusal::value("false"),
                _ => Refusal::plain(),
            },
        })
    }

    fn write(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// A whole number of a range.
pub(crate) struct Whole<T>(pub(crate) RangeInclusive<T>);

impl<T> Kind for Whole<T>
where
    T: TryFrom<i64> + PartialOrd + Copy + Display,
{
    type Value = T;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, given: &Given) -> Result<T, Refusal> {
        let Some(number) = given.whole() else {
            return Err(match given {
                Given::Whole { digits, .. } if digits.starts_with('-') => Refusal::value(self.0.start().to_string()),
                Given::Whole { .. } => Refusal::value(self.0.end().to_string()),
                _ => Refusal::plain(),
            });
        };
        let value = T::try_from(number).map_err(|_| {
            Refusal::value(if number < 0 { self.0.start() } else { self.0.end() }.to_string())
        })?;
        if self.0.contains(&value) {
            Ok(value)
        } else {
            Err(Refusal::value(nearest_bound(&value, &self.0).to_string()))
        }
    }

    fn write(&self, value: &T) -> Option<String> {
        Some(value.to_string())
    }
}

/// A number of a range, with or without a point.
pub(crate) struct Number(pub(crate) RangeInclusive<f64>);

impl Kind for Number {
    type Value = f64;

    fn expected(&self) -> String {
        format!("a number from {} to {}", show_number(*self.0.start()), show_number(*self.0.end()))
    }

    fn read(&self, given: &Given) -> Result<f64, Refusal> {
        let number = given.number().ok_or_else(Refusal::plain)?;
        if self.0.contains(&number) {
            Ok(number)
        } else {
            Err(Refusal::value(show_number(nearest_bound(&number, &self.0))))
        }
    }

    fn write(&self, value: &f64) -> Option<String> {
        Some(show_number(*value))
    }
}

/// A number as TOML: without a point where it has no fraction.
fn show_number(number: f64) -> String {
    // Whole numbers up to here have exact doubles and few digits.
    const PLAIN_MAX: f64 = 1e12;
    if number.fract() == 0.0 && number.abs() <= PLAIN_MAX { format!("{number}") } else { format!("{number:?}") }
}

/// A duration of a range.
pub(crate) struct Span {
    /// The shortest and the longest.
    pub(crate) range: RangeInclusive<Duration>,
    /// Only whole seconds make sense: what it is compared with has no finer ones.
    pub(crate) whole_seconds: bool,
}

impl Span {
    /// Any duration of the range, to the millisecond.
    pub(crate) const fn of(range: RangeInclusive<Duration>) -> Self {
        Self { range, whole_seconds: false }
    }

    /// Whole seconds of the range.
    pub(crate) const fn seconds(range: RangeInclusive<Duration>) -> Self {
        Self { range, whole_seconds: true }
    }
}

impl Kind for Span {
    type Value = Duration;

    fn expected(&self) -> String {
        format!(
            "a duration from {} to {}{}, such as \"90s\" or \"1h30m\", or a number of seconds",
            quantity::show_duration(*self.range.start()),
            quantity::show_duration(*self.range.end()),
            if self.whole_seconds { " in whole seconds" } else { "" },
        )
    }

    fn read(&self, given: &Given) -> Result<Duration, Refusal> {
        let duration = match given {
            Given::Text(text) | Given::Loose(text) => quantity::duration(text),
            _ => given.number().and_then(quantity::seconds_to_duration),
        };
        let duration = duration.ok_or_else(|| {
            given.number().map_or_else(Refusal::plain, |number| {
                let bound = if number < 0.0 { self.range.start() } else { self.range.end() };
                Refusal { fix: self.write(bound).map(Fix::Value), ..Refusal::default() }
            })
        })?;
        if !self.range.contains(&duration) {
            let bound = nearest_bound(&duration, &self.range);
            return Err(Refusal { fix: self.write(&bound).map(Fix::Value), ..Refusal::default() });
        }
        if self.whole_seconds && duration.subsec_nanos() != 0 {
            let up = Duration::from_secs(duration.as_secs() + 1).min(*self.range.end());
            return Err(Refusal { fix: self.write(&up).map(Fix::Value), ..Refusal::default() });
        }
        Ok(duration)
    }

    fn write(&self, value: &Duration) -> Option<String> {
        Some(quoted(&quantity::show_duration(*value)))
    }
}

/// A size in bytes of a range.
pub(crate) struct Size(pub(crate) RangeInclusive<usize>);

impl Kind for Size {
    type Value = usize;

    fn expected(&self) -> String {
        format!(
            "a size from {} to {}, such as \"64KiB\", or a number of bytes",
            quantity::show_size(*self.0.start() as u64),
            quantity::show_size(*self.0.end() as u64),
        )
    }

    fn read(&self, given: &Given) -> Result<usize, Refusal> {
        let size = match given {
            Given::Text(text) | Given::Loose(text) => quantity::size(text),
            _ => given.whole().map(|number| u64::try_from(number).unwrap_or(0)),
        };
        let size = size.ok_or_else(Refusal::plain)?;
        match usize::try_from(size) {
            Ok(size) if self.0.contains(&size) => Ok(size),
            size => {
                let bound = nearest_bound(&size.unwrap_or(usize::MAX), &self.0);
                Err(Refusal { fix: self.write(&bound).map(Fix::Value), ..Refusal::default() })
            }
        }
    }

    fn write(&self, value: &usize) -> Option<String> {
        Some(quoted(&quantity::show_size(*value as u64)))
    }
}

/// A hashrate in hashes a second.
pub(crate) struct Hashrate(pub(crate) RangeInclusive<f64>);

impl Kind for Hashrate {
    type Value = f64;

    fn expected(&self) -> String {
        format!(
            "a hashrate from {} to {}, such as \"100 TH/s\", or a number of hashes a second",
            quantity::show_hashrate(*self.0.start()),
            quantity::show_hashrate(*self.0.end()),
        )
    }

    fn read(&self, given: &Given) -> Result<f64, Refusal> {
        let rate = match given {
            Given::Text(text) | Given::Loose(text) => quantity::hashrate(text),
            _ => given.number(),
        };
        let rate = rate.ok_or_else(Refusal::plain)?;
        if self.0.contains(&rate) {
            Ok(rate)
        } else {
            let bound = nearest_bound(&rate, &self.0);
            Err(Refusal { fix: self.write(&bound).map(Fix::Value), ..Refusal::default() })
        }
    }

    fn write(&self, value: &f64) -> Option<String> {
        Some(quoted(&quantity::show_hashrate(*value)))
    }
}

/// One of a few words.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| quoted(word)).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn read(&self, given: &Given) -> Result<T, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        Err(match nearest(text, self.0.iter().map(|(word, _)| *word)) {
            Some(word) => Refusal::value(quoted(word)),
            None => Refusal::plain(),
        })
    }

    fn write(&self, value: &T) -> Option<String> {
        self.0.iter().find(|(_, known)| known == value).map(|(word, _)| quoted(word))
    }
}

/// An address and port to listen on.
pub(crate) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an IP address and a port, such as \"127.0.0.1:3333\" or \"[::1]:3333\" (port 0: any free one)".to_owned()
    }

    fn read(&self, given: &Given) -> Result<SocketAddr, Refusal> {
        let text = given.text().ok_or_else(|| match given.whole() {
            Some(port @ 1..=65_535) => Refusal::value(quoted(&format!("127.0.0.1:{port}"))),
            _ => Refusal::plain(),
        })?;
        text.parse().map_err(|_| address_meant(text).map_or_else(Refusal::plain, |address| {
            Refusal::value(quoted(&address.to_string()))
        }))
    }

    fn write(&self, value: &SocketAddr) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

/// The address that someone meant who left out the host or wrote it as other programs take it.
fn address_meant(text: &str) -> Option<SocketAddr> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => ("127.0.0.1", text),
    };
    let host = match host.trim() {
        "" | "*" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        host => host,
    };
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip, port.trim().parse().ok()?))
}

/// Version bits as 8 hex digits.
pub(crate) struct VersionMask;

impl Kind for VersionMask {
    type Value = u32;

    fn expected(&self) -> String {
        format!("version bits as 1 to 8 hex digits, none outside \"{VERSION_BITS_ROLLABLE:08x}\" (BIP 323)")
    }

    fn read(&self, given: &Given) -> Result<u32, Refusal> {
        let mask = match given {
            Given::Whole { value, radix: 16, .. } => value.and_then(|value| u32::try_from(value).ok()),
            // The digits of a decimal number look like hex digits but mean another mask.
            Given::Whole { digits, radix: 10, .. } => return Err(Refusal::value(quoted(digits))),
            _ => given.text().and_then(|text| {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let hex = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
                hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
            }),
        };
        let mask = mask.ok_or_else(Refusal::plain)?;
        if mask & !VERSION_BITS_ROLLABLE == 0 {
            Ok(mask)
        } else {
            Err(Refusal::value(quoted(&format!("{:08x}", mask & VERSION_BITS_ROLLABLE))))
        }
    }

    fn write(&self, value: &u32) -> Option<String> {
        Some(quoted(&format!("{value:08x}")))
    }
}

/// A pool's URL, with or without its authority key: whether one must be there depends on `insecure`.
pub(crate) struct Url;

impl Kind for Url {
    type Value = PoolUrl;

    fn expected(&self) -> String {
        "a pool's URL, stratum2+tcp://host:port/authority-key".to_owned()
    }

    fn read(&self, given: &Given) -> Result<PoolUrl, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.is_empty() {
            return Err(Refusal::words("write the URL that the pool publishes for Stratum V2, with its authority key"));
        }
        let url = PoolUrl::parse_insecure(text).map_err(|error| Refusal::words(error.to_string()))?;
        match url.authority() {
            Some(key) if noise::is_published_example_key(key) => Err(Refusal {
                found: Some(format!("the authority key {key}, which is a published example")),
                fix: Some(Fix::Words(
                    "this key stands in documentation and its secret is known to everyone, so anyone could pose \
                     as the pool: ask the pool for its own key (to run a pool: adit keys makes one)"
                        .to_owned(),
                )),
                item: None,
            }),
            _ => Ok(url),
        }
    }

    fn write(&self, value: &PoolUrl) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

/// The account at a pool: a text that fits SV2's STR0_255.
pub(crate) struct Identity;

impl Kind for Identity {
    type Value = String;

    fn expected(&self) -> String {
        format!("the account at the pool, 1 to {USER_IDENTITY_MAX} bytes of text")
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.is_empty() {
            return Err(Refusal::words("write the account or address that the pool credits, such as \"account.worker\""));
        }
        if text.len() > USER_IDENTITY_MAX {
            return Err(Refusal {
                found: Some(format!("{} bytes: {}", text.len(), quoted_short(text))),
                ..Refusal::words("shorten it: Stratum V2 has no room for more")
            });
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::words("leave out line ends, tabs and other control characters"));
        }
        if text.trim() != text {
            return Err(Refusal::value(quoted(text.trim())));
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}

/// A list of names, in order.
pub(crate) struct Names;

impl Kind for Names {
    type Value = Vec<Name>;

    fn expected(&self) -> String {
        "a list of at least one name, such as [\"main\", \"backup\"]".to_owned()
    }

    fn read(&self, given: &Given) -> Result<Vec<Name>, Refusal> {
        let texts: Vec<&str> = match given {
            Given::Loose(text) => text.split(',').map(str::trim).collect(),
            Given::List(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(|(_, item)| item.text()).collect();
                texts.ok_or_else(|| {
                    let item = items.iter().position(|(_, item)| item.text().is_none());
                    let found = item.map(|at| items[at].1.to_string());
                    Refusal { found, item, fix: Some(Fix::Words(format!("write {NAME_RULE}, in quotes"))) }
                })?
            }
            Given::Text(text) if Name::new(text).is_some() => {
                return Err(Refusal::value(format!("[{}]", quoted(text))));
            }
            _ => return Err(Refusal::plain()),
        };
        if texts.is_empty() {
            return Err(Refusal::plain());
        }
        let mut names = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            names.push(Name::new(text).ok_or_else(|| Refusal {
                found: Some(quoted_short(text)),
                fix: Some(Fix::Words(match Name::suggested(text) {
                    Some(name) => format!("write {}: names have lower-case letters, digits and single '-'", quoted(name.as_str())),
                    None => format!("write {NAME_RULE}"),
                })),
                item: Some(at),
            })?);
        }
        Ok(names)
    }

    fn write(&self, value: &Vec<Name>) -> Option<String> {
        let names: Vec<String> = value.iter().map(|name| quoted(name.as_str())).collect();
        Some(format!("[{}]", names.join(", ")))
    }
}

/// How many miners share one channel to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinersPerChannel {
    /// At most this many, at least 1. With 1 each miner's own identity is passed through.
    AtMost(u32),
    /// All miners of the route.
    All,
}

/// [`MinersPerChannel`]: a number of a range or `"all"`.
pub(crate) struct Channels(pub(crate) RangeInclusive<u32>);

impl Kind for Channels {
    type Value = MinersPerChannel;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}, or \"all\"", self.0.start(), self.0.end())
    }

    fn read(&self, given: &Given) -> Result<MinersPerChannel, Refusal> {
        match given.text() {
            Some("all") => Ok(MinersPerChannel::All),
            Some(text) if nearest(text, ["all"]).is_some() => Err(Refusal::value("\"all\"")),
            _ => Whole(self.0.clone()).read(given).map(MinersPerChannel::AtMost),
        }
    }

    fn write(&self, value: &MinersPerChannel) -> Option<String> {
        Some(match value {
            MinersPerChannel::AtMost(miners) => miners.to_string(),
            MinersPerChannel::All => "\"all\"".to_owned(),
        })
    }
}

/// A key that need not be set.
pub(crate) struct Maybe<K>(pub(crate) K);

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, given: &Given) -> Result<Self::Value, Refusal> {
        self.0.read(given).map(Some)
    }

    fn write(&self, value: &Self::Value) -> Option<String> {
        value.as_ref().and_then(|value| self.0.write(value))
    }
}
