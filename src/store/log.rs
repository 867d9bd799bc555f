//! The [`Store`] trait: the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Batch, Finding, HashChain, Outcome, Receipt, Views};
use crate::BoxError;
use crate::events::{LogPosition, Ref, Stored};

/// Tells the time. Tests give their own: see `annals::testing::Clock`.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// The name of the application, kept in the store: another application's store is refused.
    pub app: String,
    /// The clock of `recorded_at` and of event ids, while it is behind the store's own clock: the server's, or the
    /// machine's.
    pub clock: Clock,
    /// Whether the store is made when it is not there. Commands that only read do not make one.
    pub create: bool,
}

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions").field("app", &self.app).field("create", &self.create).finish_non_exhaustive()
    }
}

/// What a store answers when it cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL, shown without its password, names no kind of store.
    #[error("`{0}` names no store: write sqlite://FILE.db, sqlite::memory: or postgres://HOST/DATABASE")]
    UnknownUrl(String),
    /// The store is not there, and was not to be made.
    #[error("there is no store at `{0}`: execute a command to make one, or name another with --store")]
    Missing(String),
    /// The store cannot be opened or used.
    #[error("the store `{store}` cannot be used: {reason}")]
    Unusable {
        /// Its URL.
        store: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The store was made by a newer version of this crate.
    #[error("the store has schema version {found}, this program knows {known}: use a newer program")]
    Newer {
        /// The store's schema version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Another process kept the store to itself for too long. Nothing was written.
    #[error(
        "another process has held the store's write lock for {0:?}; nothing was written: try again, or see who holds it"
    )]
    Busy(Duration),
    /// The store does not have, at a position, the event that it had.
    #[error("the log has changed under this program: event {} is not {} any more (was a backup restored?)", .0.position, .0.event_id)]
    Diverged(LogPosition),
    /// The store was closed. Nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The transaction may or may not have been committed.
    #[error("it is not known whether the store committed")]
    OutcomeUnknown(#[source] BoxError),
    /// The database rejects the data of this very batch, after it has looked for the command ids. Nothing was written.
    #[error("{doing} failed: the database rejects the data")]
    Rejected {
        /// What was being done.
        doing: &'static str,
        /// What the database says.
        source: BoxError,
    },
    /// The database says no. Nothing was written.
    #[error("{doing} failed")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database says.
        source: BoxError,
    },
    /// A row does not hold what this crate writes.
    #[error("row {position} of the log cannot be read: {reason}")]
    Corrupt {
        /// Its position.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// No store is named by this URL, which may hold a password.
    pub(crate) fn unknown_url(url: &str) -> Self {
        Self::UnknownUrl(super::redact_url(url))
    }
}

/// Which events a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    /// All of them.
    #[default]
    All,
    /// Those with one of these names in the log (old names are names too).
    EventTypes(Vec<String>),
}

impl Interest {
    /// Whether it takes in this event.
    #[must_use]
    pub fn wants(&self, stored: &Stored) -> bool {
        match self {
            Self::All => true,
            Self::EventTypes(types) => types.contains(&stored.event_type),
        }
    }
}

/// A piece of the log: the wanted events after a position, and how far it stands for the log.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The wanted events, in order.
    pub events: Vec<Stored>,
    /// No wanted event up to here is missing. Equal to where the page begins when nothing is new.
    pub to: LogPosition,
}

/// What the store knows of a command id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCommand {
    /// SHA-256 of the name, body and actor that the id came with.
    pub body_digest: [u8; 32],
    /// Its receipt, marked as repeated.
    pub receipt: Receipt,
}

/// A cached state of an aggregate: its first events, as the log has them, folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The sequence of the last event in it.
    pub sequence: u64,
    /// The id of that event. A snapshot counts only while the log has it: a restored backup may not.
    pub event_id: Uuid,
    /// The [`HashChain`] over the digests of the events from 1 to `sequence`.
    pub digest: HashChain,
    /// What shape of state it is: another shape is ignored.
    pub shape: String,
    /// The state, as JSON text.
    pub state: String,
}

/// An ordered, immutable log of events. The conformance suite says what each method must keep.
///
/// An outside crate may implement it, but cannot append to it: a [`Batch`] is made in this crate alone.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Appends the batch in one transaction and answers each commit, in order, once that is durable.
    ///
    /// For each commit in turn, on what the log then holds, earlier commits of the batch included:
    /// 1. its command id is known: `Duplicate` or `IdReused`;
    /// 2. it names an aggregate, or belongs to a chain, of an earlier commit of the batch that was not committed
    ///    ([`ConflictSet`](super::ConflictSet)): `Conflict`;
    /// 3. an aggregate's last sequence is not the expected one: `Conflict`;
    /// 4. else its events get the next positions, ids and times, and it is `Committed`.
    ///
    /// The last event that was appended through this handle must still be in the log: else [`StoreError::Diverged`], once.
    ///
    /// # Errors
    /// Nothing of the batch was written, unless the error is [`StoreError::OutcomeUnknown`].
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError>;

    /// Locks the log against all other writers, of this and of other processes, for at most `hold`, waiting at most
    /// `wait` for it. Dropping it lets go.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it could not be had in time.
    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError>;

    /// The last event.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn head(&self) -> Result<LogPosition, StoreError>;

    /// Whether commands can be executed now: the log can be read, and written. Health checks ask this.
    ///
    /// # Errors
    /// Why not. A store that has lost the way to its database looks for it again.
    async fn ready(&self) -> Result<(), StoreError> {
        self.head().await.map(drop)
    }

    /// Moves whenever the log has grown, whoever wrote.
    fn watch(&self) -> watch::Receiver<LogPosition>;

    /// At most `limit` wanted events after the position `after`, in order, and how far the page stands for the log:
    /// the head as it was before the events were read, or the last event if the page is full.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError>;

    /// The events at these positions, in order of position; those that are not there are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError>;

    /// At most `limit` events of one aggregate after a sequence, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;

    /// What is known of these command ids, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError>;

    /// The first position recorded at or after `time`; one past the head, if there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn position_at(&self, time: Timestamp) -> Result<u64, StoreError>;

    /// The newest cached state of an aggregate, as it was kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load_snapshot(&self, aggregate: &Ref) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps a state, in place of an older one.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn save_snapshot(&self, aggregate: &Ref, snapshot: Snapshot) -> Result<(), StoreError>;

    /// The aggregates that have a snapshot.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn list_snapshots(&self) -> Result<Vec<Ref>, StoreError>;

    /// Deletes all snapshots, and returns how many there were. They are a cache: new ones are made from the log.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn delete_snapshots(&self) -> Result<u64, StoreError>;

    /// Where projections keep what they make.
    fn views(&self) -> Arc<dyn Views>;

    /// What the database itself finds wrong: its own integrity check, rows of commands that contradict events, triggers
    /// and rights that are not as this crate makes them, and that this reader does not see all. Empty: nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError>;

    /// Copies the log, as of one moment, to a new file; `progress` hears of pages done and in all.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError>;

    /// Durability and place, in words: `SQLite WAL, synchronous=FULL, job_server.db`.
    fn describe(&self) -> String;

    /// Finishes what is under way and lets go of files and connections.
    async fn close(&self);
}

/// The log, locked against all other writers.
#[async_trait]
pub trait WriteLock: Send {
    /// The events of an aggregate after a sequence, as of now.
    ///
    /// # Errors
    /// When the store cannot be read, or the lock's time is over.
    async fn load(&mut self, aggregate: &Ref, after: u64) -> Result<Vec<Stored>, StoreError>;

    /// Appends and lets go: see [`Store::append`].
    ///
    /// # Errors
    /// See [`Store::append`]; [`StoreError::Busy`] when the lock's time is over.
    async fn append(self: Box<Self>, batch: Batch) -> Result<Vec<Outcome>, StoreError>;
}
