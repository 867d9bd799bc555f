//! [`Keys`]: what tokens are verified with.

use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, rust_crypto};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The shortest secret: as long as the hash that HS256 makes (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;

/// Keys that tokens are verified with. Each has one algorithm, which it alone says: what a token says of itself is only
/// compared with it.
#[derive(Clone)]
pub struct Keys(pub(super) Vec<Key>);

#[derive(Clone)]
pub(super) struct Key {
    pub id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// A text that holds no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no JWKS.
    #[error("this is no JSON Web Key Set")]
    Jwks(#[source] serde_json::Error),
    /// It has no key that tokens could be verified with.
    #[error(
        "the key set has no key to verify with: it takes one of RS256, ES256 or EdDSA; {skipped} others are there"
    )]
    None {
        /// How many keys were of no use.
        skipped: usize,
    },
    /// A key is broken.
    #[error("key {number} of the set cannot be used")]
    Broken {
        /// Its number in the set, from 1 on.
        number: usize,
        /// Why.
        source: jsonwebtoken::errors::Error,
    },
    /// The secret is too short.
    #[error("the secret has {0} bytes: it takes 32 or more (`openssl rand -base64 32`)")]
    ShortSecret(usize),
}

impl Keys {
    /// The public keys of a JSON Web Key Set (RFC 7517) that can verify RS256, ES256 or EdDSA. Keys for other uses are
    /// passed over.
    ///
    /// # Errors
    /// When it is none, a key in it is broken, or none is left.
    pub fn from_jwks(jwks: &str) -> Result<Self, KeyError> {
        choose_crypto();
        let set: JwkSet = serde_json::from_str(jwks).map_err(KeyError::Jwks)?;
        let mut keys = Vec::new();
        for (index, jwk) in set.keys.iter().enumerate() {
            let Some(algorithm) = algorithm(jwk) else { continue };
            let key =
                DecodingKey::from_jwk(jwk).map_err(|source| KeyError::Broken { number: index + 1, source })?;
            keys.push(Key { id: jwk.common.key_id.clone(), algorithm, key });
        }
        match keys.is_empty() {
            true => Err(KeyError::None { skipped: set.keys.len() }),
            false => Ok(Self(keys)),
        }
    }

    /// A secret that who makes the tokens has too: HS256.
    ///
    /// # Errors
    /// When it has less than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        choose_crypto();
        match secret.len() {
            short if short < SHORTEST_SECRET => Err(KeyError::ShortSecret(short)),
            _ => {
                let key = DecodingKey::from_secret(secret);
                Ok(Self(vec![Key { id: None, algorithm: Algorithm::HS256, key }]))
            }
        }
    }
}

/// The algorithm of a key, if it is one to verify with: a secret is none, since the set is not secret.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let own = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let said = jwk.common.key_algorithm;
    said.is_none_or(|said| said == KeyAlgorithm::from(own)).then_some(own)
}

/// Another crate of the program may have turned on a second library for the same: then one has to be chosen.
fn choose_crypto() {
    // An error says that one was chosen before.
    let _ = CryptoProvider::install_default(&rust_crypto::DEFAULT_PROVIDER);
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.id, key.algorithm))).finish()
    }
}
