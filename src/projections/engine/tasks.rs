//! The engine's background tasks. Each is started again after a panic, and the status of projections counts that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::handle::{EngineContext, ProjectionHandle};
use super::leader::Leader;
use super::reader::{self, SharedPage};
use super::runner::Runner;
use crate::events::LogPosition;
use crate::store::{Interest, StoreError};
use crate::supervise::supervise;

/// How often the checkpoint of a projection that a caller waits for is read: another process may move it.
const POLL: Duration = Duration::from_millis(50);

/// Spawns the task that keeps one projection up with the log.
pub(super) fn spawn_runner(
    context: &Arc<EngineContext>,
    handle: &Arc<ProjectionHandle>,
    pages: &broadcast::Sender<SharedPage>,
) -> JoinHandle<()> {
    let (shared, watched, pages) = (context.clone(), handle.clone(), pages.clone());
    let start = move || Runner::new(shared.clone(), watched.clone(), pages.subscribe()).run();
    let handle = handle.clone();
    spawn(context, "runner of a projection", start, move |panics, message| handle.runner_panicked(panics, message))
}

/// Spawns the task that reads new events for all projections, from `head` on.
pub(super) fn spawn_reader(
    context: &Arc<EngineContext>,
    interest: Interest,
    head: LogPosition,
    pages: broadcast::Sender<SharedPage>,
) -> JoinHandle<()> {
    let (shared, mut head) = (context.clone(), Some(head));
    let start = move || reader::follow(shared.clone(), interest.clone(), head.take(), pages.clone());
    spawn_shared(context, "reader of new events", start, || {})
}

/// Spawns the task that renews the leases. After a panic this process runs no projection until the next renewal.
pub(super) fn spawn_leader(
    context: &Arc<EngineContext>,
    leader: Leader,
    handles: Vec<Arc<ProjectionHandle>>,
) -> JoinHandle<()> {
    let stop_leading = move || handles.iter().for_each(|handle| handle.lead(false));
    spawn_shared(context, "renewal of leases", move || leader.clone().run(), stop_leading)
}

/// Spawns the task that reads the checkpoints of projections that a caller waits for.
pub(super) fn spawn_poller(context: &Arc<EngineContext>, handles: Vec<Arc<ProjectionHandle>>) -> JoinHandle<()> {
    let shared = context.clone();
    let start = move || poll_checkpoints(shared.clone(), handles.clone());
    spawn_shared(context, "poller of checkpoints", start, || {})
}

/// Spawns a task that serves all projections.
fn spawn_shared<T: Future<Output = ()> + Send + 'static>(
    context: &Arc<EngineContext>,
    task: &'static str,
    start: impl FnMut() -> T + Send + 'static,
    mut on_panic: impl FnMut() + Send + 'static,
) -> JoinHandle<()> {
    let shared = context.clone();
    spawn(context, task, start, move |_, _| {
        shared.restarts.fetch_add(1, Ordering::Relaxed);
        on_panic();
    })
}

fn spawn<T: Future<Output = ()> + Send + 'static>(
    context: &Arc<EngineContext>,
    task: &'static str,
    start: impl FnMut() -> T + Send + 'static,
    on_panic: impl FnMut(u32, &str) + Send + 'static,
) -> JoinHandle<()> {
    let context = context.clone();
    tokio::spawn(async move { supervise(task, start, || context.closed(), on_panic).await })
}

async fn poll_checkpoints(context: Arc<EngineContext>, handles: Vec<Arc<ProjectionHandle>>) {
    loop {
        tokio::select! {
            () = context.closed() => return,
            () = tokio::time::sleep(POLL) => {}
        }
        for handle in handles.iter().filter(|handle| handle.is_watched()) {
            match handle.refresh(&*context.views).await {
                Err(StoreError::Closed) => return,
                Err(error) => tracing::debug!(%error, "a checkpoint could not be read"),
                Ok(()) => {}
            }
        }
    }
}
