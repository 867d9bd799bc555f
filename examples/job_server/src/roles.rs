//! Roles: what somebody may do.

use std::collections::BTreeSet;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

/// One role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs jobs.
    Developer,
    /// Sees results.
    Collaborator,
    /// Manages members.
    Coordinator,
    /// Checks what leaves the secure environment.
    OutputChecker,
}

/// A set of roles.
pub type Roles = BTreeSet<Role>;

/// The roles of a list.
pub fn roles(list: impl IntoIterator<Item = Role>) -> Roles {
    list.into_iter().collect()
}
