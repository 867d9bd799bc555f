//! [`StandbyStatus`]: the standby from which views are read.

/// The standby from which views are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyStatus {
    /// Its URL without the password.
    pub name: String,
    /// The position of its last event; `None` if it does not answer.
    pub position: Option<u64>,
    /// How many events it has not yet received.
    pub lag: Option<u64>,
}
