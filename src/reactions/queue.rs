//! Which steps are due, in order per aggregate.

use std::collections::HashMap;

use crate::events::Ref;
use crate::projections::{ReadError, Reading};
use crate::store::{Cell, Row, ViewSnapshot};

use super::steps::{BODY, PENDING_COLUMNS, Pending, STEPS};

/// How many rows are read at a time.
const PAGE: usize = 512;

/// The most characters of a body that is read with its row: a longer one is read when its aggregate is taken.
const SHORT_BODY: usize = 4_096;

/// The most steps of one aggregate that are taken at a time, and about their most bytes.
const MAX_STEPS: usize = 128;
const MAX_BYTES: usize = 1 << 18;

/// Which aggregates have steps that were taken from the queue.
#[derive(Default)]
pub(super) struct Taken(HashMap<Ref, Option<u64>>);

impl Taken {
    /// The steps of an aggregate were executed, the last one as an event at or before this position: its other steps are taken when the
    /// projection has seen that.
    pub(super) fn executed(&mut self, aggregate: Ref, position: Option<u64>) {
        self.0.insert(aggregate, Some(position.unwrap_or_default()));
    }
}

/// The steps of one aggregate that are due, in order.
pub(super) struct Group {
    pub(super) aggregate: Ref,
    pub(super) steps: Vec<Pending>,
}

/// What is due.
pub(super) struct DueSteps {
    pub(super) groups: Vec<Group>,
    /// Whether there may be more for other aggregates.
    pub(super) more: bool,
    /// When the next timer is due, in microseconds.
    pub(super) next: Option<i64>,
}

/// Takes what is due until `until` (microseconds), for at most `limit` aggregates, and not for the blocked ones.
pub(super) async fn take(
    reading: &Reading,
    until: i64,
    limit: usize,
    taken: &mut Taken,
    blocked: Vec<Ref>,
) -> Result<DueSteps, ReadError> {
    let mut snapshot = reading.snapshot().await?;
    let head = snapshot.head().position;
    taken.0.retain(|_, executed| executed.is_none_or(|position| position > head));
    let mut excluded: Vec<Ref> = taken.0.keys().cloned().chain(blocked).collect();
    let (mut groups, mut more) = (Vec::new(), false);
    loop {
        let free = first_steps(reading, until, &excluded, snapshot.as_mut()).await?;
        if free.is_empty() {
            break;
        }
        for Free { aggregate, short, .. } in free {
            if groups.len() == limit {
                more = true;
                break;
            }
            let steps = match short.is_empty() {
                true => steps(&aggregate, until, reading, snapshot.as_mut()).await?,
                false => short,
            };
            taken.0.insert(aggregate.clone(), None);
            excluded.push(aggregate.clone());
            groups.push(Group { aggregate, steps });
        }
        if more {
            break;
        }
    }
    let sql = format!("SELECT MIN(due) FROM {} WHERE due > $1", snapshot.table(STEPS.name));
    let next = snapshot.query(&sql, vec![until.into()]).await?;
    let next = next.first().and_then(|row| row.first()).and_then(Cell::integer);
    Ok(DueSteps { groups, more, next })
}

/// An aggregate with steps that are due.
struct Free {
    aggregate: Ref,
    /// Its first steps, in order, up to the first with a long body.
    short: Vec<Pending>,
    has_long: bool,
}

/// The aggregates of the steps that are due first, without the excluded ones.
async fn first_steps(
    reading: &Reading,
    until: i64,
    excluded: &[Ref],
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<Free>, ReadError> {
    let (mut parameters, mut filter): (Row, _) = (vec![until.into()], String::new());
    // Repeated up to a power of two, so that a database prepares few statements.
    if let Some(last) = excluded.last() {
        let repeated = std::iter::repeat_n(last, excluded.len().next_power_of_two() - excluded.len());
        let names: Vec<String> = (2..2 + excluded.len().next_power_of_two()).map(|n| format!("${n}")).collect();
        parameters.extend(excluded.iter().chain(repeated).map(|aggregate| aggregate.as_str().into()));
        filter = format!("AND aggregate NOT IN ({}) ", names.join(", "));
    }
    let columns = PENDING_COLUMNS.replace("body", &format!("CASE WHEN LENGTH(body) <= {SHORT_BODY} THEN body END"));
    let sql = format!(
        "SELECT {columns} FROM {} WHERE due <= $1 {filter}ORDER BY due, position, number LIMIT {PAGE}",
        snapshot.table(STEPS.name)
    );
    let (mut found, mut places): (Vec<Free>, HashMap<Ref, usize>) = Default::default();
    for mut row in snapshot.query(&sql, parameters).await? {
        let body = row.get_mut(BODY).ok_or_else(|| unreadable(reading))?;
        let is_long = matches!(body, Cell::Null);
        if is_long {
            *body = Cell::Text(String::new());
        }
        let step = Pending::from_row(&row).ok_or_else(|| unreadable(reading))?;
        let place = *places.entry(step.aggregate.clone()).or_insert_with(|| {
            found.push(Free { aggregate: step.aggregate.clone(), short: Vec::new(), has_long: false });
            found.len() - 1
        });
        let free = &mut found[place];
        free.has_long |= is_long;
        if !free.has_long && free.short.len() < MAX_STEPS {
            free.short.push(step);
        }
    }
    Ok(found)
}

/// The first steps of an aggregate that are due.
async fn steps(
    aggregate: &Ref,
    until: i64,
    reading: &Reading,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<Pending>, ReadError> {
    let sql = format!(
        "SELECT {PENDING_COLUMNS} FROM {} WHERE aggregate = $1 AND due <= $2 AND (due, position, number) > ($3, $4, $5) \
         ORDER BY due, position, number LIMIT 16",
        snapshot.table(STEPS.name)
    );
    let (mut steps, mut bytes): (Vec<Pending>, usize) = (Vec::new(), 0);
    while steps.len() < MAX_STEPS && bytes < MAX_BYTES {
        let after = steps.last().map_or((i64::MIN, 0, 0), |step| (step.due, step.position, step.number));
        let parameters =
            vec![aggregate.as_str().into(), until.into(), after.0.into(), after.1.into(), after.2.into()];
        let rows = snapshot.query(&sql, parameters).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let step = Pending::from_row(&row).ok_or_else(|| unreadable(reading))?;
            bytes += step.body.len();
            steps.push(step);
        }
    }
    Ok(steps)
}

pub(super) fn unreadable(reading: &Reading) -> ReadError {
    let name = reading.name();
    ReadError::Invalid(format!("a row of the projection `{name}` cannot be read: rebuild it"))
}
