//! Reads flows: [`Plan`], the statement that selects them, and pages of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::flow::LargestFlows;
use super::names::{Names, numbers_of};
use super::query::FlowFilter;
use super::stating::Layer;
use super::tables::{FLOWS, MINUTES, NAMES, TOTALS};
use super::{Flow, FlowCursor, FlowError, FlowPage, Flows, NOT_RECORDED, Outcome, REDACTED};
use crate::events::{LogPosition, Ref};
use crate::projections::Reading;
use crate::projections::audit::Detail;
use crate::store::{Cell, Row, StoreError, ViewSnapshot};

/// The size of a page in bytes at which it ends.
pub(super) const PAGE_BYTES: usize = 1 << 20;

const MICROS_OF_MINUTE: i64 = 60_000_000;

/// A query that is checked and allowed.
pub(super) struct Plan {
    pub reading: Reading,
    pub filter: FlowFilter,
    pub flows: Arc<Flows>,
    pub limit: usize,
    pub cursor: Option<FlowCursor>,
    pub fingerprint: [u8; 8],
    pub detail: Detail,
    pub layer: Layer,
}

impl Plan {
    /// A snapshot that is not older than the page before.
    pub(super) async fn snapshot(&self) -> Result<Box<dyn ViewSnapshot>, FlowError> {
        let seen = self.cursor.as_ref().map(|cursor| cursor.seen).unwrap_or_default();
        Ok(self.reading.snapshot_after(seen).await?)
    }

    pub(super) fn cursor_at(&self, key: Vec<i64>, seen: LogPosition) -> FlowCursor {
        FlowCursor { query: self.fingerprint, seen, key }
    }

    /// The minutes of the window: the first, and the one after the last.
    pub(super) fn minutes(&self) -> (Option<i64>, Option<i64>) {
        let minute = |time: Timestamp| time.as_microsecond().div_euclid(MICROS_OF_MINUTE);
        (self.filter.from.map(minute), self.filter.until.map(minute))
    }

    /// Whether a place is outside of the application.
    pub(super) fn leads_out(&self, sink: &str) -> bool {
        let is_outside = |sink: Ref| self.flows.kinds().contains(sink.kind());
        [REDACTED, NOT_RECORDED].contains(&sink) || sink.parse::<Ref>().is_ok_and(is_outside)
    }
}

/// The beginning of a minute.
pub(super) fn begin_of(minute: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(minute.checked_mul(MICROS_OF_MINUTE)?).ok()
}

/// A statement that is being written, with its parameters.
#[derive(Default)]
pub(super) struct Statement {
    pub parameters: Row,
}

impl Statement {
    /// Adds a parameter; returns how the statement names it.
    pub(super) fn parameter(&mut self, cell: impl Into<Cell>) -> String {
        self.parameters.push(cell.into());
        let number = self.parameters.len();
        match self.parameters.last() {
            Some(Cell::Integer(_)) => format!("CAST(${number} AS BIGINT)"),
            _ => format!("${number}"),
        }
    }

    /// The conditions on the tables `f` (flows) and `c` (counts): the layer and the filters but the sink.
    pub(super) async fn conditions(
        &mut self,
        plan: &Plan,
        by_minute: bool,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<Vec<String>, StoreError> {
        let filter = &plan.filter;
        let mut conditions = vec![format!("f.layer IN (0, {})", plan.layer as i64)];
        if let Some(outcome) = filter.outcome {
            conditions.push(format!("f.outcome = {}", outcome.number()));
        }
        if let Some(actor) = &filter.actor {
            let number = numbers_of(&[actor.as_str()], snapshot).await?.first().copied().unwrap_or(-1);
            conditions.push(format!("f.actor = {}", self.parameter(number)));
        }
        if let Some(source) = &filter.source {
            conditions.push(self.place("f.source", source, snapshot).await?);
        }
        if by_minute {
            let (from, until) = plan.minutes();
            if let Some(from) = from {
                conditions.push(format!("c.minute >= {}", self.parameter(from)));
            }
            if let Some(until) = until {
                conditions.push(format!("c.minute < {}", self.parameter(until)));
            }
        }
        Ok(conditions)
    }

    /// The condition that a column is a place, or of a kind.
    pub(super) async fn place(
        &mut self,
        column: &str,
        place: &str,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<String, StoreError> {
        if let Some(kind) = place.strip_suffix(":*") {
            let kind = self.parameter(kind);
            return Ok(format!("{column} IN (SELECT id FROM {} WHERE kind = {kind})", snapshot.table(NAMES.name)));
        }
        let number = numbers_of(&[place], snapshot).await?.first().copied().unwrap_or(-1);
        Ok(format!("{column} = {}", self.parameter(number)))
    }
}

/// The tables to read: counts of all time, or by minute.
pub(super) fn from(by_minute: bool, snapshot: &dyn ViewSnapshot) -> String {
    let counts = if by_minute { MINUTES.name } else { TOTALS.name };
    format!("{} AS c JOIN {} AS f ON f.id = c.flow", snapshot.table(counts), snapshot.table(FLOWS.name))
}

/// The columns that tell flows apart. In one layer, a flow may have a row that it shares with the other layer, and one of its own.
const KEY: [&str; 6] = ["f.source", "f.actor", "f.principal", "f.sink", "f.outcome", "f.via"];

/// The sums of counts.
const SUMS: &str = "CAST(sum(c.count) AS BIGINT), min(c.first), max(c.last), max(c.position)";

/// A row: its minute, the numbers of its key, and its sums.
struct Counted {
    minute: Option<i64>,
    key: Vec<i64>,
    sums: [i64; 4],
}

impl Counted {
    /// `keys`: how many numbers its key has.
    fn of(row: &[Cell], by_minute: bool, keys: usize) -> Option<Self> {
        let numbers = row.iter().map(Cell::integer).collect::<Option<Vec<i64>>>()?;
        let (minute, numbers) = match by_minute {
            true => (Some(*numbers.first()?), numbers.get(1..)?),
            false => (None, &numbers[..]),
        };
        let (key, sums) = numbers.split_at_checked(keys)?;
        Some(Self { minute, key: key.to_vec(), sums: sums.try_into().ok()? })
    }

    fn numbers(&self) -> Vec<i64> {
        self.minute.into_iter().chain(self.key.iter().copied()).collect()
    }
}

/// The flow of a row.
fn flow(counted: &Counted, names: &Names, plan: &Plan) -> Option<Flow> {
    let number = |place: usize| counted.key.get(place).copied().unwrap_or(0);
    let sink = names.text(number(3)).map(str::to_owned);
    let [count, first, last, position] = counted.sums;
    Some(Flow {
        minute: counted.minute.and_then(begin_of),
        source: names.text(number(0)).map(str::to_owned),
        actor: names.reference(number(1))?,
        on_behalf_of: names.reference(number(2)),
        via: grants_of(names.text(number(5)).unwrap_or_default()),
        leads_out: sink.as_deref().is_some_and(|sink| plan.leads_out(sink)),
        sink,
        outcome: Outcome::from_number(number(4))?,
        count: u64::try_from(count).ok()?,
        first: Timestamp::from_microsecond(first).ok()?,
        last: Timestamp::from_microsecond(last).ok()?,
        position: u64::try_from(position).ok()?,
    })
}

fn grants_of(text: &str) -> Vec<Uuid> {
    text.split(' ').filter_map(|grant| grant.parse().ok()).collect()
}

/// The approximate size of a flow in an answer.
fn size(flow: &Flow) -> usize {
    let parts = [flow.source.as_deref(), Some(flow.actor.as_str()), flow.sink.as_deref()];
    let principal = flow.on_behalf_of.as_ref().map_or(0, |principal| principal.as_str().len());
    parts.into_iter().flatten().map(str::len).sum::<usize>() + principal + 40 * flow.via.len() + 300
}

async fn names(rows: &[Counted], snapshot: &mut dyn ViewSnapshot) -> Result<Names, StoreError> {
    let parts = |row: &Counted| [0, 1, 2, 3, 5].map(|place| row.key.get(place).copied().unwrap_or(0));
    Names::read(rows.iter().flat_map(parts).collect::<BTreeSet<i64>>(), snapshot).await
}

/// Reads a page of flows.
pub(super) async fn page(plan: &Plan, by_minute: bool) -> Result<FlowPage, FlowError> {
    let mut snapshot = plan.snapshot().await?;
    let head = snapshot.head();
    let has_window = by_minute || plan.filter.from.is_some() || plan.filter.until.is_some();
    let mut statement = Statement::default();
    let mut conditions = statement.conditions(plan, has_window, &mut *snapshot).await?;
    if let Some(sink) = &plan.filter.sink {
        conditions.push(statement.place("f.sink", sink, &mut *snapshot).await?);
    }
    let key: Vec<&str> = by_minute.then_some("c.minute").into_iter().chain(KEY).collect();
    let columns = key.join(", ");
    if let Some(cursor) = &plan.cursor {
        let values: Vec<String> = cursor.key.iter().map(|number| statement.parameter(*number)).collect();
        conditions.push(format!("({columns}) > ({})", values.join(", ")));
    }
    let sql = format!(
        "SELECT {columns}, {SUMS} FROM {} WHERE {} GROUP BY {columns} ORDER BY {columns} LIMIT {}",
        from(has_window, &*snapshot),
        conditions.join(" AND "),
        plan.limit + 1
    );
    let rows = snapshot.query(&sql, statement.parameters).await?;
    let rows: Vec<Counted> = rows.iter().filter_map(|row| Counted::of(row, by_minute, KEY.len())).collect();
    let names = names(&rows, &mut *snapshot).await?;
    let (mut flows, mut bytes, mut next) = (Vec::new(), 0, None);
    for (n, row) in rows.iter().enumerate() {
        let Some(flow) = flow(row, &names, plan) else { continue };
        bytes += size(&flow);
        if n == plan.limit || bytes > PAGE_BYTES && n > 0 {
            next = rows.get(n - 1).map(|last| plan.cursor_at(last.numbers(), head));
            break;
        }
        flows.push(flow);
    }
    Ok(FlowPage { flows, next, head, detail: plan.detail })
}

/// Reads the flows with the greatest counts, whatever allowed them.
pub(super) async fn largest(plan: &Plan) -> Result<LargestFlows, FlowError> {
    let mut snapshot = plan.snapshot().await?;
    let head = snapshot.head();
    let has_window = plan.filter.from.is_some() || plan.filter.until.is_some();
    let mut statement = Statement::default();
    let mut conditions = statement.conditions(plan, has_window, &mut *snapshot).await?;
    if let Some(sink) = &plan.filter.sink {
        conditions.push(statement.place("f.sink", sink, &mut *snapshot).await?);
    }
    let key = &KEY[..5];
    let columns = key.join(", ");
    let (from, conditions) = (from(has_window, &*snapshot), conditions.join(" AND "));
    let grouped = format!("FROM {from} WHERE {conditions} GROUP BY {columns}");
    let sql =
        format!("SELECT {columns}, {SUMS} {grouped} ORDER BY sum(c.count) DESC, {columns} LIMIT {}", plan.limit);
    let rows = snapshot.query(&sql, statement.parameters.clone()).await?;
    let rows: Vec<Counted> = rows.iter().filter_map(|row| Counted::of(row, false, key.len())).collect();
    let names = names(&rows, &mut *snapshot).await?;
    let flows: Vec<Flow> = rows.iter().filter_map(|row| flow(row, &names, plan)).collect();
    let sql = format!(
        "SELECT CAST(count(*) AS BIGINT), CAST(COALESCE(sum(g.n), 0) AS BIGINT) FROM (SELECT sum(c.count) AS n {grouped}) AS g"
    );
    let all = snapshot.query(&sql, statement.parameters).await?;
    let number = |place: usize| {
        let number = all.first().and_then(|row| row.get(place)?.integer());
        number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    };
    let shown = flows.iter().fold(0, |sum: u64, flow| sum.saturating_add(flow.count));
    let others = number(0).saturating_sub(flows.len() as u64);
    Ok(LargestFlows { others, others_count: number(1).saturating_sub(shown), flows, head, detail: plan.detail })
}
