//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A Stratum V2 proxy: verifies every share, aggregates miners into encrypted channels, never drops a miner.
#[derive(Debug, Parser)]
#[command(name = "adit", version, about, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What Adit can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy.
    Run(RunArgs),
    /// Check a configuration and show what it comes to.
    Check(ConfigArgs),
    /// Make an authority key pair, or show the public key of a secret one.
    Keys(KeysArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration; without it adit.toml is looked for in the usual places.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// For `adit run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// For `adit keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// Read a secret key from this file and show its public key, instead of making a new pair.
    #[arg(long, value_name = "FILE")]
    pub public_of: Option<PathBuf>,
}
