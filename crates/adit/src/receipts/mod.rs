//! Receipts of a ledger's evidence: keys, making them, and what verifying them is told of the chain.

mod counters;
mod drawn;
mod files;
mod folder;
mod headers;
mod issuer;
mod key_file;
mod node;
mod shelf;
mod tags;
mod words;

pub use drawn::{Choice, Drawn, Made, MakeError, make, prior_day};
pub use files::{read_bounded, replace, write_new};
pub use headers::{HeadersFileError, read_headers};
pub(crate) use issuer::{Issuer, IssuerSettings};
pub use key_file::{KeyFileError, make_key, read_key};
pub use node::NodeHeaders;
pub(crate) use shelf::Shelf;
pub(crate) use tags::TagKeeper;
pub use words::{
    receipt_text, root_json, root_text, shown_text, terms_json, terms_text, verified_text, with_unit,
};
