//! Views on Postgres: checkpoints, tables of projections, snapshots of aggregates.
//!
//! ## Layout
//! - `generations`: generations and their checkpoints: creating, switching and dropping them
//! - `leases`: the leader of each projection
//! - `lending`: connections and transactions of the views
//! - `snapshots`: snapshots of aggregates
//! - `transaction`: a projection's transaction, and a snapshot for reading
//! - `names`: the names of a generation's tables
//! - `statement`: statements of projections, for one row or many
//! - `decode`, `escape`: result columns as cells, texts with characters that Postgres does not store

mod decode;
mod escape;
mod generations;
mod leases;
mod lending;
mod names;
mod snapshots;
mod statement;
#[cfg(all(test, feature = "conformance"))]
mod tests;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use self::lending::{BEGIN, BEGIN_READ, BEGIN_SHORT, LOCK_WAIT};
pub(super) use self::transaction::PostgresViewSnapshot;
use self::transaction::{PostgresTransaction, Tables};
use super::connections::FREE;
use super::location::SchemaLocation;
use super::standby::Standby;
use crate::events::{LogPosition, Ref};
use crate::store::{
    GenerationId, GenerationInfo, NoteKind, Snapshot, StoreError, Transaction, ViewSnapshot, Views,
};

const DOING: &str = "working on the views";

pub(super) use self::generations::tables_of_others;

/// Creates the tables, with `{schema}` for the quoted schema.
pub(super) const SCHEMA: &str = include_str!("schema.sql");
/// Adds the digest to snapshots.
pub(super) const SNAPSHOT_DIGESTS: &str = include_str!("snapshots.sql");

/// The views of a store on Postgres.
pub(super) struct PostgresViews {
    location: SchemaLocation,
    /// From which snapshots are taken.
    standby: Option<Arc<Standby>>,
}

impl PostgresViews {
    /// Opens the views, whose tables exist.
    pub(super) fn open(location: SchemaLocation, standby: Option<Arc<Standby>>) -> Self {
        Self { location, standby }
    }

    pub(super) fn location(&self) -> &SchemaLocation {
        &self.location
    }

    /// Takes a snapshot of the live generation, if there is one.
    pub(super) async fn snapshot(
        &self,
        name: &str,
        version: u64,
    ) -> Result<Option<(GenerationId, PostgresViewSnapshot)>, StoreError> {
        let permit = tokio::time::timeout(FREE, self.location.snapshots().acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::NoneFree(FREE))?;
        let permit = permit.map_err(|_| StoreError::Closed)?;
        let mut open = self.begin_with(BEGIN_READ).await?;
        let found =
            self.on(open.origin(), generations::live_to_read(&self.location, &mut open, name, version)).await?;
        let Some((generation_id, head)) = found else {
            open.let_go();
            return Ok(None);
        };
        let tables = Tables::of(&self.location, &generation_id);
        let snapshot = PostgresViewSnapshot {
            location: self.location.clone(),
            tables,
            head,
            open: Some(open),
            _permit: permit,
        };
        Ok(Some((generation_id, snapshot)))
    }

    /// Records the checkpoint of a generation, which reads from the standby must reach.
    fn note_checkpoint(&self, generation_id: &GenerationId, head: LogPosition, live: bool) {
        if let Some(standby) = &self.standby {
            standby.note_checkpoint(generation_id, head, live);
        }
    }
}

#[async_trait]
impl Views for PostgresViews {
    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        let mut lent = self.lend().await?;
        let found =
            self.on(lent.origin(), generations::live(&self.location, lent.connection(), name, version)).await?;
        lent.give_back();
        if let Some((generation_id, head)) = found {
            self.note_checkpoint(&generation_id, head, true);
            return Ok((generation_id, head));
        }
        let mut open = self.begin_exclusive().await?;
        let made =
            self.on(open.origin(), generations::ensure_live(&self.location, &mut open, name, version)).await?;
        self.commit(open).await?;
        self.note_checkpoint(&made.0, made.1, true);
        Ok(made)
    }

    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError> {
        let mut lent = self.lend().await?;
        let found = self
            .on(lent.origin(), generations::checkpoint(&self.location, lent.connection(), generation_id))
            .await?;
        lent.give_back();
        found.into_iter().for_each(|head| self.note_checkpoint(generation_id, head, false));
        Ok(found)
    }

    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        let mut open = self.begin_with(BEGIN).await?;
        if !self.on(open.origin(), generations::advance(&self.location, &mut open, generation_id, from, to)).await?
        {
            open.let_go();
            return Ok(None);
        }
        let tables = Tables::of(&self.location, generation_id);
        let committed = self.standby.clone().map(|standby| (standby, generation_id.clone(), to));
        Ok(Some(Box::new(PostgresTransaction::new(self.location.clone(), tables, open, committed))))
    }

    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        let mut open = self.begin_exclusive().await?;
        let made = self.on(open.origin(), generations::shadow(&self.location, &mut open, name, version)).await?;
        self.commit(open).await?;
        Ok(made)
    }

    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError> {
        let mut open = self.begin_exclusive().await?;
        if !self.on(open.origin(), generations::switch(&self.location, &mut open, shadow)).await? {
            open.let_go();
            return Ok(false);
        }
        self.commit(open).await?;
        if self.standby.is_some() {
            self.live(&shadow.name, shadow.version).await?;
        }
        self.sweep().await;
        Ok(true)
    }

    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError> {
        let mut open = self.begin_exclusive().await?;
        if !self.on(open.origin(), generations::mark_dropped(&self.location, &mut open, generation_id)).await? {
            open.let_go();
            let GenerationId { name, generation, .. } = generation_id;
            return Err(StoreError::failed(
                "discarding a generation",
                format!("generation {generation} of `{name}` is live: rebuild and switch first"),
            ));
        }
        self.commit(open).await?;
        self.sweep().await;
        Ok(())
    }

    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError> {
        if let Some(standby) = &self.standby
            && let Some(snapshot) = standby.snapshot(name, version).await
        {
            return Ok(Box::new(snapshot));
        }
        loop {
            let before = self.standby.as_ref().map(|standby| standby.known(name, version));
            if let Some((generation_id, snapshot)) = self.snapshot(name, version).await? {
                if let Some((standby, before)) = self.standby.as_ref().zip(before) {
                    standby.correct(before, &generation_id, snapshot.head);
                }
                return Ok(Box::new(snapshot));
            }
            self.live(name, version).await?;
        }
    }

    async fn set_note(
        &self,
        name: &str,
        version: u64,
        about: NoteKind,
        note: Option<String>,
    ) -> Result<(), StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        self.on(open.origin(), generations::set_note(&self.location, &mut open, (name, version, about), note))
            .await?;
        self.commit(open).await
    }

    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError> {
        let mut lent = self.lend().await?;
        let noted = self
            .on(lent.origin(), generations::note(&self.location, lent.connection(), (name, version, about)))
            .await?;
        lent.give_back();
        Ok(noted)
    }

    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let mut open = self.begin_exclusive().await?;
        let leads = self.on(open.origin(), leases::acquire(&self.location, &mut open, owner, wanted, term)).await?;
        self.commit(open).await?;
        self.sweep().await;
        Ok(leads)
    }

    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError> {
        let mut open = self.begin_exclusive().await?;
        self.on(open.origin(), leases::release(&self.location, &mut open, owner)).await?;
        self.commit(open).await
    }

    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError> {
        let mut lent = self.lend().await?;
        let all = self.on(lent.origin(), generations::all(&self.location, lent.connection())).await?;
        lent.give_back();
        Ok(all)
    }

    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError> {
        let mut open = self.begin_exclusive().await?;
        if self.on(open.origin(), leases::is_wanted(&self.location, &mut open, name, version)).await? {
            open.let_go();
            return Ok(false);
        }
        self.on(open.origin(), generations::mark_all_dropped(&self.location, &mut open, name, version)).await?;
        self.commit(open).await?;
        self.sweep().await;
        Ok(true)
    }

    async fn load_snapshot(&self, aggregate: &Ref) -> Result<Option<Snapshot>, StoreError> {
        let mut lent = self.lend().await?;
        let found = self.on(lent.origin(), snapshots::find(&self.location, lent.connection(), aggregate)).await?;
        lent.give_back();
        Ok(found)
    }

    async fn save_snapshot(&self, aggregate: &Ref, snapshot: Snapshot) -> Result<(), StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        self.on(open.origin(), snapshots::keep(&self.location, &mut open, aggregate, &snapshot)).await?;
        self.commit(open).await
    }

    async fn list_snapshots(&self) -> Result<Vec<Ref>, StoreError> {
        let mut lent = self.lend().await?;
        let all = self.on(lent.origin(), snapshots::all(&self.location, lent.connection())).await?;
        lent.give_back();
        Ok(all)
    }

    async fn delete_snapshots(&self) -> Result<u64, StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        let dropped = self.on(open.origin(), snapshots::clear(&self.location, &mut open)).await?;
        self.commit(open).await?;
        Ok(dropped)
    }
}
