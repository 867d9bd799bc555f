//! [`Jobs`]: background work that one request starts and others observe.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Problem;
use crate::supervise::catch;

/// How long a request waits for a short job.
const SHORT_JOB: Duration = Duration::from_millis(300);

/// The progress of a job, and its result.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Job<T> {
    /// The log position that it has reached.
    pub position: u64,
    /// The head of the log.
    pub head: u64,
    /// Whether it has ended.
    pub done: bool,
    /// The result, if it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
    /// The problem, if it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub problem: Option<Problem>,
}

impl<T> Default for Job<T> {
    fn default() -> Self {
        Self { position: 0, head: 0, done: false, result: None, problem: None }
    }
}

/// Jobs by name: the last of each name.
pub(super) struct Jobs<T>(Arc<Mutex<HashMap<String, Running<T>>>>);

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
    /// Starts a job unless one with this name is running, and waits briefly for its end. `work` gets a progress reporter,
    /// and is dropped if the job is stopped.
    pub async fn begin<W>(
        &self,
        name: &str,
        work: impl FnOnce(ProgressReporter<T>) -> Result<W, Problem>,
    ) -> Result<Job<T>, Problem>
    where
        W: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let mut state = self.start(name, work)?;
        let ended = state.wait_for(|job| job.done);
        let _ = tokio::time::timeout(SHORT_JOB, ended).await;
        let job = state.borrow().clone();
        match job.problem {
            Some(problem) => Err(problem),
            None => Ok(job),
        }
    }

    fn start<W>(
        &self,
        name: &str,
        work: impl FnOnce(ProgressReporter<T>) -> Result<W, Problem>,
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
        let reporter = ProgressReporter(sender);
        let work = work(reporter.clone())?;
        tokio::spawn(async move {
            let result = tokio::select! {
                result = catch("job of a request", work) => result.unwrap_or_else(|_| {
                    Err(Problem::unavailable("the job panicked: try again; the server logged the cause"))
                }),
                // The sender is dropped only when a later job replaces this one, after its end.
                _ = stopped.wait_for(|stop| *stop) => Err(Problem::unavailable("the job was cancelled")),
            };
            reporter.0.send_modify(|job| {
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

    /// The progress or result of the last job with this name.
    pub fn last(&self, name: &str) -> Option<Job<T>> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(name).map(|running| running.state.borrow().clone())
    }

    /// Stops the running job and waits for its end. Returns false if no job with this name is running.
    pub async fn stop(&self, name: &str) -> bool {
        let mut state = {
            let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(running) = jobs.get(name).filter(|running| !running.state.borrow().done) else { return false };
            running.stop.send_replace(true);
            running.state.clone()
        };
        // The task drops the sender only after `done`.
        let _ = state.wait_for(|job| job.done).await;
        true
    }
}

/// Reports the progress of a job.
pub(super) struct ProgressReporter<T>(watch::Sender<Job<T>>);

impl<T> Clone for ProgressReporter<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> ProgressReporter<T> {
    pub fn report(&self, position: u64, head: u64) {
        self.0.send_modify(|job| (job.position, job.head) = (position, head));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_ends_with_a_problem_and_can_be_started_again() {
        let jobs = Jobs::<u32>::default();
        let failing = jobs.begin("verify", |_| Ok(async { panic!("no space left for the log") })).await;
        assert!(failing.is_err_and(|problem| problem.status().as_u16() == 503));
        assert!(jobs.last("verify").is_some_and(|job| job.done));
        let job = jobs.begin("verify", |_| Ok(async { Ok(7) })).await;
        assert_eq!(job.unwrap_or_else(|problem| panic!("{problem:?}")).result, Some(7));
    }
}
