//! [`SignedNote`]: texts with signatures, as C2SP's `signed-note` says, and the [`VerifierKey`] of a signature.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::digest::first_bytes;

/// The largest note, in bytes, and the most signatures.
const MAX_BYTES: usize = 1_000_000;
const MAX_SIGNATURES: usize = 100;

/// The signature algorithm of a key, and the bytes that it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// Ed25519 over the text: the signature of a log.
    Ed25519,
    /// Ed25519 over a time and the text: the cosignature of a witness (`cosignature/v1`).
    Cosignature,
}

impl KeyType {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key with its name: that of a log, or of a witness. As text, `example.org/log+a8f31c02+AX…`: the name, the id of the key and its
/// bytes, as C2SP calls it a `vkey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_type: KeyType,
    key: VerifyingKey,
}

/// A text is no public key of a log or a witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no public key of a log or a witness: expected NAME+ID+KEY of an Ed25519 key")]
pub struct InvalidVerifierKey(String);

/// Whether a name can be that of a key: not empty, without spaces, `+` and control characters, at most 255 bytes.
pub(super) fn is_key_name(name: &str) -> bool {
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '+';
    !name.is_empty() && name.len() <= 255 && !name.contains(is_odd)
}

impl VerifierKey {
    pub(super) fn new(name: String, key_type: KeyType, key: VerifyingKey) -> Self {
        Self { name, key_type, key }
    }

    /// Its name: the origin of a log's checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its id: with the name, it says which key made a signature.
    #[must_use]
    pub fn id(&self) -> u32 {
        let hash = Sha256::new_with_prefix(&self.name).chain_update([b'\n', self.key_type.byte()]);
        u32::from_be_bytes(first_bytes(&hash.chain_update(self.key.as_bytes()).finalize().into()))
    }

    /// The public key alone.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether a signature is that of this key. Returns the time of a cosignature, in seconds since 1970; 0 for others.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let holds = |message: &[u8], signature: &[u8; 64]| {
            self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
        };
        match self.key_type {
            KeyType::Ed25519 => holds(text.as_bytes(), signature.try_into().ok()?).then_some(0),
            KeyType::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                holds(cosigned(time, text).as_bytes(), signature.try_into().ok()?).then_some(time)
            }
        }
    }
}

/// The message that a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.key_type.byte()], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id(), BASE64_STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidVerifierKey;

    fn from_str(text: &str) -> Result<Self, InvalidVerifierKey> {
        let parse = || {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let bytes = BASE64_STANDARD.decode(key).ok()?;
            let (key_type, key) = bytes.split_first()?;
            let key_type =
                [KeyType::Ed25519, KeyType::Cosignature].into_iter().find(|of| of.byte() == *key_type)?;
            let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
            let parsed = Self::new(name.to_owned(), key_type, key);
            (is_key_name(name) && format!("{:08x}", parsed.id()) == id).then_some(parsed)
        };
        parse().ok_or_else(|| {
            InvalidVerifierKey(text.chars().take(300).collect::<String>().escape_debug().to_string())
        })
    }
}

impl serde::Serialize for VerifierKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A private key with its name. As text: `PRIVATE+KEY+NAME+ID+KEY`.
pub(super) struct NoteSigner {
    name: String,
    key_type: KeyType,
    key: SigningKey,
}

impl fmt::Debug for NoteSigner {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoteSigner").field(&self.verifier().to_string()).finish()
    }
}

impl NoteSigner {
    pub fn new(name: &str, key_type: KeyType, secret: [u8; 32]) -> Self {
        Self { name: name.to_owned(), key_type, key: SigningKey::from_bytes(&secret) }
    }

    /// The public key.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey::new(self.name.clone(), self.key_type, self.key.verifying_key())
    }

    /// Signs a text. `time`: of a cosignature, in seconds since 1970.
    pub fn sign(&self, text: &str, time: u64) -> NoteSignature {
        let bytes = match self.key_type {
            KeyType::Ed25519 => self.key.sign(text.as_bytes()).to_bytes().to_vec(),
            KeyType::Cosignature => {
                let signature = self.key.sign(cosigned(time, text).as_bytes()).to_bytes();
                [time.to_be_bytes().as_slice(), &signature].concat()
            }
        };
        NoteSignature { name: self.name.clone(), id: self.verifier().id(), bytes }
    }

    /// The text of the private key.
    pub fn to_text(&self) -> String {
        let bytes = [&[self.key_type.byte()], self.key.as_bytes().as_slice()].concat();
        format!("PRIVATE+KEY+{}+{:08x}+{}", self.name, self.verifier().id(), BASE64_STANDARD.encode(bytes))
    }

    /// Reads the text of a private key of a log.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.strip_prefix("PRIVATE+KEY+")?.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let bytes = BASE64_STANDARD.decode(key).ok()?;
        let secret = bytes.strip_prefix(&[KeyType::Ed25519.byte()])?;
        let signer = Self::new(name, KeyType::Ed25519, secret.try_into().ok()?);
        (is_key_name(name) && format!("{:08x}", signer.verifier().id()) == id).then_some(signer)
    }
}

/// A signature in a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    pub fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = BASE64_STANDARD.decode(signature).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        let signature = Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() };
        (is_key_name(name) && !bytes.is_empty()).then_some(signature)
    }

    fn is_of(&self, key: &VerifierKey) -> bool {
        self.id == key.id() && self.name == key.name
    }
}

impl fmt::Display for NoteSignature {
    /// A line, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "— {} {}", self.name, BASE64_STANDARD.encode(bytes))
    }
}

/// A text with signatures. A signature says nothing until it is [verified](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A note cannot be read, or a signature is forged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not a text with signatures.
    #[error("it is not a signed note: a text, an empty line, and lines of signatures")]
    Malformed,
    /// The signature of a known key does not hold.
    #[error("the signature of {0} does not hold: the text was changed after it was signed")]
    Forged(String),
}

impl SignedNote {
    /// A text with one signature.
    pub fn new(text: String, signature: NoteSignature) -> Self {
        Self { text, signatures: vec![signature] }
    }

    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let is_odd = |letter: char| letter < ' ' && letter != '\n';
        if note.len() > MAX_BYTES || note.contains(is_odd) {
            return Err(NoteError::Malformed);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures: Option<Vec<NoteSignature>> = lines.split('\n').map(NoteSignature::parse).collect();
        match signatures {
            Some(signatures) if signatures.len() <= MAX_SIGNATURES => {
                Ok(Self { text: format!("{text}\n"), signatures })
            }
            _ => Err(NoteError::Malformed),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a signature in place of one of the same key.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.retain(|other| (other.id, &other.name) != (signature.id, &signature.name));
        self.signatures.push(signature);
    }

    /// Whether this key has signed it, and when, in seconds since 1970 (0 unless it is a cosignature). An error if there is a signature of
    /// the key that does not hold.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let Some(signature) = self.signatures.iter().find(|signature| signature.is_of(key)) else {
            return Ok(None);
        };
        match key.verify(&self.text, &signature.bytes) {
            Some(time) => Ok(Some(time)),
            None => Err(NoteError::Forged(key.name.clone())),
        }
    }

    /// The names of the keys that have signed it, according to the signatures: none of them is verified here.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.name.as_str())
    }

    /// The signature of a key.
    pub fn signature(&self, key: &VerifierKey) -> Option<&NoteSignature> {
        self.signatures.iter().find(|signature| signature.is_of(key))
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of signed notes: key, text and signature are others' work.
    #[test]
    fn the_example_of_the_specification_is_verified_and_signed_alike() {
        let private = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
            — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let key: VerifierKey = public.parse().unwrap();
        assert_eq!((key.to_string(), key.id()), (public.to_owned(), 0xc74f_20a3));
        let parsed = SignedNote::parse(note).unwrap();
        assert_eq!((parsed.verify(&key), parsed.to_string()), (Ok(Some(0)), note.to_owned()));
        let signer = NoteSigner::parse(private).unwrap();
        assert_eq!((signer.to_text(), signer.verifier()), (private.to_owned(), key.clone()));
        let text = parsed.text().to_owned();
        assert_eq!(SignedNote::new(text.clone(), signer.sign(&text, 0)).to_string(), note);
        let forged = SignedNote::parse(&note.replace("answer", "Answer")).unwrap();
        assert_eq!(forged.verify(&key), Err(NoteError::Forged("PeterNeumann".to_owned())));
        let other = NoteSigner::new("PeterNeumann", KeyType::Ed25519, [7; 32]).verifier();
        assert_eq!(parsed.verify(&other), Ok(None), "another key of the same name");
        for wrong in [
            note.replace("\n\n", "\n"),
            note.trim_end().to_owned(),
            note.replace("— ", "- "),
            note.replace("PeterNeumann ", "Peter Neumann "),
            note.replace("answer", "ans\rwer"),
            note.replace("JnAM=", "JnAM"),
        ] {
            assert_eq!(SignedNote::parse(&wrong), Err(NoteError::Malformed), "{wrong}");
        }
        for wrong in
            ["", "a+b", &public.replace("c74f", "c74e"), &public.replace("+A", "+B"), &public.replace("Peter", "+")]
        {
            assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cosignature_covers_its_time() {
        let (log, witness) = (
            NoteSigner::new("log", KeyType::Ed25519, [1; 32]),
            NoteSigner::new("w", KeyType::Cosignature, [2; 32]),
        );
        let key: VerifierKey = witness.verifier().to_string().parse().unwrap();
        let mut note = SignedNote::new("text\n".to_owned(), log.sign("text\n", 0));
        let mut signature = witness.sign("text\n", 1_780_000_000);
        note.add(signature.clone());
        assert_eq!(SignedNote::parse(&note.to_string()).unwrap().verify(&key), Ok(Some(1_780_000_000)));
        signature.bytes[7] ^= 1;
        note.add(signature);
        assert_eq!(note.verify(&key), Err(NoteError::Forged("w".to_owned())));
        assert_eq!(note.verify(&log.verifier()), Ok(Some(0)));
    }
}
