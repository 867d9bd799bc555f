//! [`AccessRecord`]: the requests and grants of one party, or the owners.

use std::collections::{BTreeMap, BTreeSet};

use annals_macros::Id;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccessError, AccessEvent, Right};
use crate::aggregates::Aggregate;
use crate::events::Ref;
use crate::store::ACCESS_KIND;

/// The id of an [`AccessRecord`]: the reference of a party, or `owners`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_access")]
pub struct AccessId(String);

impl AccessId {
    /// The record of a party: `annals_access:user:bob`.
    #[must_use]
    pub fn of(party: &Ref) -> Self {
        Self::new(party.as_str().to_owned())
    }

    /// The record of the owners. No party has this id, because a reference has a colon.
    #[must_use]
    pub fn owners() -> Self {
        Self::new("owners".to_owned())
    }
}

/// The requests and grants of one party; in the record `owners`, the owners.
///
/// An authoriser that loads it makes each command depend on it: see [`AccessContext::load`](crate::app::AccessContext::load).
#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessRecord {
    pub(super) owners: BTreeSet<Ref>,
    /// Requests that nobody has decided.
    pub(super) requests: BTreeMap<Uuid, Request>,
    /// Grants that are not revoked. They may have ended.
    pub(super) grants: BTreeMap<Uuid, Grant>,
    /// Requests that were decided, and grants that were revoked.
    pub(super) closed: BTreeSet<Uuid>,
    /// Blocks of tokens that are not accepted any more, by their revocation ids in hexadecimal.
    pub(super) revoked_blocks: BTreeSet<String>,
}

/// A request that nobody has decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked for.
    pub rights: Vec<Right>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// The actor that asked, and its principal.
    pub by: BTreeSet<Ref>,
}

/// A grant that is not revoked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// What it allows.
    pub rights: Vec<Right>,
    /// It ends at this time.
    pub until: Option<Timestamp>,
    /// Whether its holder may grant the same or less to others.
    pub delegable: bool,
    /// The grant by which a holder that is not an owner gave it.
    pub under: Option<Under>,
}

/// A grant that another grant was given by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Under {
    /// The party that holds it, and gave the other one.
    pub holder: Ref,
    /// Its id.
    pub grant: Uuid,
}

impl AccessRecord {
    /// Requests that nobody has decided, by id.
    #[must_use]
    pub fn requests(&self) -> &BTreeMap<Uuid, Request> {
        &self.requests
    }

    /// Grants that are not revoked, by id. They may have ended, or depend on a grant that was revoked.
    #[must_use]
    pub fn grants(&self) -> &BTreeMap<Uuid, Grant> {
        &self.grants
    }

    /// The owners, in the record `owners`.
    #[must_use]
    pub fn owners(&self) -> &BTreeSet<Ref> {
        &self.owners
    }

    /// Whether a block of a token was revoked.
    #[must_use]
    pub fn is_block_revoked(&self, revocation_id: &str) -> bool {
        self.revoked_blocks.contains(revocation_id)
    }
}

impl Aggregate for AccessRecord {
    const TYPE: &'static str = ACCESS_KIND;
    type Id = AccessId;
    type Event = AccessEvent;
    type Error = AccessError;

    fn apply(&mut self, event: &AccessEvent) {
        match event.clone() {
            AccessEvent::OwnerNamed { owner, .. } => _ = self.owners.insert(owner),
            AccessEvent::OwnerRemoved { owner, .. } => _ = self.owners.remove(&owner),
            AccessEvent::Requested { request, rights, until, by, .. } => {
                self.requests.insert(request, Request { rights, until, by: by.into_iter().collect() });
            }
            AccessEvent::Denied { request, .. } => self.close(request),
            AccessEvent::Granted { grant, request, rights, until, delegable, holder, under, .. } => {
                request.into_iter().for_each(|request| self.close(request));
                let under = holder.zip(under).map(|(holder, grant)| Under { holder, grant });
                self.grants.insert(grant, Grant { rights, until, delegable, under });
            }
            AccessEvent::Revoked { grant, .. } => self.close(grant),
            AccessEvent::TokenIssued { .. } | AccessEvent::Confirmed { .. } => {}
            AccessEvent::TokenRevoked { block, .. } => _ = self.revoked_blocks.insert(block),
        }
    }
}

impl AccessRecord {
    fn close(&mut self, id: Uuid) {
        self.requests.remove(&id);
        self.grants.remove(&id);
        self.closed.insert(id);
    }
}
