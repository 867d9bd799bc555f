//! [`Received`]: a command with its id, before access control and loading.

use jiff::Timestamp;
use uuid::Uuid;

use super::engine::Executed;
use super::member::Member;
use super::{AnyCommand, Context, ExecuteError, Refusal};
use crate::aggregates::AggregateType;
use crate::events::Ref;
use crate::store::{Commit, EventMetadata, KnownCommand, StreamAppend};

/// A command with its id, before access control is asked and anything is loaded.
pub(super) struct Received {
    pub(super) command: Box<dyn AnyCommand>,
    pub(super) context: Context,
    pub(super) id: Uuid,
    pub(super) digest: [u8; 32],
    /// Whether the context had the id: then the log keeps it even if the command decides no events.
    pub(super) given_id: bool,
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

    /// The references of the command's aggregates.
    pub(super) fn references(&self) -> Vec<Ref> {
        self.command.aggregates().into_iter().map(|(_, aggregate)| aggregate).collect()
    }

    /// A commit without events on these aggregates: its outcome says whether the log has the id, and whether the aggregates
    /// have changed.
    pub(super) fn empty_commit(&self, members: &mut [Member]) -> Commit {
        self.commit(
            EventMetadata::same("".into()),
            members.iter_mut().map(Member::take_append).collect(),
            false,
            None,
            None,
        )
    }

    pub(super) fn commit(
        &self,
        metadata: EventMetadata,
        appends: Vec<StreamAppend>,
        keep: bool,
        occurred_at: Option<Timestamp>,
        order_group: Option<u64>,
    ) -> Commit {
        let commit = Commit::new(
            self.id,
            self.command.name().to_owned(),
            self.digest,
            metadata,
            occurred_at,
            appends,
            keep,
            order_group,
        );
        if self.given_id { commit } else { commit.fresh() }
    }
}
