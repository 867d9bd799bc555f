//! [`KeySet`]: the keys at one time, and their text form.

use std::fmt;
use std::sync::Arc;

use biscuit_auth::{Algorithm, KeyPair, PrivateKey, PublicKey};
use serde::Serialize;

use super::{AccessToken, MintError, Signer, TokenError};
use crate::text::hex;

/// The most keys at a time.
const MAX_KEYS: usize = 32;

const PRIVATE: &str = "ed25519-private/";
const PUBLIC: &str = "ed25519/";

/// The first lines of a key file.
const HEAD: &str = "# Keys of access tokens. Keep this file private: the private key makes tokens for everybody.\n\
                    # Each line: the id of a key, and the key. Tokens are signed with the private key, and accepted of all.\n";

/// The keys at one time: each has an id. At most one is private, and signs tokens; tokens of all are accepted.
#[derive(Default)]
pub struct KeySet {
    signer: Option<Arc<Signer>>,
    /// The public keys, also that of the signer. The newest first.
    public: Vec<(u32, PublicKey)>,
}

/// A public key as holders of tokens need it, to narrow them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id. Each token names the one that it is signed with.
    pub id: u32,
    /// `ed25519/` and the key in hexadecimal.
    pub key: String,
    /// Whether new tokens are signed with it.
    pub signs: bool,
}

/// Why a text is not a set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeys {
    /// It is not UTF-8.
    #[error("the keys are not UTF-8 text")]
    Encoding,
    /// A line is not an id and a key. The message does not show the line: it may have a private key.
    #[error("line {0} of the keys is not an id and a key: write `1 ed25519-private/…` or `1 ed25519/…`")]
    Line(usize),
    /// An id occurs twice.
    #[error("two keys have the id {0}")]
    Twice(u32),
    /// There are two private keys.
    #[error("there are two private keys ({0} and {1}): replace one of them by its public key")]
    TwoPrivate(u32, u32),
    /// There is no key.
    #[error("there is no key")]
    None,
    /// There are too many keys.
    #[error("there are more than {MAX_KEYS} keys")]
    TooMany,
}

impl KeySet {
    /// A set with one new key.
    pub(super) fn generate() -> Self {
        let mut keys = Self::default();
        keys.rotate();
        keys
    }

    /// Parses the text of a key file.
    pub(super) fn parse(text: &[u8]) -> Result<Self, InvalidKeys> {
        let text = str::from_utf8(text).map_err(|_| InvalidKeys::Encoding)?;
        let mut keys = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                keys.add(number, line)?;
            }
        }
        keys.public.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        match keys.public.len() {
            0 => Err(InvalidKeys::None),
            1..=MAX_KEYS => Ok(keys),
            _ => Err(InvalidKeys::TooMany),
        }
    }

    fn add(&mut self, number: usize, line: &str) -> Result<(), InvalidKeys> {
        let malformed = || InvalidKeys::Line(number);
        let (id, key) = line.split_once(char::is_whitespace).ok_or_else(malformed)?;
        let (id, key) = (id.parse::<u32>().map_err(|_| malformed())?, key.trim());
        if self.public(id).is_some() {
            return Err(InvalidKeys::Twice(id));
        }
        let public = if let Some(key) = key.strip_prefix(PRIVATE) {
            let private = PrivateKey::from_bytes_hex(key, Algorithm::Ed25519).map_err(|_| malformed())?;
            let signer = Signer { id, key: KeyPair::from(&private) };
            let public = signer.key.public();
            if let Some(other) = self.signer.replace(Arc::new(signer)) {
                return Err(InvalidKeys::TwoPrivate(other.id, id));
            }
            public
        } else {
            let key = key.strip_prefix(PUBLIC).ok_or_else(malformed)?;
            PublicKey::from_bytes_hex(key, Algorithm::Ed25519).map_err(|_| malformed())?
        };
        self.public.push((id, public));
        Ok(())
    }

    /// The text of a key file with these keys.
    pub(super) fn to_text(&self) -> String {
        let private =
            |id: u32| self.signer.as_ref().filter(|signer| signer.id == id).map(|signer| signer.key.private());
        let lines = self.public.iter().map(|(id, public)| match private(*id) {
            Some(private) => format!("{id} {PRIVATE}{}\n", private.to_bytes_hex()),
            None => format!("{id} {}\n", text_of(public)),
        });
        HEAD.chars().chain(lines.collect::<String>().chars()).collect()
    }

    /// Adds a new private key, which signs from now on. The present one is only accepted. Returns the id of the new one.
    pub(super) fn rotate(&mut self) -> u32 {
        let id = self.public.iter().map(|(id, _)| *id).max().unwrap_or(0).saturating_add(1);
        let key = KeyPair::new_with_algorithm(Algorithm::Ed25519);
        self.public.insert(0, (id, key.public()));
        self.signer = Some(Arc::new(Signer { id, key }));
        id
    }

    /// Removes a public key. Returns whether it was there; the key that signs stays.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let before = self.public.len();
        let signs = self.signer.as_ref().map(|signer| signer.id);
        self.public.retain(|(other, _)| *other != id || signs == Some(id));
        self.public.len() < before
    }

    /// The key that signs tokens.
    ///
    /// # Errors
    /// When there are public keys only.
    pub fn signer(&self) -> Result<&Arc<Signer>, MintError> {
        self.signer.as_ref().ok_or(MintError::NoKey)
    }

    /// The public keys, the newest first.
    #[must_use]
    pub fn infos(&self) -> Vec<KeyInfo> {
        let signs = self.signer.as_ref().map(|signer| signer.id);
        self.public
            .iter()
            .map(|(id, key)| KeyInfo { id: *id, key: text_of(key), signs: signs == Some(*id) })
            .collect()
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// When none of these keys signed it, or it has parts that are not accepted. Whether it has expired is for
    /// [`AccessToken::allows`] to say.
    pub fn verify(&self, text: &str) -> Result<AccessToken, TokenError> {
        super::verify::verify(self, text)
    }

    pub(super) fn public(&self, id: u32) -> Option<&PublicKey> {
        self.public.iter().find(|(other, _)| *other == id).map(|(_, key)| key)
    }
}

fn text_of(key: &PublicKey) -> String {
    format!("{PUBLIC}{}", hex(&key.to_bytes()))
}

/// The ids only.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.public.iter().map(|(id, _)| id)).finish()
    }
}
