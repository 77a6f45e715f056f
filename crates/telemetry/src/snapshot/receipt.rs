//! Receipts that were issued, and the terms that more are issued for.

use schemars::JsonSchema;
use serde::Serialize;

/// A receipt, by what it says of itself: nothing of it was verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ReceiptSnapshot {
    /// The file's name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Why its content is not told here; what follows is empty then.
    pub problem: Option<String>,
    /// What it is of: lease, route or worker.
    pub subject: String,
    /// The lease's, route's or worker's name.
    pub of: String,
    /// Since when, Unix seconds.
    pub from: u64,
    /// Until when, Unix seconds.
    pub to: u64,
    /// When it was issued, by the issuer's clock, Unix seconds.
    pub issued: u64,
    /// How many shares it has.
    pub shares: u64,
    /// The work that it claims, in hashes.
    pub hashes: f64,
    /// Its lower limit (95 %).
    pub hashes_low: f64,
    /// Its upper limit.
    pub hashes_high: f64,
    /// Hashes per second.
    pub hashrate_hs: f64,
}

/// A file of terms that is not over: receipts are issued for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct TermsSnapshot {
    /// The file's name.
    pub name: String,
    /// Why it cannot be read; what follows is empty then.
    pub problem: Option<String>,
    /// What they are of: lease, route or worker.
    pub subject: String,
    /// The lease's, route's or worker's name.
    pub of: String,
    /// Since when, Unix seconds.
    pub from: u64,
    /// Until when, Unix seconds.
    pub to: u64,
    /// A receipt is issued for so many seconds each.
    pub every: u64,
    /// What is to be delivered, hashes per second.
    pub hashrate_hs: f64,
    /// The issuer has signed them, and its signature holds.
    pub issuer_signed: bool,
    /// The same of the receiver; nothing where they name none.
    pub receiver_signed: Option<bool>,
    /// When the period that runs is over, Unix seconds; nothing before the first begins.
    pub due: Option<u64>,
}

/// A root of a period that still runs, which waits to be counter-signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct RootSnapshot {
    /// The file's name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What it is of: lease, route or worker.
    pub subject: String,
    /// The lease's, route's or worker's name.
    pub of: String,
    /// The period's beginning, Unix seconds.
    pub from: u64,
    /// Its end, Unix seconds.
    pub to: u64,
    /// How many shares it is over.
    pub shares: u64,
    /// They came before this moment, Unix seconds.
    pub at: u64,
}

/// What is there, a page of the receipts at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiptsSnapshot {
    /// Receipts are issued.
    pub issues: bool,
    /// Receipts on all pages.
    pub total: usize,
    /// The newest first.
    pub receipts: Vec<ReceiptSnapshot>,
    /// Terms that are not over; those that end first come first.
    pub terms: Vec<TermsSnapshot>,
    /// Roots that wait, the newest first.
    pub roots: Vec<RootSnapshot>,
}
