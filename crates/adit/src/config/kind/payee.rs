//! Whom a coinbase pays.

use std::fmt;
use std::str::FromStr;

use bitcoin::address::NetworkUnchecked;
use bitcoin::hex::FromHex;
use work::coinbase::{MAX_MONEY, Output};

use super::list::texts;
use super::{Fix, Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};
use crate::config::tables::Chain;

/// The most outputs that may be added to a coinbase: each takes room from transactions that pay.
pub const EXTRA_OUTPUTS_MAX: usize = 100;
/// The longest output script that is taken in hex, in bytes: none that is paid in practice is longer.
pub const SCRIPT_MAX: usize = 520;

/// A Bitcoin address, of whichever chain, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayTo {
    text: String,
    address: bitcoin::Address<NetworkUnchecked>,
}

impl PayTo {
    fn new(text: &str) -> Result<Self, Refusal> {
        let address = bitcoin::Address::from_str(text).map_err(|_| {
            Refusal::words("copy the address again: each character counts, and as it stands it is none")
        })?;
        Ok(Self { text: text.to_owned(), address })
    }

    /// Its output script, if the address is one of this chain. Test chains share some of their addresses.
    #[must_use]
    pub fn script_on(&self, chain: Chain) -> Option<Box<[u8]>> {
        let address = self.address.clone().require_network(chain.network()).ok()?;
        Some(address.script_pubkey().into_bytes().into())
    }

    /// The chains that it is an address of.
    pub(crate) fn chains(&self) -> Vec<Chain> {
        let all = [Chain::Main, Chain::Testnet4, Chain::Signet, Chain::Regtest];
        all.into_iter().filter(|chain| self.address.is_valid_for_network(chain.network())).collect()
    }
}

impl fmt::Display for PayTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// [`PayTo`].
pub(crate) struct PayoutAddress;

impl Kind for PayoutAddress {
    type Value = PayTo;

    fn expected(&self) -> String {
        "a Bitcoin address".to_owned()
    }

    fn read(&self, given: &Given) -> Result<PayTo, Refusal> {
        PayTo::new(given.text().ok_or_else(Refusal::plain)?)
    }

    fn write(&self, value: &PayTo) -> Option<String> {
        Some(quoted(&value.text))
    }
}

/// An output script, as it was written: as an address, or in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayScript {
    text: String,
    script: Box<[u8]>,
}

impl PayScript {
    /// The script.
    #[must_use]
    pub fn script(&self) -> &[u8] {
        &self.script
    }
}

impl fmt::Display for PayScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// [`PayScript`].
pub(crate) struct PayoutScript;

impl Kind for PayoutScript {
    type Value = PayScript;

    fn expected(&self) -> String {
        format!("a Bitcoin address, or an output script of 1 to {SCRIPT_MAX} bytes in hex")
    }

    fn read(&self, given: &Given) -> Result<PayScript, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        let hex = text.len() % 2 == 0 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let script = match Vec::<u8>::from_hex(text) {
            Ok(script) if hex && (1..=SCRIPT_MAX).contains(&script.len()) => script,
            _ if hex => return Err(Refusal::plain()),
            // A pool's source has no chain of its own: the script is the same on all that know the address.
            _ => PayTo::new(text)?.address.assume_checked().script_pubkey().into_bytes(),
        };
        Ok(PayScript { text: text.to_owned(), script: script.into() })
    }

    fn write(&self, value: &PayScript) -> Option<String> {
        Some(quoted(&value.text))
    }
}

/// An output that is added to a coinbase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraOutput {
    /// Whom it pays.
    pub to: PayTo,
    /// What, satoshi.
    pub value: u64,
}

impl ExtraOutput {
    /// The output, if its address is one of this chain.
    #[must_use]
    pub fn on(&self, chain: Chain) -> Option<Output> {
        Some(Output { value: self.value, script_pubkey: self.to.script_on(chain)? })
    }
}

impl fmt::Display for ExtraOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.to, self.value)
    }
}

/// A list of outputs; it may be empty.
pub(crate) struct ExtraOutputs;

const OUTPUT_RULE: &str = "an address and what it is paid in satoshi, such as \"ADDRESS=50000\"";

impl Kind for ExtraOutputs {
    type Value = Vec<ExtraOutput>;

    fn expected(&self) -> String {
        format!(
            "a list of at most {EXTRA_OUTPUTS_MAX} addresses with what they are paid in satoshi, such as [\"ADDRESS=50000\"]"
        )
    }

    fn read(&self, given: &Given) -> Result<Vec<ExtraOutput>, Refusal> {
        let mut texts = texts(given, OUTPUT_RULE, "write it in quotes, or leave it out")?;
        if matches!(given, Given::Loose(_)) {
            texts.retain(|text| !text.is_empty());
        }
        let outputs = texts.into_iter().enumerate().map(|(at, text)| {
            read_output(text).map_err(|refusal| Refusal {
                expected: Some(OUTPUT_RULE.to_owned()),
                found: Some(quoted_short(text)),
                item: Some(at),
                ..refusal
            })
        });
        let outputs: Vec<ExtraOutput> = outputs.collect::<Result<_, _>>()?;
        let sum = outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value));
        if outputs.len() > EXTRA_OUTPUTS_MAX {
            return Err(Refusal::words("leave some out: each takes room from transactions that pay"));
        }
        if sum > MAX_MONEY {
            return Err(Refusal {
                expected: Some(format!("at most {MAX_MONEY} satoshi together")),
                found: Some(sum.to_string()),
                ..Refusal::words("write satoshi: a bitcoin has 100,000,000 of them")
            });
        }
        Ok(outputs)
    }

    fn write(&self, value: &Vec<ExtraOutput>) -> Option<String> {
        let outputs: Vec<String> = value.iter().map(|output| quoted(&output.to_string())).collect();
        Some(format!("[{}]", outputs.join(", ")))
    }
}

fn read_output(text: &str) -> Result<ExtraOutput, Refusal> {
    let words = |words: &str| Refusal { fix: Some(Fix::Words(words.to_owned())), ..Refusal::default() };
    let (address, value) =
        text.split_once('=').ok_or_else(|| words("write = and the satoshi behind the address"))?;
    let to = PayTo::new(address.trim())?;
    let digits = value.trim().replace('_', "");
    match digits.parse() {
        Ok(value) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(ExtraOutput { to, value }),
        _ => Err(words("write a whole number of satoshi behind the =, 0 or more")),
    }
}
