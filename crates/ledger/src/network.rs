//! What a job says of the network: how hard blocks are to find, and what they are worth.

use work::{Job, Target, coinbase};

use crate::record::Network;

/// Where the script of a coinbase's input begins.
const SCRIPT_AT: usize = 4 + 1 + 36 + 1;
/// The subsidy of the first blocks, in satoshi.
const FIRST_SUBSIDY: u64 = 50 * 100_000_000;
/// It is halved after so many blocks.
const HALVING: u32 = 210_000;

impl Network {
    /// What a job says. Its coinbase pays out all that the block is worth, to whomever.
    #[must_use]
    pub fn of_job(at_ms: u64, source: &str, job: &Job) -> Self {
        let length = usize::from(job.extranonce_len);
        let checked = coinbase::check(&job.coinbase_tx_prefix, length, &job.coinbase_tx_suffix);
        Self {
            at_ms,
            source: source.to_owned(),
            nbits: job.nbits,
            height: height(&job.coinbase_tx_prefix).unwrap_or(0),
            value: checked.map_or(0, |summary| summary.value),
        }
    }

    /// The network's difficulty; nothing where its target is none.
    #[must_use]
    pub fn difficulty(&self) -> Option<f64> {
        Target::from_compact(self.nbits).ok().map(|target| target.difficulty().get())
    }

    /// Satoshi that a block was worth: what its coinbase paid, or at least the subsidy of its height. Nothing where
    /// neither is known.
    #[must_use]
    pub fn worth(&self) -> Option<u64> {
        match (self.value, self.height) {
            (0, 0) => None,
            (0, height) => Some(subsidy(height)),
            (value, _) => Some(value),
        }
    }
}

/// The subsidy of a height, in satoshi.
#[must_use]
pub fn subsidy(height: u32) -> u64 {
    FIRST_SUBSIDY.checked_shr(height / HALVING).unwrap_or(0)
}

/// The height that a coinbase begins its script with (BIP 34).
fn height(prefix: &[u8]) -> Option<u32> {
    let script = prefix.get(SCRIPT_AT..)?;
    let (length, rest) = script.split_first()?;
    match length {
        // OP_1 to OP_16
        0x51..=0x60 => Some(u32::from(length - 0x50)),
        1..=4 => {
            let mut bytes = [0; 4];
            let given = rest.get(..usize::from(*length))?;
            bytes.get_mut(..given.len())?.copy_from_slice(given);
            u32::try_from(i32::from_le_bytes(bytes)).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_read_and_subsidies_halve() {
        let prefix = |script: &[u8]| [&[0; SCRIPT_AT][..], script].concat();
        assert_eq!(height(&prefix(&[3, 0x40, 0xd1, 0x0c, 9])), Some(840_000));
        assert_eq!(height(&prefix(&[0x51])), Some(1));
        assert_eq!(height(&prefix(&[0x60, 1])), Some(16));
        assert_eq!(height(&prefix(&[1, 17])), Some(17));
        for none in [&[][..], &[5, 1, 2, 3, 4, 5], &[3, 1, 2], &[4, 0, 0, 0, 0x80]] {
            assert_eq!(height(&prefix(none)), None, "{none:?}");
        }
        assert_eq!(subsidy(0), 5_000_000_000);
        assert_eq!(subsidy(839_999), 625_000_000);
        assert_eq!(subsidy(840_000), 312_500_000);
        assert_eq!(subsidy(u32::MAX), 0);
    }
}
