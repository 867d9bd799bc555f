//! The projections of an application: status, rebuilds, and repairs after an event that failed.

use std::sync::Arc;

use super::{Annals, flows, provenance};
use crate::commands::Services;
use crate::events::Types;
use crate::projections::{
    DeadLetter, Projection, ProjectionStatus, ReadError, Rebuild, RebuildError, RepairError, Selection, SkipPolicy,
    UnusedVersion,
};

/// The projections of what the application has turned on: provenance, flows, proofs.
pub(super) fn turned_on(services: &Services, types: &Arc<Types>) -> Vec<Arc<dyn Projection>> {
    let mut projections: Vec<_> = provenance::projection(services, types).into_iter().collect();
    projections.extend(flows::projection(services, types));
    #[cfg(feature = "proofs")]
    projections.extend(super::proofs::projection(services));
    projections
}

impl Annals {
    /// Returns the status of each projection.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        self.all_projections().statuses().await
    }

    /// Rebuilds a projection beside the live one, then switches to it. Await the rebuild. If it is dropped before its end, the
    /// live projection stays as it is, and the next rebuild continues there.
    ///
    /// # Errors
    /// When there is no projection with this name, or this process is rebuilding it. The awaited result has the errors that
    /// another process is rebuilding it, or that events were skipped in it.
    pub fn rebuild(&self, projection: &str) -> Result<Rebuild, RebuildError> {
        self.all_projections().rebuild(projection)
    }

    /// Rebuilds a projection as [`Annals::rebuild`] does, with a choice for events that the live one skipped.
    ///
    /// # Errors
    /// As [`Annals::rebuild`].
    pub fn rebuild_with(&self, projection: &str, skips: SkipPolicy) -> Result<Rebuild, RebuildError> {
        self.all_projections().rebuild_with(projection, skips)
    }

    /// Rebuilds all projections as [`Annals::rebuild`] does, in one pass over the log. Returns the rebuilds by name.
    pub fn rebuild_all(&self, skips: SkipPolicy) -> Vec<(String, Result<Rebuild, RebuildError>)> {
        self.all_projections().rebuild_all(skips)
    }

    /// Rebuilds one key of a view, or all keys that the events of an aggregate touch, in place, in a transaction. A key that is
    /// an [`Id`](crate::events::Id) is the whole reference or the bare id.
    ///
    /// # Errors
    /// As [`Annals::rebuild`]; and, when awaited, when the projection has no keys or no event touches the key.
    pub fn rebuild_keys(&self, projection: &str, mut selection: Selection) -> Result<Rebuild, RebuildError> {
        if let Selection::Key(key) = &mut selection {
            let parsed = self.reading(projection).and_then(|reading| reading.parse_key(key));
            *key = parsed.map_err(RebuildError::Unknown)?;
        }
        self.all_projections().rebuild_keys(projection, selection)
    }

    /// Resumes a stopped projection, in whichever process runs it.
    ///
    /// # Errors
    /// When there is no projection with this name, or the store cannot be written.
    pub async fn resume(&self, projection: &str) -> Result<(), ReadError> {
        self.all_projections().resume(projection).await
    }

    /// Skips the event at which a projection stopped, as a dead letter, and resumes the projection. A view keeps its documents
    /// under the event's keys unchanged: later events of these keys queue behind it. In a projection without keys only the
    /// event is skipped. Returns the dead letters.
    ///
    /// # Errors
    /// When the projection has not stopped at an event: see [`RepairError`].
    pub async fn skip(&self, projection: &str) -> Result<Vec<DeadLetter>, RepairError> {
        self.all_projections().skip(projection).await
    }

    /// Returns the dead letters of a projection, in event order: the first 1,000. Its status has the number of all.
    ///
    /// # Errors
    /// When there is no projection with this name, or the store cannot be read.
    pub async fn dead_letters(&self, projection: &str) -> Result<Vec<DeadLetter>, ReadError> {
        self.all_projections().dead_letters(projection).await
    }

    /// Replays the dead letters of a projection in order, key by key; a projection without keys is rebuilt. Returns the number
    /// of events.
    ///
    /// # Errors
    /// When an event still fails: it stays a dead letter, with those of its key. See [`RepairError`].
    pub async fn replay(&self, projection: &str) -> Result<u64, RepairError> {
        self.all_projections().replay(projection).await
    }

    /// Returns the versions of projections that no running program uses, which [`Annals::prune`] would drop.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unused(&self) -> Result<Vec<UnusedVersion>, ReadError> {
        self.all_projections().unused().await
    }

    /// Drops the versions of projections that no running program uses, and returns them. A program that needs them again
    /// rebuilds them.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn prune(&self) -> Result<Vec<UnusedVersion>, ReadError> {
        self.all_projections().prune().await
    }
}
