//! The firmware profiles that are shipped, against what was recorded of such miners.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::config::{Config, Firmware, Name, engine_firmware, shipped_firmware};

/// The lines of a transcript that miners sent, with its user agents.
fn transcript(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-fixtures/sv1").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["from"] == "miner").collect()
}

/// What a profile says of where it is known from: a transcript, if there is one, and the word for its lines.
fn known_from(name: &Name, firmware: &Firmware) -> (Option<String>, String) {
    let text = firmware.known_from.as_deref().unwrap_or_else(|| panic!("{name} says where it is known from"));
    let first = text.split(';').next().unwrap();
    match first.split_once(": ") {
        Some((file, word)) => (Some(file.to_owned()), word.split(' ').next().unwrap().to_owned()),
        None => (None, first.to_owned()),
    }
}

#[test]
fn each_shipped_profile_is_told_by_its_transcript_or_says_that_it_is_reconstructed() {
    let known = Config::known_firmware(&std::collections::BTreeMap::new());
    assert!(known.len() >= 10 && known.len() == shipped_firmware().len());
    for (name, firmware) in &known {
        let (file, word) = known_from(name, firmware);
        let Some(file) = file else {
            assert_eq!(word, "reconstructed", "{name}");
            continue;
        };
        let lines = transcript(&file);
        assert!(["recorded", "published", "reconstructed"].contains(&word.as_str()), "{name}: {word}");
        assert!(
            lines.iter().any(|line| line["mark"] == word.as_str()),
            "{name}: no line of {file} is {word}"
        );
        // Canaan's machines say that they are cgminer: theirs are the same limits.
        let tells = |agent: &str| known.iter().find(|(name, it)| engine_firmware(name, it).matches(agent));
        let agents: Vec<&str> =
            lines.iter().filter_map(|line| line["expect"]["user_agent"].as_str()).collect();
        assert!(!agents.is_empty(), "{file} has a user agent");
        let found: Vec<&str> = agents.iter().filter_map(|agent| Some(tells(agent)?.0.as_str())).collect();
        let wanted = if name.as_str() == "avalon" { "cgminer" } else { name.as_str() };
        assert!(found.contains(&wanted), "{name}: {agents:?} of {file} are taken for {found:?}");
    }
}

#[test]
fn every_transcript_has_a_profile() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-fixtures/sv1");
    let profiles = shipped_firmware();
    let used: Vec<String> =
        profiles.iter().filter_map(|(name, firmware)| known_from(name, firmware).0).collect();
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".jsonl") || used.contains(&name), "{name}");
    }
}

#[test]
fn the_owners_profiles_come_first_and_take_the_place_of_shipped_ones() {
    let text = super::good().text()
        + "[firmware.cgminer]\nuser_agents = [\"cgminer/*\"]\n[firmware.zz]\nuser_agents = [\"*bosminer*\"]\ncoinbase_max = 500\n";
    let config =
        Config::from_str_named("adit.toml", &text).unwrap_or_else(|errors| panic!("{errors}")).config;
    let known = Config::known_firmware(&config.firmware);
    let find =
        |agent: &str| known.iter().find(|(name, it)| engine_firmware(name, it).matches(agent)).unwrap();
    assert_eq!(find("cgminer/4.11.1").1.extranonce2_max, crate::config::FIRMWARE_EXTRANONCE2_MAX);
    assert_eq!(find("2022;bosminer-plus-am1-s9").0.as_str(), "zz");
    assert_eq!(known.len(), shipped_firmware().len() + 1);
}
