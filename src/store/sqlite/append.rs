//! Appends a batch in one transaction.

use std::any::Any;
use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::location::FileLocation;
use super::log_end::{BoundedClock, ClockReading, LogEnd};
use super::requirements::require;
use super::rows::{self, time};
use crate::events::{LogPosition, Ref};
use crate::store::clock;
use crate::store::requirements;
use crate::store::sequence_cache::SequenceCache;
use crate::store::{Batch, Commit, ConflictSet, Outcome, Receipt, StoreError};
use crate::text::panic_message;

pub(in crate::store) const DOING: &str = "appending";

const LOG_END: &str = "SELECT position, event_id, recorded_at, (SELECT value FROM meta WHERE key = 'requires') \
     FROM events ORDER BY position DESC LIMIT 1";
pub(in crate::store) const EVENT_ID: &str = "SELECT event_id FROM events WHERE position = ?1";
const SEQUENCE: &str = "SELECT sequence FROM events WHERE aggregate_type = ?1 AND aggregate_id = ?2 \
     ORDER BY sequence DESC LIMIT 1";
// A failed insert rolls the whole batch back: to undo one statement alone, SQLite would keep a journal for each.
pub(in crate::store) const EVENT: &str =
    "INSERT OR ROLLBACK INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
// With its columns: a log of version 2 has one more.
pub(in crate::store) const COMMAND: &str = "INSERT OR ROLLBACK INTO commands (command_id, command, body_digest, first_position, events, \
     head_position, head_event_id, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Begins, appends and commits. Returns the outcomes, and the new head if the log has grown. The last event in
/// `sequences` must still be in the log; the batch is added to them. On an error nothing was written, unless it is
/// `OutcomeUnknown`.
pub(super) fn append(
    location: &FileLocation,
    connection: &Connection,
    batch: &Batch,
    clock: &BoundedClock,
    sequences: &mut SequenceCache,
) -> Result<(Vec<Outcome>, Option<LogPosition>), StoreError> {
    begin(location, connection, "BEGIN IMMEDIATE")?;
    let (outcomes, base, head) = write(location, connection, batch, clock, Some(sequences))?;
    sequences.record(base, batch, head, outcomes.iter().all(Outcome::is_committed));
    Ok((outcomes, head))
}

/// Answers a batch that writes nothing: from one snapshot, without the write lock.
pub(super) fn answer(
    location: &FileLocation,
    connection: &Connection,
    batch: &Batch,
    clock: &BoundedClock,
    seen: LogPosition,
) -> Result<Vec<Outcome>, StoreError> {
    begin(location, connection, "BEGIN")?;
    check_last_seen(location, connection, seen)?;
    append_and_commit(location, connection, batch, clock).map(|(outcomes, _)| outcomes)
}

pub(in crate::store) fn begin(
    location: &FileLocation,
    connection: &Connection,
    sql: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut begin| begin.execute([]))
        .map_err(|error| location.fault(DOING, error))?;
    Ok(())
}

/// Checks that the log still has the last event that this writer appended. If not (an older backup was restored),
/// decisions on cached states are not valid.
fn check_last_seen(location: &FileLocation, connection: &Connection, seen: LogPosition) -> Result<(), StoreError> {
    if seen.position == 0 {
        return Ok(());
    }
    let found = connection
        .prepare_cached(EVENT_ID)
        .and_then(|mut event_id| event_id.query_row([seen.position], |row| row.get(0)).optional());
    match found {
        Ok(event_id) if event_id == Some(seen.event_id) => Ok(()),
        found => {
            roll_back(connection);
            Err(found.map_or_else(|error| location.fault(DOING, error), |_| StoreError::Diverged(seen)))
        }
    }
}

/// Rolls back the transaction, if there is one.
pub(in crate::store) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // It fails only when there is no transaction any more.
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// Returns the error for a panic during an append, and rolls back. In a transaction that is open nothing was written.
pub(in crate::store) fn panicked(connection: &Connection, panic: &(dyn Any + Send)) -> StoreError {
    let open = !connection.is_autocommit();
    roll_back(connection);
    let words = format!("the writer panicked: {}", panic_message(panic));
    if open { StoreError::failed(DOING, words) } else { StoreError::OutcomeUnknown(words.into()) }
}

/// Appends in the open transaction, and commits it.
pub(super) fn append_and_commit(
    location: &FileLocation,
    connection: &Connection,
    batch: &Batch,
    clock: &BoundedClock,
) -> Result<(Vec<Outcome>, Option<LogPosition>), StoreError> {
    write(location, connection, batch, clock, None).map(|(outcomes, _, head)| (outcomes, head))
}

/// What a batch has written: the outcomes, the head before, and the new head if the log has grown.
pub(in crate::store) type Written = (Vec<Outcome>, LogPosition, Option<LogPosition>);

fn write(
    location: &FileLocation,
    connection: &Connection,
    batch: &Batch,
    clock: &BoundedClock,
    sequences: Option<&SequenceCache>,
) -> Result<Written, StoreError> {
    let written = write_uncommitted(location, connection, batch, clock, sequences)?;
    commit(location, connection)?;
    Ok(written)
}

/// Writes in the open transaction, and leaves it open. An error ends it.
pub(in crate::store) fn write_uncommitted(
    location: &FileLocation,
    connection: &Connection,
    batch: &Batch,
    clock: &BoundedClock,
    sequences: Option<&SequenceCache>,
) -> Result<Written, StoreError> {
    let appended = || {
        let mut append = Append::new(connection, sequences)?;
        batch.check_requirements(&append.required)?;
        let before = append.end.head;
        if sequences.is_some_and(|sequences| sequences.head() != before) {
            append.sequences = None;
            check_last_seen(location, connection, sequences.map(SequenceCache::head).unwrap_or_default())?;
        }
        let mut outcomes = Vec::with_capacity(batch.commits().len());
        for commit in batch.commits() {
            outcomes.push(append.commit(commit, batch.may_be_stored(commit), clock)?);
        }
        Ok((outcomes, before, (append.end.head != before).then_some(append.end.head)))
    };
    appended().map_err(|halt| {
        roll_back(connection);
        match halt {
            AppendError::Sqlite(error) => location.fault(DOING, error),
            AppendError::Clock(reason) => location.unusable(reason),
            AppendError::Store(error) => error,
        }
    })
}

/// Commits the open transaction.
pub(in crate::store) fn commit(location: &FileLocation, connection: &Connection) -> Result<(), StoreError> {
    match connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
        Ok(_) => Ok(()),
        Err(error) => {
            let open = !connection.is_autocommit();
            roll_back(connection);
            Err(after_commit(location, error, open))
        }
    }
}

/// Returns the error of a failed COMMIT. If SQLite itself refused (busy, full), nothing was written; if the file system
/// failed, the commit may be in the log after a restart.
fn after_commit(location: &FileLocation, error: rusqlite::Error, open: bool) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly};
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked | DiskFull | ReadOnly) if open => location.fault(DOING, error),
        Some(DiskFull) => location.fault(DOING, error),
        _ => StoreError::OutcomeUnknown(error.into()),
    }
}

/// The reason why a batch is not appended.
enum AppendError {
    Sqlite(rusqlite::Error),
    /// A clock is too far ahead; with advice.
    Clock(String),
    Store(StoreError),
}

impl From<rusqlite::Error> for AppendError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

struct Append<'c> {
    connection: &'c Connection,
    end: LogEnd,
    /// What the log requires of programs.
    required: String,
    /// The last sequences of aggregates before the batch, if they are valid, and those that the batch has written
    /// since.
    sequences: Option<&'c SequenceCache>,
    written: HashMap<&'c Ref, u64>,
    conflicts: ConflictSet,
    known: CachedStatement<'c>,
    sequence: CachedStatement<'c>,
    event: CachedStatement<'c>,
    command: CachedStatement<'c>,
}

impl<'c> Append<'c> {
    fn new(connection: &'c Connection, sequences: Option<&'c SequenceCache>) -> rusqlite::Result<Self> {
        let end = connection
            .prepare_cached(LOG_END)?
            .query_row([], |row| {
                let head = LogPosition { position: row.get(0)?, event_id: row.get(1)? };
                let required: Option<String> = row.get(3)?;
                Ok((LogEnd { head, recorded_at: row.get(2)? }, required.unwrap_or_default()))
            })
            .optional()?;
        let (end, required) = end.unwrap_or_default();
        Ok(Self {
            connection,
            end,
            required,
            sequences,
            written: HashMap::new(),
            conflicts: ConflictSet::default(),
            known: connection.prepare_cached(rows::SELECT_COMMAND)?,
            sequence: connection.prepare_cached(SEQUENCE)?,
            event: connection.prepare_cached(EVENT)?,
            command: connection.prepare_cached(COMMAND)?,
        })
    }

    fn commit(
        &mut self,
        commit: &'c Commit,
        may_be_stored: bool,
        clock: &BoundedClock,
    ) -> Result<Outcome, AppendError> {
        let outcome = self.decide(commit, may_be_stored, clock)?;
        if !outcome.is_committed() {
            self.conflicts.add(commit);
        }
        Ok(outcome)
    }

    fn decide(
        &mut self,
        commit: &'c Commit,
        may_be_stored: bool,
        clock: &BoundedClock,
    ) -> Result<Outcome, AppendError> {
        if may_be_stored && let Some(known) = rows::known(&mut self.known, commit.command_id())? {
            let same = known.body_digest == *commit.body_digest() && known.command == commit.command();
            return Ok(if same { Outcome::Duplicate(known.receipt) } else { Outcome::IdReused });
        }
        if self.conflicts.affects(commit) || self.has_newer_events(commit)? {
            return Ok(Outcome::Conflict);
        }
        let now = clock.now();
        if commit.keeps_command() {
            self.check(clock, now)?;
        }
        let now = now.time();
        let recorded_at = self.end.time(now);
        if commit.is_expired(time(recorded_at)) {
            return Err(StoreError::Expired(time(recorded_at)).into());
        }
        let events = commit.event_count() as u64;
        let first_position = self.end.head.position + u64::from(events > 0);
        self.insert_events(commit, recorded_at, now)?;
        if let Some(names) = commit.requires().and_then(|name| requirements::with(&self.required, name)) {
            require(self.connection, &names)?;
            self.required = names;
        }
        let head = self.end.head;
        if commit.keeps_command() {
            self.command.execute(params![
                commit.command_id(),
                commit.command(),
                commit.body_digest(),
                first_position,
                events,
                head.position,
                head.event_id,
                recorded_at,
            ])?;
        }
        Ok(Outcome::Committed(Receipt {
            command_id: commit.command_id(),
            first_position,
            events,
            head,
            recorded_at: time(recorded_at),
            repeated: false,
        }))
    }

    /// Checks that no clock is too far ahead to record an event.
    fn check(&self, clock: &BoundedClock, now: ClockReading) -> Result<(), AppendError> {
        const LIMIT: &str = "SELECT value FROM meta WHERE key = ?1";
        let days = || {
            let value = self.connection.query_row(LIMIT, [clock::KEY], |row| row.get::<_, String>(0)).optional()?;
            Ok::<_, rusqlite::Error>(value.and_then(|days| days.parse::<u32>().ok()).map(i64::from))
        };
        match clock.check(now, &self.end, days)? {
            None => Ok(()),
            Some(reason) => Err(AppendError::Clock(reason)),
        }
    }

    fn has_newer_events(&mut self, commit: &Commit) -> rusqlite::Result<bool> {
        for stream in commit.streams() {
            let (aggregate, expected) = (stream.aggregate(), stream.expected());
            let matches = match self.written.get(aggregate) {
                Some(last) => *last == expected,
                None if self.sequences.is_some_and(|sequences| sequences.matches(aggregate, expected)) => true,
                None => {
                    let mut rows = self.sequence.query([aggregate.kind(), aggregate.id()])?;
                    rows.next()?.map_or(Ok(0), |row| row.get::<_, u64>(0))? == expected
                }
            };
            if !matches {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn insert_events(&mut self, commit: &'c Commit, recorded_at: i64, now: Timestamp) -> rusqlite::Result<()> {
        let occurred_at = commit.occurred_at().map_or(recorded_at, Timestamp::as_microsecond);
        let mut index = 0;
        for stream in commit.streams() {
            let aggregate = stream.aggregate();
            let mut sequence = stream.expected();
            for (event, digest) in stream.events().iter().zip(stream.digests()) {
                sequence += 1;
                self.end.advance(recorded_at, now);
                self.event.execute(params![
                    self.end.head.position,
                    self.end.head.event_id,
                    aggregate.kind(),
                    aggregate.id(),
                    sequence,
                    event.event_type(),
                    event.event_version(),
                    event.payload(),
                    commit.metadata(index),
                    commit.command_id(),
                    occurred_at,
                    recorded_at,
                    digest,
                ])?;
                index += 1;
            }
            self.written.insert(aggregate, sequence);
        }
        Ok(())
    }
}
