//! The [`Store`] trait: the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Batch, Finding, HashChain, Interest, LogInfo, Outcome, Page, Receipt, StandbyStatus, Views, default_reads,
    requirements,
};
use crate::BoxError;
use crate::events::{LogPosition, Ref, Stored};

/// A function that returns the current time. Tests pass their own: see `annals::testing::TestClock`.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Options for opening a store.
#[derive(Clone)]
pub struct OpenOptions {
    /// The application's name, saved in the store: the store of another application is refused.
    pub app: String,
    /// The clock for `recorded_at` and event ids. Where it is ahead of the store's own clock (the database server's, or
    /// this machine's), the store's clock counts.
    pub clock: Clock,
    /// Whether a missing store is created. Commands that only read do not create one.
    pub create: bool,
}

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions").field("app", &self.app).field("create", &self.create).finish_non_exhaustive()
    }
}

/// An error of a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL, shown without its password, has no known scheme.
    #[error(
        "`{0}` is not the URL of a store: write sqlite://FILE.db, sqlite::memory:, postgres://HOST/DATABASE or nats://HOST/NAME"
    )]
    UnknownUrl(String),
    /// The program was built without the store of the URL's scheme.
    #[error("this program cannot open `{url}`: build it with the feature `{feature}` of the crate annals")]
    NotBuilt {
        /// The URL, shown without its password.
        url: String,
        /// The feature that has the store.
        feature: &'static str,
    },
    /// The store does not exist, and was not to be created.
    #[error("there is no store at `{0}`: execute a command to create it, or name another store with --store")]
    Missing(String),
    /// The store cannot be opened or used.
    #[error("the store `{store}` cannot be used: {reason}")]
    Unusable {
        /// Its URL.
        store: String,
        /// The reason, and what to do.
        reason: String,
    },
    /// The store was created by a newer version of this crate.
    #[error("the store has schema version {found}, but this program supports at most {known}: use a newer program")]
    Newer {
        /// The store's schema version.
        found: i64,
        /// The newest version that this program supports.
        known: i64,
    },
    /// Another writer held the lock for too long. Nothing was written.
    #[error(
        "the store's write lock was not free within {0:?}; nothing was written: try again, or find the process that holds it"
    )]
    Busy(Duration),
    /// The batch would be recorded at this time, which is not before [`Batch::valid_until`]. Nothing was written.
    #[error("the right by which a command was allowed ended before {0}, when it would have been recorded")]
    Expired(Timestamp),
    /// The log requires something of each program that appends to it that this program does not know. Nothing was written.
    #[error("this program may not append to the log, which requires `{0}`: {advice}", advice = requirements::advice(.0))]
    Requires(String),
    /// All connections of this program to the store were in use for too long. Nothing was done.
    #[error(
        "no connection to the store was free within {0:?}: too many requests use it, or slow ones; try again later"
    )]
    NoneFree(Duration),
    /// The log no longer has the event that it had at a position.
    #[error("the log was replaced while this program used it: event {} is no longer {} (was a backup restored?)", .0.position, .0.event_id)]
    Diverged(LogPosition),
    /// The store was closed. Nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The transaction may or may not have been committed.
    #[error("it is unknown whether the store committed the transaction")]
    OutcomeUnknown(#[source] BoxError),
    /// The database rejects the data of this batch, after it has looked up the command ids. Nothing was written.
    #[error("{doing} failed: the database rejects the data")]
    Rejected {
        /// The operation that failed.
        doing: &'static str,
        /// The database's error.
        source: BoxError,
    },
    /// The database refuses the operation. Nothing was written.
    #[error("{doing} failed")]
    Database {
        /// The operation that failed.
        doing: &'static str,
        /// The database's error.
        source: BoxError,
    },
    /// A row that this crate cannot have written.
    #[error("row {position} of the log cannot be read: {reason}")]
    Corrupt {
        /// Its position.
        position: u64,
        /// The fault.
        reason: String,
    },
}

impl StoreError {
    /// Returns a [`Database`](Self::Database) error for a failure that this crate detected.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn failed(doing: &'static str, reason: impl Into<String>) -> Self {
        Self::Database { doing, source: reason.into().into() }
    }

    /// Returns [`UnknownUrl`](Self::UnknownUrl) without the password that the URL may contain.
    pub(crate) fn unknown_url(url: &str) -> Self {
        Self::UnknownUrl(super::redact_url(url))
    }
}

/// The record of a command id in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCommand {
    /// SHA-256 of the command's name, body and actor.
    pub body_digest: [u8; 32],
    /// The command's receipt, marked as repeated.
    pub receipt: Receipt,
    /// The command's name.
    pub command: String,
}

/// A cached state of an aggregate: the fold of its first events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The sequence of the last event in it.
    pub sequence: u64,
    /// The id of that event. A snapshot is used only while the log has that event: a restored backup may not.
    pub event_id: Uuid,
    /// The [`HashChain`] over the digests of the events from 1 to `sequence`.
    pub digest: HashChain,
    /// The shape of the state: a snapshot of another shape is ignored.
    pub shape: String,
    /// The state, as JSON text.
    pub state: String,
}

/// An ordered, immutable log of events.
///
/// Another crate may implement it, and proves it with the [conformance suite](super::conformance). It needs twelve
/// methods, a [`WriteLock`] and [`Views`]; the other methods have defaults. The guide "Writing a store"
/// (`docs/guide/writing-a-store.md`) has the list of rules. Only this crate makes a [`Batch`], so every event comes
/// from a command.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Appends the batch in one transaction and returns the outcome of each commit, in order, once that is durable.
    ///
    /// For each commit in turn, on the log as earlier commits of the batch leave it:
    /// 1. its command id is known: `Duplicate` or `IdReused`;
    /// 2. it names an aggregate that an earlier commit of the batch would have written, or belongs to its order group, and
    ///    that commit was not committed ([`ConflictSet`](super::ConflictSet)): `Conflict`;
    /// 3. the last sequence of an aggregate is not the expected one: `Conflict`;
    /// 4. otherwise its events get the next positions, ids and times, and it is `Committed`. If its time would not be before
    ///    [`Batch::valid_until`], nothing of the batch is written: [`StoreError::Expired`].
    ///
    /// The last event that was appended through this handle must still be in the log: otherwise
    /// [`StoreError::Diverged`], once.
    ///
    /// The log keeps what it requires of programs. The program of the batch must know all of it
    /// ([`Batch::check_requirements`]), also if the batch writes nothing: otherwise [`StoreError::Requires`]. With a commit that
    /// has events, the log requires [`Commit::requires`](super::Commit::requires) too, in the same transaction.
    ///
    /// One task calls this, and awaits each call to its end before the next: a store needs no queue of its own.
    ///
    /// # Errors
    /// Nothing of the batch was written, unless the error is [`StoreError::OutcomeUnknown`]: then this crate sends the
    /// same batch again. [`StoreError::Rejected`] says that the data of the batch are at fault; the command ids were looked
    /// up first, so that the error also settles an earlier sending whose outcome was unknown.
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError>;

    /// Locks the log against all other writers, of this and of other processes, for at most `hold`, waiting at most
    /// `wait`. Dropping the lock releases it.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the lock was not free in time.
    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError>;

    /// Returns the position of the last event.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn head(&self) -> Result<LogPosition, StoreError>;

    /// Returns the id of the log, and what it requires of programs.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn info(&self) -> Result<LogInfo, StoreError>;

    /// Returns the time of the clock that [`OpenOptions::clock`] may not be ahead of: of the database server, or by default of this
    /// machine.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn time(&self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::now())
    }

    /// Checks that commands can be executed now: that the log can be read and written. Health checks call this.
    ///
    /// # Errors
    /// Why not. A store that has lost its connection to the database connects again.
    async fn ready(&self) -> Result<(), StoreError> {
        self.head().await.map(drop)
    }

    /// Whether the log can only be read, because of where it is: no command can be executed as long as it is open.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Returns the standby from which views are read, if there is one.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn standby(&self) -> Result<Option<StandbyStatus>, StoreError> {
        Ok(None)
    }

    /// Returns a channel that changes whenever the log has grown, in this or in another process.
    fn watch(&self) -> watch::Receiver<LogPosition>;

    /// Returns at most `limit` wanted events after the position `after`, in order, and the position up to which the
    /// page is complete: the head as it was before the events were read, or the last event if the page is full.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError>;

    /// Returns the page that [`read`](Self::read) returns, but ends it with the event with which payloads and metadata have
    /// `bytes` bytes or more: then it is complete up to that event.
    ///
    /// It bounds the memory of projections, so a store should not read much more than it returns. By default it reads a few
    /// events first, and then as many as are likely to fit.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read_bounded(
        &self,
        after: u64,
        limit: usize,
        bytes: usize,
        interest: &Interest,
    ) -> Result<Page, StoreError> {
        default_reads::read_bounded(self, after, limit, bytes, interest).await
    }

    /// Returns the events at these positions, in order of position; positions without an event are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError>;

    /// Returns the events at these positions, in this order, up to the one with which their payloads and metadata have
    /// `bytes` bytes or more. Positions without an event are left out.
    ///
    /// It bounds the memory of a reader, so a store should not read much more than it returns. By default it reads few events
    /// at a time with [`read_at`](Self::read_at).
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read_within(&self, positions: &[u64], bytes: usize) -> Result<Vec<Stored>, StoreError> {
        default_reads::read_within(self, positions, bytes).await
    }

    /// Returns at most `limit` events of one aggregate after a sequence, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;

    /// Returns the events that [`load`](Self::load) returns, up to the one with which their payloads and metadata have `bytes`
    /// bytes or more.
    ///
    /// It bounds the memory of a reader, so a store should not read much more than it returns. By default it loads a few
    /// events first, and then as many as are likely to fit.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load_within(
        &self,
        aggregate: &Ref,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        default_reads::load_within(self, aggregate, after, limit, bytes).await
    }

    /// Looks up command ids; the answers are in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError>;

    /// Returns once all that can be read is as safe as what [`append`](Self::append) acknowledges. A store overrides it where
    /// commits can be read before: a database whose commits wait for a standby.
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`].
    async fn confirm(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns the tables and checkpoints of projections.
    fn views(&self) -> Arc<dyn Views>;

    /// Returns the faults that the database itself finds: its own integrity check, command rows that contradict events,
    /// triggers and rights that this crate did not make, and rows that this reader cannot see. Empty: no fault.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }

    /// Returns the number of commands without events whose ids are recorded; `None` if the store does not count them.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn count_eventless_commands(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Copies the log, as of one moment, to a new file; `progress` gets the pages done and their total number.
    /// No file is left when the future is dropped before its end.
    ///
    /// # Errors
    /// When the file exists already or cannot be written, or the store has no backup of its own.
    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        let _ = (to, progress);
        let reason = "it makes no backups: use the backup tool of its database".to_owned();
        Err(StoreError::Unusable { store: self.describe(), reason })
    }

    /// Describes durability and location: `SQLite WAL, synchronous=FULL, job_server.db`.
    fn describe(&self) -> String;

    /// Waits for running operations and closes files and connections. Later calls return [`StoreError::Closed`].
    async fn close(&self);
}

/// A lock of the log against all other writers.
#[async_trait]
pub trait WriteLock: Send {
    /// Returns the events of an aggregate after a sequence, as of now.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the lock has expired, or when the store cannot be read.
    async fn load(&mut self, aggregate: &Ref, after: u64) -> Result<Vec<Stored>, StoreError>;

    /// Appends like [`Store::append`], and releases the lock.
    ///
    /// # Errors
    /// See [`Store::append`]; [`StoreError::Busy`] when the lock has expired.
    async fn append(self: Box<Self>, batch: Batch) -> Result<Vec<Outcome>, StoreError>;
}

/// Publishes a new head to [`Store::watch`]. A position that is not higher than the last one published is ignored:
/// another task may have published a later head already.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn publish(sender: &watch::Sender<LogPosition>, head: Option<LogPosition>) {
    let Some(new) = head else { return };
    sender.send_if_modified(|old| {
        let grown = new.position > old.position;
        if grown {
            *old = new;
        }
        grown
    });
}
