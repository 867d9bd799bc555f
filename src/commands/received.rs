//! [`Received`]: a command with its id, before anything is asked or loaded.

use std::sync::Arc;

use uuid::Uuid;

use super::engine::Executed;
use super::{AnyCommand, Context, ExecuteError, Refusal};
use crate::aggregates::Kind;
use crate::events::Ref;
use crate::store::{Commit, KnownCommand, StreamAppend};

/// A command as it came, with its id: nothing has been asked or loaded yet.
pub(super) struct Received {
    pub(super) command: Box<dyn AnyCommand>,
    pub(super) context: Context,
    pub(super) id: Uuid,
    pub(super) digest: [u8; 32],
    /// Whether the caller gave the id: then it is kept even if nothing happens.
    pub(super) given_id: bool,
}

impl Received {
    /// Whether somebody outside of this crate gave the id: it may have been used before.
    pub(super) fn is_callers(&self) -> bool {
        self.given_id && !self.context.is_own()
    }

    /// The id, if it may have been used before.
    pub(super) fn callers_id(&self) -> Option<Uuid> {
        self.is_callers().then_some(self.id)
    }

    /// The answer to a command whose id is in the log.
    pub(super) fn recall(&self, known: KnownCommand) -> Executed {
        match known.body_digest == self.digest {
            true => Ok(known.receipt),
            false => Err(ExecuteError::CommandIdReused(self.id)),
        }
    }

    /// Its aggregates: each of them named once, in a way that can be stored.
    pub(super) fn members(&self) -> Result<Vec<(Kind, Ref)>, ExecuteError<Refusal>> {
        let members = self.command.members();
        for (index, (_, aggregate)) in members.iter().enumerate() {
            aggregate.check()?;
            if members[..index].iter().any(|(_, earlier)| earlier == aggregate) {
                return Err(ExecuteError::SameAggregateTwice(aggregate.clone()));
            }
        }
        Ok(members)
    }

    /// The aggregates that it names.
    pub(super) fn references(&self) -> Vec<Ref> {
        self.command.members().into_iter().map(|(_, aggregate)| aggregate).collect()
    }

    /// A commit that writes nothing: the store answers whether it knows the id.
    pub(super) fn question(&self) -> Commit {
        self.commit("".into(), Vec::new(), false, None)
    }

    pub(super) fn commit(
        &self,
        metadata: Arc<str>,
        streams: Vec<StreamAppend>,
        keep: bool,
        order_group: Option<u64>,
    ) -> Commit {
        let commit = Commit::new(
            self.id,
            self.command.name().to_owned(),
            self.digest,
            metadata,
            self.context.happened_at(),
            streams,
            keep,
            order_group,
        );
        if self.given_id { commit } else { commit.fresh() }
    }
}
