//! The engine: keeps all projections of an open application up with the log, and rebuilds and repairs them.
//!
//! ## Layout
//! - `handle`: the state that the tasks share, for all projections and for each
//! - `tasks`: the background tasks, each started again after a panic
//! - `leader`: which projections this process runs, among all processes
//! - `reader`: reads new events once for all projections
//! - `page_size`: how many events are read at a time
//! - `runner`: keeps one projection up with the log
//! - `write`: a batch and its checkpoint in one transaction, with retries and bisection
//! - `adopt`: uses or copies the rows of another version of a projection
//! - `reading`, `progress_waiter`: [`Reading`], a reader of a projection, and waiting for its progress
//! - `read_error`: why a projection cannot be read
//! - `past`: one document as of a moment
//! - `rebuild`, `progress`: rebuilds a projection beside the live one, then switches, and reports its progress
//! - `dead_letters`: skipped events, and those that queue behind them
//! - `repair`: skips and replays events, drops unused versions
//! - `status`: the status of each projection, and why it stopped

mod adopt;
pub(super) mod dead_letters;
mod handle;
mod leader;
pub(super) mod page_size;
mod past;
mod progress;
pub(super) mod progress_waiter;
mod read_error;
mod reader;
mod reading;
mod rebuild;
mod repair;
mod runner;
mod status;
mod tasks;
pub(super) mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio::task::JoinHandle;

pub use self::dead_letters::DeadLetter;
use self::handle::{EngineContext, ProjectionHandle, RunState};
pub(super) use self::leader::LeaseTerms;
use self::leader::{Leader, LeaseOwner};
pub use self::progress::Progress;
pub use self::read_error::ReadError;
use self::reader::SHARED_PAGES;
pub use self::reading::Reading;
pub use self::rebuild::{Rebuild, RebuildError, Selection, SkipPolicy};
pub use self::repair::{RepairError, UnusedVersion};
pub use self::status::{ProjectionState, ProjectionStatus, StopInfo, UnknownEvent};
use self::write::set_up;
use super::{Projection, ProjectionError};
use crate::events::Types;
use crate::store::{GenerationInfo, Store, StoreError};

/// An error that keeps the projections of an application from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two projections have the same name.
    #[error("two projections have the name `{0}`: rename one")]
    Twice(String),
    /// A projection failed to create its tables.
    #[error("the projection `{name}` could not create its tables")]
    Setup {
        /// The projection's name.
        name: String,
        /// The cause.
        source: ProjectionError,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The projections of an open application. The engine keeps them up with the log, reads, watches and rebuilds them.
#[derive(Clone)]
pub(crate) struct Projections(Arc<Inner>);

struct Inner {
    context: Arc<EngineContext>,
    all: BTreeMap<String, Arc<ProjectionHandle>>,
    closing: watch::Sender<bool>,
    owner: LeaseOwner,
    running: bool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Projections {
    /// Creates the tables of each projection if there are none, and keeps the projections up with the log unless
    /// `run` is false.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        types: Arc<Types>,
        projections: Vec<Arc<dyn Projection>>,
        run: bool,
    ) -> Result<Self, StartError> {
        Self::start_on(store, types, projections, run.then(LeaseTerms::default)).await
    }

    /// As [`start`](Self::start), with these lease terms; without terms it only reads.
    pub(crate) async fn start_on(
        store: Arc<dyn Store>,
        types: Arc<Types>,
        projections: Vec<Arc<dyn Projection>>,
        terms: Option<LeaseTerms>,
    ) -> Result<Self, StartError> {
        let (closing, closed) = watch::channel(false);
        let views = store.views();
        let mut all = BTreeMap::new();
        for projection in projections {
            let projection = adopt::settle(&*store, &*views, projection).await?;
            let name = projection.name().to_owned();
            let (generation_id, head) = views.live(&name, projection.version()).await?;
            if head.position == 0 && head.event_id.is_nil() {
                set_up(&*views, &*projection, &generation_id, true)
                    .await
                    .map_err(|source| StartError::Setup { name: name.clone(), source })?;
            }
            if all.insert(name.clone(), Arc::new(ProjectionHandle::new(projection, generation_id, head))).is_some()
            {
                return Err(StartError::Twice(name));
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let context = Arc::new(EngineContext {
            store,
            views,
            types,
            closing: closed,
            yielded: Notify::new(),
            awaited: Notify::new(),
            turns: Semaphore::new((cores / 2).max(1)),
            restarts: AtomicU64::new(0),
        });
        let owner = LeaseOwner::new();
        let handles: Vec<_> = all.values().cloned().collect();
        let mut tasks = vec![tasks::spawn_poller(&context, handles.clone())];
        if let Some(terms) = terms.filter(|_| !handles.is_empty()) {
            let (pages, _) = broadcast::channel(SHARED_PAGES);
            tasks.extend(handles.iter().map(|handle| tasks::spawn_runner(&context, handle, &pages)));
            let head = context.store.head().await?;
            let interest = reader::union(handles.iter().map(|handle| &handle.interest));
            tasks.push(tasks::spawn_reader(&context, interest, head, pages));
            let mut leader = Leader::new(context.clone(), handles.clone(), owner, terms);
            match leader.call().await {
                // The server is a standby: it may be promoted.
                Err(error @ StoreError::Unusable { .. }) => tracing::warn!(%error, "no projection can be run now"),
                called => called?,
            }
            tasks.push(tasks::spawn_leader(&context, leader, handles));
        }
        let running = terms.is_some();
        Ok(Self(Arc::new(Inner { context, all, closing, owner, running, tasks: Mutex::new(tasks) })))
    }

    fn context(&self) -> &Arc<EngineContext> {
        &self.0.context
    }

    fn all(&self) -> impl Iterator<Item = &ProjectionHandle> {
        self.0.all.values().map(|handle| &**handle)
    }

    pub(super) fn handle(&self, name: &str) -> Result<&Arc<ProjectionHandle>, ReadError> {
        self.0.all.get(name).ok_or_else(|| ReadError::Unknown {
            name: name.to_owned(),
            known: self.0.all.keys().cloned().collect(),
        })
    }

    /// Readers of all projections.
    pub(crate) fn readings(&self) -> impl Iterator<Item = Reading> {
        self.0.all.values().map(|handle| Reading::new(self.0.context.clone(), handle.clone()))
    }

    /// A reader of the projection `name`.
    pub(crate) fn reading(&self, name: &str) -> Result<Reading, ReadError> {
        Ok(Reading::new(self.0.context.clone(), self.handle(name)?.clone()))
    }

    /// The status of each projection, ordered by name.
    pub(crate) async fn statuses(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        let Inner { context, all, .. } = &*self.0;
        let head = context.store.head().await?.position;
        let generations = context.views.generations().await?;
        let mut statuses = Vec::with_capacity(all.len());
        for (name, handle) in all {
            // A projection that wants no event writes its checkpoint on request or about once a second.
            handle.request_checkpoint(head);
            handle.refresh(&*context.views).await?;
            let mut run_state = handle.run_state().borrow().clone();
            if let RunState::Away = run_state
                && let Some(stop) = handle.noted(&*context.views).await?
            {
                run_state = RunState::Stopped(stop);
            }
            let known = matches!(&run_state, RunState::Stopped(stop) if stop.diverged);
            if !known && let Some(lost) = handle.diverged(context).await? {
                run_state =
                    RunState::Stopped(StopInfo::log_diverged(name, handle.generation_id().generation, lost, lost));
            }
            let (_, version) = handle.key();
            let leads = |generation: &&GenerationInfo| {
                (&generation.id.name, generation.id.version) == (name, version) && generation.live
            };
            let position = handle.head().position;
            let lag = head.saturating_sub(position);
            let mut snapshot = context.views.read(name, version).await?;
            let dead_letters = dead_letters::count(&mut *snapshot).await?;
            drop(snapshot);
            statuses.push(ProjectionStatus {
                dead_letters,
                restarts: context.restarts.load(Ordering::Relaxed) + handle.restarts(),
                name: name.clone(),
                version: handle.projection.version(),
                generation: handle.generation_id().generation,
                position,
                head,
                lag,
                leader: generations.iter().find(leads).and_then(|generation| generation.leader),
                state: match run_state {
                    RunState::Stopped(stop) => ProjectionState::Stopped(stop),
                    RunState::Waiting(unknown) => ProjectionState::Waiting(unknown),
                    RunState::Live => ProjectionState::Live,
                    RunState::Away if lag == 0 => ProjectionState::Live,
                    RunState::Away | RunState::CatchingUp => ProjectionState::CatchingUp,
                },
                rebuild: rebuild::progress_anywhere(context, handle).await?,
            });
        }
        Ok(statuses)
    }

    /// Rebuilds the projection beside the live one, then switches.
    pub(crate) fn rebuild(&self, name: &str) -> Result<Rebuild, RebuildError> {
        self.rebuild_with(name, SkipPolicy::Refuse)
    }

    /// As [`rebuild`](Self::rebuild), with a policy for events that the live one skipped.
    pub(crate) fn rebuild_with(&self, name: &str, skips: SkipPolicy) -> Result<Rebuild, RebuildError> {
        let handle = self.handle(name).map_err(RebuildError::Unknown)?;
        let mut begun = rebuild::start(&self.0.context, vec![handle.clone()], skips);
        begun.pop().map_or_else(|| Err(RebuildError::Cancelled(name.to_owned())), |(_, rebuild)| rebuild)
    }

    /// Rebuilds all projections in one pass over the log.
    pub(crate) fn rebuild_all(&self, skips: SkipPolicy) -> Vec<(String, Result<Rebuild, RebuildError>)> {
        rebuild::start(&self.0.context, self.0.all.values().cloned().collect(), skips)
    }

    /// Rebuilds some keys of the projection in place.
    pub(crate) fn rebuild_keys(&self, name: &str, selection: Selection) -> Result<Rebuild, RebuildError> {
        let handle = self.handle(name).map_err(RebuildError::Unknown)?;
        rebuild::start_keys(&self.0.context, handle.clone(), selection)
    }

    /// Finishes the batches in progress and ends all tasks. A rebuild is cancelled; the next one continues it.
    pub(crate) async fn close(&self) {
        self.0.closing.send_replace(true);
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
        for handle in self.0.all.values() {
            // The sender lives as long as `handle`.
            let _ = handle.rebuild.subscribe().wait_for(Option::is_none).await;
        }
        if self.0.running {
            // Otherwise the leases of this process would expire only at the end of their term.
            for owner in self.0.owner.both() {
                if let Err(error) = self.0.context.views.release_leases(owner).await {
                    tracing::debug!(%error, "the leases could not be released");
                }
            }
        }
    }
}
