//! Verifies the stored snapshots against the log: the newest one of each aggregate, and the kept ones.

use uuid::Uuid;

use super::state_fold::StateFold;
use super::{AggregateType, LoadError, PAGE};
use crate::events::Ref;
use crate::store::{Finding, FindingKind, HashChain, Snapshot, Store, StoreError, kept_snapshots, read_history};
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
    let kind_of = |aggregate: &Ref| aggregate_types.iter().find(|kind| kind.name() == aggregate.kind()).copied();
    for aggregate in store.views().list_snapshots().await? {
        // Another process may have deleted it in between.
        let Some(snapshot) = store.views().load_snapshot(&aggregate).await? else { continue };
        count += 1;
        let kind = kind_of(&aggregate).filter(|kind| kind.0.shape() == snapshot.shape);
        let mut pass = Pass::new(kind, &aggregate);
        pass.verify(store, &snapshot, found).await?;
    }
    let mut last = None;
    while let Some((aggregate, kept)) = kept_snapshots::next(store, last.as_ref()).await? {
        // All of an aggregate in one pass over its events.
        let mut pass = Pass::new(kind_of(&aggregate), &aggregate);
        for (sequence, shape) in kept {
            let snapshot = kept_snapshots::find(store, &aggregate, &shape, sequence).await?;
            let Some(snapshot) = snapshot.filter(|snapshot| snapshot.sequence == sequence) else { continue };
            count += 1;
            pass.verify(store, &snapshot, found).await?;
        }
        last = Some(aggregate);
    }
    Ok(count)
}

/// Deletes all snapshots, the kept ones too, and returns their number.
///
/// # Errors
/// When the store cannot be written.
pub(crate) async fn drop_snapshots(store: &dyn Store) -> Result<u64, StoreError> {
    Ok(store.views().delete_snapshots().await? + kept_snapshots::clear(store).await?)
}

/// A pass over the events of an aggregate, with its snapshots in the order of their sequences.
struct Pass<'a> {
    aggregate: &'a Ref,
    /// The shape of the states that this program folds.
    shape: Option<String>,
    /// `None` if this program cannot fold the events: `check` reports by itself those that it cannot read.
    fold: Option<StateFold<'a>>,
    chain: HashChain,
    sequence: u64,
    event_id: Option<Uuid>,
}

impl<'a> Pass<'a> {
    fn new(kind: Option<AggregateType>, aggregate: &'a Ref) -> Self {
        let (shape, fold) =
            (kind.map(|kind| kind.0.shape()), kind.and_then(|kind| StateFold::fresh(kind, aggregate).ok()));
        Self { aggregate, shape, fold, chain: HashChain::default(), sequence: 0, event_id: None }
    }

    async fn verify(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        found: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<(), StoreError> {
        let aggregate = self.aggregate;
        match self.advance(store, snapshot.sequence).await {
            Ok(()) => {}
            Err(StoreError::Corrupt { position, reason }) => {
                let events = counted(snapshot.sequence, "event");
                let problem = format!(
                    "the snapshot of {aggregate} after {events} cannot be verified, event {position}: {reason}"
                );
                found(Finding::new(FindingKind::Log, problem));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if let Some((about, problem)) = self.judge(snapshot) {
            let events = counted(snapshot.sequence, "event");
            found(Finding::new(about, format!("the snapshot of {aggregate} after {events} {problem}")));
        }
        Ok(())
    }

    /// Reads the events up to this sequence.
    async fn advance(&mut self, store: &dyn Store, until: u64) -> Result<(), StoreError> {
        while self.sequence < until {
            let limit = usize::try_from(until - self.sequence).unwrap_or(PAGE).min(PAGE);
            let events = read_history(store, self.aggregate, self.sequence, limit).await?;
            let Some(last) = events.last() else { break };
            (self.sequence, self.event_id) = (last.sequence, Some(last.event_id));
            events.iter().for_each(|stored| self.chain.add_content(stored));
            match self.fold.as_mut().map_or(Ok(()), |fold| fold.apply(&events)) {
                Ok(()) => {}
                Err(LoadError::Store(error)) => return Err(error),
                Err(_) => self.fold = None,
            }
        }
        Ok(())
    }

    /// The finding about a snapshot, compared with the events that were read; none if it is correct.
    fn judge(&self, snapshot: &Snapshot) -> Option<(FindingKind, String)> {
        let differs = |problem: String| Some((FindingKind::Snapshot, problem));
        if self.sequence < snapshot.sequence {
            let problem = format!(
                "covers events that the log does not have, which ends at {}: the log was truncated, or an older backup was \
                 restored",
                self.sequence
            );
            return Some((FindingKind::Log, problem));
        }
        if self.event_id != Some(snapshot.event_id) {
            return differs(format!(
                "names {} as its last event, but the log has another event there",
                snapshot.event_id
            ));
        }
        if self.chain != snapshot.digest {
            return differs("was not made from the log's events: the digests differ".to_owned());
        }
        let fold = self.fold.as_ref().filter(|_| self.shape.as_ref() == Some(&snapshot.shape))?;
        match fold.is(&snapshot.state) {
            Ok(true) => None,
            Ok(false) | Err(_) => differs(
                "holds a state that these events do not fold to (if `apply` was changed, raise the aggregate's `SHAPE`)"
                    .to_owned(),
            ),
        }
    }
}
