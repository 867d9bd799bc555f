//! [`LocalCopy`]: the local SQLite file, which has what the stream has, up to a message.

use std::ops::ControlFlow;

use rusqlite::params;
use tokio::sync::watch;
use uuid::Uuid;

use super::message::Message;
use super::rows::Rows;
use super::stream::At;
use crate::events::LogPosition;
use crate::store::log::publish;
use crate::store::sequence_cache::SequenceCache;
use crate::store::sqlite::append::{COMMAND, DOING, EVENT, EVENT_ID, begin, commit, roll_back, write_uncommitted};
use crate::store::sqlite::file_connection::FileConnection;
use crate::store::sqlite::location::FileLocation;
use crate::store::sqlite::log_end::BoundedClock;
use crate::store::sqlite::requirements::{meta_value, require};
use crate::store::sqlite::rows::{self, select_events};
use crate::store::sqlite::{COPIED, maintenance};
use crate::store::{Batch, KnownCommand, Outcome, StoreError};

/// How far the copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    /// The stream that it is a copy of.
    pub(super) incarnation: Uuid,
    /// The sequence of the last message, whatever it was.
    pub(super) sequence: u64,
    /// The last batch, or the genesis: its sequence and its id.
    pub(super) batch_sequence: u64,
    pub(super) batch: Uuid,
}

impl Tip {
    /// Before the first batch.
    pub(super) fn genesis(incarnation: Uuid) -> Self {
        Self { incarnation, sequence: 1, batch_sequence: 1, batch: incarnation }
    }

    /// After a batch at the next sequence.
    pub(super) fn after(self, batch: Uuid) -> Self {
        let sequence = self.sequence + 1;
        Self { sequence, batch_sequence: sequence, batch, ..self }
    }

    fn text(self) -> String {
        format!("{} {} {} {}", self.incarnation, self.sequence, self.batch_sequence, self.batch)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            incarnation: words.next()?.parse().ok()?,
            sequence: words.next()?.parse().ok()?,
            batch_sequence: words.next()?.parse().ok()?,
            batch: words.next()?.parse().ok()?,
        })
    }
}

/// A batch that is written to the copy, in a transaction that is still open.
pub(super) struct Staged {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) tip: Tip,
    pub(super) rows: Vec<u8>,
    base: LogPosition,
    head: Option<LogPosition>,
}

/// What became of messages that were to be applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Done(Tip),
    /// The batch at this sequence does not continue the chain of the copy. Nothing was applied.
    Misfit(u64),
    /// The copy was made again by another process, and is at this sequence. Nothing was applied.
    Behind(u64),
}

pub(super) struct LocalCopy {
    pub(super) location: FileLocation,
    connection: FileConnection,
    clock: BoundedClock,
    head: watch::Sender<LogPosition>,
    /// What this process has appended.
    sequences: SequenceCache,
}

impl LocalCopy {
    pub(super) fn new(
        location: FileLocation,
        connection: FileConnection,
        clock: BoundedClock,
        head: watch::Sender<LogPosition>,
    ) -> Self {
        Self { location, connection, clock, head, sequences: SequenceCache::default() }
    }

    fn fault(&self, error: rusqlite::Error) -> StoreError {
        self.location.fault(DOING, error)
    }

    /// Checks that the file is the one that was opened.
    fn check_file(&self) -> Result<(), StoreError> {
        self.connection.files().check().map_err(|reason| self.location.moved(reason))
    }

    pub(super) fn log_id(&self) -> Result<Option<String>, StoreError> {
        meta_value(&self.location, &self.connection, "log_id")
    }

    /// Returns how far the copy is; `None` for a file that was just created, or is no copy.
    pub(super) fn tip(&self) -> Result<Option<Tip>, StoreError> {
        let Some(text) = meta_value(&self.location, &self.connection, COPIED)? else { return Ok(None) };
        match Tip::parse(&text) {
            Some(tip) => Ok(Some(tip)),
            None => {
                Err(self.location.unusable(format!("its row `{COPIED}` in `meta` is malformed: remove the file")))
            }
        }
    }

    fn known_tip(&self) -> Result<Tip, StoreError> {
        self.tip()?.ok_or_else(|| self.location.unusable("it is no copy of a stream any more".to_owned()))
    }

    pub(super) fn begin(&self) -> Result<(), StoreError> {
        begin(&self.location, &self.connection, "BEGIN IMMEDIATE")
    }

    pub(super) fn set_tip(&self, tip: Tip) -> Result<(), StoreError> {
        const SET: &str =
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let set = self.connection.prepare_cached(SET).and_then(|mut set| set.execute([COPIED, &tip.text()]));
        set.map(drop).map_err(|error| self.fault(error))
    }

    pub(super) fn roll_back(&self) {
        roll_back(&self.connection);
    }

    pub(super) fn head(&self) -> Result<LogPosition, StoreError> {
        rows::head(&self.connection).map_err(|error| self.fault(error))
    }

    /// Whether the copy has no event.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.head()?.position == 0)
    }

    /// Forgets what this process has appended: the log has lost it.
    pub(super) fn forget(&mut self) {
        self.sequences.forget(LogPosition::default());
    }

    /// The events of an aggregate after a sequence.
    pub(super) fn load(
        &self,
        aggregate: &crate::events::Ref,
        after: u64,
    ) -> Result<Vec<crate::events::Stored>, StoreError> {
        crate::store::sqlite::reader::load(&self.location, &self.connection, aggregate, after, i64::MAX)
    }

    /// Decides a batch on the copy and writes it, in a transaction that is left open: it is committed once the batch is in the stream.
    pub(super) fn stage(&mut self, batch: &Batch) -> Result<Staged, StoreError> {
        self.check_file()?;
        self.begin()?;
        self.stage_begun(batch).inspect_err(|error| {
            self.sequences.after_error(error);
            roll_back(&self.connection);
        })
    }

    fn stage_begun(&self, batch: &Batch) -> Result<Staged, StoreError> {
        let tip = self.known_tip()?;
        let required = meta_value(&self.location, &self.connection, "requires")?;
        let (outcomes, base, head) =
            write_uncommitted(&self.location, &self.connection, batch, &self.clock, Some(&self.sequences))?;
        let requires = meta_value(&self.location, &self.connection, "requires")?;
        const NEW: &str = select_events!("WHERE position > ?1 ORDER BY position");
        let mut events = Vec::new();
        if head.is_some() {
            let mut new = self.connection.prepare_cached(NEW).map_err(|error| self.fault(error))?;
            rows::events(&self.location, &mut new, [base.position], &mut events)?;
        }
        let commands = batch.commits().iter().zip(&outcomes).filter_map(|(commit, outcome)| match outcome {
            Outcome::Committed(receipt) if commit.keeps_command() => Some(KnownCommand {
                body_digest: *commit.body_digest(),
                receipt: *receipt,
                command: commit.command().to_owned(),
            }),
            _ => None,
        });
        let requires = if requires == required { None } else { requires };
        let rows = Rows { events, commands: commands.collect(), requires };
        Ok(Staged { outcomes, tip, rows: rows.encode(), base, head })
    }

    /// Commits a staged batch, which is in the stream.
    pub(super) fn commit(&mut self, batch: &Batch, staged: &Staged, tip: Tip) -> Result<(), StoreError> {
        let committed = self.set_tip(tip).and_then(|()| commit(&self.location, &self.connection));
        let committed = committed.and_then(|()| self.check_file());
        if let Err(error) = committed {
            roll_back(&self.connection);
            // It is in the log, and will be in the copy once that can be written.
            return Err(StoreError::OutcomeUnknown(error.into()));
        }
        let complete = staged.outcomes.iter().all(Outcome::is_committed);
        self.sequences.record(staged.base, batch, staged.head, complete);
        publish(&self.head, staged.head);
        Ok(())
    }

    /// Applies messages, in one transaction. With `trusted`, the last batch of the copy is known to be in the stream: a batch that does
    /// not continue it is void.
    pub(super) fn apply(&mut self, messages: &[At], trusted: bool) -> Result<Applied, StoreError> {
        self.check_file()?;
        self.begin()?;
        let applied = self.apply_begun(messages, trusted);
        let applied = applied.and_then(|applied| match applied {
            Applied::Done(tip) => {
                self.set_tip(tip)?;
                commit(&self.location, &self.connection)?;
                Ok(applied)
            }
            Applied::Misfit(_) | Applied::Behind(_) => Ok(applied),
        });
        roll_back(&self.connection);
        if matches!(applied, Ok(Applied::Done(_))) {
            publish(&self.head, Some(self.head()?));
        }
        applied
    }

    fn apply_begun(&self, messages: &[At], trusted: bool) -> Result<Applied, StoreError> {
        let mut tip = self.known_tip()?;
        for (sequence, message) in messages {
            // Another process that has the file open may have applied it.
            if *sequence <= tip.sequence {
                continue;
            }
            if *sequence > tip.sequence + 1 {
                return Ok(Applied::Behind(tip.sequence));
            }
            match message {
                Message::Batch(batch) if batch.previous == tip.batch => {
                    let rows = Rows::decode(&batch.rows);
                    let rows = rows.ok_or_else(|| {
                        self.location
                            .unusable(format!("the batch at message {sequence} of the stream cannot be read"))
                    })?;
                    self.insert(&rows).map_err(|error| self.misapplied(*sequence, &error))?;
                    tip = Tip { sequence: *sequence, ..tip }.with_batch(batch.id);
                }
                Message::Batch(_) if !trusted => return Ok(Applied::Misfit(*sequence)),
                Message::Newer(version) => {
                    return Err(StoreError::Newer { found: i64::try_from(*version).unwrap_or(i64::MAX), known: 1 });
                }
                Message::Batch(_) | Message::Genesis(_) | Message::Foreign => {
                    tracing::warn!(
                        sequence,
                        "a message of the stream continues no batch: it is void for every process"
                    );
                    tip.sequence = *sequence;
                }
                Message::Claim { .. } | Message::Release { .. } => tip.sequence = *sequence,
            }
        }
        Ok(Applied::Done(tip))
    }

    fn misapplied(&self, sequence: u64, error: &rusqlite::Error) -> StoreError {
        self.location.unusable(format!(
            "message {sequence} of the stream does not continue it ({error}): {}",
            self.location.repair()
        ))
    }

    fn insert(&self, rows: &Rows) -> rusqlite::Result<()> {
        let mut insert = self.connection.prepare_cached(EVENT)?;
        for event in &rows.events {
            insert.execute(params![
                event.position,
                event.event_id,
                event.aggregate.kind(),
                event.aggregate.id(),
                event.sequence,
                event.event_type,
                event.event_version,
                event.payload,
                event.metadata,
                event.command_id,
                event.occurred_at.as_microsecond(),
                event.recorded_at.as_microsecond(),
                event.digest,
            ])?;
        }
        let mut insert = self.connection.prepare_cached(COMMAND)?;
        for KnownCommand { body_digest, receipt, command } in &rows.commands {
            insert.execute(params![
                receipt.command_id,
                command,
                body_digest,
                receipt.first_position,
                receipt.events,
                receipt.head.position,
                receipt.head.event_id,
                receipt.recorded_at.as_microsecond(),
            ])?;
        }
        match &rows.requires {
            Some(names) => require(&self.connection, names),
            None => Ok(()),
        }
    }

    /// Whether the copy has this event.
    pub(super) fn has(&self, at: LogPosition) -> Result<bool, StoreError> {
        let found = self.connection.prepare_cached(EVENT_ID).and_then(|mut event| {
            event.query_map([at.position], |row| row.get(0))?.collect::<Result<Vec<Uuid>, _>>()
        });
        Ok(at.position == 0 || found.map_err(|error| self.fault(error))?.contains(&at.event_id))
    }

    /// Keeps a backup of a copy that the stream no longer agrees with, and empties the copy. Returns the name of the backup.
    pub(super) fn empty(&mut self, genesis: Tip) -> Result<String, StoreError> {
        let mut name = self.location.path().as_os_str().to_owned();
        name.push(format!(".lost-{}", Uuid::new_v4().simple()));
        let backup = std::path::PathBuf::from(name);
        let copied =
            maintenance::backup(&self.location, &self.connection, &backup, &mut |_, _| ControlFlow::Continue(()));
        // It reads in a transaction of its own.
        roll_back(&self.connection);
        copied?;
        self.begin()?;
        let emptied = self.empty_begun(genesis).and_then(|()| commit(&self.location, &self.connection));
        roll_back(&self.connection);
        emptied?;
        Ok(backup.display().to_string())
    }

    fn empty_begun(&self, genesis: Tip) -> Result<(), StoreError> {
        // Its triggers keep the rows: they are dropped, and made again by the schema that made them.
        const TRIGGERS: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
        let empty = || -> rusqlite::Result<()> {
            let triggers: Vec<(String, String)> = self
                .connection
                .prepare(TRIGGERS)?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (name, _) in &triggers {
                self.connection.execute_batch(&format!("DROP TRIGGER \"{name}\""))?;
            }
            self.connection.execute_batch(
                "DELETE FROM events; DELETE FROM commands; DELETE FROM meta WHERE key = 'requires'",
            )?;
            for (_, sql) in &triggers {
                self.connection.execute_batch(sql)?;
            }
            Ok(())
        };
        empty().map_err(|error| self.fault(error))?;
        self.set_tip(genesis)
    }
}

impl Tip {
    /// With the message at its sequence as the last batch.
    fn with_batch(self, batch: Uuid) -> Self {
        Self { batch_sequence: self.sequence, batch, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_copy_is_is_read_back_as_it_was() {
        let tip = Tip::genesis(Uuid::from_u128(5)).after(Uuid::from_u128(6));
        assert_eq!(Tip::parse(&tip.text()), Some(tip));
        assert_eq!((tip.sequence, tip.batch_sequence), (2, 2));
        assert_eq!(Tip::parse("x"), None);
    }
}
