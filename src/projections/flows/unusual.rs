//! [`UnusualFlow`]: a flow that is far from its own past.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::names::Names;
use super::sql::{Plan, Statement, begin_of, from};
use super::{FlowError, Outcome};
use crate::events::{LogPosition, Ref};
use crate::projections::audit::Detail;
use crate::projections::metrics::{PAST, Width, judge};
use crate::store::{Cell, StoreError};

/// The most slices of a window, and how many are examined without a start.
const MOST_SLICES: u64 = 1_000;
const SLICES: i64 = 60;

/// The most counts that are read, and the most unusual ones that are returned.
const MOST_COUNTS: usize = 100_000;
const MOST_UNUSUAL: usize = 1_000;

const MINUTES_OF_WEEK: i64 = 7 * 24 * 60;

/// A slice of time in which a flow was far from its usual rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct UnusualFlow {
    /// The source; null if there is none.
    pub source: Option<String>,
    /// The actor.
    pub actor: Ref,
    /// The principal on whose behalf the actor acted.
    pub on_behalf_of: Option<Ref>,
    /// The sink; null if it was only read.
    pub sink: Option<String>,
    /// Whether it happened.
    pub outcome: Outcome,
    /// The start of the slice.
    pub from: Timestamp,
    /// The end of the slice.
    pub until: Timestamp,
    /// How often, in the slice.
    pub count: u64,
    /// The usual number: the median of the past.
    pub usual: f64,
    /// The distance from the usual rate: above 0 for more, below 0 for less.
    pub score: f64,
    /// The number of past slices that it was compared with.
    pub past: usize,
}

/// The flows that were far from their own past.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct UnusualFlows {
    /// The unusual slices, in the order of time: at most 1,000.
    pub unusual: Vec<UnusualFlow>,
    /// Whether there are more of them.
    pub more: bool,
    /// The start of the first slice examined.
    pub from: Option<Timestamp>,
    /// The end of the last slice examined: slices that are not over are not examined.
    pub until: Option<Timestamp>,
    /// The number of slices examined.
    pub slices: u64,
    /// The head of the log that the answer covers.
    pub head: LogPosition,
    /// How much the reader sees.
    pub detail: Detail,
}

/// A slice and the key of a flow, its count there, and the usual count, the score and the number of past slices.
type Judged = (i64, [i64; 5], u64, (f64, f64, usize));

pub(super) async fn find(plan: &Plan, width: Width) -> Result<UnusualFlows, FlowError> {
    let (width_given, seconds) = (width.0, width.0.as_secs());
    let width = seconds / 60;
    if width_given.subsec_nanos() != 0 || seconds % 60 != 0 || !(1..=MINUTES_OF_WEEK).contains(&width) {
        return Err(FlowError::NoWidth);
    }
    let mut snapshot = plan.snapshot().await?;
    let head = snapshot.head();
    let mut answer = UnusualFlows {
        unusual: Vec::new(),
        more: false,
        from: None,
        until: None,
        slices: 0,
        head,
        detail: plan.detail,
    };
    if head.position == 0 {
        return Ok(answer);
    }
    let newest = plan.reading.log().read_at(&[head.position]).await?.pop().ok_or(StoreError::Diverged(head))?;
    let now = newest.recorded_at.as_second().div_euclid(60);
    let (from_minute, until_minute) = plan.minutes();
    let last = until_minute.map_or(now, |until| until.min(now)).div_euclid(width);
    let first =
        from_minute.map_or(last - SLICES, |from| from.div_euclid(width) + i64::from(from.rem_euclid(width) > 0));
    if first >= last {
        return Ok(answer);
    }
    answer.slices = last.abs_diff(first);
    if answer.slices > MOST_SLICES {
        return Err(FlowError::TooManySlices { slices: answer.slices, most: MOST_SLICES });
    }
    (answer.from, answer.until) = (begin_of(first.saturating_mul(width)), begin_of(last.saturating_mul(width)));
    let begin = first - PAST as i64;
    let mut statement = Statement::default();
    // The past of the window counts too.
    let mut conditions = statement.conditions(plan, false, &mut *snapshot).await?;
    if let Some(sink) = &plan.filter.sink {
        conditions.push(statement.place("f.sink", sink, &mut *snapshot).await?);
    }
    let begin_minute = statement.parameter(begin.saturating_mul(width));
    conditions.push(format!("c.minute >= {begin_minute}"));
    conditions.push(format!("c.minute < {}", statement.parameter(last.saturating_mul(width))));
    let slice = format!("(c.minute - {begin_minute}) / {}", statement.parameter(width));
    let key = "f.source, f.actor, f.principal, f.sink, f.outcome";
    let sql = format!(
        "SELECT {key}, {slice} AS slice, CAST(sum(c.count) AS BIGINT) FROM {} WHERE {} GROUP BY {key}, slice LIMIT {}",
        from(true, &*snapshot),
        conditions.join(" AND "),
        MOST_COUNTS + 1
    );
    let rows = snapshot.query(&sql, statement.parameters).await?;
    if rows.len() > MOST_COUNTS {
        return Err(FlowError::TooMuch { most: MOST_COUNTS });
    }
    let length = usize::try_from(last - begin).unwrap_or(0);
    let mut series: BTreeMap<[i64; 5], Vec<u64>> = BTreeMap::new();
    for row in &rows {
        let Some([key @ .., slice, count]) = row
            .iter()
            .map(Cell::integer)
            .collect::<Option<Vec<i64>>>()
            .and_then(|row| <[i64; 7]>::try_from(row).ok())
        else {
            continue;
        };
        let counts = series.entry(key).or_insert_with(|| vec![0; length]);
        if let Some(place) = usize::try_from(slice).ok().and_then(|slice| counts.get_mut(slice)) {
            *place = u64::try_from(count).unwrap_or(0);
        }
    }
    let mut found: Vec<Judged> = Vec::new();
    for (key, counts) in &series {
        for (n, window) in counts.windows(PAST + 1).enumerate() {
            let Some((count, past)) = window.split_last() else { continue };
            if let Some(judged) = judge(past, *count) {
                found.push((first + n as i64, *key, *count, judged));
            }
        }
    }
    found.sort_by_key(|(slice, key, ..)| (*slice, *key));
    answer.more = found.len() > MOST_UNUSUAL;
    found.truncate(MOST_UNUSUAL);
    let named: BTreeSet<i64> = found.iter().flat_map(|(_, key, ..)| key[..4].to_vec()).collect();
    let names = Names::read(named, &mut *snapshot).await?;
    let flow = |(slice, key, count, (usual, score, past)): Judged| {
        let [source, actor, principal, sink, outcome] = key;
        Some(UnusualFlow {
            source: names.text(source).map(str::to_owned),
            actor: names.reference(actor)?,
            on_behalf_of: names.reference(principal),
            sink: names.text(sink).map(str::to_owned),
            outcome: Outcome::from_number(outcome)?,
            from: begin_of(slice.checked_mul(width)?)?,
            until: begin_of((slice + 1).checked_mul(width)?)?,
            count,
            usual,
            score,
            past,
        })
    };
    answer.unusual = found.into_iter().filter_map(flow).collect();
    Ok(answer)
}
