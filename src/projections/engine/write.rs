//! One step of a projection: a batch and its checkpoint in one transaction, with retries and bisection on failure.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::dead_letters;
use super::handle::EngineContext;
use crate::events::{DecodeError, LogPosition, Stored};
use crate::projections::fold::{Fold, KeyFilter};
use crate::projections::{EventBatch, Projection, ProjectionError};
use crate::store::{GenerationId, StoreError, Views, project};
use crate::supervise::delay;
use crate::text::panic_message;

/// How often a step is tried before the batch is bisected.
pub(super) const ATTEMPTS: u32 = 5;

/// How long a store that cannot be used is no failure of a projection: it restarts, or another server takes over. A longer outage
/// costs the lease: the next process with the lease reads the checkpoint again.
const OUTAGE: Duration = Duration::from_secs(10);

/// How many events of a batch contribute their correlation ids to its span.
const TRACES: usize = 16;

/// Creates the projection's tables if this generation has none. `indexes` also creates the indexes that only
/// readers need.
pub(in crate::projections) async fn set_up(
    views: &dyn Views,
    projection: &dyn Projection,
    generation_id: &GenerationId,
    indexes: bool,
) -> Result<(), ProjectionError> {
    let start = LogPosition::default();
    let Some(mut transaction) = views.begin(generation_id, start, start).await? else { return Ok(()) };
    let done = transaction.table("set_up");
    let make = format!("CREATE TABLE IF NOT EXISTS {done} (done BIGINT NOT NULL PRIMARY KEY)");
    transaction.execute(&make, Vec::new()).await?;
    let mark = format!("INSERT INTO {done} (done) VALUES (1) ON CONFLICT (done) DO NOTHING");
    if transaction.execute(&mark, Vec::new()).await? > 0 {
        dead_letters::set_up(transaction.as_mut()).await?;
        if let Some(basis) = projection.basis() {
            basis.set_up(transaction.as_mut()).await?;
        }
        guarded(async { projection.setup(transaction.as_mut()).await }).await?;
        if indexes {
            guarded(async { projection.indexes(transaction.as_mut()).await }).await?;
        }
    }
    Ok(transaction.commit().await?)
}

/// Moves the projection from one checkpoint to the next, around parked keys if there may be any. Returns false,
/// without effect, if the checkpoint was not at `batch.from`.
pub(in crate::projections) async fn step(
    views: &dyn Views,
    projection: &dyn Projection,
    generation_id: &GenerationId,
    batch: EventBatch<'_>,
    parked: bool,
) -> Result<bool, ProjectionError> {
    let (from, to) = (batch.from.position, batch.to.position);
    let span = tracing::info_span!("project", projection = projection.name(), from, to, traces = Empty);
    if !span.is_disabled() {
        span.record("traces", traces(batch.events));
    }
    take_step(views, projection, generation_id, batch, parked).instrument(span).await
}

/// The correlation ids of the first events, so that the trace of a request leads to its projection.
fn traces(events: &[Stored]) -> String {
    let metadata = events.iter().take(TRACES).filter_map(|event| event.metadata().ok());
    let mut traces: Vec<String> = metadata.filter_map(|metadata| metadata.correlation).collect();
    traces.dedup();
    traces.join(" ")
}

async fn take_step(
    views: &dyn Views,
    projection: &dyn Projection,
    generation_id: &GenerationId,
    batch: EventBatch<'_>,
    parked: bool,
) -> Result<bool, ProjectionError> {
    let Some(mut transaction) = views.begin(generation_id, batch.from, batch.to).await? else { return Ok(false) };
    if !batch.events.is_empty() {
        let take = async {
            if parked && dead_letters::take_around(projection, batch.events, transaction.as_mut()).await?.is_some()
            {
                return Ok(());
            }
            projection.apply(batch, transaction.as_mut()).await
        };
        guarded(take).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Folds events and loads missing documents from the generation at `at`. Returns false if the checkpoint is not at
/// `at`.
pub(super) async fn gather(
    fold: &mut dyn Fold,
    events: &[Stored],
    keys: KeyFilter<'_>,
    views: &dyn Views,
    generation_id: &GenerationId,
    at: LogPosition,
) -> Result<bool, ProjectionError> {
    fold.gather(events, keys)?;
    if fold.lacks() {
        let Some(mut transaction) = views.begin(generation_id, at, at).await? else { return Ok(false) };
        fold.load(&mut *transaction).await?;
    }
    fold.fold();
    Ok(true)
}

/// Runs a projection's code. A panic becomes an error, and commands that the code executes are refused.
pub(super) async fn guarded<T>(
    run: impl Future<Output = Result<T, ProjectionError>>,
) -> Result<T, ProjectionError> {
    AssertUnwindSafe(project(run))
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(ProjectionError::Panicked(panic_message(&*panic).to_owned())))
}

/// The result of bisecting a failed batch.
pub(super) enum Bisected {
    /// All events succeeded in smaller batches.
    Passed,
    /// Another process moved the checkpoint.
    Moved,
    /// All events before this one are applied, and this one fails.
    Failed { position: Option<u64>, error: ProjectionError },
}

/// Finds the event that makes a batch fail by halving the batch down to one event. Events before it are applied;
/// `at` returns the position reached.
pub(super) async fn bisect(
    views: &dyn Views,
    projection: &dyn Projection,
    generation_id: &GenerationId,
    at: &mut LogPosition,
    events: &[Stored],
    to: LogPosition,
    parked: bool,
) -> Bisected {
    let mut rest = events;
    let mut size = events.len().div_ceil(2);
    loop {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        let end = match piece.last() {
            Some(last) if !after.is_empty() => last.head(),
            _ => to,
        };
        let batch = EventBatch { from: *at, to: end, events: piece };
        match step(views, projection, generation_id, batch, parked).await {
            Ok(true) => {
                *at = end;
                rest = after;
                if rest.is_empty() {
                    return Bisected::Passed;
                }
                size = size.min(rest.len().div_ceil(2));
            }
            Ok(false) => return Bisected::Moved,
            Err(error @ ProjectionError::Store(StoreError::Closed)) => {
                return Bisected::Failed { position: None, error };
            }
            Err(error) if piece.len() <= 1 => {
                return Bisected::Failed { position: piece.first().map(|stored| stored.position), error };
            }
            Err(_) => size = piece.len() / 2,
        }
    }
}

/// Retries with growing delays. `Err(None)`: the application or its store closes.
pub(super) async fn retry<T, F>(
    context: &EngineContext,
    mut run: impl FnMut() -> F,
) -> Result<T, Option<ProjectionError>>
where
    F: Future<Output = Result<T, ProjectionError>>,
{
    let (mut attempts, mut pauses, begun) = (0, 0, Instant::now());
    loop {
        match run().await {
            Ok(done) => return Ok(done),
            Err(ProjectionError::Store(StoreError::Closed)) => return Err(None),
            // Another process is at work; this is no failure.
            Err(ProjectionError::Store(StoreError::Busy(_))) => pauses = 0,
            Err(ProjectionError::Store(StoreError::Unusable { .. })) if begun.elapsed() < OUTAGE => pauses += 1,
            Err(error) => {
                attempts += 1;
                pauses += 1;
                let unknown = matches!(error, ProjectionError::Decode { source: DecodeError::UnknownType(_), .. });
                if attempts >= ATTEMPTS || unknown {
                    return Err(Some(error));
                }
                tracing::debug!(%error, attempts, "trying again");
            }
        }
        tokio::select! {
            () = context.closed() => return Err(None),
            () = tokio::time::sleep(delay(pauses.max(1))) => {}
        }
    }
}
