//! [`Claim`]: a lease that allows one rebuild of a projection at a time across all processes, and its published
//! progress.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::projections::engine::handle::{EngineContext, ProjectionHandle};
use crate::projections::engine::progress::Progress;
use crate::store::{NoteKind, StoreError};

/// How often a rebuild renews its lease and publishes its progress.
pub(super) const RENEW: Duration = Duration::from_secs(1);

/// Duration of the lease: nobody continues a killed rebuild for at most this long.
const TERM: Duration = Duration::from_secs(5);

/// A note older than this belongs to a rebuild that was killed.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// The note [`NoteKind::Rebuild`].
#[derive(Serialize, Deserialize)]
struct Note {
    progress: Progress,
    noted_at: Timestamp,
}

/// The exclusive right to rebuild a projection, until it expires.
pub(super) struct Claim {
    context: Arc<EngineContext>,
    name: String,
    version: u64,
    owner: Uuid,
}

impl Claim {
    /// Acquires the lease; returns `None` if another process holds it.
    pub async fn acquire(
        context: &Arc<EngineContext>,
        handle: &ProjectionHandle,
    ) -> Result<Option<Self>, StoreError> {
        let (name, version) = handle.key();
        let claim = Self { context: context.clone(), name, version, owner: Uuid::new_v4() };
        if claim.hold().await? {
            return Ok(Some(claim));
        }
        claim.context.views.release_leases(claim.owner).await?;
        Ok(None)
    }

    /// A rebuild has a lease like that of a projection, under a name of its own.
    async fn hold(&self) -> Result<bool, StoreError> {
        let wanted = [(format!("rebuild of {}", self.name), self.version)];
        Ok(!self.context.views.acquire_leases(self.owner, &wanted, TERM).await?.is_empty())
    }

    /// Renews the lease and publishes the progress; returns false if another process holds the lease.
    pub async fn renew(&self, progress: Progress) -> Result<bool, StoreError> {
        let note = serde_json::to_string(&Note { progress, noted_at: Timestamp::now() }).ok();
        self.context.views.set_note(&self.name, self.version, NoteKind::Rebuild, note).await?;
        self.hold().await
    }

    /// Releases the lease.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.context.views.set_note(&self.name, self.version, NoteKind::Rebuild, None).await?;
        self.context.views.release_leases(self.owner).await
    }
}

/// The progress of a rebuild in any process, if there is one.
pub(in crate::projections) async fn progress_anywhere(
    context: &EngineContext,
    handle: &ProjectionHandle,
) -> Result<Option<Progress>, StoreError> {
    if let Some(progress) = *handle.rebuild.borrow() {
        return Ok(Some(progress));
    }
    progress_elsewhere(context, handle).await
}

/// The progress of a rebuild in another process.
pub(super) async fn progress_elsewhere(
    context: &EngineContext,
    handle: &ProjectionHandle,
) -> Result<Option<Progress>, StoreError> {
    let (name, version) = handle.key();
    let note = context.views.note(&name, version, NoteKind::Rebuild).await?;
    let note: Option<Note> = note.and_then(|note| serde_json::from_str(&note).ok());
    let fresh = note.filter(|note| Timestamp::now().duration_since(note.noted_at).abs() < FRESH);
    Ok(fresh.map(|note| note.progress))
}
