//! [`Keys`]: the keys that verify tokens.

use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, rust_crypto};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The shortest secret, in bytes: the length of an HS256 hash (RFC 7518, 3.2).
const MIN_SECRET: usize = 32;

/// Keys that verify tokens. Each key has one fixed algorithm: a token's header never chooses one.
#[derive(Clone)]
pub struct Keys(pub(super) Vec<Key>);

#[derive(Clone)]
pub(super) struct Key {
    pub id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// Why keys cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a JSON Web Key Set.
    #[error("the key file is not a JSON Web Key Set")]
    Jwks(#[source] serde_json::Error),
    /// The set has no usable key.
    #[error(
        "the key set has no RS256, ES256 or EdDSA key to verify tokens with ({skipped} other keys are ignored)"
    )]
    None {
        /// The number of ignored keys.
        skipped: usize,
    },
    /// A key is malformed.
    #[error("key {number} of the key set is malformed")]
    Broken {
        /// Its number in the set, from 1.
        number: usize,
        /// The cause.
        source: jsonwebtoken::errors::Error,
    },
    /// The secret is too short.
    #[error("the secret has {0} bytes, at least 32 are required: make one with `openssl rand -base64 32`")]
    ShortSecret(usize),
}

impl Keys {
    /// Loads the public keys of a JSON Web Key Set (RFC 7517) that verify RS256, ES256 or EdDSA. Other keys are ignored.
    ///
    /// # Errors
    /// If it is not a key set, a key is malformed, or no usable key is left.
    pub fn from_jwks(jwks: &str) -> Result<Self, KeyError> {
        install_crypto();
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

    /// Loads a secret that is shared with the issuer: HS256.
    ///
    /// # Errors
    /// If it has less than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        install_crypto();
        match secret.len() {
            short if short < MIN_SECRET => Err(KeyError::ShortSecret(short)),
            _ => {
                let key = DecodingKey::from_secret(secret);
                Ok(Self(vec![Key { id: None, algorithm: Algorithm::HS256, key }]))
            }
        }
    }
}

/// The algorithm of a public signature key; none for other keys. A secret is ignored, since key sets are public.
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
    let named = jwk.common.key_algorithm;
    named.is_none_or(|named| named == KeyAlgorithm::from(own)).then_some(own)
}

/// Installs a crypto provider. jsonwebtoken needs a choice if another crate of the program enables a second provider.
fn install_crypto() {
    // An error means that one is installed already.
    let _ = CryptoProvider::install_default(&rust_crypto::DEFAULT_PROVIDER);
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.id, key.algorithm))).finish()
    }
}
