//! [`Projections`]: all of an open application's projections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::reader::{self, SHARED_PAGES};
use super::rebuild::{self, Rebuild, RebuildError};
use super::runner::Runner;
use super::status::{ProjectionState, ProjectionStatus};
use super::tracked::{Core, Standing, Tracked};
use super::write::set_up;
use super::{Projection, ProjectionError, ReadError, Reading};
use crate::events::Types;
use crate::store::{About, Store, StoreError};

/// How often the checkpoint is read while somebody waits for it: another process may move it.
const LOOK: Duration = Duration::from_millis(50);

/// The projections of an open application cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two have one name.
    #[error("two projections are called `{0}`: rename one")]
    Twice(String),
    /// A projection could not make its tables.
    #[error("the projection `{name}` could not make its tables")]
    Setup {
        /// Its name.
        name: String,
        /// Why.
        source: ProjectionError,
    },
    /// The database says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The projections of an open application: each kept up with the log, read, looked at and rebuilt.
#[derive(Clone)]
pub(crate) struct Projections(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    all: BTreeMap<String, Arc<Tracked>>,
    closing: watch::Sender<bool>,
    running: bool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Projections {
    /// Makes their tables where there are none, and keeps them up with the log, unless `run` is false.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        types: Arc<Types>,
        projections: Vec<Arc<dyn Projection>>,
        run: bool,
    ) -> Result<Self, StartError> {
        let (closing, closed) = watch::channel(false);
        let views = store.views();
        let mut all = BTreeMap::new();
        for projection in projections {
            let name = projection.name().to_owned();
            let (instance, head) = views.live(&name, projection.version()).await?;
            if head.position == 0 && head.event_id.is_nil() {
                set_up(&*views, &*projection, &instance)
                    .await
                    .map_err(|source| StartError::Setup { name: name.clone(), source })?;
            }
            if all.insert(name.clone(), Arc::new(Tracked::new(projection, instance, head))).is_some() {
                return Err(StartError::Twice(name));
            }
        }
        let core = Arc::new(Core { store, views, types, closing: closed });
        let mut tasks = vec![tokio::spawn(look(core.clone(), all.values().cloned().collect()))];
        if run && !all.is_empty() {
            let interest = reader::union(all.values().map(|tracked| &tracked.interest));
            let (pages, _) = broadcast::channel(SHARED_PAGES);
            for tracked in all.values() {
                tasks.push(tokio::spawn(Runner::new(core.clone(), tracked.clone(), pages.subscribe()).run()));
            }
            let head = core.store.head().await?;
            tasks.push(tokio::spawn(reader::follow(core.clone(), interest, head, pages)));
        }
        Ok(Self(Arc::new(Inner { core, all, closing, running: run, tasks: Mutex::new(tasks) })))
    }

    fn tracked(&self, name: &str) -> Result<&Arc<Tracked>, ReadError> {
        self.0.all.get(name).ok_or_else(|| ReadError::Unknown {
            name: name.to_owned(),
            known: self.0.all.keys().cloned().collect(),
        })
    }

    /// What reads the projection `name`.
    pub(crate) fn reading(&self, name: &str) -> Result<Reading, ReadError> {
        Ok(Reading::new(self.0.core.clone(), self.tracked(name)?.clone(), self.0.running))
    }

    /// How each stands, ordered by name.
    pub(crate) async fn statuses(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        let Inner { core, all, .. } = &*self.0;
        let head = core.store.head().await?.position;
        let mut statuses = Vec::with_capacity(all.len());
        for (name, tracked) in all {
            if self.0.running {
                // What wants no events writes its checkpoint when asked, or in its own time.
                tracked.ask_for(head);
            }
            tracked.refresh(&*core.views).await?;
            let mut standing = tracked.standing().borrow().clone();
            if !self.0.running {
                standing = match tracked.noted(&*core.views).await? {
                    Some(stop) => Standing::Stopped(stop),
                    None => Standing::Live,
                };
            }
            let position = tracked.head().position;
            let lag = head.saturating_sub(position);
            statuses.push(ProjectionStatus {
                name: name.clone(),
                version: tracked.projection.version(),
                generation: tracked.instance().generation,
                position,
                head,
                lag,
                state: match standing {
                    Standing::Stopped(stop) => ProjectionState::Stopped(stop),
                    Standing::Live if self.0.running || lag == 0 => ProjectionState::Live,
                    Standing::Live | Standing::CatchingUp => ProjectionState::CatchingUp,
                },
                rebuild: *tracked.rebuild.borrow(),
            });
        }
        Ok(statuses)
    }

    /// Makes the projection anew beside the live one, then switches.
    pub(crate) fn rebuild(&self, name: &str) -> Result<Rebuild, RebuildError> {
        let tracked = self.tracked(name).map_err(RebuildError::Unknown)?;
        rebuild::start(self.0.core.clone(), tracked.clone())
    }

    /// Lets a stopped projection try again, whichever process runs it.
    pub(crate) async fn resume(&self, name: &str) -> Result<(), ReadError> {
        let tracked = self.tracked(name)?;
        self.0.core.views.note(name, tracked.projection.version(), About::Stop, None).await?;
        tracked.try_again();
        Ok(())
    }

    /// Finishes the batches under way and ends everything; a rebuild is cancelled, and can be gone on with.
    pub(crate) async fn close(&self) {
        self.0.closing.send_replace(true);
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
        for tracked in self.0.all.values() {
            // The sender is there as long as `tracked` is.
            let _ = tracked.rebuild.subscribe().wait_for(Option::is_none).await;
        }
    }
}

/// Reads the checkpoints of projections that somebody waits for.
async fn look(core: Arc<Core>, all: Vec<Arc<Tracked>>) {
    loop {
        tokio::select! {
            () = core.closed() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        for tracked in all.iter().filter(|tracked| tracked.is_watched()) {
            match tracked.refresh(&*core.views).await {
                Err(StoreError::Closed) => return,
                Err(error) => tracing::debug!(%error, "a checkpoint could not be read"),
                Ok(()) => {}
            }
        }
    }
}
