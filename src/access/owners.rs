//! The commands about owners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::authority::{check_own_name, check_party, check_why};
use super::settings::Access;
use super::{AccessError, AccessEvent, AccessId, AccessRecord};
use crate::aggregates::Loaded;
use crate::commands::{Command, Context, Handle, PrepareContext};
use crate::events::Ref;

/// Whether the application itself names somebody as an owner.
#[derive(Clone, Copy, Debug, Default)]
struct Named {
    actor: bool,
    anybody: bool,
}

impl Named {
    fn by_the_application<C>(context: &PrepareContext<'_, C>) -> Self {
        let owners = context.services().get::<Access>().map(|settings| &settings.owners);
        Self {
            actor: owners.is_some_and(|owners| owners.contains(context.actor())),
            anybody: owners.is_some_and(|owners| !owners.is_empty()),
        }
    }
}

/// Implements [`Command`] for a command about the owners.
macro_rules! owner_command {
    ($command:ident, $name:literal, $summary:literal) => {
        impl Command for $command {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            type Scope = AccessRecord;
            type Error = AccessError;

            fn ids(&self) -> AccessId {
                AccessId::owners()
            }
        }

        impl $command {
            /// The command, with its reason.
            pub fn new(owner: Ref, why: impl Into<String>) -> Self {
                Self { owner, why: why.into(), named: Named::default() }
            }
        }
    };
}

/// Name an owner
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NameOwner {
    /// The new owner.
    pub owner: Ref,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    named: Named,
}

owner_command!(NameOwner, "name_owner", "Name an owner, with every right");

impl Handle for NameOwner {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        self.named = Named::by_the_application(context);
        Ok(())
    }

    fn handle(&self, record: &Loaded<AccessRecord>, context: &Context) -> Result<Vec<AccessEvent>, AccessError> {
        let Self { owner, why, named } = self.clone();
        check_party(&owner)?;
        check_why(&why)?;
        let actor = check_own_name(context)?;
        if !named.actor && !record.owners.contains(actor) {
            return Err(AccessError::NotOwner(actor.clone()));
        }
        if record.owners.contains(&owner) {
            return Err(AccessError::OwnerAlready(owner));
        }
        Ok(vec![AccessEvent::OwnerNamed { owner, why }])
    }
}

/// Remove an owner
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RemoveOwner {
    /// The present owner.
    pub owner: Ref,
    /// The reason.
    pub why: String,
    #[serde(skip)]
    named: Named,
}

owner_command!(RemoveOwner, "remove_owner", "Remove an owner");

impl Handle for RemoveOwner {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        self.named = Named::by_the_application(context);
        Ok(())
    }

    fn handle(&self, record: &Loaded<AccessRecord>, context: &Context) -> Result<Vec<AccessEvent>, AccessError> {
        let Self { owner, why, named } = self.clone();
        check_why(&why)?;
        let actor = check_own_name(context)?;
        if !named.actor && !record.owners.contains(actor) {
            return Err(AccessError::NotOwner(actor.clone()));
        }
        if !record.owners.contains(&owner) {
            return Err(AccessError::NotOwner(owner));
        }
        if record.owners.len() == 1 && !named.anybody {
            return Err(AccessError::LastOwner(owner));
        }
        Ok(vec![AccessEvent::OwnerRemoved { owner, why }])
    }
}

/// Name the first owner. It is an internal command: only a program that can open the store executes it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InitAccess {
    owner: Ref,
    why: String,
    #[serde(skip)]
    named: Named,
}

owner_command!(InitAccess, "annals_init_access", "Name the first owner");

impl Handle for InitAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        self.named = Named::by_the_application(context);
        Ok(())
    }

    fn handle(&self, record: &Loaded<AccessRecord>, _: &Context) -> Result<Vec<AccessEvent>, AccessError> {
        let Self { owner, why, named } = self.clone();
        check_party(&owner)?;
        check_why(&why)?;
        if named.anybody || !record.owners.is_empty() {
            return Err(AccessError::Initialized);
        }
        Ok(vec![AccessEvent::OwnerNamed { owner, why }])
    }
}
