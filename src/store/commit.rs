//! [`Batch`], [`Commit`], [`StreamAppend`] and [`NewEvent`]: the input of an append; [`Outcome`] and [`Receipt`]: its
//! result.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::events::{LogPosition, Ref};
use crate::store::event_digest::digest_of;
use crate::store::requirements::{self, Known};
use crate::store::{EventMetadata, StoreError, micros};

/// A new event: its type, its version, and its payload as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    event_type: Cow<'static, str>,
    event_version: Cow<'static, str>,
    payload: String,
}

impl NewEvent {
    pub(crate) fn new(
        event_type: impl Into<Cow<'static, str>>,
        event_version: impl Into<Cow<'static, str>>,
        payload: String,
    ) -> Self {
        Self { event_type: event_type.into(), event_version: event_version.into(), payload }
    }

    /// The type's name, such as `project_member.added`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The type's version, such as `1.0`.
    #[must_use]
    pub fn event_version(&self) -> &str {
        &self.event_version
    }

    /// The payload as JSON text, stored byte for byte.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }
}

/// One aggregate of a commit: the sequence on which the command was decided, and the new events (none if the aggregate
/// was only read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAppend {
    aggregate: Ref,
    expected: u64,
    events: Vec<NewEvent>,
    digests: Vec<[u8; 32]>,
}

impl StreamAppend {
    pub(crate) fn new(aggregate: Ref, expected: u64, events: Vec<NewEvent>) -> Self {
        Self { aggregate, expected, events, digests: Vec::new() }
    }

    /// The aggregate's reference.
    #[must_use]
    pub fn aggregate(&self) -> &Ref {
        &self.aggregate
    }

    /// The sequence of the aggregate's last event when the command was decided. It must not have changed.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// The new events, in order. They get the sequences `expected + 1`, `expected + 2`, …
    #[must_use]
    pub fn events(&self) -> &[NewEvent] {
        &self.events
    }

    /// The digest of each new event: see [`digest_of`].
    #[must_use]
    pub fn digests(&self) -> &[[u8; 32]] {
        &self.digests
    }
}

/// The effect of one command: appended as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    command_id: Uuid,
    command: String,
    body_digest: [u8; 32],
    metadata: EventMetadata,
    occurred_at: Option<Timestamp>,
    streams: Vec<StreamAppend>,
    keep: bool,
    order_group: Option<u64>,
    valid_until: Option<Timestamp>,
    fresh: bool,
    bytes: usize,
}

/// A sequence that no aggregate has.
const NEVER: u64 = u64::MAX / 4;

impl Commit {
    /// `keep`: whether the command id is recorded even without events (an id that the caller gave, and no refusal).
    #[allow(clippy::too_many_arguments, reason = "the columns of the record, given once")]
    pub(crate) fn new(
        command_id: Uuid,
        command: String,
        body_digest: [u8; 32],
        metadata: EventMetadata,
        occurred_at: Option<Timestamp>,
        mut streams: Vec<StreamAppend>,
        keep: bool,
        order_group: Option<u64>,
    ) -> Self {
        let occurred_at = occurred_at.map(micros);
        let (mut bytes, mut index) = (0, 0);
        for stream in &mut streams {
            let mut sequence = stream.expected;
            stream.digests = stream
                .events
                .iter()
                .map(|event| {
                    sequence += 1;
                    let metadata = metadata.of(index);
                    index += 1;
                    bytes += event.payload.len() + metadata.len() + stream.aggregate.as_str().len();
                    digest_of(&stream.aggregate, sequence, event, metadata, command_id, occurred_at)
                })
                .collect();
        }
        let keep = keep || streams.iter().any(|stream| !stream.events.is_empty());
        Self {
            command_id,
            command,
            body_digest,
            metadata,
            occurred_at,
            streams,
            keep,
            order_group,
            valid_until: None,
            fresh: false,
            bytes,
        }
    }

    /// The command's id.
    #[must_use]
    pub fn command_id(&self) -> Uuid {
        self.command_id
    }

    /// The command's name.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// SHA-256 of the command's name, body and actor: the same id with another digest is refused.
    #[must_use]
    pub fn body_digest(&self) -> &[u8; 32] {
        &self.body_digest
    }

    /// The metadata of one of its events as JSON text, stored byte for byte. The index counts from 0 over all
    /// [streams](Self::streams).
    #[must_use]
    pub fn metadata(&self, index: usize) -> &str {
        self.metadata.of(index)
    }

    /// The time of occurrence in whole microseconds, if it was given; otherwise it is `recorded_at`.
    #[must_use]
    pub fn occurred_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// The aggregates that it names: those that it writes and those that it only read.
    #[must_use]
    pub fn streams(&self) -> &[StreamAppend] {
        &self.streams
    }

    /// Returns whether a `commands` row is written: for every commit with events, and for one without events if the
    /// caller gave the id and the command was not refused.
    #[must_use]
    pub fn keeps_command(&self) -> bool {
        self.keep
    }

    /// The number of its events.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.streams.iter().map(|stream| stream.events.len()).sum()
    }

    /// The approximate number of bytes that it appends.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The end of the right by which the command was allowed: the commit must be recorded before.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.valid_until
    }

    /// Sets the end of the right by which the command was allowed.
    pub(crate) fn until(self, valid_until: Option<Timestamp>) -> Self {
        Self { valid_until, ..self }
    }

    /// Whether it may no longer be recorded at this time.
    pub(crate) fn is_expired(&self, time: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| until <= time)
    }

    /// The same commit as one that conflicts, unless the log has its id.
    fn conflicting(mut self) -> Self {
        self.streams.iter_mut().for_each(|stream| stream.expected = NEVER);
        Self { valid_until: None, ..self }
    }

    /// What the log requires of each program that appends to it, once the events of this commit are in it. The store keeps the
    /// name in the transaction of the commit: see [`Batch::check_requirements`].
    #[must_use]
    pub fn requires(&self) -> Option<&'static str> {
        let mut written = self.streams.iter().filter(|stream| !stream.events.is_empty());
        written.find_map(|stream| requirements::required_by(&stream.aggregate))
    }

    /// The group of commits that must be committed in their order: after a failure, the later ones fail too.
    pub(crate) fn order_group(&self) -> Option<u64> {
        self.order_group
    }

    /// Marks the command id as newly generated: no earlier command can have it.
    pub(crate) fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// Commits in the order in which they were decided, appended in one transaction. Only this crate can construct one.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    commits: Arc<Vec<Commit>>,
    sent: bool,
    /// What its program knows that a log may require.
    known: Known,
}

impl Batch {
    pub(crate) fn new(commits: Vec<Commit>) -> Self {
        Self { commits: Arc::new(commits), ..Self::default() }
    }

    /// The same batch, of a program that knows this.
    pub(crate) fn knowing(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// A batch of these commits of it, which was sent as often.
    pub(crate) fn part(&self, commits: Vec<Commit>, sent: bool) -> Self {
        Self { commits: Arc::new(commits), sent, known: self.known }
    }

    /// Checks that its program knows all that the log requires: names, separated by spaces.
    ///
    /// # Errors
    /// [`StoreError::Requires`]: nothing of the batch may be written.
    pub fn check_requirements(&self, required: &str) -> Result<(), StoreError> {
        requirements::check(required, self.known)
    }

    /// What its program knows that a log may require.
    #[cfg(feature = "postgres")]
    pub(crate) fn known(&self) -> Known {
        self.known
    }

    /// The commits, in order.
    #[must_use]
    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// Returns whether the commit's id may be in the log: if not, the store need not look it up. An id is new when it
    /// was generated for this commit and the batch is sent for the first time. The unique constraint on command ids
    /// applies in any case.
    #[must_use]
    pub fn may_be_stored(&self, commit: &Commit) -> bool {
        self.sent || !commit.fresh
    }

    /// The time before which all of the batch must be recorded: the earliest [`Commit::valid_until`].
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.commits.iter().filter_map(Commit::valid_until).min()
    }

    /// The batch without the effects of commits that have expired at this time: they conflict, unless the log has their ids.
    /// `None` if there are none.
    pub(crate) fn without_expired(&self, time: Timestamp) -> Option<Self> {
        let expired = |commit: &Commit| commit.is_expired(time);
        self.commits.iter().any(expired).then(|| {
            let commits = self.commits.iter().cloned();
            let commits = commits.map(|commit| if expired(&commit) { commit.conflicting() } else { commit });
            self.part(commits.collect(), self.sent)
        })
    }

    /// Returns whether the batch was sent before and its answer was lost.
    pub(crate) fn was_sent(&self) -> bool {
        self.sent
    }

    /// Returns the same batch for another attempt: after a lost answer it may be in the log.
    pub(crate) fn resent(&self) -> Self {
        Self { sent: true, ..self.clone() }
    }
}

/// The positions of a command's events in the log. The same command id gets the same receipt again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The command's id.
    pub command_id: Uuid,
    /// The position of its first event; the log's head at that time, if it had none.
    pub first_position: u64,
    /// The number of its events.
    pub events: u64,
    /// The position of its last event, or of the log's head at that time if it had none: wait for it to read this
    /// write.
    pub head: LogPosition,
    /// The time at which it was recorded.
    pub recorded_at: Timestamp,
    /// Whether the id was in the log before this answer: from an earlier execution with the same id, or, for an id that
    /// the caller gave, from this execution if the database's first answer was lost.
    pub repeated: bool,
}

/// The outcome of one commit of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The commit is in the log, durably. (For a commit without events: its expected sequences are still right.)
    Committed(Receipt),
    /// The command id was in the log already, with the same body: the first receipt.
    Duplicate(Receipt),
    /// The command id was in the log already, with another name, body or actor.
    IdReused,
    /// An aggregate has newer events, or an earlier commit that this one depends on failed: decide again.
    Conflict,
}

impl Outcome {
    /// Returns whether the commit is in the log by this append.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed(_))
    }
}
