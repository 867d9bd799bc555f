//! What can happen to a user.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::User;
use crate::roles::Roles;

/// A user's roles changed.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "user", topic = "user", on = User)]
pub enum UserEvent {
    /// The roles are others now.
    #[event(update, "{actor} changed {user}'s roles from {roles.from} to {roles.to}")]
    RolesUpdated {
        /// Before and after.
        roles: Change<Roles>,
    },
    /// All roles were taken away.
    #[event(delete, "{actor} cleared {user}'s roles, which were {roles}")]
    RolesCleared {
        /// What they were.
        roles: Roles,
    },
}
