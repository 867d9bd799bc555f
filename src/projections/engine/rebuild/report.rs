//! [`Report`]: publishes the progress of a rebuild.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::projections::engine::handle::{EngineContext, ProjectionHandle};
use crate::projections::engine::progress::Progress;
use crate::store::StoreError;

/// The shortest interval between two reports: each one reads the log's head.
const EVERY: Duration = Duration::from_millis(50);

/// Publishes progress to the holder of the [`Rebuild`](super::Rebuild) and to the projection's status.
pub(super) struct Report {
    handle: Arc<ProjectionHandle>,
    progress: watch::Sender<Progress>,
    since: Instant,
    published: Option<Instant>,
    from: AtomicU64,
}

impl Report {
    pub fn new(handle: Arc<ProjectionHandle>, progress: watch::Sender<Progress>) -> Self {
        Self { handle, progress, since: Instant::now(), published: None, from: AtomicU64::new(0) }
    }

    /// Sets the start: the work of an interrupted rebuild does not count in the rate.
    pub fn start_at(&self, position: u64) {
        self.from.store(position, Ordering::Relaxed);
    }

    /// Reports that the rebuild has reached this position.
    pub async fn reached(&mut self, position: u64, context: &EngineContext) -> Result<(), StoreError> {
        if self.published.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        self.published = Some(Instant::now());
        let head = context.store.head().await?.position;
        self.publish(position, head);
        Ok(())
    }

    /// Reports that the rebuild has ended.
    pub fn end(&self, position: u64) -> Progress {
        self.publish(position, position)
    }

    fn publish(&self, position: u64, head: u64) -> Progress {
        let passed = position.saturating_sub(self.from.load(Ordering::Relaxed));
        let events_per_second = passed as f64 / self.since.elapsed().as_secs_f64().max(1e-6);
        let left = head.saturating_sub(position) as f64;
        let eta = Duration::try_from_secs_f64(left / events_per_second).ok();
        let progress = Progress { position, head: head.max(position), events_per_second, eta };
        self.progress.send_replace(progress);
        self.handle.rebuild.send_replace(Some(progress));
        progress
    }
}
