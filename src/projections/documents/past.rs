//! One document as of a moment: typed, or as plain JSON by the view's name.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::document::DocumentView;
use super::query::{JsonView, ViewQuery};
use super::reads::parse;
use crate::projections::{ReadError, Reading};
use crate::store::{AsOf, Clock, Moment};

/// A query for one document as of a moment; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ViewAt<V: DocumentView> {
    query: ViewQuery<V>,
    moment: Moment,
    within: Option<Duration>,
    view: PhantomData<fn() -> V>,
}

impl<V: DocumentView> ViewQuery<V> {
    /// The document as it was at a moment: made of the key's events up to a position of the log, or that were recorded up to a time.
    ///
    /// It is the document that this program's view would have if the log ended there, and the answer says its position; whether the
    /// view's table is behind, or left events out, has no effect. A view that says
    /// [`ONE_AGGREGATE`](DocumentView::ONE_AGGREGATE) reads the events of that aggregate; any other scans the log for its event
    /// types, a million of them in some seconds.
    ///
    /// Awaited, it fails when the moment is not in the log, or an event cannot be read.
    pub fn at(self, moment: impl Into<Moment>) -> ViewAt<V> {
        ViewAt { query: self, moment: moment.into(), within: None, view: PhantomData }
    }
}

impl<V: DocumentView> ViewAt<V> {
    /// How long it may take: by default as long as necessary. Then it fails with [`ReadError::PastTooLong`].
    pub fn within(mut self, deadline: Duration) -> Self {
        self.within = Some(deadline);
        self
    }
}

impl<V: DocumentView> IntoFuture for ViewAt<V> {
    type Output = Result<AsOf<Option<V>>, ReadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { query, moment, within, .. } = self;
            let (reading, key, clock) = query.into_parts();
            read(&reading?, &key, moment, &clock, within, &mut |_, _| {}).await
        })
    }
}

impl JsonView {
    /// The document under a key as of a moment, as [`ViewQuery::at`]. `within`: how long it may take. `progress` is called with
    /// positions: up to where the log was read, and up to where it is to be read.
    ///
    /// # Errors
    /// When the text is not a key of the view, the moment is not in the log, an event cannot be read, or it takes too long.
    pub async fn get_at(
        &self,
        key: &str,
        moment: Moment,
        within: Option<Duration>,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<AsOf<Option<Value>>, ReadError> {
        let key = self.reading().parse_key(key)?;
        let found: AsOf<Option<Value>> =
            read(self.reading(), &key, moment, self.given_clock(), within, progress).await?;
        let mut document = (*found).clone();
        if let Some(document) = &mut document {
            self.reading().types().open_json(&mut [document]).await;
        }
        found.try_map(|_| Ok(document))
    }

    /// Whether the past of this document is found only by a scan of the log.
    ///
    /// # Errors
    /// When the text is not a key of the view.
    pub fn scans_for(&self, key: &str) -> Result<bool, ReadError> {
        Ok(self.reading().only_aggregate(&self.reading().parse_key(key)?).is_none())
    }
}

async fn read<D: DeserializeOwned>(
    reading: &Reading,
    key: &str,
    moment: Moment,
    clock: &Clock,
    within: Option<Duration>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<AsOf<Option<D>>, ReadError> {
    let point = moment.find(&**reading.log(), clock).await?;
    let body = reading.document_at(key, point.head, within, progress).await?;
    let document = body.map(|body| parse(reading, key, &body)).transpose()?;
    Ok(AsOf::new(document, point))
}
