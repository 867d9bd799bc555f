//! The commands about requests: ask, approve, deny. Each decides by itself whether its actor may execute it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::authority::{
    Authority, MAX_OPEN_REQUESTS, Prepared, access_command, check_own_name, check_party, check_rights, check_until,
    check_why, first, grant, is_decider, load, parties, records,
};
use super::{AccessError, AccessEvent, AccessId, AccessRecord, Request, Right};
use crate::commands::{Command, Context, Handle, PrepareContext, ViewOf};
use crate::events::Ref;

/// Request rights for oneself
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RequestAccess {
    /// The party that is to get the rights: the actor, or its principal.
    pub grantee: Ref,
    /// The rights.
    pub rights: Vec<Right>,
    /// Until when; without it, until they are revoked.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    prepared: Prepared,
}

access_command!(RequestAccess, "request_access", "Request rights for oneself", |this| vec![AccessId::of(
    &this.grantee
)]);

impl RequestAccess {
    /// A request for these rights.
    pub fn new(grantee: Ref, rights: Vec<Right>, why: impl Into<String>) -> Self {
        Self { grantee, rights, until: None, why: why.into(), prepared: Prepared::default() }
    }

    /// Sets the time at which the rights end.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }
}

impl Handle for RequestAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        self.prepared = Prepared::new(context).await;
        Ok(())
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, rights, until, why, prepared } = self.clone();
        check_party(&grantee)?;
        check_rights(&rights)?;
        check_why(&why)?;
        check_until(until, prepared.time)?;
        let by = parties(context);
        if !by.contains(&grantee) {
            return Err(AccessError::ForAnother { actor: context.actor().clone(), grantee });
        }
        if scope[0].requests.len() >= MAX_OPEN_REQUESTS {
            return Err(AccessError::TooManyRequests(grantee));
        }
        let event = AccessEvent::Requested { request: context.new_id(0), grantee, rights, until, by, why };
        Ok(first(&scope, event))
    }
}

/// Approve a request, as a whole or less
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApproveAccess {
    /// The party that asked.
    pub grantee: Ref,
    /// The request's id.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub request: Uuid,
    /// The rights, if less than what was asked for.
    #[serde(default)]
    pub rights: Option<Vec<Right>>,
    /// Until when, if earlier than what was asked for.
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

access_command!(ApproveAccess, "approve_access", "Approve a request, as a whole or less", |this| this
    .prepared
    .ids(&this.grantee));

impl ApproveAccess {
    /// An approval of the whole request.
    pub fn new(grantee: Ref, request: Uuid, why: impl Into<String>) -> Self {
        let prepared = Prepared::default();
        Self { grantee, request, rights: None, until: None, delegable: false, why: why.into(), prepared }
    }

    /// Approves only these rights.
    #[must_use]
    pub fn only(self, rights: Vec<Right>) -> Self {
        Self { rights: Some(rights), ..self }
    }

    /// Sets the time at which the rights end.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }
}

impl Handle for ApproveAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        self.prepared = Prepared::new(context).await;
        let record = load(context, &AccessId::of(&self.grantee)).await?;
        let asked = record.requests.get(&self.request).map(|request| request.rights.clone());
        let rights = self.rights.clone().or(asked).unwrap_or_default();
        self.prepared.gather(context, &rights).await
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, request, rights, until, delegable, why, prepared } = self;
        check_why(why)?;
        let asked = open_request(scope[0], grantee, *request)?;
        let rights = rights.as_ref().unwrap_or(&asked.rights);
        check_rights(rights)?;
        let wider = !rights.iter().all(|right| asked.rights.iter().any(|asked| asked.covers(right)));
        let later = until.is_some_and(|until| asked.until.is_some_and(|asked| until > asked));
        if wider || later {
            return Err(AccessError::Wider);
        }
        let until = until.or(asked.until);
        check_until(until, prepared.time)?;
        if asked.by.contains(context.actor()) && !is_decider(prepared, &scope, context.actor()) {
            return Err(AccessError::OwnRequest(context.actor().clone()));
        }
        let event = grant(prepared, &scope, context, Some(*request), grantee, rights, until, *delegable, why)?;
        Ok(first(&scope, event))
    }
}

fn open_request<'a>(record: &'a AccessRecord, grantee: &Ref, request: Uuid) -> Result<&'a Request, AccessError> {
    match record.requests.get(&request) {
        Some(found) => Ok(found),
        None if record.closed.contains(&request) => Err(AccessError::Decided(request)),
        None => Err(AccessError::NoRequest { grantee: grantee.clone(), request }),
    }
}

/// Deny a request
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DenyAccess {
    /// The party that asked.
    pub grantee: Ref,
    /// The request's id.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub request: Uuid,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    prepared: Prepared,
}

access_command!(DenyAccess, "deny_access", "Deny a request", |this| this.prepared.ids(&this.grantee));

impl DenyAccess {
    /// A denial of the request.
    pub fn new(grantee: Ref, request: Uuid, why: impl Into<String>) -> Self {
        Self { grantee, request, why: why.into(), prepared: Prepared::default() }
    }
}

impl Handle for DenyAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        check_party(&self.grantee)?;
        self.prepared = Prepared::new(context).await;
        let record = load(context, &AccessId::of(&self.grantee)).await?;
        let asked = record.requests.get(&self.request).map(|request| request.rights.clone());
        self.prepared.gather(context, &asked.unwrap_or_default()).await
    }

    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<Vec<Vec<AccessEvent>>, AccessError> {
        let Self { grantee, request, why, prepared } = self;
        check_why(why)?;
        let actor = check_own_name(context)?;
        let asked = open_request(scope[0], grantee, *request)?;
        let authority = prepared.authority(&records(&scope), actor, &asked.rights);
        match authority.map_err(|_| AccessError::Changed(actor.clone()))? {
            Authority::None if asked.by.contains(actor) => {}
            Authority::None => return Err(prepared.not_held(actor)),
            Authority::Owner | Authority::Holder(..) => {}
        }
        let (grantee, why) = (grantee.clone(), why.clone());
        Ok(first(&scope, AccessEvent::Denied { request: *request, grantee, why }))
    }
}
