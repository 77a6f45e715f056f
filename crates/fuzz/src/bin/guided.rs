//! The targets under libFuzzer. `ADIT_FUZZ_TARGET` names the target; the arguments are libFuzzer's. Built and run by
//! `crates/fuzz/run`: without its compiler flags nothing guides the search.

#![no_main]

use std::sync::OnceLock;

use adit_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("ADIT_FUZZ_TARGET").unwrap_or_default();
        let target = adit_fuzz::find(&name).expect("ADIT_FUZZ_TARGET names a target: see crates/fuzz/run");
        TARGET.set(target).expect("set once");
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
