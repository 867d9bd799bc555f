//! [`Prepared`]: a command that is ready to be decided.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::admission::Admission;
use super::engine::Completion;
use super::erased::Undecided;
use super::member::Member;
use super::received::Received;
use super::sealing::Subjects;
use super::{ExecuteError, Refusal};
use crate::aggregates::AggregateType;
use crate::events::{AggregateVersion, DecidedOn, Metadata, Ref};
use crate::store::{Commit, EventMetadata, Outcome};
use crate::text::hex;

/// A command that access control has admitted and whose `prepare` has run: ready to be decided.
pub(super) struct Prepared {
    pub(super) received: Received,
    pub(super) metadata: Arc<str>,
    pub(super) aggregates: Vec<(AggregateType, Ref)>,
    /// What access control said before `prepare`.
    pub(super) admission: Admission,
    /// What its events have in their metadata.
    pub(super) extras: MetadataExtras,
    /// The subjects whose personal values it seals.
    pub(super) subjects: Subjects,
}

/// What events have in their metadata if the application asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MetadataExtras {
    /// The first event of a command names the command and the aggregates that it was decided on.
    pub(crate) scope: bool,
    /// Each event has a salt, and the first one of a command the digest of its body.
    pub(crate) proofs: bool,
}

/// Why a command whose commit has no events is answered with an error, once its aggregates are known to be current.
pub(super) enum Rejection {
    /// Its handler refused it.
    Refused(Refusal),
    /// Access control denied it.
    Denied(String),
    /// It has new personal values of a subject that is erased.
    Erased(Ref),
}

impl Prepared {
    /// Decides on the first `scope` of the members, unless access control denied the command: then the commit has no events.
    pub(super) fn decide(
        &self,
        members: &mut [Member],
        scope: usize,
        admission: &Admission,
        order_group: Option<u64>,
    ) -> Result<(Commit, Option<Rejection>), ExecuteError<Refusal>> {
        let Received { command, context, given_id, .. } = &self.received;
        let rejection = match &admission.denied {
            Some(reason) => Some(Rejection::Denied(reason.clone())),
            None => {
                let decided = catch_unwind(AssertUnwindSafe(|| command.decide(&mut members[..scope], context)))
                    .map_err(|_| ExecuteError::Panicked(command.name()))?;
                match decided {
                    Ok(()) => None,
                    Err(Undecided::Refused(error)) => Some(Rejection::Refused(Refusal(error))),
                    Err(Undecided::Invalid(error)) => return Err(error.into()),
                }
            }
        };
        // A state that depends on the time must be the same when it is folded from the log.
        let occurred_at = match members.iter().any(|member| member.time_was_read) {
            true => Some(context.now()),
            false => context.happened_at(),
        };
        // The keys of new values are there now, and the digest of the body is made with them.
        let digest = match command.is_personal() {
            true => command.digest(context).map_err(ExecuteError::Body)?,
            false => self.received.digest,
        };
        let metadata = self.metadata_of(&members[..scope], admission, &digest)?;
        let metadata = match self.extras.proofs {
            true => metadata.salted(members.iter().map(|member| member.events.len()).sum()),
            false => metadata,
        };
        let appends = members.iter_mut().map(Member::take_append).collect();
        let keep = *given_id && rejection.is_none();
        let commit = self.received.commit(metadata, digest, appends, keep, occurred_at, order_group);
        Ok((commit.until(admission.valid_until), rejection))
    }

    /// The metadata of the events: that of the first one says what the command was decided on. It is made of the states of this
    /// attempt: another attempt may be decided on later ones, or allowed by another grant.
    fn metadata_of(
        &self,
        scope: &[Member],
        admission: &Admission,
        digest: &[u8; 32],
    ) -> Result<EventMetadata, ExecuteError<Refusal>> {
        let Received { context, .. } = &self.received;
        let grants = if context.is_internal() { context.grants() } else { &admission.grants };
        let has_events = scope.iter().any(|member| !member.events.is_empty());
        if !has_events || grants.is_empty() && !self.extras.scope {
            return Ok(EventMetadata::same(self.metadata.clone()));
        }
        let decided_on = DecidedOn { grants: grants.to_vec(), ..self.scope_of(scope, digest) };
        let first = Metadata { decided_on: Some(decided_on), ..context.metadata().clone() };
        let first = serde_json::to_string(&first).map_err(ExecuteError::Body)?;
        Ok(EventMetadata::new(first.into(), self.metadata.clone()))
    }

    /// The command and the aggregates in its scope, if they are to be named.
    fn scope_of(&self, scope: &[Member], digest: &[u8; 32]) -> DecidedOn {
        if !self.extras.scope {
            return DecidedOn::default();
        }
        let version = |member: &&Member| AggregateVersion {
            aggregate: member.aggregate.clone(),
            sequence: member.sequence_before(),
        };
        // Those that it wrote are named first.
        let (wrote, read): (Vec<&Member>, Vec<&Member>) =
            scope.iter().partition(|member| !member.events.is_empty());
        let left = DecidedOn::MAX.saturating_sub(wrote.len());
        DecidedOn {
            command: Some(self.received.command.name().to_owned()),
            version: self.received.command.version(),
            body_digest: self.extras.proofs.then(|| hex(digest)),
            wrote: wrote.iter().take(DecidedOn::MAX).map(version).collect(),
            read: read.iter().take(left).map(version).collect(),
            more: scope.len().saturating_sub(DecidedOn::MAX) as u64,
            ..DecidedOn::default()
        }
    }

    pub(super) fn answer(&self, outcome: Outcome, rejection: Option<Rejection>) -> Completion {
        Completion::Done(match outcome {
            Outcome::Conflict => return Completion::Conflict,
            Outcome::IdReused => Err(ExecuteError::CommandIdReused(self.received.id)),
            Outcome::Duplicate(receipt) => Ok(receipt),
            Outcome::Committed(receipt) => match rejection {
                Some(Rejection::Refused(error)) => Err(ExecuteError::Refused(error)),
                Some(Rejection::Denied(reason)) => Err(ExecuteError::Denied { reason }),
                Some(Rejection::Erased(subject)) => Err(ExecuteError::Erased(subject)),
                None => Ok(receipt),
            },
        })
    }
}
