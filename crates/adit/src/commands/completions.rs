//! `adit completions` and `adit man`: what shells and `man` want to know, made from the command line itself.

use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{EX_UNAVAILABLE, complain, say};
use crate::cli::{Cli, CompletionsArgs, ManArgs};

pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "adit", &mut script);
    put_out(&script)
}

pub(super) fn man(args: &ManArgs) -> ExitCode {
    let command = Cli::command();
    let Some(directory) = &args.out else {
        let mut page = Vec::new();
        return match clap_mangen::Man::new(command).render(&mut page) {
            Ok(()) => put_out(&page),
            Err(error) => failed(&error),
        };
    };
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command.disable_help_subcommand(true), directory));
    match written {
        Ok(()) => {
            say(format_args!("man pages of adit and its commands are in {}", directory.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(format_args!("cannot write man pages to {}: {error}", directory.display()));
            ExitCode::from(EX_UNAVAILABLE)
        }
    }
}

fn put_out(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        // A reader that has seen enough is no reason to fail.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(&error),
        _ => ExitCode::SUCCESS,
    }
}

fn failed(error: &std::io::Error) -> ExitCode {
    complain(format_args!("cannot write: {error}"));
    ExitCode::from(EX_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap_complete::Shell;

    use crate::cli::Cli;

    #[test]
    fn every_command_is_completed_in_every_shell_and_has_a_man_page() {
        let command = Cli::command();
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        assert!(names.len() >= 10, "{names:?}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "adit", &mut script);
            let script = String::from_utf8(script).expect("text");
            for name in &names {
                assert!(script.contains(name.as_str()), "{shell}: {name}");
            }
        }
        let folder = std::env::temp_dir().join(format!("adit-man-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        clap_mangen::generate_to(command.disable_help_subcommand(true), &folder).expect("written");
        for name in &names {
            let page = std::fs::read_to_string(folder.join(format!("adit-{name}.1"))).expect(name);
            assert!(page.contains(".SH SYNOPSIS"), "{name}");
        }
        assert!(folder.join("adit.1").exists());
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
