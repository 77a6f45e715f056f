//! The firmware profiles that Adit ships.

use std::collections::BTreeMap;

use super::document::Document;
use super::name::Name;
use super::place::Text;
use super::reader::Reader;
use super::section::Table;
use super::tables::Firmware;

const SHIPPED: &str = include_str!("shipped.toml");

/// The shipped profiles by their names.
#[must_use]
pub fn shipped_firmware() -> BTreeMap<Name, Firmware> {
    let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::Unsupported.into());
    let mut reader = Reader::new(Text::new("shipped.toml", SHIPPED), &no_files);
    let mut document = Document::read(&mut reader);
    let profiles = super::read_named(&mut document, Table::Firmware, &mut reader, Firmware::read);
    debug_assert!(!reader.has_problems(), "{:?}", reader.finish().0);
    profiles
}

impl super::Config {
    /// What is known of miners' firmware, in the order in which it is looked through: the owner's own profiles, then the
    /// shipped ones whose names he has not used.
    #[must_use]
    pub fn known_firmware(own: &BTreeMap<Name, Firmware>) -> Vec<(Name, Firmware)> {
        let shipped = shipped_firmware().into_iter().filter(|(name, _)| !own.contains_key(name));
        own.iter().map(|(name, firmware)| (name.clone(), firmware.clone())).chain(shipped).collect()
    }
}

/// A profile as the engine takes it.
#[must_use]
pub fn engine_firmware(name: &Name, firmware: &Firmware) -> engine::miner::Firmware {
    engine::miner::Firmware {
        name: std::sync::Arc::from(name.as_str()),
        user_agents: firmware.user_agents.iter().map(|pattern| Box::from(pattern.as_str())).collect(),
        extranonce2_min: firmware.extranonce2_min,
        extranonce2_max: firmware.extranonce2_max,
        coinbase_max: firmware.coinbase_max,
        version_mask: firmware.version_mask,
        difficulty_min: firmware.difficulty_min,
        difficulty_with_clean_jobs: firmware.difficulty_with_clean_jobs,
        empty_extranonce1: firmware.empty_extranonce1,
        probe: firmware.probe,
    }
}
