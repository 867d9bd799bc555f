//! Reads of the past as an actor: states of aggregates, and documents of views.

use std::future::IntoFuture;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::SignedDuration;

#[cfg(feature = "http")]
use super::JsonVersion;
use super::access_log::{AccessError, Read};
use super::authorise::Ask;
use super::{JsonState, ReadView, Reader, ReaderError};
use crate::events::Ref;
use crate::projections::audit::{AuditLog, Detail, RecordedFilters};
use crate::projections::{DocumentView, JsonView, RangeBound, ViewAt, ViewKey as _};
use crate::store::{AsOf, Moment, micros};

impl Reader {
    /// Loads the state of an aggregate as JSON, as [`Annals::json_state`](super::Annals::json_state). For the authoriser it is a query of the audit log, in full,
    /// for that aggregate: a state is made of its events.
    ///
    /// # Errors
    /// When the authoriser denies it, and as [`Annals::json_state`](super::Annals::json_state).
    pub async fn json_state(&self, aggregate: &Ref, at: Option<Moment>) -> Result<JsonState, ReaderError> {
        self.ask_for_state(aggregate, at).await?;
        Ok(self.annals.json_state(aggregate, at).await?)
    }

    /// Loads the states before and after an event, as [`Annals::json_version`].
    #[cfg(feature = "http")]
    pub(crate) async fn json_version(
        &self,
        aggregate: &Ref,
        sequence: u64,
    ) -> Result<Option<JsonVersion>, ReaderError> {
        self.ask_for_state(aggregate, None).await?;
        Ok(self.annals.json_version(aggregate, sequence).await?)
    }

    /// Queries a view as JSON, to read the document under `key` as of a moment: [`JsonView::get_at`]. It needs the right to read the
    /// document, and the right to read the audit log in full: of the thing that the key names, or of everything if it names none.
    /// For the past may show what the document does not show any more.
    ///
    /// # Errors
    /// When the authoriser denies it, or there is no such view.
    pub async fn json_view_at(&self, name: &str, key: &str, at: Moment) -> Result<JsonView, ReaderError> {
        let view = self.annals.json_view(name)?;
        let key = view.reading().parse_key(key)?;
        self.ask_for_document(name, &key, view.reading().named(&key), at).await?;
        Ok(view)
    }

    async fn ask_for_document(
        &self,
        view: &str,
        key: &str,
        named: Option<Ref>,
        at: Moment,
    ) -> Result<(), AccessError> {
        let what = format!("{} in {view} as of {at}", named.as_ref().map_or(key, Ref::as_str));
        let of: Vec<Ref> = Ref::new("projection", view).into_iter().chain(named.clone()).collect();
        let asked = RecordedFilters::from([("key".to_owned(), vec![key.to_owned()]), until(at)]);
        let read = Read { what: &what, of: &of, asked, export: None };
        let ask = Ask::Audit { actors: &[], targets: named.as_slice(), topics: &[], detail: Detail::Full };
        let allowed = self.access_control.read(&self.context, &ask, &read, false).await;
        allowed.map_err(|error| error.of("the past of a document"))?;
        self.access_control.read(&self.context, &Ask::View { view, key: Some(key) }, &read, true).await
    }

    async fn ask_for_state(&self, aggregate: &Ref, at: Option<Moment>) -> Result<(), AccessError> {
        let what = match at {
            Some(at) => format!("the state of {aggregate} as of {at}"),
            None => format!("the state of {aggregate}"),
        };
        let targets = std::slice::from_ref(aggregate);
        let ask = Ask::Audit { actors: &[], targets, topics: &[], detail: Detail::Full };
        let of = [Ref::unchecked("projection", AuditLog::NAME), aggregate.clone()];
        let of = if aggregate.check().is_ok() { &of[..] } else { &of[..1] };
        let asked = [("aggregate".to_owned(), vec![aggregate.to_string()])].into_iter().chain(at.map(until));
        let read = Read { what: &what, of, asked: asked.collect(), export: None };
        self.access_control.read(&self.context, &ask, &read, true).await.map_err(|error| error.of("a state"))
    }
}

impl<V: DocumentView> ReadView<V> {
    /// The document as it was at a moment, as [`ViewQuery::at`](crate::projections::ViewQuery::at). The rights are those of
    /// [`Reader::json_view_at`].
    pub fn at(self, moment: impl Into<Moment>) -> ReadViewAt<V> {
        let moment = moment.into();
        ReadViewAt { reader: self.reader, key: self.key, query: self.query.at(moment), moment }
    }
}

/// A query of one document as of a moment, as an actor; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ReadViewAt<V: DocumentView> {
    reader: Reader,
    query: ViewAt<V>,
    key: V::Key,
    moment: Moment,
}

impl<V: DocumentView> IntoFuture for ReadViewAt<V> {
    type Output = Result<AsOf<Option<V>>, ReaderError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let named = self.key.named().filter(|thing| thing.check().is_ok());
            self.reader.ask_for_document(V::NAME, &self.key.key_text(), named, self.moment).await?;
            Ok(self.query.await?)
        }
        .boxed()
    }
}

/// The filter of a query of the audit log for the events up to this moment.
fn until(moment: Moment) -> (String, Vec<String>) {
    let bound = match moment {
        Moment::Position(position) => RangeBound::Position(position.saturating_add(1)),
        // Events have times in whole microseconds; the end of a range is not in it.
        Moment::Time(time) => {
            RangeBound::Time(micros(time).checked_add(SignedDuration::from_micros(1)).unwrap_or(time))
        }
    };
    ("until".to_owned(), vec![bound.to_string()])
}
