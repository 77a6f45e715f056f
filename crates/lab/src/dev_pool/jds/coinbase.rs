//! Reading and judging coinbases, with the `bitcoin` crate.

use bitcoin::{ScriptBuf, Transaction, TxOut};
use sv2::error_code;
use template::dev_chain::MAX_SCRIPT_SIG;

use super::Refused;

/// How far a height may be from the expected one to be that of another tip and not just any number.
const OTHER_TIPS: u32 = 100;

/// Reads a declared coinbase: prefix, an extranonce of zeros, suffix, with BIP 141's fields (6.4.4).
pub(super) fn read(prefix: &[u8], suffix: &[u8], extranonce_size: usize) -> Result<Transaction, Refused> {
    let bytes = [prefix, &vec![0; extranonce_size], suffix].concat();
    let coinbase: Transaction = bitcoin::consensus::deserialize(&bytes).map_err(|error| {
        let details = format!("with an extranonce of {extranonce_size} bytes it does not decode: {error}");
        Refused::new(error_code::INVALID_COINBASE_TX, details)
    })?;
    if !coinbase.is_coinbase() {
        return Err(Refused::new(
            error_code::INVALID_COINBASE_TX_INPUT,
            "not exactly one input of no transaction",
        ));
    }
    Ok(coinbase)
}

/// Judges a coinbase's input script: BIP 34's height and the length.
pub(super) fn check_script(coinbase: &Transaction, height: u32) -> Result<(), Refused> {
    let script = coinbase.input[0].script_sig.as_bytes();
    if !(2..=MAX_SCRIPT_SIG).contains(&script.len()) {
        let details = format!("input script has {} bytes, expected 2 to {MAX_SCRIPT_SIG}", script.len());
        return Err(Refused::new(error_code::INVALID_COINBASE_TX_INPUT, details));
    }
    if begins_with_height(script, height) {
        return Ok(());
    }
    let others = height.saturating_sub(OTHER_TIPS)..=height.saturating_add(OTHER_TIPS);
    match others.into_iter().find(|other| begins_with_height(script, *other)) {
        Some(other) => Err(Refused::new(
            error_code::STALE_CHAIN_TIP,
            format!("a block of height {other}, expected {height}"),
        )),
        None => Err(Refused::new(
            error_code::INVALID_COINBASE_TX_INPUT,
            format!("input script does not begin with height {height} (BIP 34)"),
        )),
    }
}

pub(super) fn begins_with_height(script: &[u8], height: u32) -> bool {
    let push = ScriptBuf::builder().push_int(i64::from(height)).into_script();
    script.starts_with(push.as_bytes())
}

/// What is wrong with a coinbase's outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadOutputs {
    /// The pool does not get what it wants.
    Payout(String),
    /// They claim what is not there, or leave what is.
    Value(String),
}

/// Judges outputs: all that the pool demands are there (6.4.3), the payout gets the reward. `allowed` is what they may
/// claim together, where that is known.
pub(super) fn check_outputs(
    outputs: &[TxOut],
    demanded: &[TxOut],
    whole_reward: bool,
    allowed: Option<u64>,
) -> Result<(), BadOutputs> {
    let mut rest: Vec<&TxOut> = outputs.iter().collect();
    let mut payout = None;
    for (number, wanted) in demanded.iter().enumerate() {
        // The output with the most: a client may add one of no value with the same script.
        let found = rest
            .iter()
            .enumerate()
            .filter(|(_, output)| output.script_pubkey == wanted.script_pubkey)
            .max_by_key(|(_, output)| output.value)
            .map(|(at, _)| at);
        let Some(at) = found else {
            return Err(BadOutputs::Payout(format!("the pool's output {number} is missing")));
        };
        let output = rest.swap_remove(at);
        payout.get_or_insert(output.value.to_sat());
    }
    let payout = payout.unwrap_or_default();
    let claimed = outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
    if payout == 0 {
        return Err(BadOutputs::Payout("the pool's payout gets nothing".to_owned()));
    }
    if whole_reward && payout != claimed {
        let why = format!("the pool's payout gets {payout} of {claimed} satoshi");
        return Err(BadOutputs::Payout(why));
    }
    match allowed {
        Some(allowed) if claimed > allowed => {
            Err(BadOutputs::Value(format!("{claimed} satoshi are claimed, {allowed} are there")))
        }
        Some(allowed) if whole_reward && claimed < allowed => {
            Err(BadOutputs::Value(format!("{claimed} satoshi are claimed of {allowed}: the rest is lost")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Amount;

    use super::*;

    fn output(value: u64, script: u8) -> TxOut {
        TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from_bytes(vec![script]) }
    }

    #[test]
    fn outputs_may_stand_in_any_order_with_others_between_them() {
        let demanded = [output(0, 1), output(0, 2)];
        let outputs = [output(0, 9), output(0, 2), output(0, 1), output(50, 1), output(0, 8)];
        assert_eq!(check_outputs(&outputs, &demanded, true, Some(50)), Ok(()));
    }

    #[test]
    fn the_pool_must_get_what_there_is_and_no_more() {
        let demanded = [output(0, 1), output(0, 2)];
        let check = |outputs: &[TxOut], whole| check_outputs(outputs, &demanded, whole, Some(50));
        assert!(matches!(check(&[output(50, 1)], true), Err(BadOutputs::Payout(_))), "output 2 is missing");
        assert!(matches!(check(&[output(0, 1), output(50, 2)], false), Err(BadOutputs::Payout(_))));
        let shared = [output(20, 1), output(0, 2), output(30, 3)];
        assert!(matches!(check(&shared, true), Err(BadOutputs::Payout(_))));
        assert_eq!(check(&shared, false), Ok(()));
        assert!(matches!(check(&[output(51, 1), output(0, 2)], true), Err(BadOutputs::Value(_))));
        assert!(matches!(check(&[output(49, 1), output(0, 2)], true), Err(BadOutputs::Value(_))));
    }

    #[test]
    fn a_height_of_another_tip_is_told_from_no_height() {
        let coinbase = |script: Vec<u8>| Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![bitcoin::TxIn {
                script_sig: ScriptBuf::from_bytes(script),
                ..bitcoin::TxIn::default()
            }],
            output: Vec::new(),
        };
        let code = |script| check_script(&coinbase(script), 300).err().map(|refused| refused.code);
        assert_eq!(code(vec![2, 0x2c, 1]), None);
        assert_eq!(code(vec![2, 0x2b, 1]), Some("stale-chain-tip"));
        assert_eq!(code(vec![2, 0x2d, 1]), Some("stale-chain-tip"));
        assert_eq!(code(vec![3, 0, 0, 1]), Some("invalid-coinbase-tx-input"));
        assert_eq!(code(vec![0x51]), Some("invalid-coinbase-tx-input"));
        assert_eq!(code([vec![2, 0x2c, 1], vec![0; 98]].concat()), Some("invalid-coinbase-tx-input"));
    }
}
