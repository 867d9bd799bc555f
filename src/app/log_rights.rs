//! A log that has rights is opened only by a program that asks them.

#[cfg(all(feature = "cli", feature = "access"))]
use super::App;
use crate::store::{Interest, Store, StoreError};

/// The events that make a log depend on rights: the first owner, and the first grant.
const EVENTS: [&str; 2] = ["annals_access.owner_named", "annals_access.granted"];

/// Checks that nobody granted rights in this log, for a program that does not ask them: it would execute every command.
///
/// # Errors
/// When the log has rights, or cannot be read.
pub(super) async fn check_none(store: &dyn Store) -> Result<(), StoreError> {
    let interest = Interest::EventTypes(EVENTS.map(str::to_owned).into());
    match store.read(0, 1, &interest).await?.events.first() {
        None => Ok(()),
        Some(event) => Err(StoreError::Unusable {
            store: store.describe(),
            reason: format!(
                "its log has rights since event {}, and this program does not ask them: turn them on with `App::access` \
                 (feature `access`)",
                event.position
            ),
        }),
    }
}

#[cfg(all(feature = "cli", feature = "access"))]
impl App {
    /// Whether rights in the log are asked.
    pub(crate) fn has_rights(&self) -> bool {
        self.access_control.rights.is_some()
    }
}
