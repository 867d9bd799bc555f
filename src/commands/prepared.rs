//! [`Prepared`]: a command that is ready to be decided.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::admission::Admission;
use super::engine::Completion;
use super::erased::Undecided;
use super::member::Member;
use super::received::Received;
use super::{ExecuteError, Refusal};
use crate::aggregates::AggregateType;
use crate::events::Ref;
use crate::store::{Commit, Outcome};

/// A command that access control has admitted and whose `prepare` has run: ready to be decided.
pub(super) struct Prepared {
    pub(super) received: Received,
    pub(super) metadata: Arc<str>,
    pub(super) aggregates: Vec<(AggregateType, Ref)>,
    /// What access control said before `prepare`.
    pub(super) admission: Admission,
}

/// Why a command whose commit has no events is answered with an error, once its aggregates are known to be current.
pub(super) enum Rejection {
    /// Its handler refused it.
    Refused(Refusal),
    /// Access control denied it.
    Denied(String),
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
        let appends = members.iter_mut().map(Member::take_append).collect();
        let keep = *given_id && rejection.is_none();
        let commit = self.received.commit(self.metadata.clone(), appends, keep, occurred_at, order_group);
        Ok((commit.until(admission.valid_until), rejection))
    }

    pub(super) fn answer(&self, outcome: Outcome, rejection: Option<Rejection>) -> Completion {
        Completion::Done(match outcome {
            Outcome::Conflict => return Completion::Conflict,
            Outcome::IdReused => Err(ExecuteError::CommandIdReused(self.received.id)),
            Outcome::Duplicate(receipt) => Ok(receipt),
            Outcome::Committed(receipt) => match rejection {
                Some(Rejection::Refused(error)) => Err(ExecuteError::Refused(error)),
                Some(Rejection::Denied(reason)) => Err(ExecuteError::Denied { reason }),
                None => Ok(receipt),
            },
        })
    }
}
