//! [`Runner`]: keeps one projection up with the log.
//!
//! ## Layout
//! - `fill`: the first filling
//! - `live`: live processing

mod fill;
mod live;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::dead_letters;
use super::handle::{EngineContext, ProjectionHandle, RunState};
use super::page_size::PageSize;
use super::reader::SharedPage;
use super::status::{StopInfo, UnknownEvent};
use super::write::{ATTEMPTS, Bisected, bisect, retry, set_up, step};
use crate::events::{DecodeError, LogPosition, Stored};
use crate::projections::{EventBatch, ProjectionError};
use crate::store::{GenerationId, NoteKind, Page, StoreError};
use crate::text::error_chain;

/// The largest page while catching up.
const CATCH_UP_EVENTS: usize = 10_000;
const CATCH_UP_BYTES: usize = 8 << 20;

/// How often a stopped projection checks whether another process has resumed it.
const LOOK_FOR_HELP: Duration = Duration::from_secs(1);

pub(super) struct Runner {
    context: Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    pages: broadcast::Receiver<SharedPage>,
    size: PageSize,
    generation_id: GenerationId,
    /// The checkpoint in the database.
    stored: LogPosition,
    /// The position up to which all wanted events are applied: at or after `stored`.
    seen: LogPosition,
    /// When `seen` got ahead of `stored`.
    ahead: Option<Instant>,
    /// Whether the database holds a note that the projection stopped.
    noted: bool,
    /// Whether there are dead letters, behind which events may have to queue.
    parked: bool,
}

/// Why a runner stops following the log.
enum Halt {
    Closed,
    /// Another process moved the checkpoint, or another generation is live.
    Moved,
    /// Another process leads.
    Lost,
    /// This program does not know the type of an event.
    Unknown(UnknownEvent),
    Stop(StopInfo),
}

impl Runner {
    pub fn new(
        context: Arc<EngineContext>,
        handle: Arc<ProjectionHandle>,
        pages: broadcast::Receiver<SharedPage>,
    ) -> Self {
        let (generation_id, head) = (handle.generation_id(), handle.head());
        let size = PageSize::new(CATCH_UP_EVENTS, CATCH_UP_BYTES);
        Self {
            context,
            handle,
            pages,
            size,
            generation_id,
            stored: head,
            seen: head,
            ahead: None,
            noted: true,
            parked: true,
        }
    }

    /// Runs until the application closes.
    pub async fn run(mut self) {
        let (context, mut leading) = (self.context.clone(), self.handle.leading());
        loop {
            tokio::select! {
                () = context.closed() => return,
                // The sender lives as long as `handle`.
                _ = leading.wait_for(|leads| *leads) => self.handle.set_run_state(RunState::CatchingUp),
            }
            // Dropping `follow` rolls back an open transaction.
            let halt = tokio::select! {
                halt = self.follow() => halt,
                _ = leading.wait_for(|leads| !*leads) => Halt::Lost,
            };
            let halt = match halt {
                Halt::Stop(stop) => tokio::select! {
                    halt = self.wait_until_resumed(stop) => halt,
                    _ = leading.wait_for(|leads| !*leads) => Halt::Lost,
                },
                halt => halt,
            };
            match halt {
                Halt::Closed => return,
                Halt::Moved | Halt::Stop(_) => {}
                Halt::Lost => self.handle.set_run_state(RunState::Away),
                Halt::Unknown(unknown) => {
                    tracing::warn!(projection = self.handle.name(), "blocked {unknown}");
                    self.handle.yield_before(unknown);
                    context.yielded.notify_one();
                }
            }
        }
    }

    /// Processes the log from the checkpoint in the database to the head, then new events.
    async fn follow(&mut self) -> Halt {
        let halted: Result<Infallible, Halt> = async {
            self.reload().await?;
            self.fill().await?;
            loop {
                self.catch_up().await?;
                self.handle.set_run_state(RunState::Live);
                self.keep_up().await?;
            }
        }
        .await;
        let Err(halt) = halted;
        halt
    }

    /// Reads the live generation and its checkpoint from the database.
    async fn reload(&mut self) -> Result<(), Halt> {
        let (name, version) = (self.handle.name().to_owned(), self.handle.projection.version());
        let (context, handle) = (self.context.clone(), self.handle.clone());
        let (generation_id, head, parked) = self
            .with_retries(|| async {
                let (generation_id, head) = context.views.live(&name, version).await?;
                if head.position == 0 && head.event_id.is_nil() {
                    set_up(&*context.views, &*handle.projection, &generation_id, true).await?;
                }
                let mut snapshot = context.views.read(&name, version).await?;
                let parked = dead_letters::count(&mut *snapshot).await? > 0;
                Ok((generation_id, head, parked))
            })
            .await?;
        // Buffered pages may belong to a log that was replaced by an older backup: they are dropped.
        self.pages = self.pages.resubscribe();
        self.parked = parked;
        (self.generation_id, self.stored, self.seen, self.ahead) = (generation_id, head, head, None);
        self.handle.publish_reloaded(&self.generation_id, head);
        self.check_seen().await
    }

    /// Reads and applies pages until one is not full.
    async fn catch_up(&mut self) -> Result<(), Halt> {
        loop {
            let limit = self.size.limit();
            let page = self.read(&self.size.clone()).await?;
            let full = self.size.is_full(limit, &page.events);
            if full {
                self.handle.set_run_state(RunState::CatchingUp);
            }
            self.size.adapt(&page.events);
            self.apply(&page.events, page.to).await?;
            if !full {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, size: &PageSize) -> Result<Page, Halt> {
        let (context, handle, after) = (self.context.clone(), self.handle.clone(), self.seen.position);
        let page =
            self.with_retries(|| async { Ok(size.read(&*context.store, after, &handle.interest).await?) }).await?;
        // Checked after the page was read, so that the page follows the event at `seen`.
        self.check_seen().await?;
        Ok(page)
    }

    /// Stops if neither the log nor the checkpoint in the database confirms the last event seen.
    async fn check_seen(&mut self) -> Result<(), Halt> {
        let (context, seen) = (self.context.clone(), self.seen);
        if self.with_retries(|| async { Ok(context.holds(seen).await?) }).await? {
            return Ok(());
        }
        // If log and views share a database, both may have lost their tail, in a failover or with a restored backup. And after the
        // checkpoint only events were seen that the projection does not want. So the checkpoint decides: reload and check it.
        let (context, generation_id) = (self.context.clone(), self.generation_id.clone());
        let stored = self.with_retries(|| async { Ok(context.views.checkpoint(&generation_id).await?) }).await?;
        Err(if stored == Some(seen) { self.diverged() } else { Halt::Moved })
    }

    /// Applies events; without events it only moves `seen`.
    async fn apply(&mut self, events: &[Stored], to: LogPosition) -> Result<(), Halt> {
        if to.position <= self.seen.position {
            return Ok(());
        }
        if !events.is_empty() {
            return self.advance(events, to).await;
        }
        self.seen = to;
        self.ahead.get_or_insert_with(Instant::now);
        Ok(())
    }

    async fn write_checkpoint(&mut self) -> Result<(), Halt> {
        match self.ahead {
            Some(_) => self.advance(&[], self.seen).await,
            None => Ok(()),
        }
    }

    /// Applies events and moves the checkpoint, with retries; then bisects the batch to find the failing event.
    async fn advance(&mut self, events: &[Stored], to: LogPosition) -> Result<(), Halt> {
        let (context, handle) = (self.context.clone(), self.handle.clone());
        let (generation_id, from, parked) = (self.generation_id.clone(), self.stored, self.parked);
        let result = retry(&context, || async {
            let _write_lock = handle.write_lock.lock().await;
            // Another process may have created the generation again, without its tables, after the views file was
            // removed.
            if from == LogPosition::default() {
                set_up(&*context.views, &*handle.projection, &generation_id, true).await?;
            }
            step(&*context.views, &*handle.projection, &generation_id, EventBatch { from, to, events }, parked)
                .await
        });
        match result.await {
            Ok(true) => {}
            Ok(false) => return Err(Halt::Moved),
            Err(None) => return Err(Halt::Closed),
            Err(Some(error)) => {
                tracing::warn!(projection = handle.name(), %error, "a batch failed: looking for the event");
                let _write_lock = handle.write_lock.lock().await;
                let mut at = from;
                let apart =
                    bisect(&*context.views, &*handle.projection, &generation_id, &mut at, events, to, parked).await;
                match apart {
                    Bisected::Passed => {}
                    Bisected::Moved => return Err(Halt::Moved),
                    Bisected::Failed { position, error } => {
                        self.arrive(at);
                        return Err(self.stop(position, &error));
                    }
                }
            }
        }
        self.arrive(to);
        if self.noted {
            self.noted = self
                .context
                .views
                .set_note(handle.name(), handle.projection.version(), NoteKind::Stop, None)
                .await
                .is_err();
        }
        Ok(())
    }

    fn arrive(&mut self, at: LogPosition) {
        (self.stored, self.seen, self.ahead) = (at, at, None);
        self.handle.publish(&self.generation_id, at);
    }

    /// Runs a database call with retries; a call that keeps failing stops the projection.
    async fn with_retries<T, F>(&mut self, ask: impl FnMut() -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, ProjectionError>>,
    {
        let context = self.context.clone();
        retry(&context, ask).await.map_err(|error| match error {
            None => Halt::Closed,
            Some(error) => {
                let position = match &error {
                    ProjectionError::Store(StoreError::Corrupt { position, .. }) => Some(*position),
                    _ => None,
                };
                self.stop(position, &error)
            }
        })
    }

    fn stop(&self, position: Option<u64>, error: &ProjectionError) -> Halt {
        match error {
            ProjectionError::Store(StoreError::Closed) => return Halt::Closed,
            ProjectionError::Decode { position, source: DecodeError::UnknownType(event_type) } => {
                return Halt::Unknown(UnknownEvent { position: *position, event_type: event_type.clone() });
            }
            _ => {}
        }
        Halt::Stop(StopInfo {
            reason: error_chain(error),
            position,
            attempts: ATTEMPTS,
            since: Timestamp::now(),
            diverged: matches!(error, ProjectionError::Store(StoreError::Diverged(_))),
            at: self.stored,
            generation: self.generation_id.generation,
        })
    }

    fn diverged(&self) -> Halt {
        let generation = self.generation_id.generation;
        Halt::Stop(StopInfo::log_diverged(self.handle.name(), generation, self.seen, self.stored))
    }

    /// Publishes that the projection stopped, and waits until it may try again.
    async fn wait_until_resumed(&mut self, stop: StopInfo) -> Halt {
        let (name, version) = (self.handle.name().to_owned(), self.handle.projection.version());
        if let Ok(note) = serde_json::to_string(&stop) {
            self.noted = self.context.views.set_note(&name, version, NoteKind::Stop, Some(note)).await.is_ok();
        }
        let here = (stop.generation, stop.at);
        let reason = stop.to_string();
        self.handle.set_run_state(RunState::Stopped(stop));
        // After the note and the state: the application's subscriber may panic.
        tracing::error!(projection = name, "stopped {reason}");
        loop {
            tokio::select! {
                () = self.context.closed() => return Halt::Closed,
                () = self.handle.resume.notified() => break,
                () = tokio::time::sleep(LOOK_FOR_HELP) => {}
            }
            let cleared =
                self.noted && matches!(self.context.views.note(&name, version, NoteKind::Stop).await, Ok(None));
            let refreshed = self.handle.refresh(&*self.context.views).await.is_ok();
            let moved = refreshed && (self.handle.generation_id().generation, self.handle.head()) != here;
            if cleared || moved {
                break;
            }
        }
        self.handle.set_run_state(RunState::CatchingUp);
        Halt::Moved
    }
}
