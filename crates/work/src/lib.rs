//! The proof-of-work domain: target, header, coinbase, merkle path, job, extranonce split, share validator, vardiff, hashrate.
