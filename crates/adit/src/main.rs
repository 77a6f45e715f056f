//! `adit`: see the library.

fn main() -> std::process::ExitCode {
    adit::main()
}
