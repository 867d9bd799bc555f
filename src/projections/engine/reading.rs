//! [`Reading`]: reads a projection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::handle::{EngineContext, ProjectionHandle, RunState};
use super::read_error::ReadError;
use crate::events::{LogPosition, Stored, Types};
use crate::projections::{FieldInfo, ProjectionError};
use crate::store::{Interest, Receipt, Store, StoreError, ViewSnapshot, named_event, read_some};

/// How long a read waits until a projection has again the checkpoint that a failover lost.
const LOST_CHECKPOINT: Duration = Duration::from_secs(5);

/// How often a process that does not run the projection checks whether another process noted that it stopped.
const LOOK_FOR_NOTES: Duration = Duration::from_millis(500);

/// A reader of one projection of an open application. The built-in projections are read through it too.
#[derive(Clone)]
pub struct Reading {
    context: Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
}

impl From<&Receipt> for LogPosition {
    fn from(receipt: &Receipt) -> Self {
        receipt.head
    }
}

impl From<Receipt> for LogPosition {
    fn from(receipt: Receipt) -> Self {
        receipt.head
    }
}

impl Reading {
    pub(super) fn new(context: Arc<EngineContext>, handle: Arc<ProjectionHandle>) -> Self {
        Self { context, handle }
    }

    pub(super) fn handle(&self) -> &ProjectionHandle {
        &self.handle
    }

    /// The projection's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The log of the application.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Store> {
        &self.context.store
    }

    /// The event types that the application knows.
    #[must_use]
    pub fn types(&self) -> &Arc<Types> {
        &self.context.types
    }

    /// Whether the projection keeps JSON documents by key.
    #[must_use]
    pub fn documents(&self) -> bool {
        self.handle.projection.documents()
    }

    /// The fields by which its documents can be listed.
    #[must_use]
    pub fn fields(&self) -> Vec<FieldInfo> {
        self.handle.projection.fields()
    }

    /// Reads a key of its documents as a person or another program writes it.
    ///
    /// # Errors
    /// When the text is not a key of the view.
    pub fn parse_key(&self, text: &str) -> Result<String, ReadError> {
        let invalid = |error| {
            ReadError::Invalid(format!("`{}` is not a key of `{}`: {error}", text.escape_debug(), self.name()))
        };
        self.handle.projection.parse_key(text).map_err(invalid)
    }

    /// Writes a key of its documents so that [`parse_key`](Self::parse_key) reads it.
    #[must_use]
    pub fn write_key(&self, key: &str) -> String {
        self.handle.projection.write_key(key)
    }

    /// The events that the projection wants.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.handle.interest
    }

    /// Whether the projection contains this event: under this key, if one is given and the projection has keys.
    ///
    /// # Errors
    /// When the event cannot be read.
    pub(crate) fn contains_event(&self, stored: &Stored, key: Option<&str>) -> Result<bool, ProjectionError> {
        if !self.handle.wants(stored) {
            return Ok(false);
        }
        let keys = self.handle.projection.keys(stored)?;
        Ok(keys.zip(key).is_none_or(|(keys, key)| keys.iter().any(|own| own == key)))
    }

    /// The next events at these positions, in this order: about a megabyte of payloads and metadata, and at least one event.
    /// Returns the positions that are left too. `head` is the checkpoint at which the positions were read: the call
    /// fails if the log no longer holds that event, so that positions of one history are never joined to events of another.
    ///
    /// # Errors
    /// [`ReadError::LogDiverged`]; when the log cannot be read.
    pub(crate) async fn events<'p>(
        &self,
        positions: &'p [u64],
        head: LogPosition,
    ) -> Result<(Vec<Stored>, &'p [u64]), ReadError> {
        // The checkpoint is read with the events, if there is room, and otherwise after them.
        let mut places = positions.to_vec();
        let added = head.position > 0 && !positions.contains(&head.position);
        places.extend(added.then_some(head.position));
        let (mut events, left) = read_some(&*self.context.store, &places).await?;
        let left = &positions[positions.len() - left.len().saturating_sub(usize::from(added))..];
        let checked = events.iter().any(|stored| stored.head() == head);
        if head.position > 0 && !checked && !self.holds(head).await? {
            return Err(self.log_diverged(head));
        }
        if added {
            events.retain(|stored| stored.position != head.position);
        }
        Ok((events, left))
    }

    fn log_diverged(&self, head: LogPosition) -> ReadError {
        ReadError::LogDiverged { name: self.name().to_owned(), head }
    }

    /// Whether the log holds this event at this position.
    pub(in crate::projections) async fn holds(&self, head: LogPosition) -> Result<bool, StoreError> {
        self.context.holds(head).await
    }

    /// The projection's checkpoint: the current value, then each change, whichever process makes it.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<LogPosition> {
        self.handle.progress()
    }

    /// Waits until the projection has processed the log up to `with`, the position of a receipt, so that the next
    /// read sees that write.
    ///
    /// # Errors
    /// Fails at once when the projection has stopped before `with`, when the log does not hold `with`, or when it
    /// does not hold the event at the projection's checkpoint ([`ReadError::LogDiverged`]); [`ReadError::Late`] at
    /// the deadline.
    pub async fn caught_up(&self, with: LogPosition, deadline: Option<Duration>) -> Result<(), ReadError> {
        let mut progress = self.handle.progress();
        let mut run_state = self.handle.run_state();
        if with == *progress.borrow_and_update() {
            return Ok(());
        }
        let store = &*self.context.store;
        if !self.context.holds(with).await? && named_event(store, with).await?.is_none() {
            return Err(ReadError::Diverged(with));
        }
        self.handle.request_checkpoint(with.position);
        if progress.borrow_and_update().position < with.position {
            self.context.awaited.notify_one();
            self.handle.refresh(&*self.context.views).await?;
        }
        let waiting = async {
            loop {
                let known = *progress.borrow_and_update();
                let reached = known.position >= with.position;
                self.stopped(&mut run_state, reached).await?;
                // A checkpoint after `with` covers it only if both are of this log; a projection that no process
                // runs here may have been made from another.
                let doubtful = if reached { known != with } else { matches!(*run_state.borrow(), RunState::Away) };
                if doubtful && let Some(head) = self.handle.diverged(&self.context).await? {
                    return Err(self.log_diverged(head));
                }
                if reached && self.handle.head().position >= with.position {
                    return Ok(());
                }
                tokio::select! {
                    _ = progress.changed() => {}
                    _ = run_state.changed() => {}
                    () = tokio::time::sleep(LOOK_FOR_NOTES) => {}
                    () = self.context.closed() => return Err(StoreError::Closed.into()),
                }
            }
        };
        let Some(deadline) = deadline else { return waiting.await };
        tokio::time::timeout(deadline, waiting).await.unwrap_or_else(|_| {
            Err(ReadError::Late {
                name: self.name().to_owned(),
                waited: deadline,
                position: self.handle.head().position,
                wanted: with.position,
            })
        })
    }

    /// An error if the projection has stopped or is blocked before the wanted position, or has diverged.
    async fn stopped(&self, run_state: &mut watch::Receiver<RunState>, reached: bool) -> Result<(), ReadError> {
        let run_state = run_state.borrow_and_update().clone();
        let head = self.handle.head().position;
        let stop = match run_state {
            // After a skip the checkpoint is past the event; the runner has not noticed it yet.
            RunState::Stopped(stop) if !stop.diverged && stop.position.is_some_and(|at| at <= head) => None,
            RunState::Stopped(stop) => Some(stop),
            RunState::Away if !reached => self.handle.noted(&*self.context.views).await?,
            RunState::Waiting(unknown) if !reached => {
                return Err(ReadError::Waiting { name: self.name().to_owned(), unknown });
            }
            _ => None,
        };
        match stop {
            Some(stop) if stop.diverged => Err(self.log_diverged(stop.at)),
            Some(stop) if !reached => {
                Err(ReadError::Stopped { name: self.name().to_owned(), position: stop.position })
            }
            _ => Ok(()),
        }
    }

    /// Whether this process runs the projection.
    pub(crate) fn leading(&self) -> watch::Receiver<bool> {
        self.handle.leading()
    }

    /// Returns when the application closes.
    pub async fn closed(&self) {
        self.context.closed().await;
    }

    /// A snapshot of the projection. Its checkpoint is compared with the log, so that a projection made from
    /// another history of the log, as after restoring an older backup, is not read.
    ///
    /// # Errors
    /// [`ReadError::LogDiverged`]; when the store cannot be read.
    pub async fn snapshot(&self) -> Result<Box<dyn ViewSnapshot>, ReadError> {
        self.snapshot_after(LogPosition::default()).await
    }

    /// As [`snapshot`](Self::snapshot), for a reader that continues after `seen`: fails if the log no longer holds
    /// that event.
    pub(in crate::projections) async fn snapshot_after(
        &self,
        seen: LogPosition,
    ) -> Result<Box<dyn ViewSnapshot>, ReadError> {
        let known = self.handle.head();
        let snapshot = self.checked_snapshot(seen).await?;
        if snapshot.head().position >= known.position || !self.holds(known).await? {
            return Ok(snapshot);
        }
        // A failover kept the events and lost the checkpoint. Callers have waited for it, or read more before.
        drop(snapshot);
        let (generation_id, head) = self.context.views.live(self.name(), self.handle.projection.version()).await?;
        self.handle.publish_reloaded(&generation_id, head);
        self.caught_up(known, Some(LOST_CHECKPOINT)).await?;
        self.checked_snapshot(seen).await
    }

    async fn checked_snapshot(&self, seen: LogPosition) -> Result<Box<dyn ViewSnapshot>, ReadError> {
        let snapshot = self.context.views.read(self.name(), self.handle.projection.version()).await?;
        // Checked after the snapshot was taken, so that the log cannot be behind it.
        let head = snapshot.head();
        match self.context.missing(&[head, seen]).await? {
            None => Ok(snapshot),
            Some(lost) if lost == head => Err(self.log_diverged(head)),
            Some(lost) => Err(ReadError::Diverged(lost)),
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("name", &self.name()).field("head", &self.handle.head()).finish()
    }
}
