//! [`Signer`]: makes tokens.

use biscuit_auth::builder::{Check, CheckKind, Expression, Op, Rule, Term, fact, pred, string, var};
use biscuit_auth::{Biscuit, KeyPair, builder::Binary, error};
use jiff::Timestamp;
use uuid::Uuid;

use super::MAX_BYTES;
use super::token::encoded;
use crate::events::Ref;

/// Makes tokens: a private key, and its id.
pub struct Signer {
    pub(super) id: u32,
    pub(super) key: KeyPair,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// There is no private key.
    #[error("there is no private key to sign tokens with: the key file has public keys only")]
    NoKey,
    /// It would have expired long ago.
    #[error("a token cannot expire at {0}, before 1970")]
    Expired(Timestamp),
    /// The actor's reference is too long for a token.
    #[error("the reference of the actor has {0} bytes, which is too long for a token: use a shorter id")]
    LongActor(usize),
    /// The token cannot be signed or written.
    #[error("cannot make a token")]
    Biscuit(#[source] error::Token),
}

impl Signer {
    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Makes a token of an actor for one grant, which allows nothing from the time `expires` on.
    ///
    /// With the text, everybody can act by the grant: send it only over encrypted connections, and do not log it.
    ///
    /// # Errors
    /// When it would expire before 1970, or the actor's reference does not fit into a token.
    pub fn mint(&self, actor: &Ref, grant: Uuid, expires: Option<Timestamp>) -> Result<String, MintError> {
        let mut token = Biscuit::builder()
            .root_key_id(self.id)
            .fact(fact("actor", &[string(&encoded(actor.as_str()))]))
            .and_then(|token| token.fact(fact("grant", &[string(&grant.to_string())])))
            .map_err(MintError::Biscuit)?;
        if let Some(expires) = expires {
            let second = u64::try_from(expires.as_second()).map_err(|_| MintError::Expired(expires))?;
            token = token.check(before(second)).map_err(MintError::Biscuit)?;
        }
        let text = token.build(&self.key).and_then(|token| token.to_base64()).map_err(MintError::Biscuit)?;
        // Holders need room to narrow it.
        match text.len() <= MAX_BYTES / 2 {
            true => Ok(text),
            false => Err(MintError::LongActor(actor.as_str().len())),
        }
    }
}

/// `check if time($time), $time < second`
fn before(second: u64) -> Check {
    let is_before = vec![Op::Value(var("time")), Op::Value(Term::Date(second)), Op::Binary(Binary::LessThan)];
    let head: &[Term] = &[];
    let body = vec![pred("time", &[var("time")])];
    let query = Rule::new(pred("query", head), body, vec![Expression { ops: is_before }], Vec::new());
    Check { queries: vec![query], kind: CheckKind::One }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}
