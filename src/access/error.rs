//! [`AccessError`]: why a command about access is refused.

use jiff::Timestamp;
use uuid::Uuid;

use super::authority::{MAX_OPEN_REQUESTS, MAX_RIGHTS, MAX_WHY_BYTES};
use crate::events::{InvalidRef, Ref};

/// Why a command about access is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The party is not a valid reference, or its kind is reserved.
    #[error("nobody can hold rights as `{party}`")]
    Party {
        /// The party.
        party: Ref,
        /// What is wrong with it.
        source: InvalidRef,
    },
    /// No rights are named, or too many.
    #[error("name between 1 and {MAX_RIGHTS} rights, not {0}")]
    Rights(usize),
    /// There is no reason, or a long one.
    #[error("say why, in at most {MAX_WHY_BYTES} bytes")]
    Why,
    /// The end is not in the future.
    #[error("`{0}` is not in the future: name a later time")]
    Past(Timestamp),
    /// Somebody requests for another.
    #[error("{actor} can request for itself, or for the one on whose behalf it acts, not for {grantee}")]
    ForAnother {
        /// The actor.
        actor: Ref,
        /// The party that would get the rights.
        grantee: Ref,
    },
    /// The party has many open requests.
    #[error("{0} has {MAX_OPEN_REQUESTS} requests that nobody has decided: wait until some are")]
    TooManyRequests(Ref),
    /// There is no such open request.
    #[error("{grantee} has no open request {request}")]
    NoRequest {
        /// The party.
        grantee: Ref,
        /// Its id.
        request: Uuid,
    },
    /// The request was decided before.
    #[error("the request {0} was decided before")]
    Decided(Uuid),
    /// There is no such grant.
    #[error("{grantee} has no grant {grant}")]
    NoGrant {
        /// The party.
        grantee: Ref,
        /// Its id.
        grant: Uuid,
    },
    /// The grant was revoked before.
    #[error("the grant {0} was revoked before")]
    Revoked(Uuid),
    /// More is approved than was asked for.
    #[error("the request does not ask for all of that: approve the same or less")]
    Wider,
    /// A decision on behalf of another party.
    #[error("decisions about access are made in one's own name, not on behalf of {0}")]
    OnBehalf(Ref),
    /// The actor asked for it itself.
    #[error("{0} asked for it: somebody else must decide, or an owner")]
    OwnRequest(Ref),
    /// The actor holds no grant that allows it to give these rights.
    #[error(
        "{0} may not grant these rights: it needs one grant that has all of them, that it may pass on, and that lasts as long"
    )]
    NotHeld(Ref),
    /// Grants do not count now.
    #[error(
        "the log is older than the last withdrawal of a right: only owners give rights until one of them executes `access confirm`"
    )]
    Suspended,
    /// The actor is neither an owner, nor the giver or holder of the grant.
    #[error("{0} may not do that: only an owner, the giver of the grant and its holder may")]
    NotAllowed(Ref),
    /// The actor is not an owner.
    #[error("{0} is not an owner")]
    NotOwner(Ref),
    /// The party is an owner already.
    #[error("{0} is an owner already")]
    OwnerAlready(Ref),
    /// There would be no owner.
    #[error("{0} is the last owner: name another one first")]
    LastOwner(Ref),
    /// There are owners.
    #[error("there are owners already: one of them can name another")]
    Initialized,
    /// The rights of the actor changed while the command was executed.
    #[error("the rights of {0} changed meanwhile: try again")]
    Changed(Ref),
    /// A record could not be read.
    #[error("the rights of {party} could not be read from the log: {reason}")]
    Unreadable {
        /// Whose rights.
        party: String,
        /// The error and its causes.
        reason: String,
    },
    /// The text is not the revocation id of a block.
    #[error("`{0}` is not the revocation id of a block of a token: it has 128 hexadecimal digits")]
    Block(String),
}
