//! How an SV1 dev pool is made.

use std::net::SocketAddr;

use template::dev_chain::{CoinbaseTooLong, DevChainOptions, OptionsError};
use thiserror::Error;

/// How an SV1 dev pool behaves.
#[derive(Clone, Debug)]
pub struct Sv1PoolOptions {
    /// Its chain.
    pub chain: DevChainOptions,
    /// Difficulty of shares.
    pub difficulty: f64,
    /// Bytes of `extranonce1`.
    pub extranonce1_size: usize,
    /// Bytes of `extranonce2`.
    pub extranonce2_size: usize,
    /// Version bits that may be rolled. 0: the pool does not know `mining.configure`.
    pub version_mask: u32,
    /// Stands in every coinbase.
    pub coinbase_tag: Vec<u8>,
    /// A worker that is not authorised.
    pub refused_worker: Option<String>,
    /// Every share is refused.
    pub refuse_shares: bool,
    /// Nothing is answered.
    pub silent: bool,
}

impl Default for Sv1PoolOptions {
    fn default() -> Self {
        Self {
            chain: DevChainOptions::default(),
            difficulty: 1e-6,
            extranonce1_size: 4,
            extranonce2_size: 8,
            version_mask: 0x1fff_e000,
            coinbase_tag: b"/sv1 dev pool/".to_vec(),
            refused_worker: None,
            refuse_shares: false,
            silent: false,
        }
    }
}

/// Why a pool did not come up.
#[derive(Debug, Error)]
pub enum Sv1PoolError {
    /// The chain's options make no chain.
    #[error("{0}")]
    Chain(#[from] OptionsError),
    /// Tag and extranonce do not fit the coinbase.
    #[error("{0}")]
    Coinbase(#[from] CoinbaseTooLong),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}
