//! The Diffie-Hellman that snow does not have: secp256k1 with EllSwift encoding, as in BIP 324
//! (sections 4.3.1 and 4.4.2, `v2_ecdh`), and the resolver that hands it to snow.

use secp256k1::ellswift::{ElligatorSwift, ElligatorSwiftParty};
use secp256k1::{SECP256K1, SecretKey};
use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifierList, HandshakePattern, HashChoice,
    NoiseParams,
};
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::{Zeroize, Zeroizing};

use crate::entropy::Expansion;
use crate::static_key::StaticKeypair;

/// Bytes of an EllSwift public key.
pub(crate) const ELLSWIFT_LEN: usize = 64;
/// The name that both sides hash first (section 4.5.1).
const PROTOCOL_NAME: &str = "Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256";

/// Who we are: the shared secret depends on it.
pub(crate) type Party = ElligatorSwiftParty;

/// The handshake's parameters. snow has no name for this curve; `P256` stands in its place and never
/// counts, because [`Resolver::resolve_dh`] answers every choice alike and only the name is hashed.
pub(crate) fn noise_params() -> NoiseParams {
    NoiseParams::new(
        PROTOCOL_NAME.to_owned(),
        BaseChoice::Noise,
        HandshakeChoice {
            pattern: HandshakePattern::NX,
            modifiers: HandshakeModifierList { list: Vec::new() },
        },
        DHChoice::P256,
        CipherChoice::ChaChaPoly,
        HashChoice::SHA256,
    )
}

/// Gives snow our curve and the caller's entropy, and ring's cipher and hash (its ChaCha20-Poly1305 takes a
/// fifth of the time of the default resolver's).
pub(crate) struct Resolver {
    pub(crate) party: Party,
    pub(crate) entropy: Expansion,
    pub(crate) static_key: Option<StaticKeypair>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(self.entropy.clone()))
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(EllSwiftDh {
            party: self.party,
            known: self.static_key.clone(),
            secret: Zeroizing::new([0; 32]),
            public: [0; ELLSWIFT_LEN],
        }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// One key pair in a handshake. An all-zero secret means "no key yet" and is refused by the curve.
struct EllSwiftDh {
    party: Party,
    /// The static pair, whose encoding need not be computed again.
    known: Option<StaticKeypair>,
    secret: Zeroizing<[u8; 32]>,
    public: [u8; ELLSWIFT_LEN],
}

impl Dh for EllSwiftDh {
    fn name(&self) -> &'static str {
        "Secp256k1+EllSwift"
    }

    fn pub_len(&self) -> usize {
        ELLSWIFT_LEN
    }

    fn priv_len(&self) -> usize {
        32
    }

    /// Only ever called by snow with the static key that [`Resolver`] was given.
    fn set(&mut self, privkey: &[u8]) {
        if let Some(known) = self.known.take().filter(|known| known.secret()[..] == *privkey) {
            *self.secret = **known.secret();
            self.public = *known.ellswift();
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        // A draw is out of range about once in 2^128; the bound only keeps a broken `rng` from hanging us.
        for _ in 0..8 {
            let mut drawn = Zeroizing::new([0; 32]);
            let mut aux = [0; 32];
            rng.try_fill_bytes(&mut *drawn)?;
            rng.try_fill_bytes(&mut aux)?;
            if let Ok(mut key) = SecretKey::from_slice(&*drawn) {
                self.public = ElligatorSwift::from_seckey(SECP256K1, key, Some(aux)).to_array();
                *self.secret = *drawn;
                key.non_secure_erase();
                aux.zeroize();
                return Ok(());
            }
        }
        Err(snow::Error::Rng)
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.secret
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        // snow hands its whole key buffer, which is one byte longer than our keys.
        let theirs = pubkey.first_chunk::<ELLSWIFT_LEN>().ok_or(snow::Error::Dh)?;
        let mut key = SecretKey::from_slice(&*self.secret).map_err(|_| snow::Error::Dh)?;
        let (ours, theirs) = (ElligatorSwift::from_array(self.public), ElligatorSwift::from_array(*theirs));
        let (a, b) = match self.party {
            Party::A => (ours, theirs),
            Party::B => (theirs, ours),
        };
        let mut shared = ElligatorSwift::shared_secret(a, b, key, self.party, None).to_secret_bytes();
        key.non_secure_erase();
        let written = out.first_chunk_mut::<32>().map(|out| *out = shared).ok_or(snow::Error::Dh);
        shared.zeroize();
        written
    }

    fn dh_len(&self) -> usize {
        32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dh(party: Party) -> Box<dyn Dh> {
        let resolver = Resolver { party, entropy: Expansion::new([party as u8; 32]), static_key: None };
        let mut dh = resolver.resolve_dh(&DHChoice::P256).unwrap();
        dh.generate(&mut *resolver.resolve_rng().unwrap()).unwrap();
        dh
    }

    #[test]
    fn both_parties_find_the_same_secret_and_roles_matter() {
        let (a, b, also_a) = (dh(Party::A), dh(Party::B), dh(Party::A));
        let shared = |ours: &dyn Dh, theirs: &dyn Dh| {
            let mut out = [0; 65];
            ours.dh(theirs.pubkey(), &mut out).unwrap();
            out
        };
        assert_eq!(shared(&*a, &*b), shared(&*b, &*a));
        assert_ne!(shared(&*a, &*b), shared(&*a, &*also_a));
    }

    #[test]
    fn without_a_key_there_is_no_secret() {
        let resolver = Resolver { party: Party::A, entropy: Expansion::new([1; 32]), static_key: None };
        let empty = resolver.resolve_dh(&DHChoice::P256).unwrap();
        assert_eq!(empty.dh(&[1; 64], &mut [0; 32]), Err(snow::Error::Dh));
        assert_eq!(dh(Party::A).dh(&[1; 63], &mut [0; 32]), Err(snow::Error::Dh));
    }
}
