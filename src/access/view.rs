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
    /// Tokens for it that are neither revoked nor had expired when the last one was issued: the newest [`MAX_TOKENS`].
    #[serde(default)]
    pub tokens: Vec<TokenOfGrant>,
}

/// A token that was issued for a grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenOfGrant {
    /// The revocation id of its first block, in hexadecimal.
    pub block: String,
    /// It expires at this time, or with the grant.
    pub until: Option<Timestamp>,
    /// Who issued it.
    pub by: Ref,
    /// The reason.
    pub why: String,
    /// When it was recorded.
    pub at: Timestamp,
}

/// The most tokens of a grant in the view.
pub const MAX_TOKENS: usize = 100;

impl HeldGrant {
    fn add_token(&mut self, token: TokenOfGrant) {
        self.tokens.retain(|other| other.until.is_none_or(|until| until > token.at));
        self.tokens.push(token);
        let excess = self.tokens.len().saturating_sub(MAX_TOKENS);
        self.tokens.drain(..excess);
    }
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
        let party = match &event.event {
            AccessEvent::Confirmed { .. } => return Vec::new(),
            AccessEvent::OwnerNamed { owner, .. } | AccessEvent::OwnerRemoved { owner, .. } => owner,
            AccessEvent::Requested { grantee, .. }
            | AccessEvent::Denied { grantee, .. }
            | AccessEvent::Granted { grantee, .. }
            | AccessEvent::Revoked { grantee, .. }
            | AccessEvent::TokenIssued { grantee, .. }
            | AccessEvent::TokenRevoked { grantee, .. } => grantee,
        };
        vec![party.clone()]
    }

    fn apply(document: &mut Option<Self>, _: &Ref, event: &Recorded<AccessEvent>) {
        let view = document.get_or_insert_default();
        let at = event.recorded_at;
        match event.event.clone() {
            AccessEvent::OwnerNamed { .. } => view.owner = true,
            AccessEvent::OwnerRemoved { .. } => view.owner = false,
            AccessEvent::Confirmed { .. } => {}
            AccessEvent::Requested { request, rights, until, by, why, .. } => {
                view.requests.push(OpenRequest { request, rights, until, by, why, at });
            }
            AccessEvent::Denied { request, .. } => view.requests.retain(|open| open.request != request),
            AccessEvent::Granted { grant, request, rights, until, delegable, holder, under, why, .. } => {
                view.requests.retain(|open| Some(open.request) != request);
                let under = holder.zip(under).map(|(holder, grant)| Under { holder, grant });
                let by = event.metadata.actor.clone();
                let tokens = Vec::new();
                view.grants.push(HeldGrant { grant, rights, until, delegable, by, under, why, at, tokens });
            }
            AccessEvent::Revoked { grant, .. } => view.grants.retain(|held| held.grant != grant),
            AccessEvent::TokenIssued { grant, block, until, why, .. } => {
                let by = event.metadata.actor.clone();
                if let Some(held) = view.grants.iter_mut().find(|held| held.grant == grant) {
                    held.add_token(TokenOfGrant { block, until, by, why, at });
                }
            }
            AccessEvent::TokenRevoked { block, .. } => {
                view.grants.iter_mut().for_each(|held| held.tokens.retain(|token| token.block != block));
            }
        }
        if *view == Self::default() {
            *document = None;
        }
    }
}
