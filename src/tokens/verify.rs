//! From the text to a verified token: in bounded time, since everything that is evaluated is bounded by the length of the text.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use biscuit_auth::PublicKey;
use biscuit_auth::format::SerializedBiscuit;
use biscuit_auth::format::schema::public_key::Algorithm;
use biscuit_auth::format::schema::{self, Biscuit, Block, SignedBlock};
use jiff::Timestamp;
use prost_of_biscuit::Message;

use super::grammar::{self, Symbols};
use super::{AccessToken, KeySet, MAX_BLOCKS, MAX_BYTES, TokenError};
use crate::text::hex;

/// URL-safe Base64, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a bearer token has the form of an access token. A JSON Web Token has dots.
#[cfg(feature = "http")]
pub(crate) fn has_form_of_access_token(text: &str) -> bool {
    !text.contains('.')
}

/// Verifies a token by these keys.
pub(super) fn verify(keys: &KeySet, text: &str) -> Result<AccessToken, TokenError> {
    if text.len() > MAX_BYTES {
        return Err(TokenError::TooLong);
    }
    let bytes = BASE64.decode(text).map_err(|_| TokenError::Malformed)?;
    let message: Biscuit = exactly(&bytes)?;
    check_envelope(&message)?;
    let key = message.root_key_id.ok_or(TokenError::UnknownKey(None))?;
    let public = keys.public(key).ok_or(TokenError::UnknownKey(Some(key)))?;
    check_signatures(&bytes, public)?;
    let mut symbols = Symbols::default();
    // Correctly signed, so this program made it, or another one with the same key.
    let (actor, grant, mut restrictions) =
        grammar::issuer(&exactly(&message.authority.block)?, &mut symbols).map_err(TokenError::Unsupported)?;
    for (number, block) in (1..).zip(&message.blocks) {
        let refused = |reason| TokenError::Block { block: number, reason, actor: Box::new(actor.clone()) };
        let block: Block =
            exactly(&block.block).map_err(|_| refused("it is malformed, or has parts that are not known"))?;
        restrictions.extend(grammar::holder(&block, &mut symbols).map_err(refused)?);
    }
    let end = restrictions.iter().filter_map(|restriction| restriction.end()).min();
    let expires = end.and_then(|second| Timestamp::from_second(i64::try_from(second).ok()?).ok());
    let blocks = std::iter::once(&message.authority).chain(&message.blocks);
    let revocation_ids = blocks.map(|block| hex(&block.signature)).collect();
    Ok(AccessToken { actor, grant, key, expires, revocation_ids, restrictions })
}

/// Decodes a message that has nothing that this code does not read: a part that it skips could carry a restriction.
fn exactly<M: Message + Default>(bytes: &[u8]) -> Result<M, TokenError> {
    let message = M::decode(bytes).map_err(|_| TokenError::Malformed)?;
    match message.encode_to_vec() == bytes {
        true => Ok(message),
        false => Err(TokenError::Malformed),
    }
}

/// Refuses what would make verifying the signatures slow, or leave its owner in doubt.
fn check_envelope(message: &Biscuit) -> Result<(), TokenError> {
    if message.blocks.len() >= MAX_BLOCKS {
        return Err(TokenError::TooManyBlocks);
    }
    let mut blocks = std::iter::once(&message.authority).chain(&message.blocks);
    if blocks.clone().any(|block: &SignedBlock| block.external_signature.is_some()) {
        return Err(TokenError::Unsupported("has a block that a third party signed"));
    }
    let is_ed25519 = |key: &schema::PublicKey| key.algorithm == Algorithm::Ed25519 as i32;
    match blocks.all(|block| is_ed25519(&block.next_key)) {
        true => Ok(()),
        false => Err(TokenError::Unsupported("has a block that is not signed by Ed25519")),
    }
}

/// Verifies the signature of each block, and that of a sealed token.
fn check_signatures(bytes: &[u8], root: &PublicKey) -> Result<(), TokenError> {
    SerializedBiscuit::from_slice(bytes, *root).map(drop).map_err(|_| TokenError::Signature)
}
