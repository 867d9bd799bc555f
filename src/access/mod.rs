//! Access: rights to do and to read something. Rights are requested, granted, passed on and revoked by commands, and are events of the log
//! like everything else.
//!
//! [`App::access`](crate::app::App::access) turns it on. A [`Right`] is a pattern over what somebody may ask for. After a
//! grant is revoked, nothing is executed by it: the grants that allow a command are part of its commit, so that no command has a position in the log after
//! the event that withdrew its right. The chapter "Access" of the guide shows all of it.
//!
//! ## Layout
//! - `pattern`: one thing, or everything below one
//! - `right`: what somebody may do or read
//! - `record`: the requests and grants of a party: an aggregate
//! - `events`: its events
//! - `requests`: the commands about requests
//! - `grants`: the commands about grants
//! - `tokens`: tokens for grants: issue, record, revoke
//! - `owners`: the commands about owners
//! - `confirm`: the command that confirms the rights of an older log
//! - `withdrawals`: what a program remembers of withdrawn rights
//! - `authority`: by what an actor may give rights
//! - `error`: why a command about access is refused
//! - `decision`: whether a party may do something: a pure function
//! - `control`: asks it, with the records in the log
//! - `view`: the view `access`, for people
//! - `uses`: how often each grant was used: a projection
//! - `settings`: what an application says about its access

mod authority;
mod confirm;
mod control;
mod decision;
mod error;
mod events;
mod grants;
mod owners;
mod pattern;
mod record;
mod requests;
mod right;
mod settings;
mod tokens;
mod uses;
mod view;
mod withdrawals;

pub use authority::{MAX_OPEN_REQUESTS, MAX_RIGHTS, MAX_WHY_BYTES};
pub use confirm::ConfirmAccess;
pub use error::AccessError;
pub use events::AccessEvent;
pub use grants::{GrantAccess, RevokeAccess};
pub(crate) use owners::InitAccess;
pub use owners::{NameOwner, RemoveOwner};
pub use pattern::{InvalidPattern, Pattern};
pub use record::{AccessId, AccessRecord, Grant, Request, Under};
pub use requests::{ApproveAccess, DenyAccess, RequestAccess};
pub use right::{InvalidRight, Right};
pub use settings::Access;
pub use tokens::{IssueError, IssuedToken, RecordToken, RevokeToken};
pub use uses::GrantUse;
pub use view::{AccessView, HeldGrant, MAX_TOKENS, OpenRequest, TokenOfGrant};
