//! [`Counts`]: who follows the same metric shares what watches it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::sync::watch;

use super::Asking;
use crate::app::Annals;
use crate::http::Problem;
use crate::projections::metrics::Metric;

/// What a watcher has seen last: nothing yet, a metric, or why there is none any more.
pub(super) type Seen = Option<Result<Arc<Metric>, Problem>>;

/// Watches each metric that somebody follows, once for all who do.
pub(super) struct Counts {
    annals: Annals,
    watched: Mutex<HashMap<Asking, watch::Sender<Seen>>>,
}

impl Counts {
    pub(super) fn new(annals: Annals) -> Arc<Self> {
        Arc::new(Self { annals, watched: Mutex::default() })
    }

    pub(super) fn annals(&self) -> &Annals {
        &self.annals
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Asking, watch::Sender<Seen>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is seen from now on. It ends when the application closes.
    pub(super) fn subscribe(self: &Arc<Self>, asking: &Asking) -> watch::Receiver<Seen> {
        let mut watched = self.lock();
        if let Some(seen) = watched.get(asking) {
            return seen.subscribe();
        }
        let (seen, receiver) = watch::channel(None);
        watched.insert(asking.clone(), seen.clone());
        tokio::spawn(self.clone().run(asking.clone(), seen));
        receiver
    }

    async fn run(self: Arc<Self>, asking: Asking, seen: watch::Sender<Seen>) {
        let mut metrics = asking.of(self.annals.metric(&asking.topic)).watch();
        loop {
            tokio::select! {
                metric = metrics.next() => match metric {
                    Some(Ok(metric)) => drop(seen.send_replace(Some(Ok(Arc::new(metric))))),
                    Some(Err(error)) => drop(seen.send_replace(Some(Err(error.into())))),
                    None => {
                        self.lock().remove(&asking);
                        return;
                    }
                },
                () = seen.closed() => {
                    let mut watched = self.lock();
                    if seen.receiver_count() == 0 {
                        watched.remove(&asking);
                        return;
                    }
                }
            }
        }
    }
}
