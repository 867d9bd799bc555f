//! The aggregate `User`: the state that commands decide on.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::UserEvent;
use crate::roles::Roles;

/// The id of a user.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

/// A user's roles.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct User {
    pub(super) roles: Roles,
}

/// Why a command on a user is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The user has no roles to clear.
    #[error("{0} has no roles")]
    NoRoles(UserId),
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Id = UserId;
    type Event = UserEvent;
    type Error = UserError;

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::RolesUpdated { roles } => self.roles = roles.to.clone(),
            UserEvent::RolesCleared { .. } => self.roles.clear(),
        }
    }
}
