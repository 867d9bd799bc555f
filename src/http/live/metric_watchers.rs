//! [`MetricWatchers`]: one watcher task for all subscriptions of the same metric.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::sync::watch;

use super::MetricParams;
use crate::app::Annals;
use crate::http::Problem;
use crate::projections::metrics::{Metric, Metrics};
use crate::supervise::supervise;

/// After this many panics of a watcher task in a row, its subscriptions end.
const MAX_PANICS: u32 = 5;

/// The latest result of a watcher: none yet, a metric, or the problem that ends it.
pub(super) type LatestMetric = Option<Result<Arc<Metric>, Problem>>;

/// The watcher tasks of the metrics that have subscribers.
pub(super) struct MetricWatchers {
    annals: Annals,
    watched: Mutex<HashMap<MetricParams, watch::Sender<LatestMetric>>>,
}

impl MetricWatchers {
    pub(super) fn new(annals: Annals) -> Arc<Self> {
        Arc::new(Self { annals, watched: Mutex::default() })
    }

    pub(super) fn annals(&self) -> &Annals {
        &self.annals
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MetricParams, watch::Sender<LatestMetric>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver of a metric's changes. It ends when the application is closed.
    pub(super) fn subscribe(self: &Arc<Self>, params: &MetricParams) -> watch::Receiver<LatestMetric> {
        let mut watched = self.lock();
        if let Some(latest) = watched.get(params) {
            return latest.subscribe();
        }
        let (latest, receiver) = watch::channel(None);
        watched.insert(params.clone(), latest.clone());
        tokio::spawn(self.clone().run(params.clone(), latest));
        receiver
    }

    /// Runs the watcher task, and starts it again after a panic: it sends the current metric. After some panics in a row the
    /// subscriptions end with that problem.
    async fn run(self: Arc<Self>, params: MetricParams, latest: watch::Sender<LatestMetric>) {
        if let Ok(reading) = self.annals.reading(Metrics::NAME) {
            let on_panic = |panics, _: &str| {
                if panics >= MAX_PANICS {
                    let why = format!("the task that follows this metric panicked {panics} times in a row");
                    latest.send_replace(Some(Err(Problem::unavailable(format!(
                        "{why}; the server logged the cause"
                    )))));
                    self.end(&params, &latest);
                }
            };
            let ended = || async {
                if self.is_watched(&params, &latest) {
                    reading.closed().await;
                }
            };
            let watch = || self.watch_until_unused(&params, &latest);
            supervise("watcher of a metric", watch, ended, on_panic).await;
        }
        self.end(&params, &latest);
    }

    /// The watcher task: runs until the application is closed or the last subscriber is gone.
    async fn watch_until_unused(&self, params: &MetricParams, latest: &watch::Sender<LatestMetric>) {
        let mut metrics = params.apply_to(self.annals.metric(&params.topic)).watch();
        loop {
            tokio::select! {
                metric = metrics.next() => match metric {
                    Some(Ok(metric)) => drop(latest.send_replace(Some(Ok(Arc::new(metric))))),
                    Some(Err(error)) => drop(latest.send_replace(Some(Err(error.into())))),
                    None => return,
                },
                () = latest.closed() => {
                    // Under the lock: a subscriber may have come since.
                    let mut watched = self.lock();
                    if latest.receiver_count() == 0 {
                        watched.remove(params);
                        return;
                    }
                }
            }
        }
    }

    fn is_watched(&self, params: &MetricParams, latest: &watch::Sender<LatestMetric>) -> bool {
        self.lock().get(params).is_some_and(|watched| watched.same_channel(latest))
    }

    /// Lets no further subscriber share this task.
    fn end(&self, params: &MetricParams, latest: &watch::Sender<LatestMetric>) {
        let mut watched = self.lock();
        if watched.get(params).is_some_and(|watched| watched.same_channel(latest)) {
            watched.remove(params);
        }
    }
}
