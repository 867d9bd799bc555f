//! [`Build`]: the new generation that a rebuild fills.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::error::{Fenced, RebuildError, SkipPolicy};
use super::pass::{Passed, page_size, read};
use super::report::Report;
use crate::events::{LogPosition, Stored};
use crate::projections::engine::dead_letters::{self, DeadLetter};
use crate::projections::engine::handle::{EngineContext, ProjectionHandle};
use crate::projections::engine::progress::Progress;
use crate::projections::engine::write::{Bisected, bisect, gather, guarded, set_up, step};
use crate::projections::fold::{FOLDED_AT_ONCE, FOLDED_BYTES, Fold, FoldBase, KeyFilter, key_name};
use crate::projections::{EventBatch, ProjectionError};
use crate::store::{GenerationId, StoreError, Transaction};

/// How often the last steps are tried while the live projection is blocked, before it may continue for a while.
const LAST_STEPS: usize = 8;

pub(super) struct Build {
    context: Arc<EngineContext>,
    handle: Arc<ProjectionHandle>,
    report: Report,
    generation_id: GenerationId,
    /// The checkpoint of the new generation.
    stored: LogPosition,
    /// The position up to which events are folded: at or after `stored`.
    seen: LogPosition,
    fold: Option<Box<dyn Fold>>,
    /// The live generation's dead letters, which this one skips too.
    skips: BTreeMap<u64, DeadLetter>,
    parked: HashSet<String>,
    dead_letters: Vec<DeadLetter>,
}

impl Build {
    /// Continues an interrupted rebuild if the log still holds the event at its checkpoint; otherwise starts with
    /// new tables.
    pub async fn begin(
        context: Arc<EngineContext>,
        handle: Arc<ProjectionHandle>,
        report: Report,
        skips: SkipPolicy,
    ) -> Result<Self, RebuildError> {
        let failed = |error| RebuildError::failed(handle.name(), error);
        let views = context.views.clone();
        let (name, version) = handle.key();
        let mut snapshot = views.read(&name, version).await.map_err(failed)?;
        let left_out = dead_letters::skips(dead_letters::all(&mut *snapshot).await.map_err(failed)?);
        let head = snapshot.head();
        drop(snapshot);
        if skips == SkipPolicy::Keep && !left_out.is_empty() && !context.holds(head).await.map_err(failed)? {
            // After a restore the log may hold other events at these positions: an operator decides which ones to
            // skip.
            return Err(RebuildError::Skips { name, events: left_out.len() });
        }
        let keeps_none = skips != SkipPolicy::Keep;
        let skips = match skips {
            SkipPolicy::Refuse if !left_out.is_empty() => {
                return Err(RebuildError::Skips { name, events: left_out.len() });
            }
            SkipPolicy::Keep => left_out,
            SkipPolicy::Refuse | SkipPolicy::Replay => BTreeMap::new(),
        };
        let (mut generation_id, mut at) = views.shadow(&name, version).await.map_err(failed)?;
        let other_skips =
            at.position > 0 && keeps_none && Self::left_out(&context, &generation_id, at).await.map_err(failed)?;
        if other_skips || !context.holds(at).await.map_err(failed)? {
            views.discard(&generation_id).await.map_err(failed)?;
            (generation_id, at) = views.shadow(&name, version).await.map_err(failed)?;
        }
        let projection = &*handle.projection;
        if at.position == 0 {
            set_up(&*views, projection, &generation_id, false)
                .await
                .map_err(|error| RebuildError::failed(&name, error))?;
        }
        let mut parked = HashSet::new();
        if let Some(mut transaction) = views.begin(&generation_id, at, at).await.map_err(failed)? {
            parked = dead_letters::parked(&mut *transaction).await.map_err(failed)?;
        }
        let fold = projection.fold(if at.position == 0 { FoldBase::Empty } else { FoldBase::Load });
        report.start_at(at.position);
        let dead_letters = Vec::new();
        Ok(Self { context, handle, report, generation_id, stored: at, seen: at, fold, skips, parked, dead_letters })
    }

    /// Whether an interrupted rebuild that was to keep skips has skipped any event.
    async fn left_out(
        context: &EngineContext,
        generation_id: &GenerationId,
        at: LogPosition,
    ) -> Result<bool, StoreError> {
        match context.views.begin(generation_id, at, at).await? {
            Some(mut transaction) => dead_letters::are_there(&mut *transaction).await,
            None => Ok(false),
        }
    }

    /// The position up to which the log is processed.
    pub fn at(&self) -> LogPosition {
        self.stored
    }

    /// Whether it folds events in memory.
    fn light(&self) -> bool {
        self.fold.is_some()
    }

    fn failed(&self, error: impl Into<ProjectionError>) -> RebuildError {
        RebuildError::failed(self.handle.name(), error)
    }

    /// Discards the tables of a failed rebuild: the fixed code must build all rows.
    pub async fn discard(&self) {
        if let Err(error) = self.context.views.discard(&self.generation_id).await {
            tracing::debug!(%error, "the tables of a failed rebuild could not be dropped");
        }
    }

    /// Applies a page of the shared pass.
    pub async fn apply_page(&mut self, passed: Passed) -> Result<(), RebuildError> {
        match passed {
            Passed::Page { page, alone } => self.apply(&page.events, page.to, alone).await,
            Passed::Diverged(head) => Err(RebuildError::Diverged { name: self.handle.name().to_owned(), head }),
        }
    }

    /// Applies new events that the projection wants; `alone` says that it wants all of them.
    async fn apply(&mut self, events: &[Stored], to: LogPosition, alone: bool) -> Result<(), RebuildError> {
        if to.position <= self.seen.position {
            return Ok(());
        }
        let events = &events[events.partition_point(|stored| stored.position <= self.seen.position)..];
        if alone || events.iter().all(|stored| self.handle.wants(stored)) {
            self.take_wanted(events, to).await?;
        } else {
            let wanted: Vec<Stored> = events.iter().filter(|stored| self.handle.wants(stored)).cloned().collect();
            self.take_wanted(&wanted, to).await?;
        }
        self.report.reached(self.seen.position, &self.context).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    async fn take_wanted(&mut self, mut events: &[Stored], to: LogPosition) -> Result<(), RebuildError> {
        while let Some(at) = events.iter().position(|stored| self.skips.contains_key(&stored.position)) {
            self.take_run(&events[..at], None).await?;
            self.leave_out(&events[at]);
            events = &events[at + 1..];
        }
        self.take_run(events, Some(to)).await
    }

    /// Skips an event as the live generation did: its keys are parked from here on.
    fn leave_out(&mut self, stored: &Stored) {
        let Some(letter) = self.skips.get(&stored.position) else { return };
        let error = letter.error.clone().unwrap_or_default();
        let projection = &*self.handle.projection;
        let letters = DeadLetter::for_event(projection, stored, &error, letter.attempts, letter.since);
        let keys = letters.iter().filter_map(|letter| letter.key.as_deref());
        self.parked.extend(keys.map(|key| key_name(key).into_owned()));
        self.dead_letters.extend(letters);
    }

    /// Applies events of which none is skipped. They cover the log up to `to` unless more events follow.
    async fn take_run(&mut self, events: &[Stored], to: Option<LogPosition>) -> Result<(), RebuildError> {
        if let Some(mut fold) = self.fold.take() {
            for events in events.chunks(FOLDED_AT_ONCE) {
                let folded = guarded(self.fold_in(&mut *fold, events)).await;
                if let Err(source) = folded {
                    return Err(self.at_event(fold.position(), source));
                }
                tokio::task::yield_now().await;
            }
            let full = fold.bytes() > FOLDED_BYTES;
            self.fold = Some(fold);
            if let Some(to) = to {
                self.seen = to;
                if full {
                    self.flush().await?;
                }
            }
            return Ok(());
        }
        // Without a fold there are no keys to park: each run of events is a transaction.
        let to = to.or(events.last().map(Stored::head)).unwrap_or(self.stored);
        if to == self.stored {
            return Ok(());
        }
        self.write_run(events, to).await?;
        self.seen = self.stored;
        Ok(())
    }

    async fn fold_in(&mut self, fold: &mut dyn Fold, events: &[Stored]) -> Result<(), ProjectionError> {
        let mut keys = KeyFilter::All;
        if !self.parked.is_empty() {
            self.dead_letters.extend(dead_letters::queue(&*self.handle.projection, events, &self.parked)?);
            keys = KeyFilter::Without(&self.parked);
        }
        match gather(fold, events, keys, &*self.context.views, &self.generation_id, self.stored).await? {
            true => Ok(()),
            false => Err(ProjectionError::Other(Box::new(Fenced))),
        }
    }

    async fn transaction(&self, to: LogPosition) -> Result<Box<dyn Transaction>, ProjectionError> {
        let begun = self.context.views.begin(&self.generation_id, self.stored, to).await?;
        begun.ok_or_else(|| ProjectionError::Other(Box::new(Fenced)))
    }

    /// Adds the position of the event to an error, unless the error is the store's.
    fn at_event(&self, position: u64, source: ProjectionError) -> RebuildError {
        match source {
            ProjectionError::Store(_) | ProjectionError::Other(_) => self.failed(source),
            source => RebuildError::Event { name: self.handle.name().to_owned(), position, source },
        }
    }

    /// Writes the folded documents.
    async fn flush(&mut self) -> Result<(), RebuildError> {
        if self.seen == self.stored {
            return Ok(());
        }
        let Some(mut fold) = self.fold.take() else { return Ok(()) };
        let written = guarded(async {
            let mut transaction = self.transaction(self.seen).await?;
            fold.write(&mut *transaction).await?;
            dead_letters::add(&self.dead_letters, &mut *transaction).await?;
            Ok(transaction.commit().await?)
        });
        written.await.map_err(|error| self.failed(error))?;
        self.fold = Some(fold);
        self.dead_letters.clear();
        self.stored = self.seen;
        Ok(())
    }

    async fn write_run(&mut self, events: &[Stored], to: LogPosition) -> Result<(), RebuildError> {
        let (views, projection) = (&*self.context.views, &*self.handle.projection);
        let name = self.handle.name().to_owned();
        if !self.dead_letters.is_empty() {
            let mut transaction = self.transaction(self.stored).await.map_err(|error| self.failed(error))?;
            dead_letters::add(&self.dead_letters, &mut *transaction).await.map_err(|error| self.failed(error))?;
            transaction.commit().await.map_err(|error| self.failed(error))?;
            self.dead_letters.clear();
        }
        let batch = EventBatch { from: self.stored, to, events };
        match step(views, projection, &self.generation_id, batch, false).await {
            Ok(true) => {
                self.stored = to;
                return Ok(());
            }
            Ok(false) => return Err(RebuildError::Elsewhere(name)),
            Err(error) => {
                tracing::warn!(projection = name, %error, "a batch of a rebuild failed: looking for the event")
            }
        }
        match bisect(views, projection, &self.generation_id, &mut self.stored, events, to, false).await {
            Bisected::Passed => Ok(()),
            Bisected::Moved => Err(RebuildError::Elsewhere(name)),
            Bisected::Failed { position: Some(position), error } => {
                Err(RebuildError::Event { name, position, source: error })
            }
            Bisected::Failed { position: None, error } => Err(self.failed(error)),
        }
    }

    /// Reads up to the head without the shared pass, and writes everything.
    async fn catch_up(&mut self) -> Result<(), RebuildError> {
        let mut size = page_size(self.light());
        loop {
            let limit = size.limit();
            let page = read(&self.context, self.seen, &size, &self.handle.interest).await;
            let page = page
                .map_err(|error| self.failed(error))?
                .ok_or_else(|| RebuildError::Diverged { name: self.handle.name().to_owned(), head: self.seen })?;
            let full = size.is_full(limit, &page.events);
            size.adapt(&page.events);
            self.apply(&page.events, page.to, true).await?;
            if !full {
                return self.flush().await;
            }
        }
    }

    /// Applies the remaining events, creates the indexes, and makes the new generation the live one.
    pub async fn finish(mut self) -> Result<Progress, RebuildError> {
        self.catch_up().await?;
        self.index().await?;
        loop {
            self.catch_up().await?;
            // Near the head: hold the live projection's write lock for the last steps, so that it cannot run ahead.
            let handle = self.handle.clone();
            let _write_lock = handle.write_lock.lock().await;
            for _ in 0..LAST_STEPS {
                self.catch_up().await?;
                if self.switch().await? {
                    return Ok(self.report.end(self.stored.position));
                }
            }
        }
    }

    async fn index(&self) -> Result<(), RebuildError> {
        let made = guarded(async {
            let mut transaction = self.transaction(self.stored).await?;
            self.handle.projection.indexes(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        });
        made.await.map_err(|error| self.failed(error))
    }

    /// Makes the new generation the live one, unless the old one is further ahead.
    async fn switch(&self) -> Result<bool, RebuildError> {
        let (views, handle) = (&*self.context.views, &self.handle);
        let (name, version) = handle.key();
        let (live, head) = views.live(&name, version).await.map_err(|error| self.failed(error))?;
        if head.position > self.stored.position && !self.holds(head).await? {
            // The live generation was made from another log, so its position does not count. A checkpoint at
            // position 0 whose id is not nil marks it as diverged for readers until the switch.
            let lost = LogPosition { position: 0, event_id: head.event_id };
            let batch = EventBatch { from: head, to: lost, events: &[] };
            step(views, &*handle.projection, &live, batch, false).await.map_err(|error| self.failed(error))?;
        }
        let switched = views.switch(&self.generation_id).await.map_err(|error| self.failed(error))?;
        if switched {
            handle.publish_reloaded(&self.generation_id, self.stored);
            handle.try_again();
        }
        Ok(switched)
    }

    async fn holds(&self, head: LogPosition) -> Result<bool, RebuildError> {
        self.context.holds(head).await.map_err(|error| self.failed(error))
    }
}
