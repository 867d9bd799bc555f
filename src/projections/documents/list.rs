//! Lists of documents: filtered and ordered by declared fields, in pages with a cursor.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::condition::{self, Condition};
use super::fitting::fitting;
use super::reads::{Wait, parse, text};
use super::{DocumentView, FieldInfo, FieldValue, ViewCounts, ViewKey};
use crate::events::LogPosition;
use crate::projections::projection::DOCUMENTS;
use crate::projections::{QueryError, ReadError, Reading, indexed_text};
use crate::store::{Cell, Row};
use crate::text::{from_hex, hex, name_list};

/// The most documents of a page.
const LARGEST_PAGE: usize = 10_000;

/// The default number of documents of a page.
const PAGE: usize = 100;

/// A page of documents, and the log position that it reflects.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewPage<K, D> {
    /// The documents with their keys.
    pub documents: Vec<(K, D)>,
    /// The log position that the page reflects.
    pub at: LogPosition,
    /// Whether there are more documents.
    pub more: bool,
    /// The cursor of the next page, if there is one: see [`ViewList::cursor`].
    pub next: Option<ViewCursor>,
}

/// The last document of a page: the next page starts after it. As text it consists of letters and digits. It
/// belongs to its list: another filter or order is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewCursor {
    pub(super) list: String,
    pub(super) value: Option<Cell>,
    pub(super) key: String,
}

#[derive(Serialize, Deserialize)]
struct Spelled<'a> {
    list: std::borrow::Cow<'a, str>,
    text: Option<std::borrow::Cow<'a, str>>,
    number: Option<i64>,
    key: std::borrow::Cow<'a, str>,
}

impl fmt::Display for ViewCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelled = Spelled {
            list: self.list.as_str().into(),
            text: self.value.as_ref().and_then(Cell::text).map(Into::into),
            number: self.value.as_ref().and_then(Cell::integer),
            key: self.key.as_str().into(),
        };
        let body = serde_json::to_vec(&spelled).map_err(|_| fmt::Error)?;
        f.write_str(&hex(&body))
    }
}

impl Serialize for ViewCursor {
    /// As text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for ViewCursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let body = from_hex(text);
        let spelled: Option<Spelled<'_>> = body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
        let spelled = spelled.ok_or(QueryError::DamagedCursor)?;
        let value = spelled.text.map(|text| Cell::from(&*text)).or(spelled.number.map(Cell::Integer));
        Ok(Self { list: spelled.list.into_owned(), value, key: spelled.key.into_owned() })
    }
}

/// A query for documents: conditions on fields, order, limit and cursor. A document is listed if it meets all
/// conditions. Numbers are compared as numbers, texts by their bytes in UTF-8, alike on every store.
#[derive(Clone, Debug)]
pub struct Listing {
    pub(super) conditions: Vec<(String, Condition)>,
    pub(super) order: Option<String>,
    descending: bool,
    pub(super) limit: usize,
    pub(super) cursor: Option<ViewCursor>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { conditions: Vec::new(), order: None, descending: false, limit: PAGE, cursor: None }
    }
}

impl Listing {
    /// Only documents with this value of the field.
    #[must_use]
    pub fn filter(self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.any_of(field, [value])
    }

    /// Only documents with one of these values of the field.
    #[must_use]
    pub fn any_of(self, field: &str, values: impl IntoIterator<Item = impl Into<FieldValue>>) -> Self {
        self.with(field, Condition::AnyOf(values.into_iter().map(Into::into).collect()))
    }

    /// Only documents with this value of the field or a greater one.
    #[must_use]
    pub fn from(self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.with(field, Condition::From(value.into()))
    }

    /// Only documents with a smaller value of the field than this.
    #[must_use]
    pub fn until(self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.with(field, Condition::Until(value.into()))
    }

    /// Only documents whose text field begins with this text, of at most 1,020 bytes.
    #[must_use]
    pub fn prefix(self, field: &str, text: &str) -> Self {
        self.with(field, Condition::Prefix(text.to_owned()))
    }

    fn with(mut self, field: &str, condition: Condition) -> Self {
        self.conditions.push((field.to_owned(), condition));
        self
    }

    /// Sorts by this field; documents with the same value by their keys.
    #[must_use]
    pub fn order(mut self, field: &str) -> Self {
        self.order = Some(field.to_owned());
        self
    }

    /// Descending order.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// The most documents to return, at most 10,000. A page also ends when its documents have a megabyte.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Continues after the page that returned the cursor.
    #[must_use]
    pub fn cursor(mut self, cursor: &ViewCursor) -> Self {
        self.cursor = Some(cursor.clone());
        self
    }

    pub(super) fn field(reading: &Reading, name: &str) -> Result<FieldInfo, ReadError> {
        let fields = reading.fields();
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            return Ok(*field);
        }
        let known = name_list(fields.iter().map(|field| field.name));
        let view = reading.name();
        Err(ReadError::Invalid(format!(
            "`{view}` has no field `{}`: declared are {known} (add it to the view's FIELDS)",
            name.escape_debug()
        )))
    }

    /// The identity of the list: everything but limit and cursor.
    pub(super) fn fingerprint(&self) -> String {
        let digest = Sha256::digest(format!("{:?} {:?} {}", self.conditions, self.order, self.descending));
        hex(&digest[..4])
    }

    /// Reads a page of documents as text.
    pub(super) async fn page(
        &self,
        reading: &Reading,
        after: Option<&str>,
    ) -> Result<ViewPage<String, String>, ReadError> {
        let mut limit = self.limit.clamp(1, LARGEST_PAGE);
        let mut parameters: Row = vec![Cell::from(limit as u64)];
        let mut place = |cell: Cell| {
            parameters.push(cell);
            format!("${}", parameters.len())
        };
        let mut conditions = condition::sql(&self.conditions, reading, &mut place)?;
        let order = self.order.as_deref().map(|name| Self::field(reading, name)).transpose()?;
        let (direction, beyond) = if self.descending { ("DESC", "<") } else { ("ASC", ">") };
        if self.cursor.as_ref().is_some_and(|cursor| cursor.list != self.fingerprint()) {
            return Err(ReadError::Invalid(QueryError::OtherCursor.to_string()));
        }
        let begin = self.cursor.as_ref().map(|cursor| (cursor.key.as_str(), cursor.value.as_ref()));
        let after = after.map(indexed_text::indexed);
        match (&order, begin.or(after.as_deref().map(|key| (key, None)))) {
            (None, Some((key, _))) => conditions.push(format!("key {beyond} {}", place(key.into()))),
            (Some(field), Some((key, Some(value)))) => {
                let (value, key) = (place(value.clone()), place(key.into()));
                conditions.push(format!("({}, key) {beyond} ({value}, {key})", field.column_name()));
            }
            (Some(_), Some((_, None))) => {
                return Err(ReadError::Invalid(
                    "an ordered list continues at the `next` cursor of its last page, not after a key".to_owned(),
                ));
            }
            (_, None) => {}
        }
        let (mut also, mut by) = (String::new(), format!("key {direction}"));
        if let Some(field) = &order {
            let column = field.column_name();
            conditions.push(format!("{column} IS NOT NULL"));
            also = format!(", {column}");
            by = format!("{column} {direction}, key {direction}");
        }
        let mut range = conditions.join(" AND ");
        if !range.is_empty() {
            range.insert_str(0, "WHERE ");
        }
        let mut snapshot = reading.snapshot().await?;
        let table = snapshot.table(DOCUMENTS);
        let selected = format!("FROM {table} {range} ORDER BY {by} LIMIT $1");
        limit = limit.min(fitting(&selected, parameters.clone(), &mut *snapshot).await?);
        parameters[0] = Cell::from(limit as u64 + 1);
        let mut rows = snapshot.query(&format!("SELECT key, body{also} {selected}"), parameters).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| ViewCursor {
            list: self.fingerprint(),
            value: row.get(2).cloned(),
            key: row.first().and_then(Cell::text).unwrap_or_default().to_owned(),
        });
        let documents = rows.into_iter().filter_map(|row| {
            let mut cells = row.into_iter().map(text);
            Some(indexed_text::document(cells.next()?, cells.next()?))
        });
        Ok(ViewPage { documents: documents.collect(), at: snapshot.head(), more, next })
    }
}

/// A query for documents of a view; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ViewList<V: DocumentView> {
    reading: Result<Reading, ReadError>,
    wait: Wait,
    listing: Listing,
    view: PhantomData<fn() -> V>,
}

impl<V: DocumentView> ViewList<V> {
    /// All documents of the view, by default in the order of their keys.
    pub fn new(reading: Result<Reading, ReadError>) -> Self {
        Self { reading, wait: Wait::NONE, listing: Listing::default(), view: PhantomData }
    }

    /// The list with these conditions, order, limit and cursor, in place of those given before.
    pub fn listing(mut self, listing: Listing) -> Self {
        self.listing = listing;
        self
    }

    /// Only documents with this value of the field, one of the view's [`DocumentView::FIELDS`].
    pub fn filter(mut self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.listing = self.listing.filter(field, value);
        self
    }

    /// Only documents with one of these values of the field.
    pub fn any_of(mut self, field: &str, values: impl IntoIterator<Item = impl Into<FieldValue>>) -> Self {
        self.listing = self.listing.any_of(field, values);
        self
    }

    /// Only documents with this value of the field or a greater one.
    pub fn from(mut self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.listing = self.listing.from(field, value);
        self
    }

    /// Only documents with a smaller value of the field than this.
    pub fn until(mut self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.listing = self.listing.until(field, value);
        self
    }

    /// Only documents whose text field begins with this text, of at most 1,020 bytes.
    pub fn prefix(mut self, field: &str, text: &str) -> Self {
        self.listing = self.listing.prefix(field, text);
        self
    }

    /// Sorts by this field; documents with the same value by their keys.
    pub fn order(mut self, field: &str) -> Self {
        self.listing = self.listing.order(field);
        self
    }

    /// Descending order.
    pub fn descending(mut self) -> Self {
        self.listing = self.listing.descending();
        self
    }

    /// The most documents to return: 100 by default, at most 10,000.
    pub fn limit(mut self, limit: usize) -> Self {
        self.listing = self.listing.limit(limit);
        self
    }

    /// Continues after the page whose `next` is this cursor.
    pub fn cursor(mut self, cursor: &ViewCursor) -> Self {
        self.listing = self.listing.cursor(cursor);
        self
    }

    /// Waits until the view has processed the log up to here, for example to a receipt.
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.wait.after = Some(place.into());
        self
    }

    /// How long [`after`](Self::after) waits: ten seconds by default.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.wait.within = deadline;
        self
    }

    /// At most `limit` documents, after the key `from` if given.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn page(self, limit: usize, from: Option<&V::Key>) -> Result<ViewPage<V::Key, V>, ReadError> {
        let after = from.map(ViewKey::key_text);
        self.limit(limit).read(after.as_deref()).await
    }

    /// The number of documents in the list, whatever its limit and cursor. The database counts them, in an index if
    /// the conditions have one: the time grows with the number of documents.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn count(self) -> Result<ViewCounts, ReadError> {
        self.counts(None).await
    }

    /// The number of documents in the list, and the number with each value of this field, in the order of the values:
    /// at most `limit` values (1,000 at most), after the `cursor` of an earlier count if it is given.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn count_by(self, field: &str) -> Result<ViewCounts, ReadError> {
        self.counts(Some(field)).await
    }

    async fn counts(self, by: Option<&str>) -> Result<ViewCounts, ReadError> {
        let reading = self.reading?;
        self.wait.over(&reading).await?;
        self.listing.count(&reading, by).await
    }

    async fn read(self, after: Option<&str>) -> Result<ViewPage<V::Key, V>, ReadError> {
        let reading = self.reading?;
        self.wait.over(&reading).await?;
        let ViewPage { documents, at, more, next } = self.listing.page(&reading, after).await?;
        let typed = documents.into_iter().map(|(key, body)| {
            let document = parse(&reading, &key, &body)?;
            let invalid = |error| ReadError::Invalid(format!("the key `{key}` of `{}`: {error}", reading.name()));
            Ok((V::Key::from_key_text(&key).map_err(invalid)?, document))
        });
        Ok(ViewPage { documents: typed.collect::<Result<_, ReadError>>()?, at, more, next })
    }
}

impl<V: DocumentView> IntoFuture for ViewList<V> {
    type Output = Result<ViewPage<V::Key, V>, ReadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read(None))
    }
}
