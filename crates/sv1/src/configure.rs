//! `mining.configure`: BIP 310.

use std::borrow::Cow;

use crate::hex;
use crate::json::{Kind, Value};
use crate::request::Params;

/// Most extensions that we do not know of which we remember to answer `false`; more are ignored.
pub const MAX_UNKNOWN_EXTENSIONS: usize = 8;

/// Longest name of an unknown extension that is answered, in bytes.
const MAX_EXTENSION_NAME: usize = 64;

/// The extensions that a miner asks for. An extension is asked for by its name in the first parameter; its
/// settings are members of the second, `name.setting`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configure<'a> {
    /// `version-rolling`.
    pub version_rolling: Option<VersionRolling>,
    /// `minimum-difficulty`: the least difficulty at which the miner wants to work; 0 if asked for without
    /// a usable value.
    pub minimum_difficulty: Option<f64>,
    /// `subscribe-extranonce`: the miner understands `mining.set_extranonce`.
    pub subscribe_extranonce: bool,
    /// `info`.
    pub info: Option<Info<'a>>,
    /// Names of extensions that are not known, to be answered with `false`.
    pub unknown: Vec<Cow<'a, str>>,
}

/// What a miner asks of version rolling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRolling {
    /// The bits that it can roll; 0xffffffff if it does not say.
    pub mask: u32,
    /// The least number of bits that it needs; 0 if it does not say.
    pub min_bit_count: u8,
}

/// What a miner tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info<'a> {
    /// The URL that it was told to connect to.
    pub connection_url: Option<Cow<'a, str>>,
    /// Version of the hardware.
    pub hw_version: Option<Cow<'a, str>>,
    /// Version of the software.
    pub sw_version: Option<Cow<'a, str>>,
    /// The device's own identifier.
    pub hw_id: Option<Cow<'a, str>>,
}

impl<'a> Configure<'a> {
    pub(crate) fn from_params(params: &Params<'a>) -> Self {
        let mut this = Self::default();
        let names = params.get(0).unwrap_or(Value::NULL);
        if names.kind() == Kind::List {
            names.for_each(|name| {
                this.ask(name);
                true
            });
        } else {
            this.ask(names);
        }
        if let Some(settings) = params.get(1) {
            settings.for_each_member(|key, value| this.set(key, value));
        }
        this
    }

    fn ask(&mut self, name: Value<'a>) {
        let Some(name) = name.string() else { return };
        match &*name {
            "version-rolling" => {
                self.version_rolling.get_or_insert(VersionRolling { mask: u32::MAX, min_bit_count: 0 });
            }
            "minimum-difficulty" => {
                self.minimum_difficulty.get_or_insert(0.0);
            }
            "subscribe-extranonce" => self.subscribe_extranonce = true,
            "info" => {
                self.info.get_or_insert_default();
            }
            _ if self.unknown.len() < MAX_UNKNOWN_EXTENSIONS
                && name.len() <= MAX_EXTENSION_NAME
                && !self.unknown.contains(&name) =>
            {
                self.unknown.push(name);
            }
            _ => {}
        }
    }

    /// A setting of an extension that was not asked for, or that makes no sense, changes nothing.
    fn set(&mut self, key: &str, value: Value<'a>) {
        match key {
            "version-rolling.mask" => {
                let mask = match value.kind() {
                    Kind::String => value.string().and_then(|text| hex::parse_prefixed_u32(text.as_bytes())),
                    _ => value.integer().and_then(|mask| u32::try_from(mask).ok()),
                };
                if let (Some(rolling), Some(mask)) = (&mut self.version_rolling, mask) {
                    rolling.mask = mask;
                }
            }
            "version-rolling.min-bit-count" => {
                let count = value.integer().and_then(|count| u8::try_from(count).ok());
                if let (Some(rolling), Some(count)) = (&mut self.version_rolling, count) {
                    rolling.min_bit_count = count;
                }
            }
            "minimum-difficulty.value" => {
                let least = value.number().filter(|least| *least > 0.0);
                if let (Some(minimum), Some(least)) = (&mut self.minimum_difficulty, least) {
                    *minimum = least;
                }
            }
            _ => {
                let Some(info) = &mut self.info else { return };
                match key {
                    "info.connection-url" => info.connection_url = value.name(),
                    "info.hw-version" => info.hw_version = value.name(),
                    "info.sw-version" => info.sw_version = value.name(),
                    "info.hw-id" => info.hw_id = value.name(),
                    _ => {}
                }
            }
        }
    }
}

/// The answer to `mining.configure`: one entry for each extension that was asked for and none other, since
/// Whatsminer's firmware complains of entries that it did not ask for and drops the connection
/// (stratum-mining/stratum#1173).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConfigureResult<'a> {
    /// `version-rolling`, with the granted mask.
    pub version_rolling: Option<VersionRollingResult>,
    /// `minimum-difficulty`.
    pub minimum_difficulty: Option<bool>,
    /// `subscribe-extranonce`.
    pub subscribe_extranonce: Option<bool>,
    /// `info`.
    pub info: Option<bool>,
    /// Extensions that are answered with `false`: [`Configure::unknown`].
    pub unknown: &'a [Cow<'a, str>],
}

/// The answer to a wish for version rolling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRollingResult {
    /// The miner may roll the bits of `mask`.
    Granted {
        /// The bits: what was asked for and every source allows.
        mask: u32,
    },
    /// It must not roll.
    Refused,
}
