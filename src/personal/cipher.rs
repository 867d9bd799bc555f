//! Seals and opens with one key: AES-256-GCM-SIV (RFC 8452), which stays safe when a nonce repeats.
//!
//! The associated data are the event type, the field, the subject and the id of the key: a ciphertext that was moved to another
//! subject or renamed does not open.

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key_store::SubjectKey;
use crate::events::Ref;
use crate::events::personal::{Envelope, KeyError};

const NONCE_BYTES: usize = 12;

/// The purposes of a key: each has a key of its own, derived from it.
const SEALING: &[u8] = b"annals personal values: sealing, 1";
const DIGESTS: &[u8] = b"annals personal values: digests, 1";

/// Fills the slice with random bytes of the operating system.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|error| KeyError::Random(error.to_string()))
}

/// A subject's key, ready to seal and open.
pub(super) struct Cipher {
    id: String,
    sealing: Zeroizing<[u8; 32]>,
    digests: Zeroizing<[u8; 32]>,
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Cipher {
    pub(super) fn new(key: &SubjectKey) -> Self {
        let derived = |purpose| Zeroizing::new(hmac(key.secret(), &[purpose]));
        Self { id: key.id().to_owned(), sealing: derived(SEALING), digests: derived(DIGESTS) }
    }

    /// Seals a text.
    pub(super) fn seal(&self, of: &Ref, event_type: &str, field: &str, text: &str) -> Result<Envelope, KeyError> {
        let mut sealed = vec![0; NONCE_BYTES];
        random(&mut sealed)?;
        let nonce = nonce(&sealed);
        let aad = associated(of, event_type, field, &self.id);
        let cipher = Aes256GcmSiv::new((&*self.sealing).into());
        let payload = Payload { msg: text.as_bytes(), aad: &aad };
        // Only a text of more than 64 GB cannot be sealed.
        let ciphertext = cipher
            .encrypt(&nonce, payload)
            .map_err(|_| KeyError::Damaged { subject: of.clone(), place: format!("{event_type}.{field}") })?;
        sealed.extend(ciphertext);
        Ok(Envelope::new(of.clone(), event_type, field, &self.id, &STANDARD_NO_PAD.encode(sealed)))
    }

    /// Opens an envelope; `None` if it was sealed with another key.
    pub(super) fn open(&self, envelope: &Envelope) -> Option<Result<String, KeyError>> {
        let Some(parts) = envelope.parts() else {
            let place = "unknown form".to_owned();
            return Some(Err(KeyError::Damaged { subject: envelope.of.clone(), place }));
        };
        if parts.key != self.id {
            return None;
        }
        let opened = (|| {
            let sealed = STANDARD_NO_PAD.decode(parts.ciphertext).ok()?;
            let ciphertext = sealed.get(NONCE_BYTES..)?;
            let aad = associated(&envelope.of, parts.event_type, parts.field, &self.id);
            let cipher = Aes256GcmSiv::new((&*self.sealing).into());
            let text = cipher.decrypt(&nonce(&sealed), Payload { msg: ciphertext, aad: &aad }).ok()?;
            String::from_utf8(text).ok()
        })();
        let place = || format!("{}.{}", parts.event_type, parts.field);
        Some(opened.ok_or_else(|| KeyError::Damaged { subject: envelope.of.clone(), place: place() }))
    }

    /// HMAC of these parts.
    pub(super) fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        hmac(&self.digests, &parts)
    }
}

/// The first bytes are the nonce.
fn nonce(sealed: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&sealed[..NONCE_BYTES]);
    nonce.into()
}

/// None of the parts contains a NUL.
fn associated(of: &Ref, event_type: &str, field: &str, key: &str) -> Vec<u8> {
    ["1", event_type, field, of.as_str(), key].join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher() -> Cipher {
        Cipher::new(&SubjectKey::random().unwrap())
    }

    fn ada() -> Ref {
        "user:7".parse().unwrap()
    }

    #[test]
    fn a_sealed_text_opens_with_its_key_and_with_no_other() {
        let cipher = cipher();
        let sealed = cipher.seal(&ada(), "user.registered", "name", "\"Ada\"").unwrap();
        assert_eq!(cipher.open(&sealed).unwrap().unwrap(), "\"Ada\"");
        assert!(self::cipher().open(&sealed).is_none());
        assert!(!sealed.sealed.contains("Ada"));
    }

    #[test]
    fn equal_texts_are_sealed_differently() {
        let cipher = cipher();
        let seal = || cipher.seal(&ada(), "user.registered", "name", "\"Ada\"").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn each_change_of_an_envelope_is_found() {
        let key = SubjectKey::random().unwrap();
        let cipher = Cipher::new(&key);
        let sealed = cipher.seal(&ada(), "user.registered", "name", "\"Ada\"").unwrap();
        let parts = sealed.parts().unwrap();
        let other = |of: &str, event_type: &str, field: &str, ciphertext: &str| {
            let envelope = Envelope::new(of.parse().unwrap(), event_type, field, key.id(), ciphertext);
            cipher.open(&envelope).unwrap()
        };
        other("user:7", "user.registered", "name", parts.ciphertext).unwrap();
        other("user:8", "user.registered", "name", parts.ciphertext).unwrap_err();
        other("user:7", "user.renamed", "name", parts.ciphertext).unwrap_err();
        other("user:7", "user.registered", "mail", parts.ciphertext).unwrap_err();
        let flipped = match parts.ciphertext.strip_prefix('A') {
            Some(rest) => format!("B{rest}"),
            None => format!("A{}", &parts.ciphertext[1..]),
        };
        for damaged in [flipped.as_str(), "", "AAAA", "not base64"] {
            other("user:7", "user.registered", "name", damaged).unwrap_err();
        }
    }

    #[test]
    fn digests_depend_on_the_key_and_on_each_part() {
        let cipher = cipher();
        let digest = cipher.digest(&["rename", "name", "Ada"]);
        assert_eq!(digest, cipher.digest(&["rename", "name", "Ada"]));
        assert_ne!(digest, cipher.digest(&["rename", "nameA", "da"]));
        assert_ne!(digest, self::cipher().digest(&["rename", "name", "Ada"]));
    }
}
