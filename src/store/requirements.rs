//! What a log requires of each program that appends to it.
//!
//! A log that has rights requires programs that ask them. The store keeps the names of what its log requires, and refuses the
//! batches of programs that do not know all of them: in the transaction of the batch, so that it counts for programs that
//! were running before.

use super::StoreError;
use crate::events::Ref;

/// Rights: programs must ask whether each command and each read is allowed.
pub(crate) const ACCESS: &str = "access";

/// The type of the aggregates whose events are rights.
pub(crate) const ACCESS_KIND: &str = "annals_access";

/// The names of what a program knows that a log may require.
pub(crate) type Known = &'static [&'static str];

/// Returns what a log requires once it has an event of this aggregate.
pub(super) fn required_by(aggregate: &Ref) -> Option<&'static str> {
    (aggregate.kind() == ACCESS_KIND).then_some(ACCESS)
}

/// Checks that a program knows all that a log requires: names, separated by spaces.
pub(crate) fn check(required: &str, known: Known) -> Result<(), StoreError> {
    match required.split_ascii_whitespace().find(|name| !known.contains(name)) {
        Some(unknown) => Err(StoreError::Requires(unknown.to_owned())),
        None => Ok(()),
    }
}

/// Returns what the log requires with one name more; `None` if it has the name already.
#[cfg(feature = "sqlite")]
pub(super) fn with(required: &str, name: &str) -> Option<String> {
    let mut names: Vec<&str> = required.split_ascii_whitespace().collect();
    if names.contains(&name) {
        return None;
    }
    names.push(name);
    Some(names.join(" "))
}

/// Returns what to do about a requirement that this program does not know.
pub(super) fn advice(name: &str) -> &'static str {
    match name {
        ACCESS => {
            "it has rights, and this program does not ask them: turn them on with `App::access` (feature `access`), and start \
             it again"
        }
        _ => "use a program that knows it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_must_know_every_name_that_the_log_requires() {
        assert!(check("", &[]).is_ok() && check(" access ", &[ACCESS]).is_ok());
        let unknown = |required, known| match check(required, known) {
            Err(StoreError::Requires(name)) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(unknown("access", &[]), "access");
        assert_eq!(unknown("access personal", &[ACCESS]), "personal");
        let said = StoreError::Requires("access".to_owned()).to_string();
        assert!(said.contains("`access`") && said.contains("`App::access`"), "{said}");
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_name_is_added_once() {
        assert_eq!(with("", ACCESS).as_deref(), Some("access"));
        assert_eq!(with("personal", ACCESS).as_deref(), Some("personal access"));
        assert_eq!(with("access", ACCESS), None);
    }
}
