//! Roles of users and members.

use std::collections::BTreeSet;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

/// One role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs jobs.
    Developer,
    /// Reads results.
    Collaborator,
    /// Manages members.
    Coordinator,
    /// Checks results before they leave the secure environment.
    OutputChecker,
}

/// A set of roles.
pub type Roles = BTreeSet<Role>;

/// Collects roles into a set.
pub fn roles(list: impl IntoIterator<Item = Role>) -> Roles {
    list.into_iter().collect()
}
