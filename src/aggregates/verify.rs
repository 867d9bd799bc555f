//! Compares the stored snapshots with the log.

use super::folding::Folding;
use super::{Kind, LoadError, PAGE};
use crate::events::Ref;
use crate::store::{Finding, FindingKind, HashChain, Snapshot, Store, StoreError};

/// Verifies every snapshot: that the log has its events, that its digest is theirs and, where one of `kinds` made it, that
/// its state is what they fold to. Reads all events of the aggregates that have one. Returns how many there were.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn verify_snapshots(
    store: &dyn Store,
    kinds: &[Kind],
    found: &mut (dyn FnMut(Finding) + Send),
) -> Result<u64, StoreError> {
    let mut count = 0;
    for aggregate in store.list_snapshots().await? {
        // Between the two looks another process may have dropped it.
        let Some(snapshot) = store.load_snapshot(&aggregate).await? else { continue };
        count += 1;
        let kind = kinds.iter().find(|kind| kind.aggregate_type() == aggregate.kind());
        let kind = kind.filter(|kind| kind.0.shape() == snapshot.shape).copied();
        match verify(store, kind, &aggregate, &snapshot).await {
            Ok(None) => {}
            Ok(Some((about, problem))) => {
                let sequence = snapshot.sequence;
                let problem = format!("the snapshot of {aggregate} after {sequence} events {problem}");
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
    kind: Option<Kind>,
    aggregate: &Ref,
    snapshot: &Snapshot,
) -> Result<Option<(FindingKind, String)>, StoreError> {
    let mut folding = kind.and_then(|kind| Folding::fresh(kind, aggregate).ok());
    let (mut chain, mut sequence, mut event_id) = (HashChain::default(), 0, None);
    while sequence < snapshot.sequence {
        let limit = usize::try_from(snapshot.sequence - sequence).unwrap_or(PAGE).min(PAGE);
        let events = store.load(aggregate, sequence, limit).await?;
        let Some(last) = events.last() else { break };
        (sequence, event_id) = (last.sequence, Some(last.event_id));
        events.iter().for_each(|stored| chain.add_content(stored));
        match folding.as_mut().map_or(Ok(()), |folding| folding.take(&events)) {
            Ok(()) => {}
            Err(LoadError::Store(error)) => return Err(error),
            // This program cannot read its events: that is a finding of its own.
            Err(_) => folding = None,
        }
    }
    let differs = |problem: String| Ok(Some((FindingKind::Snapshot, problem)));
    if sequence < snapshot.sequence {
        let problem = format!(
            "is of events that are not in the log, which has {sequence} of them: its tail was cut, or an older backup was \
             restored"
        );
        return Ok(Some((FindingKind::Log, problem)));
    }
    if event_id != Some(snapshot.event_id) {
        return differs(format!("names {} as its last event, which that is not in the log", snapshot.event_id));
    }
    if chain != snapshot.digest {
        return differs("was not made of the events that the log has: their digests differ".to_owned());
    }
    match folding.map(|folding| folding.is(&snapshot.state)) {
        Some(Ok(false) | Err(_)) => differs(
            "holds a state that these events do not fold to (if `apply` was changed, raise the aggregate's `SHAPE`)"
                .to_owned(),
        ),
        Some(Ok(true)) | None => Ok(None),
    }
}
