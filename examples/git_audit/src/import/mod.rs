//! Importing: the history, turned into commands and executed in order.
//!
//! A thread reads the history and makes commands of it; a bounded channel holds it back, so that the memory that an
//! import needs does not grow with the history (one commit at a time is kept). The commands are executed in order, many
//! at a time; their ids follow from commit and path, so that executing one again, after a crash, say, has no effect.
//!
//! ## Layout
//! - `order`: the order of the rows within a commit
//! - `translate`: a row as a command: its actor, its id, its context
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

/// How many commands are on their way at a time.
const WINDOW: usize = 512;

/// How many commands are read ahead.
const AHEAD: usize = 4_096;

/// After how many commands progress is told.
const SAID_EVERY: u64 = 64;

/// How far an import is, or was at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Commits whose commands were all executed, counting one that is under way.
    pub commits: u64,
    /// Commands that were accepted: one for each row.
    pub commands: u64,
    /// Those among them that had been executed by an earlier import.
    pub repeated: u64,
    /// Events that this import added.
    pub events: u64,
    /// Whether it was stopped before the history's end.
    pub stopped: bool,
}

/// Imports the first-parent history of a repository, as far as the store does not have it.
///
/// `progress` hears of it now and then, with the number of commits in all. When `stop` turns true, what is on its way is
/// finished, and nothing more is begun.
///
/// # Errors
/// When the store holds another history, the history cannot be read, or a command is not accepted.
pub async fn import(
    annals: &Annals,
    repository: &Repository,
    stop: watch::Receiver<bool>,
    mut progress: impl FnMut(&Progress, u64),
) -> Result<Progress, ImportError> {
    let last = last_commit(annals).await?;
    let of = repository.clone();
    let asked = last.clone();
    let survey = blocking(move || of.survey(asked.as_deref())).await?;
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

/// A command on its way: which row of which commit it is.
struct Label {
    /// The commit's number, from 1.
    number: u64,
    commit: Arc<str>,
    path: Vec<u8>,
}

/// What the reader hands over.
type Item = Result<(Label, Envelope), GitError>;

/// Imports these commits, oldest first, each against the one before.
///
/// # Errors
/// As [`import`].
pub async fn import_commits(
    annals: &Annals,
    commits: impl Iterator<Item = Result<Commit, GitError>> + Send + 'static,
    stop: watch::Receiver<bool>,
    mut progress: impl FnMut(&Progress),
) -> Result<Progress, ImportError> {
    let (into, items) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(commits, &into));
    let on_their_way = Arc::new(Mutex::new(OnTheirWay::default()));
    let commands = futures::stream::unfold((items, stop.clone()), {
        let on_their_way = on_their_way.clone();
        move |(mut items, mut stop)| {
            let on_their_way = on_their_way.clone();
            async move {
                let item = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => None,
                    item = items.recv() => item,
                };
                let mut on_their_way = on_their_way.lock().unwrap_or_else(PoisonError::into_inner);
                match item {
                    Some(Ok((label, envelope))) => {
                        on_their_way.labels.push_back(label);
                        Some((envelope, (items, stop)))
                    }
                    Some(Err(error)) => {
                        on_their_way.failed = Some(error);
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
        let label = on_their_way.lock().unwrap_or_else(PoisonError::into_inner).labels.pop_front();
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
        if so_far.commands.is_multiple_of(SAID_EVERY) {
            progress(&so_far);
        }
    }
    if let Some(error) = on_their_way.lock().unwrap_or_else(PoisonError::into_inner).failed.take() {
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

#[derive(Default)]
struct OnTheirWay {
    labels: VecDeque<Label>,
    failed: Option<GitError>,
}

/// Ends when the import is to stop; never, when nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Reads commits and makes commands of them until the end, or until nobody takes them any more. Answers with how many
/// commits it has read.
fn read(commits: impl Iterator<Item = Result<Commit, GitError>>, into: &mpsc::Sender<Item>) -> u64 {
    let mut number = 0;
    for commit in commits {
        let said = commit.and_then(|commit| Ok((translate::Said::by(&commit)?, commit.rows)));
        let (said, rows) = match said {
            Ok(said) => said,
            Err(error) => {
                let _ = into.blocking_send(Err(error));
                return number;
            }
        };
        number += 1;
        for row in in_order(rows) {
            let label = Label { number, commit: said.hash.clone(), path: row.path().to_vec() };
            if into.blocking_send(Ok((label, translate::envelope(row, &said)))).is_err() {
                return number;
            }
        }
    }
    number
}
