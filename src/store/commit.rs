//! What is appended, and what came of it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::PartsDigest;
use crate::events::{LogPosition, Ref, Stored};

/// An event on its way to the log: its type, its version, and its payload as JSON text.
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

    /// `project_member.added`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// `1.0`.
    #[must_use]
    pub fn event_version(&self) -> &str {
        &self.event_version
    }

    /// JSON text, to be stored byte for byte.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }
}

/// One aggregate of a commit: the sequence it was decided on, and the events that follow (none, if it was only read).
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

    /// Which aggregate.
    #[must_use]
    pub fn aggregate(&self) -> &Ref {
        &self.aggregate
    }

    /// The sequence of its last event when the command was decided: it must still be that.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// The new events, in order: they get the sequences `expected + 1`, `expected + 2`, …
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

/// All that one command does: appended whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    command_id: Uuid,
    command: String,
    body_digest: [u8; 32],
    metadata: Arc<str>,
    occurred_at: Option<Timestamp>,
    streams: Vec<StreamAppend>,
    keep: bool,
    order_group: Option<u64>,
    fresh: bool,
    bytes: usize,
}

impl Commit {
    /// `keep`: whether the command id is kept although nothing happened (a caller's id, and no refusal).
    #[allow(clippy::too_many_arguments, reason = "the columns of the record, given once")]
    pub(crate) fn new(
        command_id: Uuid,
        command: String,
        body_digest: [u8; 32],
        metadata: Arc<str>,
        occurred_at: Option<Timestamp>,
        mut streams: Vec<StreamAppend>,
        keep: bool,
        order_group: Option<u64>,
    ) -> Self {
        let occurred_at = occurred_at.map(micros);
        let mut bytes = 0;
        for stream in &mut streams {
            let mut sequence = stream.expected;
            stream.digests = stream
                .events
                .iter()
                .map(|event| {
                    sequence += 1;
                    bytes += event.payload.len() + metadata.len() + stream.aggregate.as_str().len();
                    digest_of(&stream.aggregate, sequence, event, &metadata, command_id, occurred_at)
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

    /// SHA-256 of the command's name and body, and of who gave it: the same id with another is refused.
    #[must_use]
    pub fn body_digest(&self) -> &[u8; 32] {
        &self.body_digest
    }

    /// The metadata of every event in it, as JSON text, to be stored byte for byte.
    #[must_use]
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// When it happened, in whole microseconds, where that was given; else it is `recorded_at`.
    #[must_use]
    pub fn occurred_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// The aggregates that it names: those it writes and those it only read.
    #[must_use]
    pub fn streams(&self) -> &[StreamAppend] {
        &self.streams
    }

    /// Whether a `commands` row is written: always with events; without, for a caller's id that was not refused.
    #[must_use]
    pub fn keeps_command(&self) -> bool {
        self.keep
    }

    /// How many events it appends.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.streams.iter().map(|stream| stream.events.len()).sum()
    }

    /// About how many bytes it appends.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn order_group(&self) -> Option<u64> {
        self.order_group
    }

    /// Its id was made for it just now, by chance: nobody has used it before.
    pub(crate) fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// Commits in the order in which they were decided, to be appended in one transaction. Only this crate makes one.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    commits: Arc<Vec<Commit>>,
    sent: bool,
}

impl Batch {
    pub(crate) fn new(commits: Vec<Commit>) -> Self {
        Self { commits: Arc::new(commits), sent: false }
    }

    /// The commits, in order.
    #[must_use]
    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// Whether the commit's id may be in the log: else there is no need to look for it. It is new when it was made for
    /// this commit and the batch was never sent before; the constraint on command ids stands all the same.
    #[must_use]
    pub fn may_be_stored(&self, commit: &Commit) -> bool {
        self.sent || !commit.fresh
    }

    /// Whether an earlier sending of it was lost.
    pub(crate) fn was_sent(&self) -> bool {
        self.sent
    }

    /// The same batch, of which a sending was lost: it may be in the log.
    pub(crate) fn resent(&self) -> Self {
        Self { commits: self.commits.clone(), sent: true }
    }
}

/// What a command got: where its events lie. The same command id gets the same receipt again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The command's id.
    pub command_id: Uuid,
    /// The position of its first event; the log's head then, if it had none.
    pub first_position: u64,
    /// How many events it appended.
    pub events: u64,
    /// The place of its last event (of the log's head then, if it had none): what to wait for to read this write.
    pub head: LogPosition,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether the id was in the log before this answer: by an earlier execution under it, or, for an id that the caller
    /// gave, by this one when its first answer was lost on the way from the database.
    pub repeated: bool,
}

/// What came of one commit of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log, durably. (For a commit without events: what it was decided on still holds.)
    Committed(Receipt),
    /// Its command id was there already, with the same body: here is the first receipt.
    Duplicate(Receipt),
    /// Its command id was there already, with another name or body.
    IdReused,
    /// An aggregate has moved on, or an earlier commit that this one builds on failed: decide again.
    Conflict,
}

impl Outcome {
    /// Whether later commits that name the same aggregates were decided on a state that never was.
    #[must_use]
    pub fn poisons(&self) -> bool {
        !matches!(self, Self::Committed(_))
    }
}

/// The aggregates that a failed commit named: every later commit that names one of them fails too, transitively.
///
/// A store that appends commit by commit keeps one for each batch: without it, a later commit's sequence could fit
/// by luck on a state that never was.
#[derive(Clone, Debug, Default)]
pub struct ConflictSet {
    everything: bool,
    aggregates: HashSet<Ref>,
    order_groups: HashSet<u64>,
}

impl ConflictSet {
    /// Whether `commit` was decided on something that failed.
    #[must_use]
    pub fn affects(&self, commit: &Commit) -> bool {
        self.everything
            || commit.order_group.is_some_and(|order_group| self.order_groups.contains(&order_group))
            || commit.streams.iter().any(|stream| self.aggregates.contains(&stream.aggregate))
    }

    /// Notes that `commit` failed.
    pub fn add(&mut self, commit: &Commit) {
        self.order_groups.extend(commit.order_group);
        self.aggregates.extend(commit.streams.iter().map(|stream| stream.aggregate.clone()));
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everything && self.aggregates.is_empty() && self.order_groups.is_empty()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.everything |= other.everything;
        self.aggregates.extend(other.aggregates);
        self.order_groups.extend(other.order_groups);
    }

    /// The log is not the one that was decided on: whatever is in memory fails.
    pub(crate) fn add_all(&mut self) {
        self.everything = true;
    }

    pub(crate) fn is_all(&self) -> bool {
        self.everything
    }

    pub(crate) fn aggregates(&self) -> impl Iterator<Item = &Ref> {
        self.aggregates.iter()
    }
}

/// A time in whole microseconds, as the log keeps it.
pub(crate) fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// SHA-256 over what the writer gave: aggregate type and id, sequence, event type and version, payload, metadata,
/// command id and, where given, the time it happened (microseconds); every part with its length before it.
#[must_use]
pub fn digest_of(
    aggregate: &Ref,
    sequence: u64,
    event: &NewEvent,
    metadata: &str,
    command_id: Uuid,
    occurred_at: Option<Timestamp>,
) -> [u8; 32] {
    let mut hash = PartsDigest::default();
    let mut part = |bytes: &[u8]| hash.add(bytes);
    part(aggregate.kind().as_bytes());
    part(aggregate.id().as_bytes());
    part(&sequence.to_le_bytes());
    part(event.event_type.as_bytes());
    part(event.event_version.as_bytes());
    part(event.payload.as_bytes());
    part(metadata.as_bytes());
    part(command_id.as_bytes());
    match occurred_at {
        Some(time) => part(&time.as_microsecond().to_le_bytes()),
        None => part(&[]),
    }
    hash.finish()
}

/// Whether the row's digest is that of its columns.
pub(crate) fn digest_holds(stored: &Stored) -> bool {
    let event = NewEvent::new(stored.event_type.clone(), stored.event_version.clone(), stored.payload.clone());
    let digest = |occurred_at| {
        digest_of(&stored.aggregate, stored.sequence, &event, &stored.metadata, stored.command_id, occurred_at)
    };
    digest(Some(stored.occurred_at)) == stored.digest
        || stored.occurred_at == stored.recorded_at && digest(None) == stored.digest
}
