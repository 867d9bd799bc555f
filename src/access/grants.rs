//! The commands about grants: give, revoke. Each decides by itself whether its actor may execute it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::authority::{
    Prepared, access_command, check_own_name, check_party, check_rights, check_until, check_why, first, grant,
    is_decider,
};
use super::{AccessError, AccessEvent, AccessId, AccessRecord, Right};
use crate::commands::{Command, Context, Handle, PrepareContext, ViewOf};
use crate::events::Ref;

/// Grant rights that nobody requested
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GrantAccess {
    /// Who gets the rights.
    pub grantee: Ref,
    /// The rights.
    pub rights: Vec<Right>,
    /// Until when; without it, until they are revoked.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// Whether the grantee may grant the same or less to others.
    #[serde(default)]
    pub delegable: bool,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    prepared: Prepared,
}

access_command!(GrantAccess, "grant_access", "Grant rights that nobody requested", |this| this
    .prepared
    .ids(&this.grantee));

impl GrantAccess {
    /// A grant of these rights.
    pub fn new(grantee: Ref, rights: Vec<Right>, why: impl Into<String>) -> Self {
        let prepared = Prepared::default();
        Self { grantee, rights, until: None, delegable: false, why: why.into(), prepared }
    }

    /// Sets the time at which the rights end.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Lets the grantee grant the same or less to others.
    #[must_use]
    pub fn delegable(self) -> Self {
        Self { delegable: true, ..self }
    }
}

impl Handle for GrantAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        check_rights(&self.rights)?;
        self.prepared = Prepared::new(context).await;
        self.prepared.gather(context, &self.rights).await
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, rights, until, delegable, why, prepared } = self;
        check_party(grantee)?;
        check_rights(rights)?;
        check_why(why)?;
        check_until(*until, prepared.time)?;
        let event = grant(prepared, &scope, context, None, grantee, rights, *until, *delegable, why)?;
        Ok(first(&scope, event))
    }
}

/// Revoke a grant
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RevokeAccess {
    /// Who has the rights.
    pub grantee: Ref,
    /// The grant's id.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub grant: Uuid,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    prepared: Prepared,
}

access_command!(RevokeAccess, "revoke_access", "Revoke a grant", |this| this.prepared.ids(&this.grantee));

impl RevokeAccess {
    /// A revocation of the grant.
    pub fn new(grantee: Ref, grant: Uuid, why: impl Into<String>) -> Self {
        Self { grantee, grant, why: why.into(), prepared: Prepared::default() }
    }
}

impl Handle for RevokeAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        self.prepared = Prepared::new(context).await;
        Ok(())
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, grant, why, prepared } = self;
        check_why(why)?;
        let actor = check_own_name(context)?;
        let record = scope[0];
        let held = match record.grants.get(grant) {
            Some(held) => held,
            None if record.closed.contains(grant) => return Err(AccessError::Revoked(*grant)),
            None => return Err(AccessError::NoGrant { grantee: grantee.clone(), grant: *grant }),
        };
        let gave = held.under.as_ref().is_some_and(|under| under.holder == *actor);
        if !(gave || actor == grantee || is_decider(prepared, &scope, actor)) {
            return Err(AccessError::NotAllowed(actor.clone()));
        }
        let (grantee, why) = (grantee.clone(), why.clone());
        Ok(first(&scope, AccessEvent::Revoked { grant: *grant, grantee, why }))
    }
}
