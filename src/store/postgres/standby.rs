//! [`Standby`]: a standby of the server, from which views are read, and the events of their rows (`&read=URL`).
//!
//! A snapshot of a view is taken from the standby as soon as that has the last checkpoint of the view that this process has seen
//! on the primary. So a caller that waited for the position of a receipt reads its own write, and no read is older than an
//! earlier one. If the standby is too far behind or does not answer within [`PATIENCE`], the primary is read instead, and for
//! [`PASSED_OVER`] after that.
//!
//! Only the primary decides whether the log holds a checkpoint or a cursor: a standby may have a tail that was lost.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::location::SchemaLocation;
use super::reader::Reader;
use super::views::{PostgresViewSnapshot, PostgresViews};
use crate::events::{LogPosition, Stored};
use crate::store::{GenerationId, StandbyStatus, StoreError};
use crate::text::error_chain;

/// How long a read waits for the standby.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the primary is read after that.
const PASSED_OVER: Duration = Duration::from_secs(5);
/// The time between two looks at a standby that is behind.
const LOOK: Duration = Duration::from_millis(10);
/// How long the standby may take to say where it is.
const STATUS: Duration = Duration::from_secs(1);

pub(super) struct Standby {
    name: String,
    reader: Reader,
    views: PostgresViews,
    /// By name and version of a projection: its generation and checkpoint as this process has seen them on the primary.
    known: Mutex<HashMap<(String, u64), (u64, LogPosition)>>,
    passed_over: Mutex<Option<Instant>>,
}

/// Whether a generation at this checkpoint has all that the known one had.
fn covers((generation, head): (u64, LogPosition), (known_generation, known): (u64, LogPosition)) -> bool {
    head == known || (generation, head.position) > (known_generation, known.position)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standby {
    /// Uses the standby at `location` of the log with this id.
    pub(super) async fn open(location: SchemaLocation, log_id: &str) -> Result<Self, StoreError> {
        let (name, reader) = (location.name().to_owned(), Reader::new(location.clone()));
        let views = PostgresViews::open(location.clone(), None);
        let (known, passed_over) = Default::default();
        let standby = Self { name, reader, views, known, passed_over };
        let info = standby.attempt(async { standby.reader.info().await.map(Some) }).await;
        if info.is_some_and(|info| info.log_id != log_id) {
            return Err(
                location.unusable("`read=` names a server with another log, not a standby of this one".to_owned())
            );
        }
        Ok(standby)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Records a checkpoint of the primary: of a generation that is live, or of one that may be a rebuild that nobody reads yet.
    pub(super) fn note_checkpoint(&self, id: &GenerationId, head: LogPosition, live: bool) {
        let mut known = lock(&self.known);
        let known = known.entry((id.name.clone(), id.version)).or_default();
        if (live || id.generation == known.0) && covers((id.generation, head), *known) {
            *known = (id.generation, head);
        }
    }

    /// Returns the generation and the checkpoint of a projection that this process has seen on the primary.
    pub(super) fn known(&self, name: &str, version: u64) -> (u64, LogPosition) {
        lock(&self.known).get(&(name.to_owned(), version)).copied().unwrap_or_default()
    }

    /// Takes a snapshot; `None` if the primary is to be read.
    pub(super) async fn snapshot(&self, name: &str, version: u64) -> Option<PostgresViewSnapshot> {
        let known = self.known(name, version);
        let caught_up = async {
            loop {
                let found = self.views.snapshot(name, version).await?;
                if let Some((id, snapshot)) = found
                    && covers((id.generation, snapshot.head), known)
                {
                    return Ok(Some(snapshot));
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        self.attempt(caught_up).await
    }

    /// Corrects what was known before the primary was asked: a failover or a restored backup may have lost it.
    pub(super) fn correct(&self, before: (u64, LogPosition), id: &GenerationId, head: LogPosition) {
        let mut known = lock(&self.known);
        let known = known.entry((id.name.clone(), id.version)).or_default();
        if *known == before {
            *known = (id.generation, head);
        }
    }

    /// Reads events as [`Reader::read_within`]; `None` if the primary is to be read, because some are not here yet.
    pub(super) async fn events(&self, positions: &[u64], bytes: usize) -> Option<Vec<Stored>> {
        let read = async {
            let events = self.reader.read_within(positions, bytes).await?;
            let whole = events.iter().zip(positions).all(|(event, position)| event.position == *position);
            Ok((whole && (!events.is_empty() || positions.is_empty())).then_some(events))
        };
        self.attempt(read).await
    }

    pub(super) async fn status(&self, head: LogPosition) -> StandbyStatus {
        let position = match tokio::time::timeout(STATUS, self.reader.head()).await {
            Ok(Ok(at)) => Some(at.position),
            Ok(Err(_)) | Err(_) => None,
        };
        let lag = position.map(|position| head.position.saturating_sub(position));
        StandbyStatus { name: self.name.clone(), position, lag }
    }

    /// Asks the standby, unless it is passed over.
    async fn attempt<T>(&self, asked: impl Future<Output = Result<Option<T>, StoreError>>) -> Option<T> {
        if lock(&self.passed_over).is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let why = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => error_chain(&error),
            Err(_) => format!("it does not answer within {PATIENCE:?}, or is behind"),
        };
        *lock(&self.passed_over) = Some(Instant::now() + PASSED_OVER);
        tracing::warn!(standby = self.name, "the primary is read instead of the standby: {why}");
        None
    }

    pub(super) async fn close(&self) {
        self.views.location().close().await;
    }
}
