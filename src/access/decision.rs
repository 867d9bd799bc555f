//! The decision whether a party may do or read something: a pure function of records, question and time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::record::{Grant, Under};
use super::{AccessId, AccessRecord, Right};
use crate::app::Ask;
use crate::events::Ref;

/// The most grants from an owner to a holder: an owner's, and two delegations of it.
pub(super) const MAX_CHAIN: usize = 3;

/// The records that were loaded.
pub(super) type Records<'a> = BTreeMap<AccessId, &'a AccessRecord>;

/// What is asked for, and when.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) ask: &'a Ask<'a>,
    /// Whether it is followed live.
    pub(super) follows: bool,
    pub(super) time: Timestamp,
    /// Whether no grant counts.
    pub(super) suspended: bool,
    /// The only grant that counts: that of a token.
    pub(super) only: Option<Uuid>,
}

/// An answer, or the record that is missing for one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    Allowed(Allowed),
    Denied,
    /// This record must be loaded, and the question asked again.
    Load(AccessId),
}

/// By what something is allowed, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    /// The grants that allow it; none for an owner.
    pub(super) grants: Vec<Uuid>,
    pub(super) until: Option<Timestamp>,
}

/// Interrupts a decision: a record is missing.
pub(super) struct Missing(AccessId);

/// Decides whether a party may do what is asked for.
pub(super) fn decide(records: &Records<'_>, party: &Ref, question: &Question<'_>) -> Decision {
    match try_decide(records, party, question) {
        Ok(Some(allowed)) => Decision::Allowed(allowed),
        Ok(None) => Decision::Denied,
        Err(Missing(id)) => Decision::Load(id),
    }
}

fn try_decide(records: &Records<'_>, party: &Ref, question: &Question<'_>) -> Result<Option<Allowed>, Missing> {
    let parts: Vec<Option<&Ref>> = match question.ask {
        Ask::Command { on, .. } if !on.is_empty() => on.iter().map(Some).collect(),
        _ => vec![None],
    };
    let mut allowed = Allowed::default();
    for part in parts {
        let wanted = |right: &Right| right.allows(question.ask, part, question.follows);
        match find(records, party, question, &wanted)? {
            Some((grant, until)) => {
                if !allowed.grants.contains(&grant) {
                    allowed.grants.push(grant);
                }
                allowed.until = earlier(allowed.until, until);
            }
            None if question.only.is_none() && is_owner(records, party)? => return Ok(Some(Allowed::default())),
            None => return Ok(None),
        }
    }
    Ok(Some(allowed))
}

/// Finds a grant of the party with a right that is wanted, and the time at which it ends.
fn find(
    records: &Records<'_>,
    party: &Ref,
    question: &Question<'_>,
    wanted: &dyn Fn(&Right) -> bool,
) -> Result<Option<(Uuid, Option<Timestamp>)>, Missing> {
    if question.suspended {
        return Ok(None);
    }
    let record = loaded(records, AccessId::of(party))?;
    let counts = |id: &Uuid| question.only.is_none_or(|only| only == *id);
    let holds = |grant: &Grant| !has_ended(grant, question.time) && grant.rights.iter().any(wanted);
    let found: Vec<_> = record.grants.iter().filter(|(id, grant)| counts(id) && holds(grant)).collect();
    // Those of owners first: they need no other record.
    let (own, delegated): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, grant)| grant.under.is_none());
    for (id, grant) in own.into_iter().chain(delegated) {
        let Some(right) = grant.rights.iter().find(|right| wanted(right)) else { continue };
        if let Some(until) = chain_end(records, grant, std::slice::from_ref(right), question.time, MAX_CHAIN)? {
            return Ok(Some((*id, until)));
        }
    }
    Ok(None)
}

/// Returns when the first grant of a chain ends, from this one up to an owner's; `None` if the chain does not hold: a grant was
/// revoked or has ended, does not cover the rights any more, or there are more than `most`.
pub(super) fn chain_end(
    records: &Records<'_>,
    grant: &Grant,
    rights: &[Right],
    time: Timestamp,
    most: usize,
) -> Result<Option<Option<Timestamp>>, Missing> {
    let (mut until, mut next) = (grant.until, grant.under.as_ref());
    for _ in 1..most {
        let Some(Under { holder, grant }) = next else { return Ok(Some(until)) };
        let Some(above) = loaded(records, AccessId::of(holder))?.grants.get(grant) else { return Ok(None) };
        if has_ended(above, time) || !above.delegable || !covers(above, rights) {
            return Ok(None);
        }
        until = earlier(until, above.until);
        next = above.under.as_ref();
    }
    Ok(next.is_none().then_some(until))
}

impl Missing {
    pub(super) fn new(id: AccessId) -> Self {
        Self(id)
    }

    pub(super) fn into_id(self) -> AccessId {
        self.0
    }
}

/// Whether a grant covers all of the rights.
pub(super) fn covers(grant: &Grant, rights: &[Right]) -> bool {
    rights.iter().all(|right| grant.rights.iter().any(|held| held.covers(right)))
}

/// Whether the party is an owner, by the log.
pub(super) fn is_owner(records: &Records<'_>, party: &Ref) -> Result<bool, Missing> {
    Ok(loaded(records, AccessId::owners())?.owners.contains(party))
}

pub(super) fn has_ended(grant: &Grant, time: Timestamp) -> bool {
    grant.until.is_some_and(|until| until <= time)
}

pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn loaded<'a>(records: &Records<'a>, id: AccessId) -> Result<&'a AccessRecord, Missing> {
    records.get(&id).copied().ok_or(Missing(id))
}
