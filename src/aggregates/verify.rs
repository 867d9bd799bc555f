//! Verifies the stored snapshots against the log.

use super::state_fold::StateFold;
use super::{AggregateType, LoadError, PAGE};
use crate::events::Ref;
use crate::store::{Finding, FindingKind, HashChain, Snapshot, Store, StoreError, read_history};
use crate::text::counted;

/// Verifies every snapshot: the log must have its events, its digest must match theirs and, if it is of one of
/// `aggregate_types`, its state must equal what they fold to. Reads all events of aggregates with a snapshot. Returns the
/// number of snapshots.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn verify_snapshots(
    store: &dyn Store,
    aggregate_types: &[AggregateType],
    found: &mut (dyn FnMut(Finding) + Send),
) -> Result<u64, StoreError> {
    let mut count = 0;
    for aggregate in store.views().list_snapshots().await? {
        // Another process may have deleted it in between.
        let Some(snapshot) = store.views().load_snapshot(&aggregate).await? else { continue };
        count += 1;
        let kind = aggregate_types.iter().find(|kind| kind.name() == aggregate.kind());
        let kind = kind.filter(|kind| kind.0.shape() == snapshot.shape).copied();
        match verify(store, kind, &aggregate, &snapshot).await {
            Ok(None) => {}
            Ok(Some((about, problem))) => {
                let events = counted(snapshot.sequence, "event");
                let problem = format!("the snapshot of {aggregate} after {events} {problem}");
                found(Finding::new(about, problem));
            }
            Err(StoreError::Corrupt { position, reason }) => {
                let problem = format!("the snapshot of {aggregate} cannot be verified, event {position}: {reason}");
                found(Finding::new(FindingKind::Log, problem));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

async fn verify(
    store: &dyn Store,
    kind: Option<AggregateType>,
    aggregate: &Ref,
    snapshot: &Snapshot,
) -> Result<Option<(FindingKind, String)>, StoreError> {
    let mut fold = kind.and_then(|kind| StateFold::fresh(kind, aggregate).ok());
    let (mut chain, mut sequence, mut event_id) = (HashChain::default(), 0, None);
    while sequence < snapshot.sequence {
        let limit = usize::try_from(snapshot.sequence - sequence).unwrap_or(PAGE).min(PAGE);
        let events = read_history(store, aggregate, sequence, limit).await?;
        let Some(last) = events.last() else { break };
        (sequence, event_id) = (last.sequence, Some(last.event_id));
        events.iter().for_each(|stored| chain.add_content(stored));
        match fold.as_mut().map_or(Ok(()), |fold| fold.apply(&events)) {
            Ok(()) => {}
            Err(LoadError::Store(error)) => return Err(error),
            // This program cannot read the events: `check` reports that by itself.
            Err(_) => fold = None,
        }
    }
    let differs = |problem: String| Ok(Some((FindingKind::Snapshot, problem)));
    if sequence < snapshot.sequence {
        let problem = format!(
            "covers events that the log does not have, which ends at {sequence}: the log was truncated, or an older \
             backup was restored"
        );
        return Ok(Some((FindingKind::Log, problem)));
    }
    if event_id != Some(snapshot.event_id) {
        return differs(format!(
            "names {} as its last event, but the log has another event there",
            snapshot.event_id
        ));
    }
    if chain != snapshot.digest {
        return differs("was not made from the log's events: the digests differ".to_owned());
    }
    match fold.map(|fold| fold.is(&snapshot.state)) {
        Some(Ok(false) | Err(_)) => differs(
            "holds a state that these events do not fold to (if `apply` was changed, raise the aggregate's `SHAPE`)"
                .to_owned(),
        ),
        Some(Ok(true)) | None => Ok(None),
    }
}
