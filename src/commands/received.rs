//! [`Received`]: a command with its id, before access control and loading.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use uuid::Uuid;

use super::engine::Executed;
use super::member::Member;
use super::{AnyCommand, Context, ExecuteError, Refusal};
use crate::aggregates::AggregateType;
use crate::events::Ref;
use crate::events::personal::PERSONAL;
use crate::store::{Commit, EventMetadata, KnownCommand, StreamAppend};

/// The text that is recorded instead of a refusal's reason, if the reason may contain personal values.
pub(crate) fn unrecorded(command: &dyn AnyCommand) -> String {
    format!("{PERSONAL} ({})", command.error_type())
}

/// A command with its id, before access control is asked and anything is loaded.
pub(super) struct Received {
    pub(super) command: Box<dyn AnyCommand>,
    pub(super) context: Context,
    pub(super) id: Uuid,
    pub(super) digest: [u8; 32],
    /// Whether the context had the id: then the log keeps it even if the command decides no events.
    pub(super) given_id: bool,
    /// Whether its handler has opened a personal value.
    pub(super) opened: AtomicBool,
}

impl Received {
    /// Whether the caller gave the id, which may have been used before.
    pub(super) fn has_caller_id(&self) -> bool {
        self.given_id && !self.context.is_internal()
    }

    /// The id, if the caller gave it.
    pub(super) fn caller_id(&self) -> Option<Uuid> {
        self.has_caller_id().then_some(self.id)
    }

    /// Answers the command from the log, which already has its id.
    pub(super) fn answer_known(&self, known: KnownCommand) -> Executed {
        match known.body_digest == self.digest {
            true => Ok(known.receipt),
            false => Err(ExecuteError::CommandIdReused(self.id)),
        }
    }

    /// The command's aggregates. Each must be a valid reference, and named once.
    pub(super) fn checked_aggregates(&self) -> Result<Vec<(AggregateType, Ref)>, ExecuteError<Refusal>> {
        let aggregates = self.command.aggregates();
        for (index, (_, aggregate)) in aggregates.iter().enumerate() {
            aggregate.check()?;
            if aggregates[..index].iter().any(|(_, earlier)| earlier == aggregate) {
                return Err(ExecuteError::SameAggregateTwice(aggregate.clone()));
            }
        }
        Ok(aggregates)
    }

    /// The aggregates about which access control is asked.
    pub(super) fn references(&self) -> Vec<Ref> {
        self.command.asked_about()
    }

    /// The reason of a refusal, as it may be recorded: it may repeat personal values of the command, or of the states that it was
    /// decided on, so it is not kept then.
    pub(super) fn recordable(&self, refusal: &Refusal) -> String {
        match self.command.is_personal() || self.opened.load(Ordering::Relaxed) {
            true => unrecorded(&*self.command),
            false => refusal.to_string(),
        }
    }

    /// A commit without events on these aggregates: its outcome says whether the log has the id, and whether the aggregates
    /// have changed.
    pub(super) fn empty_commit(&self, members: &mut [Member]) -> Commit {
        self.commit(
            EventMetadata::same("".into()),
            self.digest,
            members.iter_mut().map(Member::take_append).collect(),
            false,
            None,
            None,
        )
    }

    pub(super) fn commit(
        &self,
        metadata: EventMetadata,
        digest: [u8; 32],
        appends: Vec<StreamAppend>,
        keep: bool,
        occurred_at: Option<Timestamp>,
        order_group: Option<u64>,
    ) -> Commit {
        let commit = Commit::new(
            self.id,
            self.command.name().to_owned(),
            digest,
            metadata,
            occurred_at,
            appends,
            keep,
            order_group,
        );
        if self.given_id { commit } else { commit.fresh() }
    }
}
