//! Measures Adit, the reference translator and the floor of this machine by the same load in one run: figures for
//! `docs/performance.md`. `integration-tests/measure` builds what is needed and runs this.

mod figure;
mod rounds;
mod subject;
mod world;

use std::process::ExitCode;

use integration_tests::promise::say;
use subject::Kind;
use world::World;

fn main() -> ExitCode {
    let mut kinds = Vec::new();
    let mut declaring = Vec::new();
    for argument in std::env::args().skip(1) {
        if argument == "declared" {
            declaring = Kind::DECLARING.to_vec();
            continue;
        }
        if let Some(kind) = Kind::DECLARING.into_iter().find(|kind| kind.name() == argument) {
            declaring.push(kind);
            continue;
        }
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == argument) else {
            say(&format!("{argument:?} is nobody that can be measured; expected any of {}", names()));
            return ExitCode::from(64);
        };
        kinds.push(kind);
    }
    if kinds.is_empty() && declaring.is_empty() {
        kinds = Kind::ALL.to_vec();
        declaring = Kind::DECLARING.to_vec();
    }
    let mut world = World::start();
    if !kinds.is_empty() {
        rounds::all(&mut world, &kinds);
    }
    if !declaring.is_empty() {
        rounds::declared(&mut world, &declaring);
    }
    ExitCode::SUCCESS
}

fn names() -> String {
    let all = Kind::ALL.into_iter().chain(Kind::DECLARING).map(Kind::name);
    all.chain(["declared"]).collect::<Vec<_>>().join(", ")
}
