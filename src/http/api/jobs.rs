//! [`Jobs`]: work that takes longer than a request, begun by one and looked at by others.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::http::Problem;

/// How long a request waits for work that may be done at once.
const AT_ONCE: Duration = Duration::from_millis(300);

/// How far a piece of work is, and what came of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http) struct Job<T> {
    /// Up to where it has come in the log.
    pub position: u64,
    /// The log's head.
    pub head: u64,
    /// Whether it is done.
    pub done: bool,
    /// What came of it, if it is done and went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
    /// What went wrong, if it is done and did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub problem: Option<Problem>,
}

impl<T> Default for Job<T> {
    fn default() -> Self {
        Self { position: 0, head: 0, done: false, result: None, problem: None }
    }
}

/// Pieces of work by name, the last of each name.
pub(in crate::http) struct Jobs<T>(Arc<Mutex<HashMap<String, Running<T>>>>);

struct Running<T> {
    state: watch::Receiver<Job<T>>,
    stop: watch::Sender<bool>,
}

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Jobs<T> {
    /// Begins a piece of work, unless one of this name is under way, and waits a moment for its end. `work` is handed
    /// where to say how far it is, and is dropped when it is stopped.
    pub async fn begin<W>(
        &self,
        name: &str,
        work: impl FnOnce(At<T>) -> Result<W, Problem>,
    ) -> Result<Job<T>, Problem>
    where
        W: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let mut state = self.start(name, work)?;
        let ended = state.wait_for(|job| job.done);
        let _ = tokio::time::timeout(AT_ONCE, ended).await;
        let job = state.borrow().clone();
        match job.problem {
            Some(problem) => Err(problem),
            None => Ok(job),
        }
    }

    fn start<W>(
        &self,
        name: &str,
        work: impl FnOnce(At<T>) -> Result<W, Problem>,
    ) -> Result<watch::Receiver<Job<T>>, Problem>
    where
        W: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = jobs.get(name).filter(|running| !running.state.borrow().done) {
            return Ok(running.state.clone());
        }
        let (sender, state) = watch::channel(Job::default());
        let (stop, mut stopped) = watch::channel(false);
        let at = At(sender);
        let work = work(at.clone())?;
        tokio::spawn(async move {
            let result = tokio::select! {
                result = work => result,
                // Its sender lies beside it as long as it is not replaced, which it is only when it is done.
                _ = stopped.wait_for(|stop| *stop) => Err(Problem::unavailable("it was stopped")),
            };
            at.0.send_modify(|job| {
                job.done = true;
                match result {
                    Ok(result) => job.result = Some(result),
                    Err(problem) => job.problem = Some(problem),
                }
            });
        });
        jobs.insert(name.to_owned(), Running { state: state.clone(), stop });
        Ok(state)
    }

    /// How far the last piece of work of this name is, or what came of it.
    pub fn last(&self, name: &str) -> Option<Job<T>> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(name).map(|running| running.state.borrow().clone())
    }

    /// Stops what is under way, and returns when it has stopped; false if nothing was.
    pub async fn stop(&self, name: &str) -> bool {
        let mut state = {
            let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(running) = jobs.get(name).filter(|running| !running.state.borrow().done) else { return false };
            running.stop.send_replace(true);
            running.state.clone()
        };
        // Its sender is gone only with its task, which ends with it.
        let _ = state.wait_for(|job| job.done).await;
        true
    }
}

/// Where a piece of work says how far it is.
pub(in crate::http) struct At<T>(watch::Sender<Job<T>>);

impl<T> Clone for At<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> At<T> {
    pub fn is(&self, position: u64, head: u64) {
        self.0.send_modify(|job| (job.position, job.head) = (position, head));
    }
}
