//! `[firmware.NAME]`

use crate::config::kind::{Flag, Maybe, Number, Patterns, Text, VERSION_BITS_ROLLABLE, VersionMask, Whole};
use crate::config::table::table;

/// The most bytes of extranonce2 that a profile may name.
pub const FIRMWARE_EXTRANONCE2_MAX: u8 = 32;

table! {
    /// What is known of a kind of miners, found by the user agent that they subscribe with.
    pub struct Firmware {
        /// Patterns of user agents, `*` standing for any text, upper and lower case alike.
        user_agents: Vec<String> = Patterns, required;
        /// The fewest bytes of extranonce2 that it works with.
        extranonce2_min: u8 = Whole(0..=FIRMWARE_EXTRANONCE2_MAX), default 0;
        /// The most bytes. Where the listener gives others, the miner is refused with that reason.
        extranonce2_max: u8 = Whole(0..=FIRMWARE_EXTRANONCE2_MAX), default FIRMWARE_EXTRANONCE2_MAX;
        /// Bytes of the longest coinbase that it hashes whole. Where a pool's is longer, the miner is closed with
        /// that reason: every share would be worth nothing.
        coinbase_max: Option<u32> = Maybe(Whole(100..=100_000)), default None, says "not set: any";
        /// Version bits that it may be granted (hex), as far as the listener allows them.
        version_mask: u32 = VersionMask, default VERSION_BITS_ROLLABLE;
        /// The lowest difficulty that it works at. The source's own is never exceeded.
        difficulty_min: Option<f64> = Maybe(Number(1e-9..=1e15)), default None, says "not set: the listener's";
        /// It applies a new difficulty to jobs that it has: it gets one only together with `clean_jobs`.
        difficulty_with_clean_jobs: bool = Flag, default false;
        /// It works with an `extranonce1` of no bytes: others are refused where the listener's `extranonce1_size` is 0.
        empty_extranonce1: bool = Flag, default false;
        /// It also connects only to see whether a pool is there, and leaves: such a connection counts as a probe and not as
        /// a miner that failed.
        probe: bool = Flag, default false;
        /// Where this is known from.
        known_from: Option<String> = Maybe(Text { at_most: 200 }), default None, says "not set";
    }
}
