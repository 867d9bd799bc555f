//! [`Load`]: loads an aggregate, as it is or as of a moment. [`JsonState`]: a state as JSON, by the aggregate's reference.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Annals;
#[cfg(feature = "http")]
use crate::aggregates::Version;
use crate::aggregates::{Aggregate, AggregateType, AnyState, LoadError, Loaded, Repository};
#[cfg(feature = "http")]
use crate::events::Stored;
use crate::events::{Id, Ref};
use crate::store::{AsOf, Clock, Moment, Store};

#[cfg(all(test, feature = "conformance", feature = "sqlite", feature = "postgres"))]
mod tests;

/// What loads states: of an open application.
#[derive(Clone)]
pub(super) struct States {
    repository: Arc<Repository>,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl States {
    pub(super) fn new(repository: Arc<Repository>, store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { repository, store, clock }
    }

    /// The state after the last committed event.
    async fn present(&self, kind: AggregateType, aggregate: &Ref) -> Result<AnyState, LoadError> {
        self.repository.load(kind, aggregate).await
    }

    async fn at(&self, kind: AggregateType, aggregate: &Ref, moment: Moment) -> Result<AsOf<AnyState>, LoadError> {
        let point = moment.find(&*self.store, &self.clock).await?;
        let state = self.repository.load_at(kind, aggregate, point.head.position).await?;
        Ok(AsOf::new(state, point))
    }

    /// Loads an aggregate without a copy of its state.
    pub(super) async fn load_shared<A: Aggregate>(&self, id: &A::Id) -> Result<Arc<Loaded<A>>, LoadError> {
        let aggregate = Ref::new(A::TYPE, &id.text())?;
        typed(self.present(AggregateType::for_aggregate::<A>(), &aggregate).await?, &aggregate)
    }
}

fn typed<A: Aggregate>(state: AnyState, aggregate: &Ref) -> Result<Arc<Loaded<A>>, LoadError> {
    Arc::downcast(state).map_err(|_| LoadError::OtherType(aggregate.clone()))
}

/// Loads an aggregate as it is; await it, or ask for a moment of the past with [`at`](Self::at).
#[must_use = "nothing is loaded until it is awaited"]
pub struct Load<A: Aggregate> {
    states: States,
    id: A::Id,
}

impl<A: Aggregate> Load<A> {
    pub(super) fn new(states: &States, id: &A::Id) -> Self {
        Self { states: states.clone(), id: id.clone() }
    }

    /// Loads the aggregate as it was at a moment: after all events up to a position of the log, or that were recorded up to a time.
    ///
    /// The answer says its position: asked for that again, it is the same for ever. It is the state that the log would give if it
    /// ended there, by the rules of this program: old events are read as their newest versions. Before the aggregate's first event
    /// it does not [exist](Loaded::exists). A moment that has not come is an error; a time of a few milliseconds ago may still get
    /// an event that is being appended.
    pub fn at(self, moment: impl Into<Moment>) -> LoadAt<A> {
        LoadAt { load: self, moment: moment.into() }
    }
}

impl<A: Aggregate> IntoFuture for Load<A> {
    type Output = Result<Loaded<A>, LoadError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.states.load_shared(&self.id).await.map(|loaded| Loaded::clone(&loaded)) }.boxed()
    }
}

impl<A: Aggregate> fmt::Debug for Load<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Loads an aggregate as of a moment; await it.
#[must_use = "nothing is loaded until it is awaited"]
#[derive(Debug)]
pub struct LoadAt<A: Aggregate> {
    load: Load<A>,
    moment: Moment,
}

impl<A: Aggregate> IntoFuture for LoadAt<A> {
    type Output = Result<AsOf<Loaded<A>>, LoadError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let Self { load: Load { states, id }, moment } = self;
            let aggregate = Ref::new(A::TYPE, &id.text())?;
            let found = states.at(AggregateType::for_aggregate::<A>(), &aggregate, moment).await?;
            found.try_map(|state| typed::<A>(state, &aggregate).map(|loaded| Loaded::clone(&loaded)))
        }
        .boxed()
    }
}

/// The state of an aggregate as JSON, at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct JsonState {
    /// The aggregate.
    pub aggregate: Ref,
    /// The number of its events up to the moment; 0 before the first one.
    pub sequence: u64,
    /// The position of the last event of the log at the moment; 0 before the first one.
    pub position: u64,
    /// The id of that event; nil before the first one.
    pub event_id: Uuid,
    /// When that event was recorded.
    #[cfg_attr(feature = "http", schema(required = true))]
    pub recorded_at: Option<Timestamp>,
    /// The state, as the application writes it to JSON.
    pub state: Value,
}

/// The states of an aggregate before and after one of its events, as JSON.
#[cfg(feature = "http")]
pub(crate) struct JsonVersion {
    pub before: Value,
    pub after: Value,
    pub event: Stored,
    /// Whether the aggregate has later events.
    pub has_next: bool,
}

impl Annals {
    /// Loads the state of an aggregate as JSON, by its reference: as it is, or as of a moment, as [`Load::at`]. What it contains is
    /// the application's own: another version of the program may have other fields.
    ///
    /// # Errors
    /// When the application has no such aggregate type, the id is invalid, the moment is not in the log, the state cannot be written
    /// as JSON, or the aggregate's events cannot be read.
    pub async fn json_state(&self, aggregate: &Ref, at: Option<Moment>) -> Result<JsonState, LoadError> {
        let (kind, states) = (self.kind(aggregate)?, self.read_handle().states());
        kind.0.fresh(aggregate)?;
        let at = match at {
            Some(moment) => moment,
            None => states.store.head().await?.into(),
        };
        let found = states.at(kind, aggregate, at).await?;
        Ok(JsonState {
            aggregate: aggregate.clone(),
            sequence: kind.0.sequence(&found),
            position: found.position(),
            event_id: found.head().event_id,
            recorded_at: found.recorded_at(),
            state: self.opened(json(kind, aggregate, &found)?).await,
        })
    }

    /// A state with its personal values opened.
    async fn opened(&self, mut state: Value) -> Value {
        self.types().open_json(&mut [&mut state]).await;
        state
    }

    /// Loads the states before and after the event of this sequence; `None` if the aggregate has no such event.
    #[cfg(feature = "http")]
    pub(crate) async fn json_version(
        &self,
        aggregate: &Ref,
        sequence: u64,
    ) -> Result<Option<JsonVersion>, LoadError> {
        let (kind, states) = (self.kind(aggregate)?, self.read_handle().states());
        let found = states.repository.load_version(kind, aggregate, sequence).await?;
        let Some(Version { before, after, event, has_next }) = found else { return Ok(None) };
        let (mut before, mut after) = (json(kind, aggregate, &before)?, json(kind, aggregate, &after)?);
        self.types().open_json(&mut [&mut before, &mut after]).await;
        Ok(Some(JsonVersion { before, after, event, has_next }))
    }

    /// Whether the application has aggregates of this kind.
    #[cfg(feature = "http")]
    pub(crate) fn has_kind(&self, kind: &str) -> bool {
        self.aggregate_types().iter().any(|known| known.name() == kind)
    }

    fn kind(&self, aggregate: &Ref) -> Result<AggregateType, LoadError> {
        let known = || self.aggregate_types().iter().map(AggregateType::name);
        self.aggregate_types().iter().find(|known| known.name() == aggregate.kind()).copied().ok_or_else(|| {
            LoadError::UnknownKind { kind: aggregate.kind().escape_debug().to_string(), known: known().collect() }
        })
    }
}

fn json(kind: AggregateType, aggregate: &Ref, state: &AnyState) -> Result<Value, LoadError> {
    kind.0.json(state).map_err(|source| LoadError::Json { aggregate: aggregate.clone(), source })
}
