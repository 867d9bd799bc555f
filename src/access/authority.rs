//! By what the actor of a command may give, deny and revoke rights: an owner's right, or a grant that it may pass on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::decision::{MAX_CHAIN, Missing, Records, chain_end, covers, earlier, has_ended, is_owner};
use super::record::Under;
use super::settings::Access;
use super::{AccessError, AccessEvent, AccessId, AccessRecord, Right};
use crate::aggregates::Loaded;
use crate::commands::{Context, PrepareContext};
use crate::events::Ref;
use crate::text::error_chain;

/// The most rights of a request or a grant.
pub const MAX_RIGHTS: usize = 50;
/// The most requests of one party that nobody has decided.
pub const MAX_OPEN_REQUESTS: usize = 100;
/// The most bytes of a reason.
pub const MAX_WHY_BYTES: usize = 1_000;

/// What a command needs before it is decided: records, and the time.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    /// The records of the holders by whose grants the actor may decide.
    pub(super) above: Vec<AccessId>,
    /// Whether the application names the actor as an owner.
    pub(super) owner: bool,
    /// Whether grants do not count now.
    suspended: bool,
    pub(super) time: Timestamp,
}

/// By what the actor may give rights.
pub(super) enum Authority {
    Owner,
    /// This grant, which ends at that time.
    Holder(Under, Option<Timestamp>),
    None,
}

impl Prepared {
    pub(super) async fn new<C>(context: &PrepareContext<'_, C>) -> Self {
        let settings = context.services().get::<Access>();
        let owner = settings.is_some_and(|settings| settings.owners.contains(context.actor()));
        let suspended = settings.is_some_and(|settings| settings.withdrawals.suspension().is_some());
        Self { above: Vec::new(), owner, suspended, time: context.read().time() }
    }

    /// Finds the records that are needed to say whether the actor may give these rights.
    pub(super) async fn gather<C>(
        &mut self,
        context: &PrepareContext<'_, C>,
        rights: &[Right],
    ) -> Result<(), AccessError> {
        let mut states = BTreeMap::new();
        loop {
            let records: Records<'_> =
                states.iter().map(|(id, state): (&AccessId, &Loaded<_>)| (id.clone(), &**state)).collect();
            let Err(missing) = self.authority(&records, context.actor(), rights) else { break };
            let id = missing.into_id();
            states.insert(id.clone(), load(context, &id).await?);
        }
        self.above = states.into_keys().collect();
        Ok(())
    }

    /// Returns by what the actor may give these rights.
    pub(super) fn authority(
        &self,
        records: &Records<'_>,
        actor: &Ref,
        rights: &[Right],
    ) -> Result<Authority, Missing> {
        if self.owner || is_owner(records, actor)? {
            return Ok(Authority::Owner);
        }
        if self.suspended {
            return Ok(Authority::None);
        }
        let own = records.get(&AccessId::of(actor)).ok_or_else(|| Missing::new(AccessId::of(actor)))?;
        for (id, grant) in &own.grants {
            let may = grant.delegable && !has_ended(grant, self.time) && covers(grant, rights);
            // One more follows.
            if may && let Some(until) = chain_end(records, grant, rights, self.time, MAX_CHAIN - 1)? {
                return Ok(Authority::Holder(Under { holder: actor.clone(), grant: *id }, until));
            }
        }
        Ok(Authority::None)
    }

    /// Why an actor without authority may not give rights.
    pub(super) fn not_held(&self, actor: &Ref) -> AccessError {
        if self.suspended { AccessError::Suspended } else { AccessError::NotHeld(actor.clone()) }
    }

    /// The ids of the records of a command about this party.
    pub(super) fn ids(&self, grantee: &Ref) -> Vec<AccessId> {
        let mut ids = vec![AccessId::of(grantee), AccessId::owners()];
        for id in &self.above {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        ids
    }
}

pub(super) async fn load<C>(
    context: &PrepareContext<'_, C>,
    id: &AccessId,
) -> Result<Loaded<AccessRecord>, AccessError> {
    let loaded = context.read().load::<AccessRecord>(id).await;
    loaded.map_err(|error| AccessError::Unreadable { party: id.to_string(), reason: error_chain(&error) })
}

/// The records of a command, by id.
pub(super) fn records<'a>(scope: &[&'a Loaded<AccessRecord>]) -> Records<'a> {
    scope.iter().map(|loaded| (loaded.id().clone(), &***loaded)).collect()
}

/// Events for the first record of a scope, and none for the others.
pub(super) fn first(scope: &[&Loaded<AccessRecord>], event: AccessEvent) -> Vec<Vec<AccessEvent>> {
    let mut events = vec![Vec::new(); scope.len()];
    events[0].push(event);
    events
}

pub(super) fn check_party(party: &Ref) -> Result<(), AccessError> {
    party.check_caller().map_err(|source| AccessError::Party { party: party.clone(), source })
}

pub(super) fn check_rights(rights: &[Right]) -> Result<(), AccessError> {
    if (1..=MAX_RIGHTS).contains(&rights.len()) { Ok(()) } else { Err(AccessError::Rights(rights.len())) }
}

pub(super) fn check_why(why: &str) -> Result<(), AccessError> {
    if why.trim().is_empty() || why.len() > MAX_WHY_BYTES { Err(AccessError::Why) } else { Ok(()) }
}

pub(super) fn check_until(until: Option<Timestamp>, time: Timestamp) -> Result<(), AccessError> {
    match until {
        Some(until) if until <= time => Err(AccessError::Past(until)),
        _ => Ok(()),
    }
}

/// Nobody decides on behalf of another party.
pub(super) fn check_own_name(context: &Context) -> Result<&Ref, AccessError> {
    match &context.metadata().on_behalf_of {
        Some(principal) => Err(AccessError::OnBehalf(principal.clone())),
        None => Ok(context.actor()),
    }
}

/// The parties of a request: the actor, and its principal.
pub(super) fn parties(context: &Context) -> Vec<Ref> {
    std::iter::once(context.actor()).chain(&context.metadata().on_behalf_of).cloned().collect()
}

/// Gives rights, in the name of an owner or by a grant that the actor may pass on.
#[allow(clippy::too_many_arguments, reason = "the fields of the event, given once")]
pub(super) fn grant(
    prepared: &Prepared,
    scope: &[&Loaded<AccessRecord>],
    context: &Context,
    request: Option<Uuid>,
    grantee: &Ref,
    rights: &[Right],
    until: Option<Timestamp>,
    delegable: bool,
    why: &str,
) -> Result<AccessEvent, AccessError> {
    let actor = check_own_name(context)?;
    let authority = prepared.authority(&records(scope), actor, rights);
    let (under, until) = match authority.map_err(|_| AccessError::Changed(actor.clone()))? {
        Authority::Owner => (None, until),
        Authority::Holder(under, end) => match until {
            Some(until) if end.is_some_and(|end| until > end) => return Err(AccessError::NotHeld(actor.clone())),
            until => (Some(under), earlier(until, end)),
        },
        Authority::None => return Err(prepared.not_held(actor)),
    };
    let (holder, under) = under.map(|under| (under.holder, under.grant)).unzip();
    let (grantee, rights, why) = (grantee.clone(), rights.to_vec(), why.to_owned());
    Ok(AccessEvent::Granted {
        grant: context.new_id(0),
        request,
        grantee,
        rights,
        until,
        delegable,
        holder,
        under,
        why,
    })
}

/// Implements [`Command`] for a command about the access of one party.
macro_rules! access_command {
    ($command:ident, $name:literal, $summary:literal, |$this:ident| $ids:expr) => {
        impl Command for $command {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            type Scope = Vec<AccessRecord>;
            type Error = AccessError;

            fn ids(&self) -> Vec<AccessId> {
                let $this = self;
                $ids
            }
        }
    };
}
pub(super) use access_command;

/// Whether the actor is an owner: an owner decides also on its own request.
pub(super) fn is_decider(prepared: &Prepared, scope: &[&Loaded<AccessRecord>], actor: &Ref) -> bool {
    prepared.owner || is_owner(&records(scope), actor).unwrap_or(false)
}
