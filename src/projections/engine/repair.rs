//! Repairs by an operator: resume a stopped projection, skip an event and replay it later, drop unused versions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::dead_letters::{self, DeadLetter};
use super::handle::ProjectionHandle;
use super::leader::waiting_for;
use super::write::guarded;
use super::{Projections, ReadError, RebuildError, Selection, SkipPolicy};
use crate::events::Stored;
use crate::projections::fold::{EMPTY_KEY, FoldBase, KeyFilter};
use crate::projections::{Projection, ProjectionError};
use crate::store::kept_snapshots::is_kept_snapshots;
use crate::store::{GenerationInfo, NoteKind, StoreError};
use crate::text::error_chain;

/// How often a repair is tried while the projection moves its checkpoint.
const TRIES: usize = 32;

/// How many queued events are read at a time.
const AT_ONCE: usize = 1_000;

/// An error of a repair. Nothing was changed, unless the error says so.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// There is no such projection, or it cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The projection has not stopped.
    #[error("the projection `{0}` has not stopped: there is no event to skip")]
    NotStopped(String),
    /// The projection has not stopped at an event.
    #[error(
        "the projection `{name}` did not stop at a single event ({reason}): fix the cause and resume it, or rebuild it"
    )]
    NoEvent {
        /// The projection's name.
        name: String,
        /// Why it stopped.
        reason: String,
    },
    /// The projection moved its checkpoint during the repair.
    #[error(
        "the projection `{0}` moved its checkpoint during the repair: check `projections status`, then try again"
    )]
    Moved(String),
    /// An event still fails.
    #[error(
        "the projection `{name}` still fails at event {position}; this event and those that queue behind it stay dead letters"
    )]
    Event {
        /// The projection's name.
        name: String,
        /// The event's position.
        position: u64,
        /// The cause.
        source: ProjectionError,
    },
    /// The rebuild failed.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
}

impl From<StoreError> for RepairError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

/// A version of a projection that no program uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnusedVersion {
    /// The projection's name.
    pub name: String,
    /// The version.
    pub version: u64,
    /// The number of its generations.
    pub generations: usize,
    /// The position of its checkpoint.
    pub position: u64,
}

impl Projections {
    /// Makes a stopped projection try again, whichever process runs it.
    pub(crate) async fn resume(&self, name: &str) -> Result<(), ReadError> {
        let handle = self.handle(name)?;
        self.context().views.set_note(name, handle.projection.version(), NoteKind::Stop, None).await?;
        handle.try_again();
        Ok(())
    }

    /// The projection's first dead letters, in the order of the events.
    pub(crate) async fn dead_letters(&self, name: &str) -> Result<Vec<DeadLetter>, ReadError> {
        let mut snapshot = self.reading(name)?.snapshot().await?;
        Ok(dead_letters::first(&mut *snapshot).await?)
    }

    /// Skips the event at which the projection has stopped.
    pub(crate) async fn skip(&self, name: &str) -> Result<Vec<DeadLetter>, RepairError> {
        let (context, handle) = (self.context(), self.handle(name)?);
        let (views, version) = (&*context.views, handle.projection.version());
        handle.refresh(views).await?;
        let stop = handle.noted(views).await?.ok_or_else(|| RepairError::NotStopped(name.to_owned()))?;
        let no_event = || RepairError::NoEvent { name: name.to_owned(), reason: stop.reason.clone() };
        let position = stop.position.filter(|_| !stop.diverged).ok_or_else(no_event)?;
        let stored = context.store.read_at(&[position]).await?.pop().ok_or_else(no_event)?;
        let projection = &*handle.projection;
        let left_out = DeadLetter::for_event(projection, &stored, &stop.reason, stop.attempts, stop.since);
        let begun = views.begin(&handle.generation_id(), stop.at, stored.head()).await?;
        let mut transaction = begun.ok_or_else(|| RepairError::Moved(name.to_owned()))?;
        dead_letters::add(&left_out, &mut *transaction).await?;
        transaction.commit().await?;
        views.set_note(name, version, NoteKind::Stop, None).await?;
        handle.refresh(views).await?;
        handle.try_again();
        Ok(left_out)
    }

    /// Applies the dead letters in order: key by key, or, in a projection without keys, by a rebuild. Returns the
    /// number of events applied.
    pub(crate) async fn replay(&self, name: &str) -> Result<u64, RepairError> {
        let handle = self.handle(name)?;
        let left_out = self.dead_letters(name).await?;
        if left_out.is_empty() {
            return Ok(0);
        }
        if handle.projection.fold(FoldBase::Load).is_none() {
            self.rebuild_with(name, SkipPolicy::Replay)?.await?;
            return Ok(left_out.len() as u64);
        }
        let mut taken: BTreeSet<u64> = BTreeSet::new();
        let keys: BTreeSet<&str> = left_out.iter().filter_map(|letter| letter.key.as_deref()).collect();
        for key in keys {
            // A dead letter has the name of its key, except for the empty key.
            taken.extend(self.replay_key(handle, if key.is_empty() { EMPTY_KEY } else { key }).await?);
        }
        for letter in left_out.iter().filter(|letter| letter.key.is_none()) {
            self.replay_event(handle, letter.position).await?;
            taken.insert(letter.position);
        }
        Ok(taken.len() as u64)
    }

    /// Folds the events that queue under a key onto the stored document, in a transaction that does not move the
    /// checkpoint: no other process moves the projection meanwhile.
    async fn replay_key(&self, handle: &ProjectionHandle, key: &str) -> Result<Vec<u64>, RepairError> {
        let (context, name) = (self.context(), handle.name());
        let only = [key.to_owned()].into();
        for _ in 0..TRIES {
            handle.refresh(&*context.views).await?;
            let (generation_id, head) = (handle.generation_id(), handle.head());
            let Some(mut transaction) = context.views.begin(&generation_id, head, head).await? else { continue };
            let positions = dead_letters::waiting(key, &mut *transaction).await?;
            let Some(mut fold) = handle.projection.fold(FoldBase::Load) else { break };
            for positions in positions.chunks(AT_ONCE) {
                let events = context.store.read_at(positions).await?;
                let taken = guarded(async {
                    fold.gather(&events, KeyFilter::Only(&only))?;
                    if fold.lacks() {
                        fold.load(&mut *transaction).await?;
                    }
                    fold.fold();
                    Ok(())
                });
                taken.await.map_err(|source| failed(name, fold.position(), source))?;
            }
            let written = guarded(async {
                fold.write(&mut *transaction).await?;
                dead_letters::forget(key, &mut *transaction).await?;
                Ok(transaction.commit().await?)
            });
            written.await.map_err(|source| failed(name, positions.first().copied().unwrap_or_default(), source))?;
            return Ok(positions);
        }
        Err(RepairError::Moved(name.to_owned()))
    }

    /// Rebuilds the keys of an event whose keys could not be determined when it was skipped: later events of these
    /// keys have been applied since.
    async fn replay_event(&self, handle: &ProjectionHandle, position: u64) -> Result<(), RepairError> {
        let (context, name) = (self.context(), handle.name());
        if let Some(stored) = context.store.read_at(&[position]).await?.first() {
            for key in keys_of(&*handle.projection, stored).map_err(|source| failed(name, position, source))? {
                self.rebuild_keys(name, Selection::Key(key))?.await?;
            }
        }
        for _ in 0..TRIES {
            handle.refresh(&*context.views).await?;
            let (generation_id, head) = (handle.generation_id(), handle.head());
            let Some(mut transaction) = context.views.begin(&generation_id, head, head).await? else { continue };
            dead_letters::forget_event(position, &mut *transaction).await?;
            transaction.commit().await?;
            return Ok(());
        }
        Err(RepairError::Moved(name.to_owned()))
    }

    /// The versions of projections that neither this program declares nor any running process uses.
    pub(crate) async fn unused(&self) -> Result<Vec<UnusedVersion>, ReadError> {
        let context = self.context();
        let mut unused: BTreeMap<(String, u64), UnusedVersion> = BTreeMap::new();
        let mut led = BTreeSet::new();
        for GenerationInfo { id: generation_id, head, live, leader } in context.views.generations().await? {
            // The checkpoint of a feed is no projection, and is not made again from the log. An intake has only its lease there.
            let of_a_broker =
                ["annals_feed_", "annals_intake_"].map(|prefix| generation_id.name.starts_with(prefix));
            if is_kept_snapshots(&generation_id) || of_a_broker.contains(&true) {
                continue;
            }
            let key = (generation_id.name, generation_id.version);
            if leader.is_some() {
                led.insert(key.clone());
            }
            let (name, version) = key.clone();
            let known = unused.entry(key).or_insert(UnusedVersion { name, version, generations: 0, position: 0 });
            known.generations += 1;
            if live {
                known.position = head.position;
            }
        }
        let declared: BTreeSet<(String, u64)> = self.all().map(ProjectionHandle::key).collect();
        unused.retain(|key, _| !led.contains(key) && !declared.contains(key));
        let mut found = Vec::new();
        for (key, version) in unused {
            if !self.is_waited_for(&key).await? {
                found.push(version);
            }
        }
        Ok(found)
    }

    /// Whether a process that is blocked at an unknown event still reads this version.
    async fn is_waited_for(&self, key: &(String, u64)) -> Result<bool, StoreError> {
        let (views, probe) = (&*self.context().views, Uuid::new_v4());
        let free = views.acquire_leases(probe, &[waiting_for(key)], Duration::from_millis(100)).await?;
        views.release_leases(probe).await?;
        Ok(free.is_empty())
    }

    /// Drops the versions that [`unused`](Self::unused) finds; returns those dropped, as a program may have started
    /// to use one since.
    pub(crate) async fn prune(&self) -> Result<Vec<UnusedVersion>, ReadError> {
        let mut pruned = Vec::new();
        for unused in self.unused().await? {
            if self.context().views.prune(&unused.name, unused.version).await? {
                pruned.push(unused);
            }
        }
        Ok(pruned)
    }
}

fn keys_of(projection: &dyn Projection, stored: &Stored) -> Result<Vec<String>, ProjectionError> {
    Ok(projection.keys(stored)?.unwrap_or_default())
}

fn failed(name: &str, position: u64, source: ProjectionError) -> RepairError {
    match source {
        ProjectionError::Store(error) => error.into(),
        source => {
            tracing::debug!(error = error_chain(&source), "a replay failed");
            RepairError::Event { name: name.to_owned(), position, source }
        }
    }
}
