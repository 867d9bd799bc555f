//! Rebuilds a projection beside the live one, then switches.
//!
//! ## Layout
//! - `pass`: one pass over the log for all rebuilds that start together
//! - `build`, `report`: the new generation, and its progress
//! - `error`: [`RebuildError`], and the policy for dead letters
//! - `keys`: a rebuild of some keys, in place
//! - `claim`: the lease that allows one rebuild of a projection at a time across all processes

mod build;
mod claim;
mod error;
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
pub(super) use self::claim::progress_anywhere;
pub use self::error::{RebuildError, SkipPolicy};
use self::keys::KeyBuild;
pub use self::keys::Selection;
use self::pass::Ready;
use self::report::Report;
use super::handle::{EngineContext, ProjectionHandle};
use super::progress::Progress;
use super::reader::union;
use crate::projections::{FoldBase, ProjectionError};
use crate::text::panic_message;

/// A running rebuild: a future that resolves when the rebuild ends. Dropping it cancels the rebuild and leaves the
/// live version unchanged; the next rebuild continues it.
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

    /// The rebuild's progress: the current value, then each change.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancels the rebuild and waits for its task to end.
    pub async fn cancel(mut self) {
        self.cancel.send_replace(true);
        // The result does not matter.
        let _ = (&mut self.task).await;
    }
}

impl Future for Rebuild {
    type Output = Result<Progress, RebuildError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.task).poll(context) {
            Poll::Ready(Ok(result)) => Poll::Ready(result),
            Poll::Ready(Err(error)) => Poll::Ready(Err(match error.try_into_panic() {
                Ok(panic) => {
                    let source = ProjectionError::Panicked(panic_message(&*panic).to_owned());
                    RebuildError::Failed { name: self.name.clone(), source }
                }
                Err(_) => RebuildError::Cancelled(self.name.clone()),
            })),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        self.cancel.send_replace(true);
    }
}

/// Starts one rebuild task for each projection; they share one pass over the log. Returns an error for each that
/// cannot start.
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

/// Starts a rebuild of some keys.
pub(super) fn start_keys(
    context: &Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    selection: Selection,
) -> Result<Rebuild, RebuildError> {
    begin(context, handle, |run| run.keys(selection))
}

/// Spawns the task of a rebuild, unless this process already runs one of the same projection.
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

/// Marks the projection as being rebuilt by this process until dropped.
struct Busy(Arc<ProjectionHandle>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rebuild.send_replace(None);
    }
}

/// The state of a rebuild's task.
struct Run {
    context: Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    sender: watch::Sender<Progress>,
    progress: watch::Receiver<Progress>,
    cancelled: watch::Receiver<bool>,
}

impl Run {
    /// Rebuilds the whole projection.
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
            // Without the pass, the build reads the log itself.
            let _ = join.send(Ready { from: build.at(), pages });
            let mut result = Ok(());
            while let Some(page) = passed.recv().await {
                result = build.apply_page(page).await;
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

    /// Rebuilds some keys.
    async fn keys(self, selection: Selection) -> Result<Progress, RebuildError> {
        let report = Report::new(self.handle.clone(), self.sender.clone());
        let build = KeyBuild { context: self.context.clone(), handle: self.handle.clone(), report };
        self.claimed(build.run(&selection)).await
    }

    /// Runs `work` while this process holds the lease, until the rebuild is cancelled or the application closes.
    async fn claimed(
        &self,
        work: impl Future<Output = Result<Progress, RebuildError>>,
    ) -> Result<Progress, RebuildError> {
        let name = self.handle.name();
        let claim = Claim::acquire(&self.context, &self.handle).await;
        let Some(claim) = claim.map_err(|error| RebuildError::failed(name, error))? else {
            let progress = claim::progress_elsewhere(&self.context, &self.handle).await;
            let progress = progress.map_err(|error| RebuildError::failed(name, error))?;
            return Err(RebuildError::Running { name: name.to_owned(), elsewhere: true, progress });
        };
        let claim = Arc::new(claim);
        // In a task of its own, because a page may take `work` longer than the lease lasts.
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
        // The lease must not be renewed after its release.
        keeping.shutdown().await;
        if let Err(error) = claim.release().await {
            tracing::debug!(%error, "the lease of a rebuild could not be released: it expires");
        }
        result
    }
}

/// Renews the lease; returns when it is lost.
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
