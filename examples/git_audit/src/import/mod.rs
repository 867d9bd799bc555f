//! Translates the history into commands and executes them in order.
//!
//! A thread reads the history and sends commands to a bounded channel (backpressure), so that memory does not grow with the
//! history: one commit at a time is kept. The commands are executed in order, many at a time. Their ids depend on commit and path,
//! so that a command that is executed again, for example after a crash, has no second effect.
//!
//! ## Layout
//! - `order`: the order of the rows of a commit
//! - `translate`: the command, actor, id and context of a row
//! - `error`: [`ImportError`]

mod error;
mod order;
mod translate;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use annals::commands::Envelope;
use annals::prelude::*;
use futures::StreamExt;
use tokio::sync::{mpsc, watch};

pub use error::ImportError;
pub use order::in_order;
pub use translate::{actor, command_id};

use crate::git::text::text;
use crate::git::{Commit, GitError, Repository};

/// Number of commands in flight.
const WINDOW: usize = 512;

/// Number of commands that are read ahead.
const READ_AHEAD: usize = 4_096;

/// Number of commands between two reports of progress.
const REPORT_INTERVAL: u64 = 64;

/// The progress or the result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of commits whose commands were executed, including the current one.
    pub commits: u64,
    /// Number of accepted commands, one for each row.
    pub commands: u64,
    /// Number of these commands that an earlier import had executed.
    pub repeated: u64,
    /// Number of events that this import added.
    pub events: u64,
    /// Whether it was interrupted before the end of the history.
    pub stopped: bool,
}

/// Imports the first-parent history of a repository. Commands of earlier imports have no second effect.
///
/// `progress` is called regularly with the progress and the total number of commits. When `stop` becomes true, commands in flight
/// finish and no others start.
///
/// # Errors
/// When the store contains another history, the history cannot be read, or a command is not accepted.
pub async fn import(
    annals: &Annals,
    repository: &Repository,
    stop: watch::Receiver<bool>,
    mut progress: impl FnMut(&Progress, u64),
) -> Result<Progress, ImportError> {
    let last = last_commit(annals).await?;
    let (surveyed, commit) = (repository.clone(), last.clone());
    let survey = blocking(move || surveyed.survey(commit.as_deref())).await?;
    if let Some(commit) = last.filter(|_| !survey.found) {
        return Err(ImportError::OtherHistory { commit, repository: repository.path().display().to_string() });
    }
    let history = repository.history()?;
    import_commits(annals, history, stop, |so_far| progress(so_far, survey.commits)).await
}

/// The commit of the last event in the log.
async fn last_commit(annals: &Annals) -> Result<Option<String>, ImportError> {
    let log = |error| ImportError::Log(Box::new(error));
    let head = annals.store().head().await.map_err(log)?;
    let page = annals.events(head.position.saturating_sub(1), 1).await.map_err(log)?;
    let Some(event) = page.events.last() else { return Ok(None) };
    Ok(event.metadata().map_err(|error| ImportError::Log(Box::new(error)))?.correlation)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| GitError::Io(std::io::Error::other(error)))?
}

/// The row of a command in flight.
struct Label {
    /// The number of the commit, from 1.
    number: u64,
    commit: Arc<str>,
    path: Vec<u8>,
}

/// An item of the channel.
type Item = Result<(Label, Envelope), GitError>;

/// Imports these commits, oldest first.
///
/// # Errors
/// As [`import`].
pub async fn import_commits(
    annals: &Annals,
    commits: impl Iterator<Item = Result<Commit, GitError>> + Send + 'static,
    stop: watch::Receiver<bool>,
    mut progress: impl FnMut(&Progress),
) -> Result<Progress, ImportError> {
    let (into, items) = mpsc::channel(READ_AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(commits, &into));
    let in_flight = Arc::new(Mutex::new(InFlight::default()));
    let commands = futures::stream::unfold((items, stop.clone()), {
        let in_flight = in_flight.clone();
        move |(mut items, mut stop)| {
            let in_flight = in_flight.clone();
            async move {
                let item = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => None,
                    item = items.recv() => item,
                };
                let mut in_flight = in_flight.lock().unwrap_or_else(PoisonError::into_inner);
                match item {
                    Some(Ok((label, envelope))) => {
                        in_flight.labels.push_back(label);
                        Some((envelope, (items, stop)))
                    }
                    Some(Err(error)) => {
                        in_flight.failed = Some(error);
                        None
                    }
                    None => None,
                }
            }
        }
    });
    let mut receipts = std::pin::pin!(annals.execute_all(Box::pin(commands), WINDOW));
    let mut so_far = Progress::default();
    while let Some(executed) = receipts.next().await {
        let label = in_flight.lock().unwrap_or_else(PoisonError::into_inner).labels.pop_front();
        let Some(label) = label else { continue };
        let receipt = executed.map_err(|source| ImportError::NotAccepted {
            commit: label.commit.to_string(),
            path: text(&label.path),
            source,
        })?;
        so_far.commits = label.number;
        so_far.commands += 1;
        match receipt.repeated {
            true => so_far.repeated += 1,
            false => so_far.events += receipt.events,
        }
        if so_far.commands.is_multiple_of(REPORT_INTERVAL) {
            progress(&so_far);
        }
    }
    if let Some(error) = in_flight.lock().unwrap_or_else(PoisonError::into_inner).failed.take() {
        return Err(error.into());
    }
    so_far.stopped = *stop.borrow();
    if !so_far.stopped {
        // The last commits may have no rows.
        so_far.commits = reader.await.map_err(|error| GitError::Io(std::io::Error::other(error)))?;
    }
    progress(&so_far);
    Ok(so_far)
}

/// The rows of the commands in flight, in order, and the error that ended the history.
#[derive(Default)]
struct InFlight {
    labels: VecDeque<Label>,
    failed: Option<GitError>,
}

/// Completes when `stop` becomes true; never if its sender is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Sends the commands of the commits until the history ends or the receiver is dropped. Returns the number of commits.
fn read(commits: impl Iterator<Item = Result<Commit, GitError>>, into: &mpsc::Sender<Item>) -> u64 {
    let mut number = 0;
    for commit in commits {
        let context = commit.and_then(|commit| Ok((translate::CommitContext::from_commit(&commit)?, commit.rows)));
        let (context, rows) = match context {
            Ok(translated) => translated,
            Err(error) => {
                let _ = into.blocking_send(Err(error));
                return number;
            }
        };
        number += 1;
        for row in in_order(rows) {
            let label = Label { number, commit: context.hash.clone(), path: row.path().to_vec() };
            if into.blocking_send(Ok((label, translate::envelope(row, &context)))).is_err() {
                return number;
            }
        }
    }
    number
}
