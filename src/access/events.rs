//! The events of [`AccessRecord`](super::AccessRecord).

use annals_macros::Event;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccessRecord, Right};
use crate::events::Ref;

/// What happened to the rights of a party, or to the owners.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_access", topic = "annals/access", on = AccessRecord)]
pub enum AccessEvent {
    /// Somebody became an owner.
    #[event(create, "{actor} named {owner} an owner: {why}")]
    OwnerNamed {
        /// The owner.
        #[event(target)]
        owner: Ref,
        /// The reason.
        why: String,
    },
    /// Somebody is no longer an owner.
    #[event(delete, "{actor} removed {owner} from the owners: {why}")]
    OwnerRemoved {
        /// The former owner.
        #[event(target)]
        owner: Ref,
        /// The reason.
        why: String,
    },
    /// An owner confirmed the rights in a log that is older than the last withdrawal of a right.
    #[event(update, "{actor} confirmed the rights that are in the log: {why}")]
    Confirmed {
        /// The event id of the withdrawal that the log does not have, if it was known.
        missing: Option<Uuid>,
        /// The reason.
        why: String,
    },
    /// Rights were asked for.
    #[event(create, "{actor} requested {rights} for {grantee}: {why}")]
    Requested {
        /// The request's id.
        request: Uuid,
        /// Who is to get the rights.
        #[event(target)]
        grantee: Ref,
        /// The rights.
        rights: Vec<Right>,
        /// Until when.
        until: Option<Timestamp>,
        /// The actor that asked, and its principal.
        by: Vec<Ref>,
        /// The reason.
        why: String,
    },
    /// A request was denied.
    #[event(update, "{actor} denied the request of {grantee}: {why}")]
    Denied {
        /// The request's id.
        request: Uuid,
        /// Who would have got the rights.
        #[event(target)]
        grantee: Ref,
        /// The reason.
        why: String,
    },
    /// Rights were granted.
    #[event(create, "{actor} granted {grantee} {rights}: {why}")]
    Granted {
        /// The grant's id.
        grant: Uuid,
        /// The request that was approved.
        request: Option<Uuid>,
        /// Who gets the rights.
        #[event(target)]
        grantee: Ref,
        /// The rights.
        rights: Vec<Right>,
        /// Until when.
        until: Option<Timestamp>,
        /// Whether the grantee may grant them to others.
        delegable: bool,
        /// The holder that gave it, if not an owner.
        #[event(target)]
        holder: Option<Ref>,
        /// The holder's grant by which it was given.
        under: Option<Uuid>,
        /// The reason.
        why: String,
    },
    /// A grant was revoked.
    #[event(delete, "{actor} revoked a grant of {grantee}: {why}")]
    Revoked {
        /// The grant's id.
        grant: Uuid,
        /// Who had the rights.
        #[event(target)]
        grantee: Ref,
        /// The reason.
        why: String,
    },
    /// A token was made for a grant.
    #[event(create, "{actor} issued a token of {grantee} for a grant: {why}")]
    TokenIssued {
        /// Whose token.
        #[event(target)]
        grantee: Ref,
        /// The id of the grant that it can use.
        grant: Uuid,
        /// The revocation id of its first block, in hexadecimal.
        block: String,
        /// Until when it is valid, at most as long as the grant.
        until: Option<Timestamp>,
        /// The reason.
        why: String,
    },
    /// A token, or one block of it and all that were narrowed from it, was revoked.
    #[event(update, "{actor} revoked a token of {grantee}: {why}")]
    TokenRevoked {
        /// Whose token.
        #[event(target)]
        grantee: Ref,
        /// The revocation id of the block, in hexadecimal.
        block: String,
        /// The reason.
        why: String,
    },
}
