//! [`Access`]: what an application says about its access.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::uses::GrantUses;
use super::withdrawals::Withdrawals;
use super::{
    AccessId, AccessRecord, AccessView, ApproveAccess, ConfirmAccess, DenyAccess, GrantAccess, InitAccess,
    NameOwner, RecordToken, RemoveOwner, RequestAccess, RevokeAccess, RevokeToken,
};
use crate::aggregates::{LoadError, Loaded};
use crate::app::{AccessContext, Annals, App, Ask, Authorise, Denial, RightsMemory};
use crate::commands::{Context, ExecuteError, internal_id};
use crate::events::{IntoRef, Ref};
use crate::store::Receipt;

/// The access of an application: who owns it. [`App::access`](crate::app::App::access) turns it on.
///
/// ```
/// use annals::access::Access;
/// use annals::app::App;
///
/// let app = App::new("job_server").access(Access::new().owner("user:alice".parse::<annals::events::Ref>()?));
/// # Ok::<(), annals::events::InvalidRef>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub(super) owners: BTreeSet<Ref>,
    key_file: Option<PathBuf>,
    pub(super) withdrawals: Arc<Withdrawals>,
}

impl Access {
    /// Access without an owner: [`Annals::init_access`](crate::app::Annals::init_access) names the first one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names an owner, who has every right, and may grant and revoke every right. It stays one as long as the application names
    /// it.
    #[must_use]
    pub fn owner(mut self, owner: impl IntoRef) -> Self {
        self.owners.insert(owner.into_ref());
        self
    }

    /// Remembers the last withdrawal of a right in a small file beside this key file (`tokens.keys.withdrawn`, mode 0600). If a log is
    /// opened that does not have it, such as an older backup, no grant counts until an owner
    /// [confirms](super::ConfirmAccess) the rights in it. Several programs may share the file. The command line does this with the key
    /// file of `--access-keys` and `ANNALS_ACCESS_KEYS`.
    #[must_use]
    pub fn remember_beside(mut self, key_file: impl Into<PathBuf>) -> Self {
        self.key_file = Some(key_file.into());
        self
    }
}

#[async_trait]
impl Authorise for Access {
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        self.decide(access, ask).await
    }
}

impl App {
    /// Turns access on: commands and reads need rights, which are events of the log. The application's own
    /// [`authoriser`](App::authorise), if there is one, must allow them too. Nobody has a right before an owner grants one.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        // Of this application alone.
        let withdrawals: Arc<Withdrawals> = Arc::default();
        access.key_file.iter().for_each(|key_file| withdrawals.beside(key_file));
        let access = Arc::new(Access { withdrawals: withdrawals.clone(), ..access });
        self.command::<RequestAccess>()
            .command::<GrantAccess>()
            .command::<ApproveAccess>()
            .command::<DenyAccess>()
            .command::<RevokeAccess>()
            .command::<RecordToken>()
            .command::<RevokeToken>()
            .command::<NameOwner>()
            .command::<RemoveOwner>()
            .command::<ConfirmAccess>()
            .view::<AccessView>()
            .projection(GrantUses)
            .service(access.clone())
            .rights(access, withdrawals)
    }
}

impl Annals {
    /// Loads the requests and grants of a party, as they are in the log now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn access_of(&self, party: &Ref) -> Result<Loaded<AccessRecord>, LoadError> {
        self.load(&AccessId::of(party)).await
    }

    /// Loads the record of the owners: [`AccessRecord::owners`]. Those that the application names are not in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn access_owners(&self) -> Result<Loaded<AccessRecord>, LoadError> {
        self.load(&AccessId::owners()).await
    }

    /// Names the first owner, as the context's actor. It needs no right: who can open the store can do it, once.
    ///
    /// # Errors
    /// When there is an owner already, or the store fails: see [`ExecuteError`].
    pub async fn init_access(
        &self,
        owner: impl IntoRef,
        why: impl Into<String>,
        context: &Context,
    ) -> Result<Receipt, ExecuteError<super::AccessError>> {
        context.actor().check_caller()?;
        let context = context.internal(internal_id::random());
        self.execute(InitAccess::new(owner.into_ref(), why), &context).await
    }
}
