//! [`OutwardPath`]: which sources had a way out.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::names::{Names, numbers_of};
use super::sql::{PAGE_BYTES, Plan, Statement, from};
use super::tables::NAMES;
use super::{FlowCursor, FlowError, NOT_RECORDED, Outcome, REDACTED};
use crate::events::{LogPosition, Ref};
use crate::projections::audit::Detail;
use crate::store::Cell;

/// A path from a source through an actor to a destination outside of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct OutwardPath {
    /// The source.
    pub source: String,
    /// The actor that used it, and that led something out.
    pub actor: Ref,
    /// The principal on whose behalf the actor acted.
    pub on_behalf_of: Option<Ref>,
    /// The destination.
    pub destination: String,
    /// How often the actor used the source.
    pub used: u64,
    /// How often what led out names the source itself. 0: the actor used it before something led out, and may have sent it along.
    pub sent: u64,
    /// When the actor first used the source.
    pub first: Timestamp,
    /// When something last led out from the actor to the destination.
    pub last: Timestamp,
    /// The position of that.
    pub position: u64,
}

/// A page of paths that lead out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct OutwardPage {
    /// The paths, in the order in which the log first named their parts.
    pub paths: Vec<OutwardPath>,
    /// Where the next page begins; `null` on the last page.
    pub next: Option<FlowCursor>,
    /// The head of the log that the page covers.
    pub head: LogPosition,
    /// How much the reader sees. In metadata, destinations of exports are redacted.
    pub detail: Detail,
}

/// The columns that tell paths apart.
const KEY: &str = "b.source, b.actor, b.principal, o.sink";

pub(super) async fn page(plan: &Plan) -> Result<OutwardPage, FlowError> {
    let mut snapshot = plan.snapshot().await?;
    let head = snapshot.head();
    let has_window = plan.filter.from.is_some() || plan.filter.until.is_some();
    let table = from(has_window, &*snapshot);
    let used = format!("f.outcome = {}", Outcome::Used.number());
    let mut statement = Statement::default();
    let mut of_source = statement.conditions(plan, has_window, &mut *snapshot).await?;
    of_source.extend([used.clone(), "f.source > 0".to_owned()]);
    // What leads out does not depend on the source.
    let without_source = Plan {
        filter: super::query::FlowFilter { source: None, ..plan.filter.clone() },
        reading: plan.reading.clone(),
        flows: plan.flows.clone(),
        cursor: None,
        ..*plan
    };
    let mut outward = statement.conditions(&without_source, has_window, &mut *snapshot).await?;
    outward.push(used);
    if let Some(sink) = &plan.filter.sink {
        outward.push(statement.place("f.sink", sink, &mut *snapshot).await?);
    }
    let kinds: Vec<String> = plan.flows.kinds_outside().map(|kind| statement.parameter(kind)).collect();
    let marks = numbers_of(&[REDACTED, NOT_RECORDED], &mut *snapshot).await?;
    let marks: Vec<String> = marks.into_iter().map(|mark| statement.parameter(mark)).collect();
    let names = snapshot.table(NAMES.name);
    let kinds = if kinds.is_empty() { "''".to_owned() } else { kinds.join(", ") };
    outward.push(format!(
        "(f.sink IN ({}) OR f.sink IN (SELECT id FROM {names} WHERE kind <> '' AND kind IN ({kinds})))",
        marks.join(", ")
    ));
    let beyond = match &plan.cursor {
        None => String::new(),
        Some(cursor) => {
            let values: Vec<String> = cursor.key.iter().map(|number| statement.parameter(*number)).collect();
            format!(" AND ({KEY}) > ({})", values.join(", "))
        }
    };
    let sql = format!(
        "WITH o AS (SELECT f.actor, f.principal, f.sink, max(c.last) AS last, max(c.position) AS position \
         FROM {table} WHERE {} GROUP BY f.actor, f.principal, f.sink), \
         b AS (SELECT f.source, f.actor, f.principal, f.sink, c.count, c.first FROM {table} WHERE {}) \
         SELECT {KEY}, CAST(sum(b.count) AS BIGINT), \
         CAST(sum(CASE WHEN b.sink = o.sink THEN b.count ELSE 0 END) AS BIGINT), \
         min(b.first), max(o.last), max(o.position) \
         FROM b JOIN o ON o.actor = b.actor AND o.principal = b.principal \
         WHERE b.first <= o.last{beyond} GROUP BY {KEY} ORDER BY {KEY} LIMIT {}",
        outward.join(" AND "),
        of_source.join(" AND "),
        plan.limit + 1
    );
    let rows = snapshot.query(&sql, statement.parameters).await?;
    let numbers = |row: &Vec<Cell>| -> Option<[i64; 9]> {
        row.iter().map(Cell::integer).collect::<Option<Vec<i64>>>()?.try_into().ok()
    };
    let rows: Vec<[i64; 9]> = rows.iter().filter_map(numbers).collect();
    let named: BTreeSet<i64> =
        rows.iter().flat_map(|[source, actor, principal, sink, ..]| [*source, *actor, *principal, *sink]).collect();
    let names = Names::read(named, &mut *snapshot).await?;
    let (mut paths, mut bytes, mut next) = (Vec::new(), 0, None);
    for (n, row) in rows.iter().enumerate() {
        let Some(path) = path(row, &names) else { continue };
        bytes += path.source.len() + path.actor.as_str().len() + path.destination.len() + 300;
        if n == plan.limit || bytes > PAGE_BYTES && n > 0 {
            next = rows.get(n - 1).map(|last| plan.cursor_at(last[..4].to_vec(), head));
            break;
        }
        paths.push(path);
    }
    Ok(OutwardPage { paths, next, head, detail: plan.detail })
}

fn path(row: &[i64; 9], names: &Names) -> Option<OutwardPath> {
    let [source, actor, principal, sink, used, sent, first, last, position] = *row;
    Some(OutwardPath {
        source: names.text(source)?.to_owned(),
        actor: names.reference(actor)?,
        on_behalf_of: names.reference(principal),
        destination: names.text(sink)?.to_owned(),
        used: u64::try_from(used).ok()?,
        sent: u64::try_from(sent).ok()?,
        first: Timestamp::from_microsecond(first).ok()?,
        last: Timestamp::from_microsecond(last).ok()?,
        position: u64::try_from(position).ok()?,
    })
}
