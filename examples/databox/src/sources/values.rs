//! The view `Values`: what is in the data sources.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Keeps, SourceEvent, SourceId, ValueEvent};

/// How many readings of a series the view has. All of them are in the log.
const MOST: usize = 100;

/// The values of a data source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Whether it keeps one value or a series.
    pub keeps: Keeps,
    /// The unit.
    pub unit: String,
    /// The latest readings, the oldest first: at most one of a value, at most 100 of a series.
    pub readings: Vec<Reading>,
}

/// A value at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// When it was recorded.
    pub at: String,
    /// The value.
    pub value: f64,
}

impl DocumentView for Values {
    const NAME: &'static str = "values";
    type Key = SourceId;
    type Events = SourceEvent;
}

impl On<SourceEvent> for Values {
    fn keys(event: &Recorded<SourceEvent>) -> Vec<SourceId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &SourceId, event: &Recorded<SourceEvent>) {
        match &event.event {
            SourceEvent::Registered { keeps, unit, .. } => {
                *document = Some(Self { keeps: *keeps, unit: unit.clone(), readings: Vec::new() });
            }
            SourceEvent::Value(ValueEvent::Written { value, .. }) => {
                let Some(values) = document else { return };
                values.readings.push(Reading { at: event.recorded_at.to_string(), value: *value });
                let kept = if values.keeps == Keeps::Value { 1 } else { MOST };
                let surplus = values.readings.len().saturating_sub(kept);
                values.readings.drain(..surplus);
            }
        }
    }
}
