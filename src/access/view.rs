//! [`AccessView`]: the open requests and the grants of each party, for people who decide.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccessEvent, Right, Under};
use crate::events::{Recorded, Ref};
use crate::projections::{DocumentView, Field, On};

/// The open requests and the grants of a party: the view `access`, with the party as its key. What was revoked or decided is in the
/// audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccessView {
    /// Requests that nobody has decided, the oldest first.
    pub requests: Vec<OpenRequest>,
    /// Grants that are not revoked, the oldest first. They may have ended, or depend on a grant that was revoked.
    pub grants: Vec<HeldGrant>,
    /// Whether an owner named the party as an owner.
    pub owner: bool,
}

/// A request that nobody has decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// Its id.
    pub request: Uuid,
    /// What is asked for.
    pub rights: Vec<Right>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// The actor that asked, and its principal.
    pub by: Vec<Ref>,
    /// The reason.
    pub why: String,
    /// When it was recorded.
    pub at: Timestamp,
}

/// A grant that is not revoked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldGrant {
    /// Its id.
    pub grant: Uuid,
    /// What it allows.
    pub rights: Vec<Right>,
    /// It ends at this time.
    pub until: Option<Timestamp>,
    /// Whether its holder may pass it on.
    pub delegable: bool,
    /// Its giver.
    pub by: Ref,
    /// The grant by which a holder that is not an owner gave it.
    pub under: Option<Under>,
    /// The reason.
    pub why: String,
    /// When it was recorded.
    pub at: Timestamp,
}

impl DocumentView for AccessView {
    const NAME: &'static str = "access";
    const FIELDS: &'static [Field<Self>] = &[
        Field::number("requests", |view| i64::try_from(view.requests.len()).ok()),
        Field::number("grants", |view| i64::try_from(view.grants.len()).ok()),
    ];
    type Key = Ref;
    type Events = AccessEvent;
}

impl On<AccessEvent> for AccessView {
    fn keys(event: &Recorded<AccessEvent>) -> Vec<Ref> {
        vec![match &event.event {
            AccessEvent::OwnerNamed { owner, .. } | AccessEvent::OwnerRemoved { owner, .. } => owner.clone(),
            AccessEvent::Requested { grantee, .. }
            | AccessEvent::Denied { grantee, .. }
            | AccessEvent::Granted { grantee, .. }
            | AccessEvent::Revoked { grantee, .. }
            | AccessEvent::TokenRevoked { grantee, .. } => grantee.clone(),
        }]
    }

    fn apply(document: &mut Option<Self>, _: &Ref, event: &Recorded<AccessEvent>) {
        let view = document.get_or_insert_default();
        let at = event.recorded_at;
        match event.event.clone() {
            AccessEvent::OwnerNamed { .. } => view.owner = true,
            AccessEvent::OwnerRemoved { .. } => view.owner = false,
            AccessEvent::Requested { request, rights, until, by, why, .. } => {
                view.requests.push(OpenRequest { request, rights, until, by, why, at });
            }
            AccessEvent::Denied { request, .. } => view.requests.retain(|open| open.request != request),
            AccessEvent::Granted { grant, request, rights, until, delegable, holder, under, why, .. } => {
                view.requests.retain(|open| Some(open.request) != request);
                let under = holder.zip(under).map(|(holder, grant)| Under { holder, grant });
                let by = event.metadata.actor.clone();
                view.grants.push(HeldGrant { grant, rights, until, delegable, by, under, why, at });
            }
            AccessEvent::Revoked { grant, .. } => view.grants.retain(|held| held.grant != grant),
            AccessEvent::TokenRevoked { .. } => {}
        }
        if *view == Self::default() {
            *document = None;
        }
    }
}
