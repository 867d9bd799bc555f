//! The first filling of a generation: a new view, or a raised version.

use std::time::Duration;

use tokio::time::Instant;

use super::{Halt, Runner};
use crate::events::LogPosition;
use crate::projections::ProjectionError;
use crate::projections::engine::adopt;
use crate::projections::engine::handle::RunState;
use crate::projections::engine::page_size::PageSize;
use crate::projections::engine::write::{gather, guarded};
use crate::projections::fold::{FOLDED_AT_ONCE, FOLDED_BYTES, Fold, FoldBase, KeyFilter};

/// The largest page: small enough for a processor's cache.
const EVENTS: usize = 4_000;
const BYTES: usize = 2 << 20;

/// The longest interval between writes of folded documents, so that the checkpoint visibly moves.
const WRITE: Duration = Duration::from_secs(2);

impl Runner {
    /// Fills an empty generation like a rebuild, folding in memory. On an error the runner falls back to batches,
    /// which retry and find the failing event.
    pub(super) async fn fill(&mut self) -> Result<(), Halt> {
        if self.stored.position > 0 || self.parked {
            return Ok(());
        }
        if self.take_over().await? {
            return Ok(());
        }
        let Some(mut fold) = self.handle.projection.fold(FoldBase::Empty) else { return Ok(()) };
        let mut size = PageSize::new(EVENTS, BYTES);
        let mut written = Instant::now();
        loop {
            let limit = size.limit();
            let page = self.read(&size).await?;
            let full = size.is_full(limit, &page.events);
            if full {
                self.handle.set_run_state(RunState::CatchingUp);
            }
            size.adapt(&page.events);
            for events in page.events.chunks(FOLDED_AT_ONCE) {
                let views = self.context.views.clone();
                let folded = gather(&mut *fold, events, KeyFilter::All, &*views, &self.generation_id, self.stored);
                match guarded(folded).await {
                    Ok(true) => {}
                    Ok(false) => return Err(Halt::Moved),
                    Err(error) => return self.give_up(&error),
                }
                tokio::task::yield_now().await;
            }
            self.seen = if page.to.position > self.seen.position { page.to } else { self.seen };
            if !full || fold.bytes() > FOLDED_BYTES || written.elapsed() > WRITE {
                match self.write_folded(&mut *fold).await {
                    Ok(true) => {}
                    Ok(false) => return Err(Halt::Moved),
                    Err(error) => return self.give_up(&error),
                }
                written = Instant::now();
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Copies the rows of another version, if there are any that fit.
    async fn take_over(&mut self) -> Result<bool, Halt> {
        let (context, handle, generation_id) =
            (self.context.clone(), self.handle.clone(), self.generation_id.clone());
        let taken = self.with_retries(|| async {
            let _write_lock = handle.write_lock.lock().await;
            adopt::take_over(&*context.store, &*context.views, &*handle.projection, &generation_id).await
        });
        let Some(head) = taken.await? else { return Ok(false) };
        self.arrive(head);
        Ok(true)
    }

    /// Writes the folded documents; returns false if another process moved the checkpoint.
    async fn write_folded(&mut self, fold: &mut dyn Fold) -> Result<bool, ProjectionError> {
        let seen: LogPosition = self.seen;
        if seen == self.stored {
            return Ok(true);
        }
        let handle = self.handle.clone();
        let _write_lock = handle.write_lock.lock().await;
        let begun = self.context.views.begin(&self.generation_id, self.stored, seen).await?;
        let Some(mut transaction) = begun else { return Ok(false) };
        guarded(async {
            fold.write(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await?;
        self.arrive(seen);
        Ok(true)
    }

    /// Goes back to the last written checkpoint.
    fn give_up(&mut self, error: &ProjectionError) -> Result<(), Halt> {
        tracing::debug!(projection = self.handle.name(), %error, "folding in memory failed: applying batches instead");
        self.seen = self.stored;
        Ok(())
    }
}
