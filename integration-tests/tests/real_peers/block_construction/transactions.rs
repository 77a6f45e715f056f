//! Keys and transactions of the tests' own: the node has no wallet.

use bitcoin::key::{Keypair, Secp256k1, TapTweak as _};
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::{All, Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{LeafVersion, TaprootBuilder, TaprootSpendInfo};
use bitcoin::{
    Amount, CompressedPublicKey, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Witness, consensus, ecdsa,
    taproot,
};
use integration_tests::node::Node;
use serde_json::json;

use super::workshop::raw_block;

/// How a coin of ours is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    P2pkh,
    NestedP2wpkh,
    P2wpkh,
    P2wsh,
    TaprootKey,
    TaprootScript,
}

impl Lock {
    pub(super) const ALL: [Self; 6] =
        [Self::P2pkh, Self::NestedP2wpkh, Self::P2wpkh, Self::P2wsh, Self::TaprootKey, Self::TaprootScript];
}

/// An output that can be spent.
#[derive(Clone, Debug)]
pub(super) struct Coin {
    outpoint: OutPoint,
    output: TxOut,
}

impl Coin {
    /// An output of a transaction.
    pub(super) fn of(transaction: &Transaction, vout: usize) -> Self {
        let index = u32::try_from(vout).expect("few outputs");
        Self {
            outpoint: OutPoint::new(transaction.compute_txid(), index),
            output: transaction.output[vout].clone(),
        }
    }

    /// What the block at this height paid first.
    pub(super) fn mined(node: &Node, height: u64) -> Self {
        let hash = node.ask("getblockhash", &json!([height]));
        Self::of(&raw_block(node, hash.as_str().expect("a hash")).txdata[0], 0)
    }
}

/// One key, and all that it locks.
pub(super) struct Purse {
    secp: Secp256k1<All>,
    pair: Keypair,
}

impl Purse {
    pub(super) fn new() -> Self {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[7; 32]).expect("a secret key");
        let pair = Keypair::from_secret_key(&secp, &secret);
        Self { secp, pair }
    }

    /// What locks a coin so.
    pub(super) fn script(&self, lock: Lock) -> ScriptBuf {
        let key = self.public_key();
        match lock {
            Lock::P2pkh => ScriptBuf::new_p2pkh(&key.pubkey_hash()),
            Lock::NestedP2wpkh => ScriptBuf::new_p2sh(&self.witness_key_hash().script_hash()),
            Lock::P2wpkh => self.witness_key_hash(),
            Lock::P2wsh => ScriptBuf::new_p2wsh(&self.witness_script().wscript_hash()),
            Lock::TaprootKey => ScriptBuf::new_p2tr(&self.secp, self.pair.x_only_public_key().0, None),
            Lock::TaprootScript => ScriptBuf::new_p2tr_tweaked(self.tree().output_key()),
        }
    }

    /// Spends a coin that is locked so: all but `fee` goes to `to`.
    pub(super) fn spend(&self, lock: Lock, coin: &Coin, fee: u64, to: ScriptBuf) -> Transaction {
        const ALL: EcdsaSighashType = EcdsaSighashType::All;
        let mut transaction = unsigned(coin, fee, to);
        let mut cache = SighashCache::new(transaction.clone());
        let (value, locked) = (coin.output.value, &*coin.output.script_pubkey);
        let input = &mut transaction.input[0];
        match lock {
            Lock::P2pkh => {
                let hash = cache.legacy_signature_hash(0, locked, ALL.to_u32()).expect("a hash");
                let signature = PushBytesBuf::try_from(self.ecdsa(Message::from(hash))).expect("short");
                let key = PushBytesBuf::try_from(self.public_key().to_bytes().to_vec()).expect("short");
                input.script_sig = ScriptBuf::builder().push_slice(signature).push_slice(key).into_script();
            }
            Lock::NestedP2wpkh | Lock::P2wpkh => {
                let inner = self.witness_key_hash();
                let hash = cache.p2wpkh_signature_hash(0, &inner, value, ALL).expect("a hash");
                input.witness.push(self.ecdsa(Message::from(hash)));
                input.witness.push(self.public_key().to_bytes());
                if lock == Lock::NestedP2wpkh {
                    let inner = PushBytesBuf::try_from(inner.into_bytes()).expect("short");
                    input.script_sig = ScriptBuf::builder().push_slice(inner).into_script();
                }
            }
            Lock::P2wsh => {
                let inner = self.witness_script();
                let hash = cache.p2wsh_signature_hash(0, &inner, value, ALL).expect("a hash");
                input.witness.push(self.ecdsa(Message::from(hash)));
                input.witness.push(inner.into_bytes());
            }
            Lock::TaprootKey => {
                let spent = [coin.output.clone()];
                let hash = cache
                    .taproot_key_spend_signature_hash(0, &Prevouts::All(&spent), TapSighashType::Default)
                    .expect("a hash");
                let tweaked = self.pair.tap_tweak(&self.secp, None);
                input.witness.push(self.schnorr(Message::from(hash), &tweaked.to_keypair()));
            }
            Lock::TaprootScript => {
                let (script, spent) = (self.leaf(), [coin.output.clone()]);
                let leaf = script.tapscript_leaf_hash();
                let hash = cache
                    .taproot_script_spend_signature_hash(
                        0,
                        &Prevouts::All(&spent),
                        leaf,
                        TapSighashType::Default,
                    )
                    .expect("a hash");
                let control = self.tree().control_block(&(script.clone(), LeafVersion::TapScript));
                input.witness.push(self.schnorr(Message::from(hash), &self.pair));
                input.witness.push(script.into_bytes());
                input.witness.push(control.expect("a leaf of the tree").serialize());
            }
        }
        transaction
    }

    fn public_key(&self) -> CompressedPublicKey {
        CompressedPublicKey(self.pair.public_key())
    }

    fn witness_key_hash(&self) -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&self.public_key().wpubkey_hash())
    }

    fn witness_script(&self) -> ScriptBuf {
        ScriptBuf::builder().push_key(&self.public_key().into()).push_opcode(OP_CHECKSIG).into_script()
    }

    fn leaf(&self) -> ScriptBuf {
        let key = self.pair.x_only_public_key().0;
        ScriptBuf::builder().push_x_only_key(&key).push_opcode(OP_CHECKSIG).into_script()
    }

    fn tree(&self) -> TaprootSpendInfo {
        let tree = TaprootBuilder::new().add_leaf(0, self.leaf()).expect("a tree of one leaf");
        tree.finalize(&self.secp, self.pair.x_only_public_key().0).expect("a whole tree")
    }

    fn ecdsa(&self, message: Message) -> Vec<u8> {
        let signature = self.secp.sign_ecdsa(&message, &self.pair.secret_key());
        ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All }.to_vec()
    }

    fn schnorr(&self, message: Message, pair: &Keypair) -> Vec<u8> {
        let signature = self.secp.sign_schnorr_no_aux_rand(&message, pair);
        taproot::Signature { signature, sighash_type: TapSighashType::Default }.to_vec()
    }
}

fn unsigned(coin: &Coin, fee: u64, to: ScriptBuf) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn { previous_output: coin.outpoint, witness: Witness::new(), ..TxIn::default() }],
        output: vec![TxOut { value: coin.output.value - Amount::from_sat(fee), script_pubkey: to }],
    }
}

/// Spends a coin that anybody may spend, with a second output of this script.
pub(super) fn ballast(coin: &Coin, fee: u64, script: Vec<u8>) -> Transaction {
    let mut transaction = unsigned(coin, fee, ScriptBuf::from_bytes(vec![0x51]));
    transaction.output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
    transaction
}

/// As [`ballast`], of exactly this weight.
pub(super) fn of_weight(coin: &Coin, fee: u64, weight: u64) -> Transaction {
    let empty = ballast(coin, fee, Vec::new()).weight().to_wu();
    // The script's length takes 1, 3 or 5 bytes.
    let made = [0, 2, 4].into_iter().find_map(|more| {
        let length = (weight - empty) / 4 - more;
        let made = ballast(coin, fee, vec![0x6a; usize::try_from(length).expect("a length")]);
        (made.weight().to_wu() == weight).then_some(made)
    });
    made.unwrap_or_else(|| panic!("no transaction weighs {weight}"))
}

/// Puts a transaction into the node's mempool.
pub(super) fn send(node: &Node, transaction: &Transaction) {
    let hex = consensus::encode::serialize_hex(transaction);
    // Whatever it pays: fees are how the tests order them.
    node.rpc("sendrawtransaction", &json!([hex, 0]));
}

/// Makes blocks that pay to this script.
pub(super) fn generate(node: &Node, count: u64, script: &ScriptBuf) {
    node.rpc("generatetodescriptor", &json!([count, format!("raw({script:x})"), 1_000_000]));
}

/// Splits a coin that anybody may spend into `count`, confirmed.
pub(super) fn split(node: &Node, coin: &Coin, count: usize) -> Vec<Coin> {
    let anyone = ScriptBuf::from_bytes(vec![0x51]);
    let mut transaction = unsigned(coin, 1_000_000, anyone.clone());
    let share = transaction.output[0].value / u64::try_from(count).expect("a count");
    transaction.output = vec![TxOut { value: share, script_pubkey: anyone.clone() }; count];
    send(node, &transaction);
    generate(node, 1, &anyone);
    (0..count).map(|vout| Coin::of(&transaction, vout)).collect()
}
