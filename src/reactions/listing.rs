//! [`PendingQuery`]: lists the steps that are to be done, in pages.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::executor::Executor;
use super::queue::unreadable;
use super::steps::{STEPS, time, uuid, uuid_cell};
use crate::events::Ref;
use crate::projections::{QueryError, ReadError};
use crate::store::{Cell, Row};

/// The most steps of a page, and how many it has by default.
const LARGEST_PAGE: usize = 1_000;
const PAGE: usize = 100;

/// A step that is to be done: a command at once, or a timer. Its command's values are not part of it: they follow from the event at
/// [`position`](Self::position).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct PendingStep {
    /// The command id of the step: [`Annals::skip_step`](crate::app::Annals::skip_step) takes it.
    pub id: Uuid,
    /// When it is due. A command at once is due when its event was recorded.
    pub due: Timestamp,
    /// The aggregate whose event led to it.
    pub aggregate: Ref,
    /// The position of that event.
    pub position: u64,
    /// The number of the step among those of the event, from 0.
    pub number: u64,
    /// The name of the timer; `None` for a command at once.
    pub timer: Option<String>,
    /// The command's name.
    pub command: String,
}

/// Which pending steps of a reaction are listed.
#[derive(Clone, Debug, Default)]
pub struct PendingQuery {
    /// Only the steps that follow from events of this aggregate.
    pub aggregate: Option<Ref>,
    /// Only timers.
    pub timers: bool,
    /// Only what is after this step: [`PendingPage::next`] of an earlier page.
    pub cursor: Option<PendingCursor>,
    /// The most steps of the page; `None` for 100. At most 1,000.
    pub limit: Option<usize>,
}

/// A page of pending steps, in the order in which they are due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct PendingPage {
    /// The steps.
    pub steps: Vec<PendingStep>,
    /// The cursor of the next page; `None` if there are no more steps.
    #[cfg_attr(feature = "http", schema(value_type = Option<String>))]
    pub next: Option<PendingCursor>,
    /// The position up to which the log was read.
    pub position: u64,
}

/// The last step of a page: the next page begins after it. As text: `1700000000000000_12_0`, which is when it is due (in microseconds since
/// 1970), the position of its event, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCursor {
    due: i64,
    position: i64,
    number: i64,
}

impl fmt::Display for PendingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { due, position, number } = self;
        write!(f, "{due}_{position}_{number}")
    }
}

impl FromStr for PendingCursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let parts: Vec<i64> = text.split('_').map_while(|part| part.parse().ok()).collect();
        match parts[..] {
            [due, position, number] if text.split('_').count() == 3 => Ok(Self { due, position, number }),
            _ => Err(QueryError::DamagedCursor),
        }
    }
}

impl Serialize for PendingCursor {
    /// As text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The columns of a step that is listed.
const COLUMNS: &str = "id, due, position, number, aggregate, timer, command";

/// A step and its place; `None` if the row is not as this module asks for it.
fn listed(row: &Row) -> Option<(PendingStep, PendingCursor)> {
    let [id, due, position, number, aggregate, timer, command] = row.as_slice() else { return None };
    let cursor = PendingCursor { due: due.integer()?, position: position.integer()?, number: number.integer()? };
    let step = PendingStep {
        id: uuid(id)?,
        due: time(cursor.due),
        aggregate: aggregate.text()?.parse().ok()?,
        position: cursor.position.try_into().ok()?,
        number: cursor.number.try_into().ok()?,
        timer: Some(timer.text()?.to_owned()).filter(|timer| !timer.is_empty()),
        command: command.text()?.to_owned(),
    };
    Some((step, cursor))
}

impl Executor {
    /// A page of the steps that are to be done, in the order in which they are due.
    pub(crate) async fn pending(&self, query: &PendingQuery) -> Result<PendingPage, ReadError> {
        let limit = query.limit.unwrap_or(PAGE).min(LARGEST_PAGE);
        let mut snapshot = self.reading().snapshot().await?;
        let mut conditions = Vec::new();
        let mut parameters: Vec<Cell> = Vec::new();
        if let Some(PendingCursor { due, position, number }) = query.cursor {
            conditions.push("(due, position, number) > ($1, $2, $3)".to_owned());
            parameters.extend([due.into(), position.into(), number.into()]);
        }
        if let Some(aggregate) = &query.aggregate {
            parameters.push(aggregate.as_str().into());
            conditions.push(format!("aggregate = ${}", parameters.len()));
        }
        if query.timers {
            conditions.push("timer <> ''".to_owned());
        }
        let which =
            if conditions.is_empty() { String::new() } else { format!("WHERE {} ", conditions.join(" AND ")) };
        let steps = snapshot.table(STEPS.name);
        let sql = format!(
            "SELECT {COLUMNS} FROM {steps} {which}ORDER BY due, position, number LIMIT {}",
            limit.saturating_add(1)
        );
        let mut rows = snapshot.query(&sql, parameters).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let rows: Option<Vec<_>> = rows.iter().map(listed).collect();
        let rows = rows.ok_or_else(|| unreadable(self.reading()))?;
        let next = rows.last().map(|(_, cursor)| *cursor).filter(|_| more);
        let steps = rows.into_iter().map(|(step, _)| step).collect();
        Ok(PendingPage { steps, next, position: snapshot.head().position })
    }

    /// The step with this command id, if it is to be done.
    pub(crate) async fn find(&self, id: Uuid) -> Result<Option<PendingStep>, ReadError> {
        let mut snapshot = self.reading().snapshot().await?;
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = $1", snapshot.table(STEPS.name));
        let rows = snapshot.query(&sql, vec![uuid_cell(id)]).await?;
        let step = |row: &Row| listed(row).ok_or_else(|| unreadable(self.reading()));
        Ok(rows.first().map(step).transpose()?.map(|(step, _)| step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_a_damaged_one_is_refused() {
        let cursor = PendingCursor { due: -5, position: 12, number: 0 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for damaged in ["", "1", "1_2", "1_2_3_4", "1_2_x", "1_x_3", "1__3", "99999999999999999999_1_1"] {
            assert_eq!(damaged.parse::<PendingCursor>(), Err(QueryError::DamagedCursor), "{damaged}");
        }
    }
}
