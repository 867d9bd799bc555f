//! The events of a user.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::User;
use crate::roles::Roles;

/// An event of a user.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "user", topic = "user", on = User)]
pub enum UserEvent {
    /// The roles changed.
    #[event(update, "{actor} changed {user}'s roles from {roles.from} to {roles.to}")]
    RolesUpdated {
        /// Old and new roles.
        roles: Change<Roles>,
    },
    /// All roles were removed.
    #[event(delete, "{actor} cleared {user}'s roles, which were {roles}")]
    RolesCleared {
        /// The roles before.
        roles: Roles,
    },
}
