//! [`ViewCounts`]: how many documents a list has, as a whole and for each value of a field.

use serde::Serialize;

use super::list::{Listing, ViewCursor};
use super::{FieldValue, condition};
use crate::events::LogPosition;
use crate::projections::projection::DOCUMENTS;
use crate::projections::{QueryError, ReadError, Reading};
use crate::store::{Cell, Row, ViewSnapshot};

/// The most values of a page of counts.
const LARGEST_PAGE: usize = 1_000;

/// The number of documents of a list, as of one log position.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ViewCounts {
    /// The number of documents in the list, whatever its limit and cursor.
    pub count: u64,
    /// The number of documents with each value of the requested field, in the order of the values. Documents without
    /// a value are not in it. A text of more than 1,024 bytes appears as it is stored: its beginning and a digest.
    pub values: Vec<ValueCount>,
    /// The cursor of the next values, if there are more.
    #[cfg_attr(feature = "http", schema(value_type = Option<String>))]
    pub next: Option<ViewCursor>,
    /// The log position that the counts reflect.
    pub head: LogPosition,
}

/// A value of a field and its number of documents.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ValueCount {
    /// The value: a text or a whole number.
    #[cfg_attr(feature = "http", schema(value_type = serde_json::Value))]
    pub value: FieldValue,
    /// The number of documents.
    pub count: u64,
}

impl Listing {
    /// Counts the documents, and those with each value of the field `by`.
    pub(super) async fn count(&self, reading: &Reading, by: Option<&str>) -> Result<ViewCounts, ReadError> {
        let by = by.map(|by| Self::field(reading, by)).transpose()?;
        let list = by.map(|by| format!("{} by {}", self.fingerprint(), by.name));
        let own = |cursor: &ViewCursor| list.as_ref().is_some_and(|list| cursor.list == *list);
        if self.cursor.as_ref().is_some_and(|cursor| !own(cursor)) {
            return Err(ReadError::Invalid(QueryError::OtherCursor.to_string()));
        }
        let mut parameters = Row::new();
        let mut place = |cell: Cell| {
            parameters.push(cell);
            format!("${}", parameters.len())
        };
        let mut conditions = condition::sql(&self.conditions, reading, &mut place)?;
        if let Some(order) = &self.order {
            // A list in the order of a field has only the documents with a value.
            conditions.push(format!("{} IS NOT NULL", Self::field(reading, order)?.column_name()));
        }
        let mut snapshot = reading.snapshot().await?;
        let table = snapshot.table(DOCUMENTS);
        let all = format!("SELECT COUNT(*) FROM {table}{}", clause(&conditions));
        let count = match snapshot.query(&all, parameters.clone()).await?.first().and_then(|row| row.first()) {
            Some(Cell::Integer(count)) => count.unsigned_abs(),
            _ => 0,
        };
        let mut counts = ViewCounts { count, values: Vec::new(), next: None, head: snapshot.head() };
        let (Some(by), Some(list)) = (by, list) else { return Ok(counts) };
        let column = by.column_name();
        conditions.push(format!("{column} IS NOT NULL"));
        if let Some(value) = self.cursor.as_ref().and_then(|cursor| cursor.value.clone()) {
            parameters.push(value);
            conditions.push(format!("{column} > ${}", parameters.len()));
        }
        let limit = self.limit.clamp(1, LARGEST_PAGE);
        parameters.push(Cell::from(limit as u64 + 1));
        let sql = format!(
            "SELECT {column}, COUNT(*) FROM {table}{} GROUP BY {column} ORDER BY {column} LIMIT ${}",
            clause(&conditions),
            parameters.len()
        );
        counts.values = values(&sql, parameters, &mut *snapshot).await?;
        if counts.values.len() > limit {
            counts.values.truncate(limit);
            let last = counts.values.last().map(|last| last.value.0.clone());
            counts.next = Some(ViewCursor { list, value: last, key: String::new() });
        }
        Ok(counts)
    }
}

fn clause(conditions: &[String]) -> String {
    match conditions {
        [] => String::new(),
        some => format!(" WHERE {}", some.join(" AND ")),
    }
}

async fn values(sql: &str, parameters: Row, snapshot: &mut dyn ViewSnapshot) -> Result<Vec<ValueCount>, ReadError> {
    let rows = snapshot.query(sql, parameters).await?.into_iter();
    let value = |row: Row| match <[Cell; 2]>::try_from(row) {
        Ok([value, Cell::Integer(count)]) => {
            Some(ValueCount { value: FieldValue(value), count: count.unsigned_abs() })
        }
        _ => None,
    };
    Ok(rows.filter_map(value).collect())
}
