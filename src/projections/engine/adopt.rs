//! Adoption of rows that another version of a program made: a new version of a projection is filled from the log
//! only if its rows would differ. For that, each generation stores the [`Basis`] of its rows.
//!
//! Projections of all events share rows: [`settle`] finds the rows to use. Projections of some event types copy
//! rows: [`take_over`] fills an empty generation from an older version's rows, because a program that does not know
//! an event type skips its events (Guarantee 22).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::dead_letters;
use crate::BoxError;
use crate::digest::first_48_bits;
use crate::events::{LogPosition, Ref, Stored};
use crate::projections::basis::{Basis, StoredBasis};
use crate::projections::{EventBatch, FieldInfo, Fold, FoldBase, KeyFilter, Projection, ProjectionError};
use crate::store::{
    GenerationId, GenerationInfo, Interest, OnConflict, Row, Store, StoreError, Table, Transaction, ViewSnapshot,
    Views,
};

/// How often writing the basis is tried while another process updates rows that an older version of this crate
/// made.
const ATTEMPTS: u32 = 10;

/// How many rows are copied at a time.
const COPIED_AT_ONCE: usize = 2_000;

/// Finds the rows that the projection can use; returns the projection under the version of these rows.
pub(super) async fn settle(
    store: &dyn Store,
    views: &dyn Views,
    projection: Arc<dyn Projection>,
) -> Result<Arc<dyn Projection>, StoreError> {
    let Some(basis) = projection.basis() else { return Ok(projection) };
    let (name, own) = (projection.name().to_owned(), projection.version());
    let mut all: Vec<GenerationInfo> = views.generations().await?;
    all.retain(|generation| generation.id.name == name);
    let taken: HashSet<u64> = all.iter().map(|generation| generation.id.version).collect();
    if !basis.is_shared() {
        if taken.contains(&own) {
            complete(store, views, &basis, &name, own).await;
        }
        return Ok(projection);
    }
    all.retain(|generation| generation.live);
    all.sort_by_key(|generation| (generation.id.version != own, std::cmp::Reverse(generation.head.position)));
    let mut version = None;
    for GenerationInfo { id: generation_id, head, .. } in &all {
        let own = generation_id.version == own;
        if own {
            complete(store, views, &basis, &name, generation_id.version).await;
        }
        let mut snapshot = views.read(&name, generation_id.version).await?;
        let fits = match StoredBasis::read(&mut *snapshot).await? {
            Some(kept) if own || holds(store, *head).await? => {
                goes_on(store, &basis, &kept, snapshot.head()).await?
            }
            Some(_) => false,
            // The basis could not be written; the version alone decides.
            None => own,
        };
        if fits {
            version = Some(generation_id.version);
            break;
        }
    }
    // No stored generation fits: the first version number that is free.
    let version = version.unwrap_or_else(|| {
        let mut number = own;
        while taken.contains(&number) {
            number = after(number);
        }
        number
    });
    if version != own {
        tracing::debug!(projection = name, own, version, "uses the rows of another version");
    }
    Ok(Arc::new(SharedProjection(Arc::new(Inner { projection, basis, version, recorded: Mutex::default() }))))
}

/// The next candidate for a version number, of 48 bits.
fn after(version: u64) -> u64 {
    first_48_bits(&Sha256::digest(version.to_le_bytes()).into())
}

async fn holds(store: &dyn Store, head: LogPosition) -> Result<bool, StoreError> {
    let found = store.read_at(&[head.position]).await?;
    Ok(head.position == 0 || found.first().is_some_and(|stored| stored.event_id == head.event_id))
}

/// Whether the log holds an event of one of these types up to this position. One look-up in the index by type.
async fn is_in_log<'a>(
    store: &dyn Store,
    names: impl Iterator<Item = &'a String>,
    until: u64,
) -> Result<bool, StoreError> {
    let names: Vec<String> = names.cloned().collect();
    if names.is_empty() || until == 0 {
        return Ok(false);
    }
    let page = store.read(0, 1, &Interest::EventTypes(names)).await?;
    Ok(page.events.first().is_some_and(|stored| stored.position <= until))
}

/// Whether this program would have made the same rows from the log up to `head`. Event types that only other
/// programs know do not matter: their events are already applied.
async fn goes_on(
    store: &dyn Store,
    basis: &Basis,
    kept: &StoredBasis,
    head: LogPosition,
) -> Result<bool, StoreError> {
    let same = |(name, fingerprint)| basis.types.get(name).is_none_or(|own: &String| own == fingerprint);
    if kept.layout.as_ref() != Some(&basis.layout) || !kept.types.iter().all(same) {
        return Ok(false);
    }
    let unrecorded = basis.types.keys().filter(|name| !kept.types.contains_key(*name));
    Ok(!is_in_log(store, unrecorded, head.position).await?)
}

/// Writes the basis of rows that an older version of this crate made: their version number is derived from exactly
/// these declarations. A process without write access continues without it.
async fn complete(store: &dyn Store, views: &dyn Views, basis: &Basis, name: &str, version: u64) {
    if let Err(error) = write_basis(store, views, basis, name, version).await {
        tracing::debug!(projection = name, %error, "the basis of the rows could not be written");
    }
}

async fn write_basis(
    store: &dyn Store,
    views: &dyn Views,
    basis: &Basis,
    name: &str,
    version: u64,
) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        let mut snapshot = views.read(name, version).await?;
        if StoredBasis::read(&mut *snapshot).await?.is_some() {
            return Ok(());
        }
        drop(snapshot);
        let (generation_id, head) = views.live(name, version).await?;
        let mut types = basis.types.clone();
        if basis.is_shared() {
            for name in basis.types.keys() {
                if !is_in_log(store, std::iter::once(name), head.position).await? {
                    types.remove(name);
                }
            }
        }
        if let Some(mut transaction) = views.begin(&generation_id, head, head).await? {
            basis.keep(&types, &mut *transaction).await?;
            return transaction.commit().await;
        }
    }
    tracing::debug!(projection = name, "another process writes too fast: the basis of the rows was not written");
    Ok(())
}

/// A projection of all events, on rows that it shares with programs that make the same rows from the log.
struct SharedProjection(Arc<Inner>);

struct Inner {
    projection: Arc<dyn Projection>,
    basis: Basis,
    version: u64,
    /// Event types known to be recorded, by table: the records of a generation do not change.
    recorded: Mutex<HashMap<String, HashSet<String>>>,
}

impl Inner {
    /// Records the types of the events that this transaction applies.
    async fn record(
        &self,
        types: BTreeSet<&str>,
        transaction: &mut dyn Transaction,
    ) -> Result<(), ProjectionError> {
        let generation = transaction.table("");
        let lock = || self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = types;
        if let Some(recorded) = lock().get(&generation) {
            new.retain(|name| !recorded.contains(*name));
        }
        if new.is_empty() {
            return Ok(());
        }
        // A type that this transaction records may be rolled back: it counts as recorded from the next batch on.
        let before = self.basis.record(&new, transaction).await?;
        lock().entry(generation).or_default().extend(before.into_iter().map(str::to_owned));
        Ok(())
    }
}

#[async_trait]
impl Projection for SharedProjection {
    fn name(&self) -> &str {
        self.0.projection.name()
    }

    fn version(&self) -> u64 {
        self.0.version
    }

    fn basis(&self) -> Option<Basis> {
        Some(self.0.basis.clone())
    }

    fn interest(&self) -> Interest {
        self.0.projection.interest()
    }

    fn interval(&self) -> Duration {
        self.0.projection.interval()
    }

    fn documents(&self) -> bool {
        self.0.projection.documents()
    }

    fn fields(&self) -> Vec<FieldInfo> {
        self.0.projection.fields()
    }

    fn parse_key(&self, text: &str) -> Result<String, BoxError> {
        self.0.projection.parse_key(text)
    }

    fn write_key(&self, key: &str) -> String {
        self.0.projection.write_key(key)
    }

    fn named(&self, key: &str) -> Option<Ref> {
        self.0.projection.named(key)
    }

    fn one_aggregate(&self) -> bool {
        self.0.projection.one_aggregate()
    }

    fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, ProjectionError> {
        self.0.projection.keys(stored)
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        let fold = self.0.projection.fold(base)?;
        Some(Box::new(RecordingFold { fold, inner: self.0.clone(), types: BTreeSet::new() }))
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.projection.setup(transaction).await
    }

    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.projection.indexes(transaction).await
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.record(batch.events.iter().map(|stored| stored.event_type.as_str()).collect(), transaction).await?;
        self.0.projection.apply(batch, transaction).await
    }
}

/// A fold that records the types of the events that it writes.
struct RecordingFold {
    fold: Box<dyn Fold>,
    inner: Arc<Inner>,
    types: BTreeSet<String>,
}

#[async_trait]
impl Fold for RecordingFold {
    fn gather(&mut self, events: &[Stored], keys: KeyFilter<'_>) -> Result<(), ProjectionError> {
        for stored in events {
            if !self.types.contains(&stored.event_type) {
                self.types.insert(stored.event_type.clone());
            }
        }
        self.fold.gather(events, keys)
    }

    fn lacks(&self) -> bool {
        self.fold.lacks()
    }

    async fn load(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.fold.load(transaction).await
    }

    fn fold(&mut self) {
        self.fold.fold();
    }

    fn position(&self) -> u64 {
        self.fold.position()
    }

    fn bytes(&self) -> usize {
        self.fold.bytes()
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.inner.record(self.types.iter().map(String::as_str).collect(), transaction).await?;
        self.fold.write(transaction).await
    }
}

/// Fills an empty generation with the rows of another version, if this program would have made the same rows from
/// the log up to that version's checkpoint; returns the checkpoint.
pub(super) async fn take_over(
    store: &dyn Store,
    views: &dyn Views,
    projection: &dyn Projection,
    generation_id: &GenerationId,
) -> Result<Option<LogPosition>, ProjectionError> {
    let Some(basis) = projection.basis().filter(|basis| !basis.is_shared()) else { return Ok(None) };
    let mut others: Vec<GenerationInfo> = views.generations().await?;
    others.retain(|GenerationInfo { id: other, head, live, .. }| {
        *live && other.name == generation_id.name && other.version != generation_id.version && head.position > 0
    });
    others.sort_by_key(|generation| std::cmp::Reverse(generation.head.position));
    for GenerationInfo { id: other, .. } in others {
        let mut snapshot = views.read(&other.name, other.version).await?;
        let head = snapshot.head();
        let Some(kept) = StoredBasis::read(&mut *snapshot).await? else { continue };
        if !would_be_copied(store, &basis, &kept, head).await? || dead_letters::count(&mut *snapshot).await? > 0 {
            continue;
        }
        let Some(mut transaction) = views.begin(generation_id, LogPosition::default(), head).await? else {
            return Ok(None);
        };
        for table in &basis.tables {
            copy(table, &mut *snapshot, &mut *transaction).await?;
        }
        transaction.commit().await?;
        tracing::debug!(projection = other.name, from = other.version, "copied the rows of another version");
        return Ok(Some(head));
    }
    Ok(None)
}

/// Whether this program would have made the same rows from the log up to `head`: the declarations differ only in
/// event types of which the log holds no event.
async fn would_be_copied(
    store: &dyn Store,
    basis: &Basis,
    kept: &StoredBasis,
    head: LogPosition,
) -> Result<bool, StoreError> {
    if kept.layout.as_ref() != Some(&basis.layout) || !holds(store, head).await? {
        return Ok(false);
    }
    let differs = |name: &&String| basis.types.get(*name) != kept.types.get(*name);
    let names: BTreeSet<&String> = basis.types.keys().chain(kept.types.keys()).filter(differs).collect();
    Ok(!is_in_log(store, names.into_iter(), head.position).await?)
}

async fn copy(
    table: &Table,
    snapshot: &mut dyn ViewSnapshot,
    transaction: &mut dyn Transaction,
) -> Result<(), StoreError> {
    let (from, columns, key) = (snapshot.table(table.name), table.column_list(), table.key_list());
    let places = (1..=table.key.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let mut after: Row = Vec::new();
    loop {
        let bound = if after.is_empty() { String::new() } else { format!("WHERE ({key}) > ({places})") };
        let sql = format!("SELECT {columns} FROM {from} {bound} ORDER BY {key} LIMIT {COPIED_AT_ONCE}");
        let rows = snapshot.query(&sql, after).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = table.key_of(last).into_iter().cloned().collect();
        transaction.insert_rows(table, rows, OnConflict::Fail).await?;
    }
}
