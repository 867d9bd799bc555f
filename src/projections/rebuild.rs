//! Makes a projection anew beside the live one, then switches.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reader::PageSize;
use super::tracked::{Core, Tracked};
use super::write::{Apart, set_up, step, take_apart};
use super::{EventBatch, ProjectionError, ReadError};
use crate::events::Head;
use crate::store::{Instance, Page, StoreError};

/// The most that is folded in one transaction: two such pages are in memory at a time.
const REBUILD_EVENTS: usize = 100_000;
const REBUILD_BYTES: usize = 16 << 20;

/// How often the last steps are tried with the live projection held back, before it may go on for a while.
const LAST_STEPS: usize = 8;

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Up to where the log is taken in.
    pub position: u64,
    /// The log's head.
    pub head: u64,
    /// How many events of the log it passes in a second, over the whole of this run.
    pub events_per_second: f64,
    /// How long it will take yet, at that rate.
    pub eta: Option<Duration>,
}

/// A rebuild did not come to its end. What is read stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such projection.
    #[error(transparent)]
    Unknown(ReadError),
    /// This process rebuilds it already.
    #[error("`{0}` is being rebuilt already: wait for that, or cancel it")]
    Running(String),
    /// The projection fails on an event.
    #[error("the rebuild of `{name}` fails at event {position}; what is read stays as it was")]
    Event {
        /// The projection.
        name: String,
        /// The event's position.
        position: u64,
        /// What the projection says.
        source: ProjectionError,
    },
    /// The projection or the database fails.
    #[error("the rebuild of `{name}` failed; what is read stays as it was")]
    Failed {
        /// The projection.
        name: String,
        /// Why.
        source: ProjectionError,
    },
    /// The log changed under it.
    #[error(
        "the log does not hold event {} at position {} any more: start the rebuild of `{name}` again",
        .head.event_id, .head.position
    )]
    Diverged {
        /// The projection.
        name: String,
        /// What the log held before.
        head: Head,
    },
    /// Another process rebuilds it too, and went on with this rebuild's tables.
    #[error("another process rebuilds `{0}` too: leave it to that one, or end it and start again")]
    Elsewhere(String),
    /// It was cancelled, or the application closed. The next rebuild goes on from here.
    #[error("the rebuild of `{0}` was cancelled: start it again to go on from where it was")]
    Cancelled(String),
}

/// A rebuild under way. It is a future: its end is the rebuild's. Dropped, the rebuild is cancelled, and what is read
/// stays as it was; the next rebuild goes on from there.
#[derive(Debug)]
pub struct Rebuild {
    name: String,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<Progress, RebuildError>>,
}

impl Rebuild {
    /// How far it is: now, and each time it moves on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancels it, and returns when it has let go.
    pub async fn cancel(mut self) {
        self.task.abort();
        // Its result is of no interest any more.
        let _ = (&mut self.task).await;
    }
}

impl Future for Rebuild {
    type Output = Result<Progress, RebuildError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.task).poll(context) {
            Poll::Ready(Ok(result)) => Poll::Ready(result),
            Poll::Ready(Err(_)) => Poll::Ready(Err(RebuildError::Cancelled(self.name.clone()))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a rebuild of its own task.
pub(super) fn start(core: Arc<Core>, tracked: Arc<Tracked>) -> Result<Rebuild, RebuildError> {
    let name = tracked.name().to_owned();
    let began = tracked.rebuild.send_if_modified(|rebuild| {
        let free = rebuild.is_none();
        rebuild.get_or_insert_default();
        free
    });
    if !began {
        return Err(RebuildError::Running(name));
    }
    let (sender, progress) = watch::channel(Progress::default());
    let run = Run { core, tracked, progress: sender, name: name.clone() };
    let task = tokio::spawn(async move {
        let core = run.core.clone();
        tokio::select! {
            biased;
            result = run.run() => result,
            () = core.closed() => Err(RebuildError::Cancelled(run.name.clone())),
        }
    });
    Ok(Rebuild { name, progress, task })
}

struct Run {
    core: Arc<Core>,
    tracked: Arc<Tracked>,
    progress: watch::Sender<Progress>,
    name: String,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.tracked.rebuild.send_replace(None);
    }
}

/// The generation in the making, and how far it is.
struct Shadow {
    instance: Instance,
    at: Head,
    size: PageSize,
    began: (Instant, u64),
}

impl Run {
    async fn run(&self) -> Result<Progress, RebuildError> {
        let (instance, at) = self.shadow().await?;
        let size = PageSize::new(REBUILD_EVENTS, REBUILD_BYTES);
        let mut shadow = Shadow { instance, at, size, began: (Instant::now(), at.position) };
        let result = self.build(&mut shadow).await;
        if let Err(RebuildError::Event { .. } | RebuildError::Failed { .. } | RebuildError::Diverged { .. }) =
            result
        {
            // Whoever mends what failed wants all of it made by the mended code.
            let _ = self.core.views.discard(&shadow.instance).await;
        }
        result
    }

    /// The tables to build in: those of an interrupted rebuild, if the log still holds what they were made from.
    async fn shadow(&self) -> Result<(Instance, Head), RebuildError> {
        let views = &*self.core.views;
        let version = self.tracked.projection.version();
        let (mut instance, mut at) = views.shadow(&self.name, version).await.map_err(|e| self.failed(e))?;
        if !self.core.holds(at).await.map_err(|e| self.failed(e))? {
            views.discard(&instance).await.map_err(|e| self.failed(e))?;
            (instance, at) = views.shadow(&self.name, version).await.map_err(|e| self.failed(e))?;
        }
        if at.position == 0 {
            set_up(views, &*self.tracked.projection, &instance).await.map_err(|e| self.failed(e))?;
        }
        Ok((instance, at))
    }

    async fn build(&self, shadow: &mut Shadow) -> Result<Progress, RebuildError> {
        loop {
            self.take_all(shadow).await?;
            // Near the head: hold the live one back for the last steps, so that it cannot run away.
            let _gate = self.tracked.gate.lock().await;
            for _ in 0..LAST_STEPS {
                self.take_all(shadow).await?;
                if self.switch(shadow).await? {
                    return Ok(self.report(shadow, shadow.at.position));
                }
            }
        }
    }

    /// Folds pages until one is not full; the next one is read while one is folded.
    async fn take_all(&self, shadow: &mut Shadow) -> Result<(), RebuildError> {
        let mut limit = shadow.size.limit();
        let mut page = self.read(shadow.at, limit).await?;
        loop {
            let full = page.events.len() >= limit;
            shadow.size.learn(&page.events);
            limit = shadow.size.limit();
            let (next, ()) = if full {
                let (next, taken) = futures::join!(self.read(page.to, limit), self.take(shadow, &page));
                (Some(next), taken?)
            } else {
                (None, self.take(shadow, &page).await?)
            };
            let head = self.core.store.head().await.map_err(|e| self.failed(e))?;
            self.report(shadow, head.position);
            match next {
                Some(next) => page = next?,
                None => return Ok(()),
            }
        }
    }

    async fn read(&self, after: Head, limit: usize) -> Result<Page, RebuildError> {
        let interest = &self.tracked.interest;
        let page = self.core.store.read(after.position, limit, interest).await.map_err(|e| self.failed(e))?;
        match self.core.holds(after).await.map_err(|e| self.failed(e))? {
            true => Ok(page),
            false => Err(RebuildError::Diverged { name: self.name.clone(), head: after }),
        }
    }

    async fn take(&self, shadow: &mut Shadow, page: &Page) -> Result<(), RebuildError> {
        if page.to.position <= shadow.at.position {
            return Ok(());
        }
        let (views, projection) = (&*self.core.views, &*self.tracked.projection);
        let batch = EventBatch { from: shadow.at, to: page.to, events: &page.events };
        match step(views, projection, &shadow.instance, batch).await {
            Ok(true) => {
                shadow.at = page.to;
                return Ok(());
            }
            Ok(false) => return Err(RebuildError::Elsewhere(self.name.clone())),
            Err(error) => tracing::warn!(projection = self.name, %error, "a batch of a rebuild fails"),
        }
        let Shadow { instance, at, .. } = shadow;
        match take_apart(views, projection, instance, at, &page.events, page.to).await {
            Apart::Passed => Ok(()),
            Apart::Moved => Err(RebuildError::Elsewhere(self.name.clone())),
            Apart::Failed { position: Some(position), error } => {
                Err(RebuildError::Event { name: self.name.clone(), position, source: error })
            }
            Apart::Failed { position: None, error } => Err(self.failed(error)),
        }
    }

    /// Makes the new generation the one that is read, unless the live one is further.
    async fn switch(&self, shadow: &Shadow) -> Result<bool, RebuildError> {
        let views = &*self.core.views;
        let (live, head) =
            views.live(&self.name, self.tracked.projection.version()).await.map_err(|e| self.failed(e))?;
        if head.position > shadow.at.position && !self.core.holds(head).await.map_err(|e| self.failed(e))? {
            // The live one was made from another log and is no measure. At position 0, with an id that is not the
            // empty log's, it is still known to be that by whoever reads it.
            let lost = Head { position: 0, event_id: head.event_id };
            let batch = EventBatch { from: head, to: lost, events: &[] };
            step(views, &*self.tracked.projection, &live, batch).await.map_err(|e| self.failed(e))?;
        }
        let switched = views.switch(&shadow.instance).await.map_err(|e| self.failed(e))?;
        if switched {
            self.tracked.publish_anew(&shadow.instance, shadow.at);
            self.tracked.try_again();
        }
        Ok(switched)
    }

    fn report(&self, shadow: &Shadow, head: u64) -> Progress {
        let (since, from) = shadow.began;
        let position = shadow.at.position;
        let events_per_second = (position - from) as f64 / since.elapsed().as_secs_f64().max(1e-6);
        let left = head.saturating_sub(position) as f64;
        let eta = Duration::try_from_secs_f64(left / events_per_second).ok();
        let progress = Progress { position, head: head.max(position), events_per_second, eta };
        self.progress.send_replace(progress);
        self.tracked.rebuild.send_replace(Some(progress));
        progress
    }

    fn failed(&self, error: impl Into<ProjectionError>) -> RebuildError {
        match error.into() {
            ProjectionError::Store(StoreError::Closed) => RebuildError::Cancelled(self.name.clone()),
            source => RebuildError::Failed { name: self.name.clone(), source },
        }
    }
}
