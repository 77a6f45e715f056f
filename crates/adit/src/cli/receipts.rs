//! `adit lease` and `adit receipt`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Moment, host_and_port, moment};
use crate::config::{parse_duration, parse_hashrate};

/// For `adit lease`.
#[derive(Debug, Args)]
pub struct LeaseArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LeaseCommand,
}

/// `adit lease`
#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// Terms: what is delivered, from when to when, and how it is measured, in a file that both sides sign beforehand.
    #[command(subcommand)]
    Terms(TermsCommand),
}

/// `adit lease terms`
#[derive(Debug, Subcommand)]
pub enum TermsCommand {
    /// Write terms into a file, which nobody has signed yet.
    Make(Box<MakeTermsArgs>),
    /// Sign a file of terms for one side.
    Sign(SignTermsArgs),
    /// Show a file of terms, and who signed it.
    Show(ShowTermsArgs),
}

/// A chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReceiptNetwork {
    /// Bitcoin.
    Mainnet,
    /// Testnet3.
    Testnet3,
    /// Testnet4.
    Testnet4,
    /// Signet.
    Signet,
    /// A private chain.
    Regtest,
}

/// What is delivered.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SubjectArgs {
    /// A lease of this name: its goal's, as a rule.
    #[arg(long, value_name = "NAME")]
    pub lease: Option<String>,
    /// All that a route delivers.
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// All that a worker delivers.
    #[arg(long, value_name = "NAME")]
    pub worker: Option<String>,
}

/// `adit lease terms make`
#[derive(Debug, Args)]
pub struct MakeTermsArgs {
    /// The file; it must not be there yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is delivered.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// The chain that is mined on.
    #[arg(long, value_enum, default_value_t = ReceiptNetwork::Mainnet)]
    pub network: ReceiptNetwork,
    /// The beginning, such as 2026-12-01T22:00Z or 2026-12-01.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Moment,
    /// The end, likewise.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Moment,
    /// A receipt for each so long, such as 24h; without it one for the whole.
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    pub every: Option<u64>,
    /// The hashrate that the receipt difficulty follows from, such as "1.5 PH/s".
    #[arg(long, value_name = "HASHRATE", value_parser = hashes_per_second)]
    pub hashrate: u128,
    /// That hashrate is what was delivered on the day before, and not one that was agreed on.
    #[arg(long)]
    pub prior_day: bool,
    /// So much work by the books ends it earlier, in hashes.
    #[arg(long, value_name = "HASHES", conflicts_with = "end_shares")]
    pub end_work: Option<u128>,
    /// So many shares of the receipt end it earlier.
    #[arg(long, value_name = "COUNT")]
    pub end_shares: Option<u64>,
    /// The receipt key of who delivers and issues, 64 hex digits (`adit keys --receipt`).
    #[arg(long, value_name = "PUBLIC-KEY")]
    pub issuer: receipt::PublicKey,
    /// The receipt key of who receives.
    #[arg(long, value_name = "PUBLIC-KEY")]
    pub receiver: Option<receipt::PublicKey>,
    /// Every coinbase must pay this address, or output script in hex; may be repeated.
    #[arg(long, value_name = "ADDRESS", value_parser = script)]
    pub pay: Vec<Box<[u8]>>,
    /// The least part of a coinbase that all of them together must get, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, value_parser = percent)]
    pub pay_least: f64,
    /// A text that the pool writes into its coinbases: a hint, no proof.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub pool_tag: String,
    /// So many bytes of the terms' hash stand in every share, so that it belongs to no other terms: 4 to 8, best 8. Adit writes
    /// them for a lease or a route whose terms are in its receipts' directory; a worker's shares carry none.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = tag_length, conflicts_with = "worker")]
    pub tag: u8,
    /// 16 bytes in hex that the receiver drew and told last; without it they are drawn here, and the receiver's
    /// `adit lease terms sign --draw-salt` draws others.
    #[arg(long, value_name = "HEX", value_parser = salt)]
    pub salt: Option<[u8; 16]>,
    /// Anything else that both agree on: price, account, contract.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
}

/// `adit lease terms sign`
#[derive(Debug, Args)]
pub struct SignTermsArgs {
    /// The file of terms; it is written anew, with the signature.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file with the signer's receipt key, as `adit keys --receipt` makes it.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// As the receiver: draw the terms' salt now that all else is fixed, so that the issuer cannot have looked for other terms
    /// with their tag. Nobody may have signed them yet.
    #[arg(long)]
    pub draw_salt: bool,
    /// Write there instead.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `adit lease terms show`
#[derive(Debug, Args)]
pub struct ShowTermsArgs {
    /// The file of terms.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// JSON.
    #[arg(long)]
    pub json: bool,
}

/// For `adit receipt`.
#[derive(Debug, Args)]
pub struct ReceiptArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReceiptCommand,
}

/// `adit receipt`
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Make a receipt from a ledger's evidence.
    Make(Box<MakeReceiptArgs>),
    /// Show what a receipt says, unverified.
    Show(ShowReceiptArgs),
    /// Verify receipts: exit status 0 they hold, 1 refused, 2 unreadable, 3 they hold in part.
    Verify(VerifyArgs),
    /// Put several receipts into one file: added up, no share twice.
    Merge(MergeArgs),
    /// Counter-sign the root of a period that still runs: its shares so far cannot have been made later.
    Countersign(CountersignArgs),
}

/// `adit receipt make`
#[derive(Debug, Args)]
pub struct MakeReceiptArgs {
    /// The file; it must not be there yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the configuration is, which says where the ledger is.
    #[command(flatten)]
    pub config: super::ConfigArgs,
    /// The ledger's directory; without it the configuration's. It may be one that is being written.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub ledger: Option<PathBuf>,
    /// The file with the issuer's receipt key, as `adit keys --receipt` makes it.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The terms, signed by one or both sides. Without them the issuer sets its own.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["network", "hashrate", "note"])]
    pub terms: Option<PathBuf>,
    /// The beginning: a moment, or so long ago, such as 36h or 7d. With terms: of one of their periods; without it the newest
    /// that is over.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Moment>,
    /// The end, likewise; without terms and without it now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<Moment>,
    /// Only what a route delivered.
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Only what was delivered to these sources; may be repeated. A lease's are its goal's.
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only what a worker delivered.
    #[arg(long, value_name = "NAME")]
    pub worker: Option<String>,
    /// Leave this worker out, whose difficulty would raise the receipt's; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,
    /// A counter-signed root of the period, which the receipt is to carry; may be repeated.
    #[arg(long, value_name = "FILE", requires = "terms")]
    pub counter: Vec<PathBuf>,
    /// Without terms: the chain that is mined on.
    #[arg(long, value_enum, default_value_t = ReceiptNetwork::Mainnet)]
    pub network: ReceiptNetwork,
    /// Without terms: the hashrate that the receipt difficulty follows from; without it that of the day before, by the ledger.
    #[arg(long, value_name = "HASHRATE", value_parser = hashes_per_second)]
    pub hashrate: Option<u128>,
    /// Without terms: a note.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
    /// JSON.
    #[arg(long)]
    pub json: bool,
}

/// `adit receipt show`
#[derive(Debug, Args)]
pub struct ShowReceiptArgs {
    /// The receipt, or several that were merged; or the root of a running period, counter-signed or not.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// JSON.
    #[arg(long)]
    pub json: bool,
}

/// `adit receipt verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Receipts, or files of several that were merged.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Block headers from any height on, each on the one before: 80 bytes each, or a line of hex each, as
    /// `bitcoin-cli getblockheader HASH false` prints it.
    #[arg(long, value_name = "FILE", conflicts_with = "node_rpc")]
    pub headers: Option<PathBuf>,
    /// Ask a Bitcoin node instead.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, requires = "node_cookie")]
    pub node_rpc: Option<String>,
    /// The file with the RPC's USER:PASSWORD, such as `.cookie` in the node's data directory.
    #[arg(long, value_name = "FILE", requires = "node_rpc")]
    pub node_cookie: Option<PathBuf>,
    /// The terms that they must be for.
    #[arg(long, value_name = "FILE")]
    pub terms: Option<PathBuf>,
    /// JSON: an array with a report of each file.
    #[arg(long)]
    pub json: bool,
}

/// `adit receipt merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The receipts.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The file that all go into; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `adit receipt countersign`
#[derive(Debug, Args)]
pub struct CountersignArgs {
    /// The root, as the issuer gives it: NAME-1.root.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file with the signer's receipt key, as `adit keys --receipt` makes it.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The terms that it must be of.
    #[arg(long, value_name = "FILE")]
    pub terms: Option<PathBuf>,
    /// It must not be older than this.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = whole_seconds)]
    pub age: u64,
    /// Write there; without it beside the root, as NAME-1-SHARES.counter.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

fn whole_seconds(text: &str) -> Result<u64, String> {
    match parse_duration(text) {
        Some(duration) if duration.as_secs() >= 1 && duration.subsec_nanos() == 0 => Ok(duration.as_secs()),
        _ => Err("expected whole seconds, at least one, such as 24h or 15m".to_owned()),
    }
}

fn hashes_per_second(text: &str) -> Result<u128, String> {
    let rate = parse_hashrate(text).filter(|rate| (1.0..1e27).contains(rate));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within its range")]
    let whole = rate.map(|rate| rate.round() as u128);
    whole.ok_or_else(|| "expected a hashrate of at least 1 H/s, such as \"1.5 PH/s\"".to_owned())
}

fn tag_length(text: &str) -> Result<u8, String> {
    let length = text.parse().ok().filter(|length| *length == 0 || receipt::TAG_LENGTHS.contains(length));
    length.ok_or_else(|| "expected 4 to 8 bytes, or 0 for none".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| *value > 0.0 && *value <= 100.0);
    value.ok_or_else(|| "expected more than 0 percent, and at most 100".to_owned())
}

fn salt(text: &str) -> Result<[u8; 16], String> {
    use bitcoin::hex::FromHex;
    <[u8; 16]>::from_hex(text).map_err(|_| "expected 32 hex digits".to_owned())
}

fn script(text: &str) -> Result<Box<[u8]>, String> {
    use bitcoin::hex::FromHex;
    if let Ok(script) = Vec::<u8>::from_hex(text) {
        return match script.len() {
            1..=receipt::MAX_SCRIPT => Ok(script.into()),
            other => {
                Err(format!("an output script of {other} bytes: 1 to {} are taken", receipt::MAX_SCRIPT))
            }
        };
    }
    let address: Result<bitcoin::Address<_>, _> = text.parse();
    // An address says what to pay; on which chain is the terms' own word.
    address
        .map(|address| address.assume_checked().script_pubkey().into_bytes().into())
        .map_err(|_| "expected a Bitcoin address, or an output script in hex".to_owned())
}
