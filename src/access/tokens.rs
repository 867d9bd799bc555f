//! Tokens for grants: each is recorded before anybody gets its text, and can be revoked by what is recorded.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::authority::{
    Prepared, access_command, check_own_name, check_party, check_until, check_why, first, is_decider,
};
use super::{AccessError, AccessEvent, AccessId, AccessRecord};
use crate::aggregates::Loaded;
use crate::app::Annals;
use crate::commands::{Command, Context, ExecuteError, Handle, PrepareContext, ViewOf};
use crate::events::Ref;
use crate::tokens::{Keys, MintError, TokenError};

/// Record that a token was made for a grant
///
/// Issuing a token does this by itself. Alone, it is for a token that was made elsewhere with the key file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecordToken {
    /// Whose token, and whose grant.
    pub grantee: Ref,
    /// The id of the grant that it can use.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub grant: Uuid,
    /// The revocation id of its first block, in hexadecimal.
    pub block: String,
    /// Until when it is valid; without it, as long as the grant.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    prepared: Prepared,
}

access_command!(RecordToken, "record_token", "Record that a token was made for a grant", |this| this
    .prepared
    .ids(&this.grantee));

impl RecordToken {
    /// A record of the token whose first block has this revocation id.
    pub fn new(grantee: Ref, grant: Uuid, block: impl Into<String>, why: impl Into<String>) -> Self {
        let prepared = Prepared::default();
        Self { grantee, grant, block: block.into(), until: None, why: why.into(), prepared }
    }
}

impl Handle for RecordToken {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        self.prepared = Prepared::new(context).await;
        Ok(())
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, grant, block, until, why, prepared } = self.clone();
        check_why(&why)?;
        check_block(&block)?;
        check_until(until, prepared.time)?;
        check_holder_or_owner(&prepared, &scope, context, &grantee)?;
        match scope[0].grants.get(&grant) {
            Some(_) => {}
            None if scope[0].closed.contains(&grant) => return Err(AccessError::Revoked(grant)),
            None => return Err(AccessError::NoGrant { grantee, grant }),
        }
        Ok(first(&scope, AccessEvent::TokenIssued { grantee, grant, block, until, why }))
    }
}

/// Revoke a block of a token, and all tokens that were narrowed from it
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RevokeToken {
    /// Whose token.
    pub grantee: Ref,
    /// The revocation id of the block, in hexadecimal.
    pub block: String,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    prepared: Prepared,
}

access_command!(
    RevokeToken,
    "revoke_token",
    "Revoke a block of a token, and all tokens narrowed from it",
    |this| this.prepared.ids(&this.grantee)
);

impl RevokeToken {
    /// A revocation of the block with this revocation id.
    pub fn new(grantee: Ref, block: impl Into<String>, why: impl Into<String>) -> Self {
        Self { grantee, block: block.into(), why: why.into(), prepared: Prepared::default() }
    }
}

impl Handle for RevokeToken {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        self.prepared = Prepared::new(context).await;
        Ok(())
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, block, why, prepared } = self;
        check_why(why)?;
        check_block(block)?;
        check_holder_or_owner(prepared, &scope, context, grantee)?;
        if scope[0].is_block_revoked(block) {
            return Ok(vec![Vec::new(); scope.len()]);
        }
        let (grantee, block, why) = (grantee.clone(), block.clone(), why.clone());
        Ok(first(&scope, AccessEvent::TokenRevoked { grantee, block, why }))
    }
}

fn check_block(block: &str) -> Result<(), AccessError> {
    let is_id = block.len() == 128 && block.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id { Ok(()) } else { Err(AccessError::Block(block.to_owned())) }
}

fn check_holder_or_owner(
    prepared: &Prepared,
    scope: &[&Loaded<AccessRecord>],
    context: &Context,
    grantee: &Ref,
) -> Result<(), AccessError> {
    let actor = check_own_name(context)?;
    match actor == grantee || is_decider(prepared, scope, actor) {
        true => Ok(()),
        false => Err(AccessError::NotAllowed(actor.clone())),
    }
}

/// A token that was made and recorded.
pub struct IssuedToken {
    /// Its text: with it, everybody can act by the grant. It is nowhere else.
    pub text: String,
    /// The revocation id of its first block: [`RevokeToken`] revokes it.
    pub block: String,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("block", &self.block).finish_non_exhaustive()
    }
}

/// Why no token is issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// It cannot be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// It cannot be read back.
    #[error("the new token is not valid")]
    Invalid(#[from] TokenError),
    /// It cannot be recorded: the actor may not issue it, or the store failed.
    #[error(transparent)]
    Execute(#[from] ExecuteError<AccessError>),
}

impl Annals {
    /// Makes an access token of a party for one of its grants, and records it: who made it, for what and until when. The party itself
    /// and owners may.
    ///
    /// # Errors
    /// When the actor may not, there is no such grant, there is no private key, or the store fails.
    ///
    /// ```
    /// use annals::access::{Access, GrantAccess};
    /// use annals::commands::Context;
    /// use annals::events::Ref;
    /// use annals::tokens::Keys;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), annals::BoxError> {
    /// let (alice, bob): (Ref, Ref) = ("user:alice".parse()?, "user:bob".parse()?);
    /// let app = annals::app::App::new("demo").access(Access::new().owner(alice.clone()));
    /// let annals = app.open("sqlite::memory:").await?;
    /// let grant = GrantAccess::new(bob.clone(), vec!["audit metadata".parse()?], "to look");
    /// annals.execute(grant, &Context::by(alice)).await?;
    /// let grant = *annals.access_of(&bob).await?.grants().keys().next().ok_or("no grant")?;
    ///
    /// let keys = Keys::generate();
    /// let token = annals.issue_token(&keys, &bob, grant, None, "for a report", &Context::by(bob.clone())).await?;
    /// assert_eq!(keys.verify(&token.text)?.grant(), grant);
    /// # annals.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn issue_token(
        &self,
        keys: &Keys,
        grantee: &Ref,
        grant: Uuid,
        until: Option<Timestamp>,
        why: impl Into<String>,
        context: &Context,
    ) -> Result<IssuedToken, IssueError> {
        let text = keys.signer()?.mint(grantee, grant, until)?;
        let block = keys.verify(&text)?.revocation_ids().first().cloned().unwrap_or_default();
        let mut record = RecordToken::new(grantee.clone(), grant, block.clone(), why);
        record.until = until;
        self.execute(record, context).await?;
        Ok(IssuedToken { text, block })
    }
}
