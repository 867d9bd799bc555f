//! The [`Views`] trait: tables and checkpoints of projections.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::table::{self, Index, OnConflict, Table};
use super::{Snapshot, StoreError};
use crate::events::{LogPosition, Ref};

/// The database that the audit log's queries are written for. Both forms are standard SQL with the placeholders `$1`, `$2`,
/// …, and select the same rows; each is fast with one planner. A third store names the one that is faster with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A value of a column or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Any text. Postgres does not store U+0000: there SQL sees U+0000 as U+0001 U+0001, and U+0001 as U+0001 U+0002, which
    /// keeps the order of texts; a query returns the text as it was written.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The columns of a result row, in order.
pub type Row = Vec<Cell>;

impl Cell {
    /// Returns the integer, if it is one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Cell {
    /// Converts positions and counts; a number beyond `i64` becomes the largest one.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A generation of a projection. Each rebuild makes another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GenerationId {
    /// The projection's name.
    pub name: String,
    /// The projection's version.
    pub version: u64,
    /// The number of the generation: 1, then one more for each rebuild.
    pub generation: u64,
}

/// The subject of a note about a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// Why the projection stopped.
    Stop,
    /// The progress of its rebuild.
    Rebuild,
    /// The last signed checkpoint of the log that was published.
    Checkpoint,
}

/// A generation with its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationInfo {
    /// Its projection, version and number.
    pub id: GenerationId,
    /// Its checkpoint.
    pub head: LogPosition,
    /// Whether readers use it.
    pub live: bool,
    /// The process that leads its projection, if there is one.
    pub leader: Option<Uuid>,
}

/// Tables of projections by generation, their checkpoints, notes and leases.
///
/// Checkpoint and effect are committed in one transaction, and the checkpoint is the fence: a transaction begins by moving it
/// from the position at which its writer believes it is, and is refused if it is at another one.
#[async_trait]
pub trait Views: Send + Sync + 'static {
    /// Returns the live generation of this projection and its checkpoint. Creates one at 0 if there is none.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError>;

    /// Returns the checkpoint of a generation; `None` if there is no such generation.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError>;

    /// Begins a transaction that moves the checkpoint of a generation; `None` if the checkpoint is not at `from`: another
    /// process moved it, or the generation was dropped.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError>;

    /// Creates a generation at 0 for a rebuild, or returns the one that an earlier rebuild left.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError>;

    /// Makes `shadow` the live generation, if its checkpoint is not behind the live one's, and drops the others of the same
    /// name and version. Returns whether it did.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError>;

    /// Drops a generation that is not live, with its tables.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError>;

    /// Opens a snapshot of the live generation, as of one moment.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError>;

    /// Stores or clears a text about the projection for all processes.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn set_note(
        &self,
        name: &str,
        version: u64,
        about: NoteKind,
        note: Option<String>,
    ) -> Result<(), StoreError>;

    /// Returns the text that [`Views::set_note`] stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError>;

    /// Announces that the process `owner` is alive and wants to run these projections (name and version). Returns those that
    /// it leads, for `term` from now by the store's own clock. Calling it again before that renews the leases.
    ///
    /// A projection has one leader at a time. Leases are shared evenly among the owners that want them: an owner with more
    /// than its share gets fewer at its next call, which frees the rest. An owner that does not call for its term is dead, and
    /// its leases are free.
    ///
    /// A lease only saves work. The checkpoint ensures that no event counts twice: see [`Views::begin`].
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError>;

    /// Releases all leases of `owner`: others may acquire them at once.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError>;

    /// Returns all generations of all projections and versions, used by this program or not, ordered by name, version and
    /// generation.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError>;

    /// Drops a version of a projection: all its generations with their tables, its notes and its leases. Returns `false`
    /// and drops nothing while a lease on it is valid.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError>;

    /// Returns the newest snapshot of an aggregate, as it was saved. By default there are none.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load_snapshot(&self, aggregate: &Ref) -> Result<Option<Snapshot>, StoreError> {
        let _ = aggregate;
        Ok(None)
    }

    /// Saves a snapshot in place of an older one. Snapshots are a cache: by default nothing is saved.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn save_snapshot(&self, aggregate: &Ref, snapshot: Snapshot) -> Result<(), StoreError> {
        let _ = (aggregate, snapshot);
        Ok(())
    }

    /// Returns the aggregates that have a snapshot.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn list_snapshots(&self) -> Result<Vec<Ref>, StoreError> {
        Ok(Vec::new())
    }

    /// Deletes all snapshots and returns their number. New ones are made from the log.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn delete_snapshots(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A projection's transaction: its effects and its checkpoint together. Dropped, it is rolled back.
///
/// A store implements the methods without a body. The others have one that runs a statement for each row; a store
/// overrides them where its database does many rows at once.
#[async_trait]
pub trait Transaction: Send {
    /// Returns the name, for use in SQL, of this generation's own table `table`.
    fn table(&self, table: &str) -> String;

    /// Creates a table, unless it exists.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn create_table(&mut self, table: &Table) -> Result<(), StoreError>;

    /// Gives a table its primary key, if it was created [without](Table::without_key). A store may write the rows again in
    /// the order of the key: to keep many rows in order while they are inserted takes longer.
    ///
    /// # Errors
    /// When two rows have the same key, or the database reports an error.
    async fn add_key(&mut self, table: &Table) -> Result<(), StoreError>;

    /// Creates an index of a table, unless it exists.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn create_index(&mut self, table: &Table, index: &Index) -> Result<(), StoreError>;

    /// Inserts rows, each with a value for each column of the table.
    ///
    /// # Errors
    /// When a row conflicts with another and `conflict` is [`OnConflict::Fail`], or the database reports an error.
    async fn insert_rows(&mut self, table: &Table, rows: Vec<Row>, conflict: OnConflict) -> Result<(), StoreError> {
        let sql = table.insert_sql(&self.table(table.name), &table.values(), conflict);
        for row in rows {
            self.execute(&sql, row).await?;
        }
        Ok(())
    }

    /// Deletes the rows with these primary keys, each with a value for each column of the key.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn delete_keys(&mut self, table: &Table, keys: Vec<Row>) -> Result<(), StoreError> {
        let sql = table.delete_sql(&self.table(table.name), "", table::parameter);
        for key in keys {
            self.execute(&sql, key).await?;
        }
        Ok(())
    }

    /// Returns, for each key, the values of `columns` in the row whose columns `by` have the key's values.
    ///
    /// `by` is the primary key, or columns that no two rows share, or the first columns of the primary key: then the last
    /// row in the order of the primary key is returned.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn select_by_keys(
        &mut self,
        table: &Table,
        by: &[&str],
        columns: &[&str],
        keys: Vec<Row>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let sql = table.select_sql(&self.table(table.name), by, columns, table::parameter);
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.query(&sql, key).await?.into_iter().next());
        }
        Ok(found)
    }

    /// Runs a statement with the parameters `$1`, `$2`, …; returns how many rows it changed. A parameter has the type of
    /// its [`Cell`].
    ///
    /// # Errors
    /// When the database reports an error.
    async fn execute(&mut self, sql: &str, parameters: Row) -> Result<u64, StoreError>;

    /// Runs a query with the parameters `$1`, `$2`, …
    ///
    /// # Errors
    /// When the database reports an error.
    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError>;

    /// Commits effects and checkpoint.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// The tables of a projection's live generation, as of one moment.
#[async_trait]
pub trait ViewSnapshot: Send {
    /// Returns the database whose planner the audit log's queries are written for.
    fn dialect(&self) -> Dialect;

    /// Returns the position in the log that the tables are true at.
    fn head(&self) -> LogPosition;

    /// Returns the name, for use in SQL, of the live generation's own table `table`.
    fn table(&self, table: &str) -> String;

    /// Whether the live generation has this table.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn has_table(&mut self, table: &str) -> Result<bool, StoreError>;

    /// Runs a query with the parameters `$1`, `$2`, … It fails on a table that no transaction has created yet: the
    /// projection's `setup` creates them.
    ///
    /// # Errors
    /// When the database reports an error.
    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError>;
}
