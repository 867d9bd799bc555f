//! [`LogInfo`]: what a store says about its log.

/// What a store says about its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogInfo {
    /// The id of the log. Its backups have the same.
    pub log_id: String,
    /// What the log requires of each program that appends to it: names, separated by spaces. See [`Commit::requires`].
    ///
    /// [`Commit::requires`]: super::Commit::requires
    pub requires: String,
    /// Whether this handle reads a copy of the log, which may be behind what other processes have appended.
    pub is_copy: bool,
}
