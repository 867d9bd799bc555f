//! Keeps one projection up with the log; `fill`: the first filling of it; `live`: along with the log.

mod fill;
mod live;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::dead_letters;
use super::reader::{PageSize, Shared};
use super::status::{Stop, Unknown};
use super::tracked::{Core, Standing, Tracked};
use super::write::{ATTEMPTS, Apart, attempt, set_up, step, take_apart};
use crate::events::{DecodeError, Head, Stored};
use crate::projections::{EventBatch, ProjectionError};
use crate::store::{GenerationId, NoteKind, Page, StoreError};
use crate::text::error_chain;

/// The most that is read at a time while catching up.
const CATCH_UP_EVENTS: usize = 10_000;
const CATCH_UP_BYTES: usize = 8 << 20;

/// How often a stopped projection looks whether another process has helped it on.
const LOOK_FOR_HELP: Duration = Duration::from_secs(1);

pub(super) struct Runner {
    core: Arc<Core>,
    tracked: Arc<Tracked>,
    pages: broadcast::Receiver<Shared>,
    size: PageSize,
    generation_id: GenerationId,
    /// The checkpoint in the database.
    stored: Head,
    /// Up to where no wanted event is missing: at or after `stored`.
    seen: Head,
    /// Since when `seen` has been ahead of `stored`.
    ahead: Option<Instant>,
    /// A note in the database says that it stopped.
    noted: bool,
    /// There are dead letters: events may have to queue behind them.
    parked: bool,
}

/// Why a runner does not simply go on.
enum Halt {
    Closed,
    /// Somebody else moved the checkpoint, or another generation is read.
    Moved,
    /// Another process leads.
    Lost,
    /// This program does not know an event.
    Unknown(Unknown),
    Stop(Stop),
}

impl Runner {
    pub fn new(core: Arc<Core>, tracked: Arc<Tracked>, pages: broadcast::Receiver<Shared>) -> Self {
        let (generation_id, head) = (tracked.generation_id(), tracked.head());
        let size = PageSize::new(CATCH_UP_EVENTS, CATCH_UP_BYTES);
        Self {
            core,
            tracked,
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
        let (core, mut leading) = (self.core.clone(), self.tracked.leading());
        loop {
            tokio::select! {
                () = core.closed() => return,
                // The sender is there as long as `tracked` is.
                _ = leading.wait_for(|leads| *leads) => self.tracked.stand(Standing::CatchingUp),
            }
            // Left in the middle of a transaction, that is rolled back.
            let halt = tokio::select! {
                halt = self.follow() => halt,
                _ = leading.wait_for(|leads| !*leads) => Halt::Lost,
            };
            let halt = match halt {
                Halt::Stop(stop) => tokio::select! {
                    halt = self.stand_still(stop) => halt,
                    _ = leading.wait_for(|leads| !*leads) => Halt::Lost,
                },
                halt => halt,
            };
            match halt {
                Halt::Closed => return,
                Halt::Moved | Halt::Stop(_) => {}
                Halt::Lost => self.tracked.stand(Standing::Away),
                Halt::Unknown(unknown) => {
                    tracing::warn!(projection = self.tracked.name(), "waiting {unknown}");
                    self.tracked.yield_before(unknown);
                    core.yielded.notify_one();
                }
            }
        }
    }

    /// Goes from what the database says to the head of the log, and along with it.
    async fn follow(&mut self) -> Halt {
        let halted: Result<Infallible, Halt> = async {
            self.reload().await?;
            self.fill().await?;
            loop {
                self.catch_up().await?;
                self.tracked.stand(Standing::Live);
                self.keep_up().await?;
            }
        }
        .await;
        let Err(halt) = halted;
        halt
    }

    /// Reads the live generation and its checkpoint from the database.
    async fn reload(&mut self) -> Result<(), Halt> {
        let (name, version) = (self.tracked.name().to_owned(), self.tracked.projection.version());
        let (core, tracked) = (self.core.clone(), self.tracked.clone());
        let (generation_id, head, parked) = self
            .insist(|| async {
                let (generation_id, head) = core.views.live(&name, version).await?;
                if head.position == 0 && head.event_id.is_nil() {
                    set_up(&*core.views, &*tracked.projection, &generation_id, true).await?;
                }
                let mut snapshot = core.views.read(&name, version).await?;
                let parked = dead_letters::count(&mut *snapshot).await? > 0;
                Ok((generation_id, head, parked))
            })
            .await?;
        // Pages that waited here may be of a log that was put back to an older state since: what follows is read anew.
        self.pages = self.pages.resubscribe();
        self.parked = parked;
        (self.generation_id, self.stored, self.seen, self.ahead) = (generation_id, head, head, None);
        self.tracked.publish_anew(&self.generation_id, head);
        self.check_seen().await
    }

    /// Reads pages of its own until one is not full.
    async fn catch_up(&mut self) -> Result<(), Halt> {
        loop {
            let limit = self.size.limit();
            let page = self.read(limit).await?;
            let full = page.events.len() >= limit;
            if full {
                self.tracked.stand(Standing::CatchingUp);
            }
            self.size.learn(&page.events);
            self.take(&page.events, page.to).await?;
            if !full {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, limit: usize) -> Result<Page, Halt> {
        let (core, tracked, after) = (self.core.clone(), self.tracked.clone(), self.seen.position);
        let page = self.insist(|| async { Ok(core.store.read(after, limit, &tracked.interest).await?) }).await?;
        // Looked at after the page was read, so that the page follows the event that we stand on.
        self.check_seen().await?;
        Ok(page)
    }

    /// Stops where the log does not hold the event that it was at, if that is what the database says as well.
    async fn check_seen(&mut self) -> Result<(), Halt> {
        let (core, seen) = (self.core.clone(), self.seen);
        if self.insist(|| async { Ok(core.holds(seen).await?) }).await? {
            return Ok(());
        }
        // Where log and views lie in one database, an older state of both was put back: then we stand elsewhere.
        let (core, generation_id) = (self.core.clone(), self.generation_id.clone());
        let stored = self.insist(|| async { Ok(core.views.checkpoint(&generation_id).await?) }).await?;
        Err(if stored == Some(seen) || stored == Some(self.stored) { self.diverged() } else { Halt::Moved })
    }

    /// Takes in events, or remembers that there were none.
    async fn take(&mut self, events: &[Stored], to: Head) -> Result<(), Halt> {
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

    /// Takes in events and moves the checkpoint: again and again if that fails, then in pieces, to find the event.
    async fn advance(&mut self, events: &[Stored], to: Head) -> Result<(), Halt> {
        let (core, tracked) = (self.core.clone(), self.tracked.clone());
        let (generation_id, from, parked) = (self.generation_id.clone(), self.stored, self.parked);
        let result = attempt(&core, || async {
            let _gate = tracked.gate.lock().await;
            // Another process may have made the generation again, without its tables, in a views file that was removed.
            if from == Head::default() {
                set_up(&*core.views, &*tracked.projection, &generation_id, true).await?;
            }
            step(&*core.views, &*tracked.projection, &generation_id, EventBatch { from, to, events }, parked).await
        });
        match result.await {
            Ok(true) => {}
            Ok(false) => return Err(Halt::Moved),
            Err(None) => return Err(Halt::Closed),
            Err(Some(error)) => {
                tracing::warn!(projection = tracked.name(), %error, "a batch fails; looking for the event");
                let _gate = tracked.gate.lock().await;
                let mut at = from;
                let apart =
                    take_apart(&*core.views, &*tracked.projection, &generation_id, &mut at, events, to, parked)
                        .await;
                match apart {
                    Apart::Passed => {}
                    Apart::Moved => return Err(Halt::Moved),
                    Apart::Failed { position, error } => {
                        self.arrive(at);
                        return Err(self.stop(position, &error));
                    }
                }
            }
        }
        self.arrive(to);
        if self.noted {
            self.noted = self
                .core
                .views
                .set_note(tracked.name(), tracked.projection.version(), NoteKind::Stop, None)
                .await
                .is_err();
        }
        Ok(())
    }

    fn arrive(&mut self, at: Head) {
        (self.stored, self.seen, self.ahead) = (at, at, None);
        self.tracked.publish(&self.generation_id, at);
    }

    /// Asks the database again and again, and stops when it keeps failing.
    async fn insist<T, F>(&mut self, ask: impl FnMut() -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, ProjectionError>>,
    {
        let core = self.core.clone();
        attempt(&core, ask).await.map_err(|error| match error {
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
                return Halt::Unknown(Unknown { position: *position, event_type: event_type.clone() });
            }
            _ => {}
        }
        Halt::Stop(Stop {
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
        Halt::Stop(Stop::log_diverged(self.tracked.name(), generation, self.seen, self.stored))
    }

    /// Says that it stopped, and waits until it may try again.
    async fn stand_still(&mut self, stop: Stop) -> Halt {
        let (name, version) = (self.tracked.name().to_owned(), self.tracked.projection.version());
        tracing::error!(projection = name, "stopped {stop}");
        if let Ok(note) = serde_json::to_string(&stop) {
            self.noted = self.core.views.set_note(&name, version, NoteKind::Stop, Some(note)).await.is_ok();
        }
        let here = (stop.generation, stop.at);
        self.tracked.stand(Standing::Stopped(stop));
        loop {
            tokio::select! {
                () = self.core.closed() => return Halt::Closed,
                () = self.tracked.resume.notified() => break,
                () = tokio::time::sleep(LOOK_FOR_HELP) => {}
            }
            let cleared =
                self.noted && matches!(self.core.views.note(&name, version, NoteKind::Stop).await, Ok(None));
            let refreshed = self.tracked.refresh(&*self.core.views).await.is_ok();
            let moved = refreshed && (self.tracked.generation_id().generation, self.tracked.head()) != here;
            if cleared || moved {
                break;
            }
        }
        self.tracked.stand(Standing::CatchingUp);
        Halt::Moved
    }
}
