//! A question of the past, asked of one row.

use jiff::Timestamp;

use super::{AskedFor, AuditRow, text};
use crate::events::{Ref, Topic, Types};
use crate::projections::RangeBound;

/// Whether a question with these filters ([`Question::asked`](super::Question::asked)) has this row in its answer. A filter
/// that is not known, or whose values cannot be read any more, keeps nothing away.
#[must_use]
pub fn lets_through(asked: &AskedFor, row: &AuditRow, types: &Types) -> bool {
    asked.iter().all(|(filter, values)| {
        let any = |passes: &dyn Fn(&str) -> bool| values.iter().any(|value| passes(value));
        match filter.as_str() {
            "actor" => any(&|value| row.actor.as_str() == value),
            "target" => any(&|value| row.targets.iter().map(Ref::as_str).any(|target| target == value)),
            "aggregate" => any(&|value| row.aggregate.as_str() == value),
            "topic" => any(&|value| match value.parse::<Topic>() {
                Ok(above) => row.topics.iter().any(|topic| above.contains(topic)),
                Err(_) => true,
            }),
            "event" => any(&|value| match types.get(value) {
                Some(known) => row.event_type == known.declaration.event_type,
                None => row.event_type == value,
            }),
            "action" => any(&|value| row.action.as_str() == value),
            "correlation" => any(&|value| row.correlation.as_deref() == Some(value)),
            "text" => text::says(row, &values.iter().cloned().collect()),
            "from" => any(&|value| value.parse().map_or(true, |bound| is_reached(bound, row))),
            "until" => any(&|value| value.parse().map_or(true, |bound| !is_reached(bound, row))),
            "occurred from" => any(&|value| value.parse().map_or(true, |time: Timestamp| row.occurred_at >= time)),
            "occurred until" => any(&|value| value.parse().map_or(true, |time: Timestamp| row.occurred_at < time)),
            _ => true,
        }
    })
}

fn is_reached(bound: RangeBound, row: &AuditRow) -> bool {
    match bound {
        RangeBound::Position(position) => row.position >= position,
        RangeBound::Id(id) => row.event_id >= id,
        RangeBound::Time(time) => row.recorded_at >= time,
    }
}
