//! The kinds of values that keys take: what each expects, how it is read and how it is written.

mod address;
mod authority;
mod host;
mod host_names;
mod identities;
mod identity;
mod list;
mod measure;
mod names;
mod nats;
mod networks;
mod path;
mod payee;
mod plain;
mod secret;
mod signature;
mod text;
mod time;
mod url;
mod version_mask;
mod worker_names;

use std::ops::RangeInclusive;

use super::given::Given;

pub(crate) use address::Address;
pub(crate) use authority::AuthorityKey;
pub use authority::AuthoritySecret;
pub(crate) use host::{HostPort, is_host_and_port};
pub(crate) use host_names::HostNames;
pub(crate) use identities::Identities;
pub(crate) use identity::Identity;
pub use identity::USER_IDENTITY_MAX;
pub use measure::Work;
pub(crate) use measure::{Amount, Hashrate, Size, Span};
pub(crate) use names::{Names, OneName};
pub(crate) use nats::{NatsServers, SubjectTokens};
pub use networks::Network;
pub(crate) use networks::Networks;
pub(crate) use path::FilePath;
pub use payee::{EXTRA_OUTPUTS_MAX, ExtraOutput, PayScript, PayTo, SCRIPT_MAX};
pub(crate) use payee::{ExtraOutputs, PayoutAddress, PayoutScript};
pub use plain::MinersPerChannel;
pub(crate) use plain::{Channels, Choice, Flag, Number, Whole};
pub use secret::Secret;
pub(crate) use secret::{Password, Token, UserName};
pub(crate) use signature::Signature;
pub use signature::{SIGNATURE_MAX, signature_push};
pub(crate) use text::{Patterns, Text};
pub use time::{DayHours, UnixTime};
pub(crate) use time::{Hours, Moment};
pub use url::SourceUrl;
pub(crate) use url::{Pool, Url};
pub use version_mask::VERSION_BITS_ROLLABLE;
pub(crate) use version_mask::VersionMask;
pub(crate) use worker_names::WorkerNames;

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
    /// What is expected, where that is something narrower than the kind.
    pub(crate) expected: Option<String>,
    /// What came, when it is worth other words than the value itself.
    pub(crate) found: Option<String>,
    /// What would be right.
    pub(crate) fix: Option<Fix>,
    /// Which item of a list it is about.
    pub(crate) item: Option<usize>,
    /// The value may hold a secret: it is not shown.
    pub(crate) hidden: bool,
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
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    pub(crate) fn value(toml: impl Into<String>) -> Self {
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

/// A key that need not be set.
pub(crate) struct Maybe<K>(pub(crate) K);

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;
    const SECRET: bool = K::SECRET;

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
