//! Tests of tokens, with the biscuit crate as the holder.

mod cost;
mod key_files;
mod meaning;
mod mutations;
mod structure;

use biscuit_auth::{Biscuit, BlockBuilder, PublicKey};
use jiff::Timestamp;
use uuid::Uuid;

use super::{AccessToken, Keys, Request, TokenError};
use crate::events::Ref;

const GRANT: Uuid = Uuid::from_u128(7);

fn bob() -> Ref {
    Ref::unchecked("user", "bob")
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The end of the tokens that [`minted`] makes.
fn end() -> Timestamp {
    time("2030-01-01T00:00:00Z")
}

fn minted(keys: &Keys) -> String {
    keys.signer().unwrap().mint(&bob(), GRANT, Some(end())).unwrap()
}

fn public(keys: &Keys) -> PublicKey {
    let keys = keys.current();
    *keys.public(keys.signer().unwrap().id()).unwrap()
}

fn biscuit(keys: &Keys, text: &str) -> Biscuit {
    Biscuit::from_base64(text, public(keys)).unwrap()
}

/// The token with one more block, by the biscuit crate.
fn appended(keys: &Keys, text: &str, block: BlockBuilder) -> String {
    biscuit(keys, text).append(block).unwrap().to_base64().unwrap()
}

/// The token with a block of this Datalog.
fn narrowed(keys: &Keys, text: &str, code: &str) -> String {
    appended(keys, text, BlockBuilder::new().code(code).unwrap())
}

/// A request that a token without restrictions allows.
fn request() -> Request<'static> {
    Request { method: "GET", path: "/audit", targets: &[], observe: false, now: time("2026-05-01T00:00:00Z") }
}

/// What a token narrowed by this Datalog says to a request.
fn answer(code: &str, request: &Request<'_>) -> Result<(), TokenError> {
    let keys = Keys::generate();
    keys.verify(&narrowed(&keys, &minted(&keys), code))?.allows(request)
}

fn verified(keys: &Keys, text: &str) -> AccessToken {
    keys.verify(text).unwrap()
}
