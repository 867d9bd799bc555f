//! A log that has rights is opened only by a program that asks them, and appended to only by such programs.

use std::sync::Arc;

#[cfg(any(feature = "http", feature = "access"))]
use super::Annals;
use super::access_log::AccessControl;
#[cfg(feature = "access")]
use super::{App, Authorise, RightsMemory};
use crate::store::{ACCESS, Interest, Known, Store, StoreError, check_requirements};

/// The events that make a log depend on rights: the first owner, and the first grant.
const EVENTS: [&str; 2] = ["annals_access.owner_named", "annals_access.granted"];

/// What a program with this access control knows that a log may require.
pub(super) fn known(access_control: &AccessControl) -> Known {
    if access_control.rights.is_some() { &[ACCESS] } else { &[] }
}

/// Checks that this program may append to the log, which may have been without rights when it was opened.
pub(super) async fn check(store: &dyn Store, known: Known) -> Result<(), StoreError> {
    check_requirements(&store.info().await?.requires, known)
}

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

#[cfg(feature = "http")]
impl Annals {
    /// Checks that commands can be executed now: that the store accepts writes, of this program.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        self.store().ready().await?;
        check(&**self.store(), known(self.access_control())).await
    }

    /// What operators should know, although requests are served.
    pub(crate) fn notes(&self) -> Vec<String> {
        #[cfg(feature = "access")]
        if let Some(memory) = &self.access_control().memory {
            return memory.notes();
        }
        Vec::new()
    }
}

/// Begins to compare the log with what this program remembers of withdrawn rights.
#[cfg(feature = "access")]
pub(super) async fn remember(access_control: &AccessControl, store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let Some(memory) = access_control.memory.clone() else { return Ok(()) };
    let followed = Arc::downgrade(access_control.followed());
    let changed = move || {
        if let Some(followed) = followed.upgrade() {
            followed.ask_all_again();
        }
    };
    memory.start(store.clone(), Box::new(changed)).await
}

#[cfg(not(feature = "access"))]
pub(super) async fn remember(_: &AccessControl, _: &Arc<dyn Store>) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(feature = "access")]
impl App {
    /// Sets what is asked before the application's authoriser: the rights in the log. And what is remembered of them.
    pub(crate) fn rights(mut self, rights: Arc<dyn Authorise>, memory: Arc<dyn RightsMemory>) -> Self {
        self.access_control.rights = Some(rights);
        self.access_control.memory = Some(memory);
        self
    }

    /// Remembers withdrawn rights beside this key file, if rights in the log are asked.
    #[cfg(feature = "cli")]
    pub(crate) fn remember_beside(&self, key_file: &std::path::Path) {
        if let Some(memory) = &self.access_control.memory {
            memory.beside(key_file);
        }
    }

    /// Whether rights in the log are asked.
    #[cfg(feature = "cli")]
    pub(crate) fn has_rights(&self) -> bool {
        self.access_control.has_rights()
    }
}

#[cfg(feature = "access")]
impl Annals {
    /// Why no grant counts now: the log is older than the last withdrawal of a right that programs with this key file have seen, and no
    /// owner has confirmed the rights in it. `None` if grants count. See
    /// [`Access::remember_beside`](crate::access::Access::remember_beside).
    #[must_use]
    pub fn rights_suspended(&self) -> Option<&'static str> {
        self.access_control().memory.as_ref()?.suspension()
    }
}

#[cfg(feature = "http")]
impl Annals {
    /// Whether rights in the log are asked.
    pub(crate) fn has_rights(&self) -> bool {
        self.access_control().has_rights()
    }

    /// Whether reads are recorded.
    #[cfg(feature = "access")]
    pub(crate) fn records_reads(&self) -> bool {
        self.access_control().records_reads()
    }
}
