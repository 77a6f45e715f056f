//! Runs single inputs through a target: `cargo run -p adit-fuzz --bin replay -- TARGET FILE...`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(target) = arguments.next().and_then(|name| adit_fuzz::find(&name)) else {
        let names: Vec<&str> = adit_fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: replay TARGET FILE...\n\nTARGET is one of {}", names.join(", "));
        return ExitCode::from(2);
    };
    for file in arguments {
        match std::fs::read(&file) {
            Ok(data) => {
                (target.run)(&data);
                println!("{file}: {} bytes, no promise broken", data.len());
            }
            Err(error) => {
                eprintln!("cannot read {file}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
