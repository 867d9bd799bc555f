//! Makes a projection anew beside the live one, then switches.
//!
//! ## Layout
//! - `pass`: one pass over the log for all rebuilds that begin together
//! - `build`: the generation in the making; `report`: how far it is
//! - `keys`: some keys made anew, in place
//! - `claim`: one rebuild of a projection at a time, over all processes

mod build;
mod claim;
mod keys;
mod pass;
mod report;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::build::Build;
use self::claim::Claim;
pub(super) use self::claim::heard_of;
use self::keys::KeyBuild;
pub use self::keys::Selection;
use self::pass::Ready;
use self::report::Report;
use super::ReadError;
use super::handle::{EngineContext, ProjectionHandle};
use super::progress::Progress;
use super::reader::union;
use crate::events::LogPosition;
use crate::projections::{FoldBase, ProjectionError};

/// A rebuild did not come to its end. What is read stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such projection.
    #[error(transparent)]
    Unknown(ReadError),
    /// It is being rebuilt already.
    #[error("a rebuild of `{name}` is already running{}: wait for it, or cancel it", so_far(*.elsewhere, *.progress))]
    Running {
        /// The projection.
        name: String,
        /// Whether by another process.
        elsewhere: bool,
        /// How far that is, if it has said so yet.
        progress: Option<Progress>,
    },
    /// Events were left out of what is read, and would be missing or fail.
    #[error(
        "{events} event{} skipped in `{name}`: replay them (`projections replay {name}`), or skip them again \
         (`projections rebuild {name} --keep-skips`)", if *.events == 1 { " is" } else { "s are" }
    )]
    Skips {
        /// The projection.
        name: String,
        /// How many.
        events: usize,
    },
    /// It cannot be made in parts.
    #[error("the projection `{0}` has no keys: rebuild it as a whole")]
    NoKeys(String),
    /// There is nothing to make.
    #[error("nothing of `{name}` was rebuilt: {what}")]
    Nothing {
        /// The projection.
        name: String,
        /// What was asked for.
        what: String,
    },
    /// The projection fails on an event.
    #[error("the rebuild of `{name}` failed at event {position}; the live version is unchanged")]
    Event {
        /// The projection.
        name: String,
        /// The event's position.
        position: u64,
        /// What the projection says.
        source: ProjectionError,
    },
    /// The projection or the database fails.
    #[error("the rebuild of `{name}` failed; the live version is unchanged")]
    Failed {
        /// The projection.
        name: String,
        /// Why.
        source: ProjectionError,
    },
    /// The log changed under it.
    #[error(
        "the log no longer holds event {} at position {}: start the rebuild of `{name}` again",
        .head.event_id, .head.position
    )]
    Diverged {
        /// The projection.
        name: String,
        /// What the log held before.
        head: LogPosition,
    },
    /// Another process rebuilds it too, and went on with this rebuild's tables.
    #[error("another process took over the rebuild of `{0}`: wait for it, or stop that process and start again")]
    Elsewhere(String),
    /// It was cancelled, or the application closed. The next rebuild goes on from here.
    #[error("the rebuild of `{0}` was cancelled: start it again to continue")]
    Cancelled(String),
}

fn so_far(elsewhere: bool, progress: Option<Progress>) -> String {
    let by = if elsewhere { " in another process" } else { "" };
    match progress {
        Some(Progress { position, head, .. }) if head > 0 => format!("{by}, at event {position} of {head}"),
        _ => by.to_owned(),
    }
}

/// What a rebuild does about events that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SkipPolicy {
    /// It does not begin while there are any.
    #[default]
    Refuse,
    /// They are left out again.
    Keep,
    /// They are taken in: what failed then may not fail any more.
    Replay,
}

/// A rebuild under way. It is a future: its end is the rebuild's. Dropped, the rebuild is cancelled, and what is read
/// stays as it was; the next rebuild goes on from there.
#[derive(Debug)]
pub struct Rebuild {
    name: String,
    progress: watch::Receiver<Progress>,
    cancel: watch::Sender<bool>,
    task: JoinHandle<Result<Progress, RebuildError>>,
}

impl Rebuild {
    /// The projection's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is: now, and each time it moves on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancels it, and returns when it has let go.
    pub async fn cancel(mut self) {
        self.cancel.send_replace(true);
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
        self.cancel.send_replace(true);
    }
}

/// Starts rebuilds of tasks of their own that share one pass over the log. What cannot begin is an error at once.
pub(super) fn start(
    context: &Arc<EngineContext>,
    all: Vec<Arc<ProjectionHandle>>,
    skips: SkipPolicy,
) -> Vec<(String, Result<Rebuild, RebuildError>)> {
    let light = all.iter().all(|handle| handle.projection.fold(FoldBase::Empty).is_some());
    let interest = union(all.iter().map(|handle| &handle.interest));
    let mut joining = Vec::with_capacity(all.len());
    let rebuilds = all
        .into_iter()
        .map(|handle| {
            let name = handle.name().to_owned();
            let begun = begin(context, handle, |run| {
                let (join, joined) = oneshot::channel();
                joining.push(joined);
                run.whole(skips, join, pass::pages_ahead(light))
            });
            (name, begun)
        })
        .collect();
    tokio::spawn(pass::pass(context.clone(), interest, joining, pass::page_size(light)));
    rebuilds
}

/// Starts making some keys anew.
pub(super) fn start_keys(
    context: &Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    selection: Selection,
) -> Result<Rebuild, RebuildError> {
    begin(context, handle, |run| run.keys(selection))
}

/// Spawns the task of a rebuild, unless this process runs one of the same projection.
fn begin<F>(
    context: &Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    run: impl FnOnce(Run) -> F,
) -> Result<Rebuild, RebuildError>
where
    F: Future<Output = Result<Progress, RebuildError>> + Send + 'static,
{
    let name = handle.name().to_owned();
    let mut running = None;
    handle.rebuild.send_if_modified(|rebuild| {
        running = *rebuild;
        rebuild.get_or_insert_default();
        running.is_none()
    });
    if running.is_some() {
        return Err(RebuildError::Running { name, elsewhere: false, progress: running });
    }
    let (sender, progress) = watch::channel(Progress::default());
    let (cancel, cancelled) = watch::channel(false);
    let busy = Busy(handle.clone());
    let task = run(Run { context: context.clone(), handle, sender, progress: progress.clone(), cancelled });
    let task = tokio::spawn(async move {
        let result = task.await;
        drop(busy);
        result
    });
    Ok(Rebuild { name, progress, cancel, task })
}

/// While it is there, this process rebuilds the projection.
struct Busy(Arc<ProjectionHandle>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rebuild.send_replace(None);
    }
}

/// What a rebuild's task works with.
struct Run {
    context: Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    sender: watch::Sender<Progress>,
    progress: watch::Receiver<Progress>,
    cancelled: watch::Receiver<bool>,
}

impl Run {
    /// Makes the whole projection anew.
    async fn whole(
        self,
        skips: SkipPolicy,
        join: oneshot::Sender<Ready>,
        ahead: usize,
    ) -> Result<Progress, RebuildError> {
        let (context, handle) = (self.context.clone(), self.handle.clone());
        let report = Report::new(handle.clone(), self.sender.clone());
        self.claimed(async {
            let mut build = Build::begin(context, handle, report, skips).await?;
            let (pages, mut passed) = mpsc::channel(ahead);
            // Without the pass, it reads for itself.
            let _ = join.send(Ready { from: build.at(), pages });
            let mut result = Ok(());
            while let Some(page) = passed.recv().await {
                result = build.hear(page).await;
                if result.is_err() {
                    break;
                }
            }
            drop(passed);
            match result {
                Ok(()) => build.finish().await,
                Err(error) => {
                    if error.spoils() {
                        build.discard().await;
                    }
                    Err(error)
                }
            }
        })
        .await
    }

    /// Makes some keys anew.
    async fn keys(self, selection: Selection) -> Result<Progress, RebuildError> {
        let report = Report::new(self.handle.clone(), self.sender.clone());
        let build = KeyBuild { context: self.context.clone(), handle: self.handle.clone(), report };
        self.claimed(build.run(&selection)).await
    }

    /// Runs while nobody else rebuilds the projection, until it is cancelled or the application closes.
    async fn claimed(
        &self,
        work: impl Future<Output = Result<Progress, RebuildError>>,
    ) -> Result<Progress, RebuildError> {
        let name = self.handle.name();
        let claim = Claim::take(&self.context, &self.handle).await;
        let Some(claim) = claim.map_err(|error| RebuildError::failed(name, error))? else {
            let heard = claim::noted(&self.context, &self.handle).await;
            let progress = heard.map_err(|error| RebuildError::failed(name, error))?;
            return Err(RebuildError::Running { name: name.to_owned(), elsewhere: true, progress });
        };
        let claim = Arc::new(claim);
        // In a task of its own: a page may take the work longer than the claim holds.
        let mut keeping = JoinSet::new();
        keeping.spawn(keep(claim.clone(), self.progress.clone()));
        let mut cancelled = self.cancelled.clone();
        let result = tokio::select! {
            biased;
            // An error means that the handle was dropped.
            _ = cancelled.wait_for(|cancelled| *cancelled) => Err(RebuildError::Cancelled(name.to_owned())),
            () = self.context.closed() => Err(RebuildError::Cancelled(name.to_owned())),
            result = work => result,
            _ = keeping.join_next() => Err(RebuildError::Elsewhere(name.to_owned())),
        };
        // Nothing is renewed once it was given back.
        keeping.shutdown().await;
        if let Err(error) = claim.release().await {
            tracing::debug!(%error, "the lease of a rebuild could not be released: it expires");
        }
        result
    }
}

/// Keeps the claim; returns when it is lost.
async fn keep(claim: Arc<Claim>, progress: watch::Receiver<Progress>) {
    loop {
        tokio::time::sleep(claim::RENEW).await;
        let progress = *progress.borrow();
        match claim.renew(progress).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::debug!(%error, "the lease of a rebuild could not be renewed"),
        }
    }
}

impl RebuildError {
    /// Whether what was made so far is of no use: whoever mends what failed wants all of it made by the mended code.
    fn spoils(&self) -> bool {
        match self {
            Self::Event { .. } | Self::Diverged { .. } => true,
            Self::Failed { source, .. } => !matches!(source, ProjectionError::Store(_)),
            _ => false,
        }
    }
}
