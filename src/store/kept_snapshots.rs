//! Kept snapshots: one for each [`KEPT_EVERY`] events of an aggregate, beside its newest one, from which its past is folded.
//!
//! They are in a table of the views, made as the table of a projection is: every store that runs projections keeps them, without
//! a schema of their own. Like all snapshots they are a cache: verified by `check`, and made again from the log.

use uuid::Uuid;

use super::{
    Cell, Column, GenerationId, HashChain, OnConflict, Row, Snapshot, Store, StoreError, Table, Transaction,
    ViewSnapshot, Views,
};
use crate::events::{LogPosition, Ref};

/// A snapshot is kept whenever an aggregate passes a multiple of this number of events. Small in unit tests, so that they pass
/// several.
pub(crate) const KEPT_EVERY: u64 = if cfg!(test) { 640 } else { 65_536 };

/// The name and version under which the table is in the views.
const NAME: &str = "annals_kept_snapshots";
const VERSION: u64 = 1;

/// Snapshots of different shapes are side by side, so that two programs do not replace each other's.
const TABLE: Table = Table::new(
    "snapshots",
    &[
        Column::text("aggregate"),
        Column::text("shape"),
        Column::integer("sequence"),
        Column::bytes("event_id"),
        Column::bytes("digest"),
        Column::text("state"),
    ],
    &["aggregate", "shape", "sequence"],
);

/// How often saving is tried when another process drops the table in between.
const TRIES: usize = 3;

/// Whether this name in the views is that of kept snapshots.
pub(crate) fn is_kept_snapshots(generation_id: &GenerationId) -> bool {
    generation_id.name == NAME
}

/// Returns the kept snapshot of this shape with the highest sequence that is not after `sequence`.
pub(crate) async fn find(
    store: &dyn Store,
    aggregate: &Ref,
    shape: &str,
    sequence: u64,
) -> Result<Option<Snapshot>, StoreError> {
    if sequence < KEPT_EVERY {
        return Ok(None);
    }
    let Some(mut snapshot) = open(store).await? else { return Ok(None) };
    let sql = format!(
        "SELECT sequence, event_id, digest, shape, state FROM {} WHERE aggregate = $1 AND shape = $2 AND sequence <= $3 \
         ORDER BY sequence DESC LIMIT 1",
        snapshot.table(TABLE.name)
    );
    let rows = snapshot.query(&sql, vec![aggregate.as_str().into(), shape.into(), sequence.into()]).await?;
    Ok(rows.into_iter().next().and_then(from_row))
}

/// As [`find`], but only of snapshots whose last event is in the log: after an older backup was restored, it may not be.
pub(crate) async fn find_in_log(
    store: &dyn Store,
    aggregate: &Ref,
    shape: &str,
    sequence: u64,
) -> Result<Option<Snapshot>, StoreError> {
    let mut at_most = sequence;
    while let Some(kept) = find(store, aggregate, shape, at_most).await? {
        let Some(before) = kept.sequence.checked_sub(1) else { break };
        let last = store.load(aggregate, before, 1).await?;
        if last.first().is_some_and(|last| (last.sequence, last.event_id) == (kept.sequence, kept.event_id)) {
            return Ok(Some(kept));
        }
        at_most = before;
    }
    Ok(None)
}

/// Returns the first aggregate after `after` that has kept snapshots, with the sequence and shape of each, by sequence.
pub(crate) async fn next(
    store: &dyn Store,
    after: Option<&Ref>,
) -> Result<Option<(Ref, Vec<(u64, String)>)>, StoreError> {
    let Some(mut snapshot) = open(store).await? else { return Ok(None) };
    let table = snapshot.table(TABLE.name);
    let mut after = after.map_or(String::new(), |aggregate| aggregate.as_str().to_owned());
    loop {
        let sql = format!("SELECT aggregate FROM {table} WHERE aggregate > $1 ORDER BY aggregate LIMIT 1");
        let rows = snapshot.query(&sql, vec![after.as_str().into()]).await?;
        let Some(name) = rows.first().and_then(|row| row.first()).and_then(Cell::text) else { return Ok(None) };
        let Ok(aggregate) = name.parse::<Ref>() else {
            // No program asks for an invalid reference.
            name.clone_into(&mut after);
            continue;
        };
        let sql = format!("SELECT sequence, shape FROM {table} WHERE aggregate = $1 ORDER BY sequence, shape");
        let rows = snapshot.query(&sql, vec![aggregate.as_str().into()]).await?;
        let kept = rows.into_iter().filter_map(|row| {
            let sequence = u64::try_from(row.first()?.integer()?).ok()?;
            Some((sequence, row.get(1)?.text()?.to_owned()))
        });
        return Ok(Some((aggregate, kept.collect())));
    }
}

/// Saves a snapshot, in place of one with the same shape and sequence.
pub(crate) async fn keep(store: &dyn Store, aggregate: &Ref, snapshot: &Snapshot) -> Result<(), StoreError> {
    let (views, is_there) = (store.views(), open(store).await?.is_some());
    let Some(mut transaction) = begin(&*views).await? else { return Ok(()) };
    if !is_there {
        transaction.create_table(&TABLE).await?;
    }
    let row: Row = vec![
        aggregate.as_str().into(),
        snapshot.shape.as_str().into(),
        snapshot.sequence.into(),
        Cell::Bytes(snapshot.event_id.as_bytes().to_vec()),
        Cell::Bytes(snapshot.digest.as_bytes().to_vec()),
        snapshot.state.as_str().into(),
    ];
    transaction.insert_rows(&TABLE, vec![row], OnConflict::Replace).await?;
    transaction.commit().await
}

/// Deletes all kept snapshots and returns their number.
pub(crate) async fn clear(store: &dyn Store) -> Result<u64, StoreError> {
    if open(store).await?.is_none() {
        return Ok(0);
    }
    let views = store.views();
    let Some(mut transaction) = begin(&*views).await? else { return Ok(0) };
    let sql = format!("DELETE FROM {}", transaction.table(TABLE.name));
    let deleted = transaction.execute(&sql, Vec::new()).await?;
    transaction.commit().await?;
    Ok(deleted)
}

/// A snapshot of the table; `None` if nothing was ever kept.
async fn open(store: &dyn Store) -> Result<Option<Box<dyn ViewSnapshot>>, StoreError> {
    let views = store.views();
    // Reading would create what is not there.
    if !views.generations().await?.iter().any(|known| is_kept_snapshots(&known.id)) {
        return Ok(None);
    }
    let mut snapshot = views.read(NAME, VERSION).await?;
    Ok(snapshot.has_table(TABLE.name).await?.then_some(snapshot))
}

/// A transaction that writes the table. Its checkpoint stays at 0: nobody follows the log.
async fn begin(views: &dyn Views) -> Result<Option<Box<dyn Transaction>>, StoreError> {
    let none = LogPosition::default();
    for _ in 0..TRIES {
        let (generation_id, _) = views.live(NAME, VERSION).await?;
        if let Some(transaction) = views.begin(&generation_id, none, none).await? {
            return Ok(Some(transaction));
        }
    }
    Ok(None)
}

fn from_row(row: Row) -> Option<Snapshot> {
    let [sequence, event_id, digest, shape, state] = <[Cell; 5]>::try_from(row).ok()?;
    let (Cell::Bytes(event_id), Cell::Bytes(digest)) = (event_id, digest) else { return None };
    Some(Snapshot {
        sequence: u64::try_from(sequence.integer()?).ok()?,
        event_id: Uuid::from_slice(&event_id).ok()?,
        digest: HashChain::from_bytes(digest.try_into().ok()?),
        shape: shape.text()?.to_owned(),
        state: state.text()?.to_owned(),
    })
}
