//! [`KeyBuild`]: rebuilds some keys of a view in place.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::error::{Fenced, RebuildError};
use super::pass::{page_size, read};
use super::report::Report;
use crate::events::{LogPosition, Stored};
use crate::projections::ProjectionError;
use crate::projections::engine::dead_letters;
use crate::projections::engine::handle::{EngineContext, ProjectionHandle};
use crate::projections::engine::progress::Progress;
use crate::projections::engine::write::guarded;
use crate::projections::fold::{FoldBase, KeyFilter, key_name};
use crate::projections::indexed_text::indexed;
use crate::projections::projection::DOCUMENT_TABLE;
use crate::store::Cell;

/// How many keys are rebuilt in one pass over the log.
const KEYS_AT_ONCE: usize = 20_000;

/// How often the live projection may move while the last events are folded, before it is blocked.
const TRIES: usize = 16;

/// The keys of a view to rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// One key.
    Key(String),
    /// All keys that events of this type of aggregate touch.
    Aggregate(String),
}

pub(super) struct KeyBuild {
    pub context: Arc<EngineContext>,
    pub handle: Arc<ProjectionHandle>,
    pub report: Report,
}

impl KeyBuild {
    pub async fn run(mut self, selection: &Selection) -> Result<Progress, RebuildError> {
        let name = self.handle.name().to_owned();
        if self.handle.projection.fold(FoldBase::Replace).is_none() {
            return Err(RebuildError::NoKeys(name));
        }
        let keys: Vec<String> = match selection {
            Selection::Key(key) => vec![key.clone()],
            Selection::Aggregate(aggregate) => self.touched_by(aggregate).await?.into_iter().collect(),
        };
        if keys.is_empty() {
            return Err(RebuildError::Nothing { name, what: selection.to_string() });
        }
        let mut head = LogPosition::default();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let keys: HashSet<String> = keys.iter().cloned().collect();
            let (at, touched) = self.rebuild(&keys).await?;
            if !touched && matches!(selection, Selection::Key(_)) {
                return Err(RebuildError::Nothing { name, what: selection.to_string() });
            }
            head = at;
        }
        Ok(self.report.end(head.position))
    }

    /// The keys that events of a type of aggregate touch.
    async fn touched_by(&mut self, aggregate: &str) -> Result<BTreeSet<String>, RebuildError> {
        let (handle, mut keys) = (self.handle.clone(), BTreeSet::new());
        let mut at = LogPosition::default();
        let end = self.live().await?.1;
        self.each_page(&mut at, end, |events| {
            for stored in events.iter().filter(|stored| stored.aggregate.kind() == aggregate) {
                keys.extend(handle.projection.keys(stored)?.unwrap_or_default());
            }
            Ok(())
        })
        .await?;
        Ok(keys)
    }

    /// Folds these keys up to the live checkpoint and replaces their documents, in a transaction that keeps the
    /// checkpoint where it is and so fences off other writers. Also returns whether any event touches the keys.
    async fn rebuild(&mut self, keys: &HashSet<String>) -> Result<(LogPosition, bool), RebuildError> {
        let name = self.handle.name().to_owned();
        let Some(mut fold) = self.handle.projection.fold(FoldBase::Replace) else {
            return Err(RebuildError::NoKeys(name));
        };
        let names: HashSet<String> = keys.iter().map(|key| key_name(key).into_owned()).collect();
        let handle = self.handle.clone();
        let mut write_lock = None;
        let mut at = LogPosition::default();
        for attempt in 0.. {
            if attempt == TRIES {
                write_lock = Some(handle.write_lock.lock().await);
            }
            let (generation_id, head) = self.live().await?;
            let gather = |events: &[Stored]| fold.gather(events, KeyFilter::Only(&names));
            self.each_page(&mut at, head, gather).await.map_err(|error| match error {
                RebuildError::Failed { source: source @ ProjectionError::Panicked(_), name } => {
                    RebuildError::Event { name, position: fold.position(), source }
                }
                error => error,
            })?;
            let failed = |error| RebuildError::failed(&name, error);
            let begun =
                self.context.views.begin(&generation_id, head, head).await.map_err(|error| failed(error.into()))?;
            if let Some(mut transaction) = begun {
                let touched = fold.bytes() > 0;
                let replace = async {
                    if handle.projection.documents() {
                        let rows = keys.iter().map(|key| vec![Cell::from(&*indexed(key))]).collect();
                        transaction.delete_keys(&DOCUMENT_TABLE, rows).await?;
                    }
                    fold.write(&mut *transaction).await?;
                    for key in &names {
                        dead_letters::forget(key, &mut *transaction).await?;
                    }
                    Ok(transaction.commit().await?)
                };
                guarded(replace).await.map_err(failed)?;
                return Ok((head, touched));
            }
        }
        drop(write_lock);
        Err(RebuildError::failed(&name, ProjectionError::Other(Box::new(Fenced))))
    }

    async fn live(&self) -> Result<(crate::store::GenerationId, LogPosition), RebuildError> {
        let (name, version) = self.handle.key();
        let live = self.context.views.live(&name, version).await;
        let (generation_id, head) = live.map_err(|error| RebuildError::failed(&name, error))?;
        match self.context.holds(head).await.map_err(|error| RebuildError::failed(&name, error))? {
            true => Ok((generation_id, head)),
            false => Err(RebuildError::Diverged { name, head }),
        }
    }

    /// Reads the wanted events after `at`, up to and including `end`.
    async fn each_page(
        &mut self,
        at: &mut LogPosition,
        end: LogPosition,
        mut take: impl FnMut(&[Stored]) -> Result<(), ProjectionError>,
    ) -> Result<(), RebuildError> {
        let name = self.handle.name().to_owned();
        let mut size = page_size(true);
        while at.position < end.position {
            let page = read(&self.context, *at, &size, &self.handle.interest).await;
            let page = page.map_err(|error| RebuildError::failed(&name, error))?;
            let page = page.ok_or_else(|| RebuildError::Diverged { name: name.clone(), head: *at })?;
            size.adapt(&page.events);
            let wanted = page.events.partition_point(|stored| stored.position <= end.position);
            let taken = guarded(async { take(&page.events[..wanted]) }).await;
            taken.map_err(|source| match source {
                ProjectionError::Decode { position, source } => {
                    let source = ProjectionError::Decode { position, source };
                    RebuildError::Event { name: name.clone(), position, source }
                }
                source => RebuildError::failed(&name, source),
            })?;
            *at = if page.to.position < end.position { page.to } else { end };
            self.report
                .reached(at.position, &self.context)
                .await
                .map_err(|error| RebuildError::failed(&name, error))?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "no event touches the key `{key}`"),
            Self::Aggregate(aggregate) => write!(f, "no event of an aggregate of type `{aggregate}` touches it"),
        }
    }
}
