//! The [`Views`] trait: where projections keep their tables and checkpoints.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use super::table::{self, Index, OnConflict, Table};
use crate::events::LogPosition;

/// The database that the audit log's queries are written for. Both forms are standard SQL with the placeholders `$1`, `$2`,
/// …, and select the same rows; each is fast with one planner. A third store names the one that is faster with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A value in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Any text. Postgres takes no U+0000 in it: there SQL sees U+0000 as U+0001 U+0001, and U+0001 as U+0001 U+0002,
    /// which keeps their order; what comes back is as it was.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The columns of a result row, in order.
pub type Row = Vec<Cell>;

impl Cell {
    /// The whole number in it, if it is one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The text in it, if it is one.
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
    /// Positions and counts: what does not fit is the largest that does.
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

/// One generation of one projection: what a rebuild makes anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GenerationId {
    /// The projection's name.
    pub name: String,
    /// The projection's version.
    pub version: u64,
    /// 1 for the first, then one more for each rebuild.
    pub generation: u64,
}

/// What a note about a projection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// Why it stopped.
    Stop,
    /// How far its rebuild is.
    Rebuild,
}

/// A generation, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationInfo {
    /// Which one.
    pub id: GenerationId,
    /// Its checkpoint.
    pub head: LogPosition,
    /// Whether it is the one that is read.
    pub live: bool,
    /// Who leads its projection now, if anybody does.
    pub leader: Option<Uuid>,
}

/// Where projections keep what they make: tables by generation, checkpoints, status.
///
/// Checkpoint and effect are committed in one transaction, and the checkpoint is the fence: a transaction begins
/// by moving it from the place where its writer believes it is, and is refused if it is elsewhere.
#[async_trait]
pub trait Views: Send + Sync + 'static {
    /// The generation of this projection that is read, and how far it is: made at 0 if it is not there.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError>;

    /// How far an instance is; `None` when there is no such generation (any more).
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError>;

    /// Begins a transaction that takes `instance` from one checkpoint to the next; `None` when its checkpoint is not
    /// (any more) at `from`: somebody else moved it, or it was dropped.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError>;

    /// A new generation at 0 for a rebuild, or the one that an earlier rebuild left behind.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError>;

    /// Makes `shadow` the generation that is read, if it is at least as far as the live one, and drops the others
    /// of the same name and version. Answers whether it did.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError>;

    /// Drops a generation that is not live, with its tables.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError>;

    /// What the live generation holds, as of one moment.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError>;

    /// Keeps or clears a text about the projection that every process may read.
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

    /// The text that [`Views::set_note`] keeps.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError>;

    /// Says that the process `owner` is there and wants to run these projections (name and version); answers which of
    /// them it leads, for `term` from now by the store's own clock. Called again well before that, it renews.
    ///
    /// One owner leads a projection at a time. Leases are shared out evenly among the owners that want them: who
    /// holds more than its share gets fewer at its next call, the rest becomes free then. An owner not heard of for its
    /// term is dead, and what it led is free.
    ///
    /// A lease only saves work. That no event counts twice is the checkpoint's doing: see [`Views::begin`].
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError>;

    /// Lets go of all that `owner` leads: others may take it at once.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError>;

    /// All generations of all projections and versions, used by this program or not, ordered by name, version and
    /// generation.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError>;

    /// Drops a version of a projection: all its generations with their tables, its notes and its lease. `false`, and
    /// nothing is dropped, while an owner's lease on it has not run out.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError>;
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

    /// Gives a table its primary key, if it was created [without](Table::without_key). A store may write the rows anew in
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
