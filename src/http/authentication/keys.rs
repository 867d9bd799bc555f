//! [`Keys`]: the keys that verify tokens.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, rust_crypto};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::followed_file::{Followed, until_without};

/// The shortest secret, in bytes: the length of an HS256 hash (RFC 7518, 3.2).
const MIN_SECRET: usize = 32;

/// The sizes of an RSA key that are accepted, in bits: RFC 7518, 3.3, and the largest that the verifier supports.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Keys that verify tokens. Each key has one fixed algorithm: a token's header never chooses one.
///
/// Keys from a file ([`from_jwks_file`](Self::from_jwks_file), [`from_secret_file`](Self::from_secret_file)) follow it: when
/// the file changes, its new keys are used without a restart.
#[derive(Clone)]
pub struct Keys(Arc<watch::Receiver<Followed<Vec<Key>>>>);

#[derive(Clone)]
pub(super) struct Key {
    pub id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
    pub digest: KeyDigest,
}

/// The SHA-256 digest of a key, its id and its algorithm.
pub(super) type KeyDigest = [u8; 32];

/// Why keys cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The content of the file cannot be used.
    #[error("cannot use the key file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<KeyError>,
    },
    /// The text is not a JSON Web Key Set.
    #[error("the key file is not a JSON Web Key Set")]
    Jwks(#[source] serde_json::Error),
    /// The set has no usable key.
    #[error("the key set has no RS256, ES256 or EdDSA key to verify tokens with{}", list(ignored))]
    None {
        /// The ignored keys, each with the reason.
        ignored: Vec<String>,
    },
    /// A key is malformed.
    #[error("key {number} of the key set is malformed")]
    Broken {
        /// Its number in the set, from 1.
        number: usize,
        /// The cause.
        source: jsonwebtoken::errors::Error,
    },
    /// A key is too weak, or has the wrong size.
    #[error("key {number} of the key set {reason}")]
    Unsafe {
        /// Its number in the set, from 1.
        number: usize,
        /// The mistake, and how to correct it.
        reason: String,
    },
    /// The secret is too short.
    #[error("the secret has {0} bytes, at least 32 are required: make one with `openssl rand -base64 32`")]
    ShortSecret(usize),
}

fn list(ignored: &[String]) -> String {
    if ignored.is_empty() { String::new() } else { format!(" (ignored: {})", ignored.join("; ")) }
}

impl Keys {
    /// Loads the public keys of a JSON Web Key Set (RFC 7517) that verify RS256, ES256 or EdDSA. Other keys are ignored, and
    /// so are keys whose `use` or `key_ops` is not to verify signatures.
    ///
    /// # Errors
    /// If it is not a key set, a key is malformed or weak (RSA of less than 2,048 bits), or no usable key is left.
    pub fn from_jwks(jwks: &str) -> Result<Self, KeyError> {
        parse_jwks(jwks.as_bytes()).map(Self::fixed)
    }

    /// Loads a secret that is shared with the issuer: HS256.
    ///
    /// # Errors
    /// If it has less than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        parse_secret(secret).map(Self::fixed)
    }

    fn fixed(keys: Vec<Key>) -> Self {
        Self::following(Followed::fixed(keys))
    }

    /// The keys that this channel sends.
    pub(super) fn following(keys: watch::Receiver<Followed<Vec<Key>>>) -> Self {
        Self(Arc::new(keys))
    }

    /// The current keys.
    pub(super) fn current(&self) -> Arc<Vec<Key>> {
        self.0.borrow().value.clone()
    }

    /// How long the key file has been unreadable or unusable; zero if the keys are current.
    pub(super) fn stale_for(&self) -> Duration {
        self.0.borrow().stale_for()
    }

    /// Waits until the key file no longer has this key.
    pub(super) async fn withdrawn(&self, key: &KeyDigest) {
        until_without(&self.0, |keys| keys.iter().any(|other| other.digest == *key)).await;
    }
}

/// Parses a JSON Web Key Set.
pub(super) fn parse_jwks(jwks: &[u8]) -> Result<Vec<Key>, KeyError> {
    install_crypto();
    let set: JwkSet = serde_json::from_slice(jwks).map_err(KeyError::Jwks)?;
    let (mut keys, mut ignored) = (Vec::new(), Vec::new());
    for (number, jwk) in (1..).zip(&set.keys) {
        match algorithm(jwk) {
            Ok(algorithm) => {
                check(jwk).map_err(|reason| KeyError::Unsafe { number, reason })?;
                let key = DecodingKey::from_jwk(jwk).map_err(|source| KeyError::Broken { number, source })?;
                let id = jwk.common.key_id.clone();
                let digest = digest(&[id.as_deref().unwrap_or_default().as_bytes(), &material(jwk)]);
                keys.push(Key { id, algorithm, key, digest });
            }
            Err(reason) => ignored.push(format!("key {number} {reason}")),
        }
    }
    if keys.is_empty() {
        return Err(KeyError::None { ignored });
    }
    if !ignored.is_empty() {
        tracing::info!(ignored = ignored.join("; "), "some keys of the key set do not verify tokens");
    }
    Ok(keys)
}

/// Parses a secret.
pub(super) fn parse_secret(secret: &[u8]) -> Result<Vec<Key>, KeyError> {
    install_crypto();
    if secret.len() < MIN_SECRET {
        return Err(KeyError::ShortSecret(secret.len()));
    }
    let (key, algorithm) = (DecodingKey::from_secret(secret), Algorithm::HS256);
    Ok(vec![Key { id: None, algorithm, key, digest: digest(&[secret]) }])
}

/// The algorithm of a public key that verifies signatures. A secret is ignored, since key sets are public.
fn algorithm(jwk: &Jwk) -> Result<Algorithm, String> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return Err("is for another purpose than signatures (`use`)".to_owned());
    }
    if jwk.common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
        return Err("is not for verifying (`key_ops`)".to_owned());
    }
    let own = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) => return Err("is a secret".to_owned()),
        _ => return Err("has an unknown type or curve (`kty`, `crv`)".to_owned()),
    };
    match jwk.common.key_algorithm {
        Some(named) if named != KeyAlgorithm::from(own) => {
            Err(format!("is for {named}: only RS256, ES256 and EdDSA are accepted"))
        }
        _ => Ok(own),
    }
}

/// Checks the size of a key, and the exponent of an RSA key. The reason follows "key 1 of the key set".
fn check(jwk: &Jwk) -> Result<(), String> {
    let bytes = |name: &str, value: &str| {
        URL_SAFE_NO_PAD.decode(value).map_err(|error| format!("has a malformed `{name}`: {error}"))
    };
    let exactly = |name: &str, value: &str| match bytes(name, value)?.len() {
        32 => Ok(()),
        length => Err(format!("has {length} bytes in `{name}`: 32 are required")),
    };
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let bits = bits(&bytes("n", &key.n)?);
            if !RSA_BITS.contains(&bits) {
                let (min, max) = (RSA_BITS.start(), RSA_BITS.end());
                return Err(format!("is an RSA key of {bits} bits: use one of {min} to {max} bits"));
            }
            let exponent = bytes("e", &key.e)?;
            // With 1, everybody can sign.
            match self::bits(&exponent) {
                2..=33 if exponent.last().is_some_and(|last| last % 2 == 1) => Ok(()),
                _ => Err("has an unusable RSA exponent `e`: use 65537 (`AQAB`)".to_owned()),
            }
        }
        AlgorithmParameters::EllipticCurve(key) => exactly("x", &key.x).and_then(|()| exactly("y", &key.y)),
        AlgorithmParameters::OctetKeyPair(key) => exactly("x", &key.x),
        _ => Ok(()),
    }
}

/// The number of significant bits of a number, its highest byte first.
fn bits(bytes: &[u8]) -> usize {
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(leading).map_or(0, |first| (bytes.len() - leading) * 8 - first.leading_zeros() as usize)
}

/// The public numbers of a key.
fn material(jwk: &Jwk) -> Vec<u8> {
    let parts: &[&str] = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => &["RSA", &key.n, &key.e],
        AlgorithmParameters::EllipticCurve(key) => &["EC", &key.x, &key.y],
        AlgorithmParameters::OctetKeyPair(key) => &["OKP", &key.x],
        _ => &[],
    };
    // No number has a space.
    parts.join(" ").into_bytes()
}

fn digest(parts: &[&[u8]]) -> KeyDigest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Installs a crypto provider. jsonwebtoken needs a choice if another crate of the program enables a second provider.
fn install_crypto() {
    // An error means that one is installed already.
    let _ = CryptoProvider::install_default(&rust_crypto::DEFAULT_PROVIDER);
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.current().iter()).finish()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.id.as_deref().unwrap_or("-"), self.algorithm)
    }
}
