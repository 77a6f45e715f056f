//! Measures Adit, the reference translator and the floor of this machine by the same load in one run, and declared jobs
//! of Adit and of the reference client: figures for `docs/performance.md`. `integration-tests/measure` builds what is
//! needed and runs this.

#![expect(clippy::panic, reason = "a measurement that cannot be taken ends here, with its reason")]

mod declared;
mod figure;
mod observed;
mod rounds;
mod subject;
mod world;

use std::process::ExitCode;

use integration_tests::promise::say;

use declared::Declarer;
use subject::Kind;
use world::{DeclaringWorld, World};

fn main() -> ExitCode {
    let mut kinds = Vec::new();
    let mut declarers = Vec::new();
    let mut tenths = false;
    let mut looked_at = false;
    for argument in std::env::args().skip(1) {
        if argument == "declared" {
            declarers = Declarer::ALL.to_vec();
        } else if argument == "one-in-ten" {
            tenths = true;
        } else if argument == "observed" {
            looked_at = true;
        } else if let Some(declarer) = Declarer::ALL.into_iter().find(|who| who.name() == argument) {
            declarers.push(declarer);
        } else if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == argument) {
            kinds.push(kind);
        } else {
            say(&format!("{argument:?} is nobody that can be measured; expected any of {}", names()));
            return ExitCode::from(64);
        }
    }
    if kinds.is_empty() && declarers.is_empty() && !tenths && !looked_at {
        kinds = Kind::ALL.to_vec();
        declarers = Declarer::ALL.to_vec();
    }
    if !kinds.is_empty() {
        rounds::all(&mut World::start(), &kinds);
    }
    if tenths {
        rounds::one_in_ten_alone(&mut World::start());
    }
    if looked_at {
        observed::all(&World::start());
    }
    if !declarers.is_empty() {
        declared::all(&DeclaringWorld::start(), &declarers);
    }
    ExitCode::SUCCESS
}

fn names() -> String {
    let all = Kind::ALL.map(Kind::name).into_iter().chain(["one-in-ten", "observed", "declared"]);
    all.chain(Declarer::ALL.map(Declarer::name)).collect::<Vec<_>>().join(", ")
}
