//! The events of the access log, and their aggregate.

use std::convert::Infallible;

use annals_macros::{Event, Id};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::BoxError;
use crate::aggregates::Aggregate;
use crate::events::Ref;
use crate::projections::audit::RecordedFilters;

/// The id of an access log: a day, like `2026-01-31`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_trail")]
pub struct AccessLogId(String);

impl AccessLogId {
    /// Returns the id for the day of this time, in UTC.
    #[must_use]
    pub fn for_time(time: Timestamp) -> Self {
        Self::new(time.to_zoned(TimeZone::UTC).date().to_string())
    }
}

/// The reads and refusals of a day. No decision depends on it.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct AccessLog {}

impl Aggregate for AccessLog {
    const TYPE: &'static str = "annals_trail";
    type Id = AccessLogId;
    type Event = AccessLogEvent;
    type Error = Infallible;

    fn apply(&mut self, _: &AccessLogEvent) {}
}

/// The events of an access log.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_trail", on = AccessLog)]
pub enum AccessLogEvent {
    /// A read.
    #[event(transparent)]
    Read(ReadEvent),
    /// A refusal.
    #[event(transparent)]
    Refusal(RefusalEvent),
}

/// A recorded read.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_read", topic = "annals/read", on = AccessLog)]
pub enum ReadEvent {
    /// An actor read something, for the first time in ten minutes, or still follows it.
    #[event(view, "{actor} read {what}", version = 2, from(1 = without_filters))]
    Viewed {
        /// The query as text.
        what: String,
        /// The projection, and the references in the query.
        #[event(target)]
        of: Vec<Ref>,
        /// The filters of the query. Without filters, the query matches everything.
        asked: RecordedFilters,
    },
    /// An actor exported something. It is recorded before any data is written.
    #[event(view, "{actor} exported {what} as {format}, up to event {head}", version = 2, from(1 = without_destination))]
    Exported {
        /// The query as text.
        what: String,
        /// The projection, and the references in the query.
        #[event(target)]
        of: Vec<Ref>,
        /// The filters of the query. Without filters, the query matches everything.
        asked: RecordedFilters,
        /// The format.
        format: String,
        /// The last position of the export.
        head: u64,
        /// Where the data goes: a host or a file. Version 1 does not say it.
        to: Option<Ref>,
    },
    /// An actor read or exported the same again, in the ten minutes of a record. It is recorded when these minutes are over, if the
    /// application keeps flows.
    #[event(view, "{actor} read {what} again {times} times, until {until}")]
    Repeated {
        /// The query as text.
        what: String,
        /// The projection, and the references in the query.
        #[event(target)]
        of: Vec<Ref>,
        /// The filters of the query. Without filters, the query matches everything.
        asked: RecordedFilters,
        /// Where the data goes, if it was exported.
        to: Option<Ref>,
        /// How often.
        times: u64,
        /// The time of the last one.
        until: Timestamp,
        /// How often in each minute.
        minutes: Vec<ReadsInMinute>,
    },
}

/// The reads of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadsInMinute {
    /// How many.
    pub times: u64,
    /// The time of the first one.
    pub first: Timestamp,
    /// The time of the last one.
    pub last: Timestamp,
}

/// Upcasts version 1, which did not say where the data goes.
fn without_destination(mut payload: Value) -> Result<Value, BoxError> {
    payload["to"] = Value::Null;
    Ok(payload)
}

/// Upcasts version 1, which had no filters.
fn without_filters(mut payload: Value) -> Result<Value, BoxError> {
    payload["asked"] = Value::Object(Map::new());
    Ok(payload)
}

/// A recorded refusal.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_refusal", topic = "annals/refusal", on = AccessLog)]
pub enum RefusalEvent {
    /// A command's handler refused it.
    #[event(refuse, "{actor} was refused {what}: {reason}")]
    Refused {
        /// The command and its aggregates as text.
        what: String,
        /// The command's aggregates.
        #[event(target)]
        on: Vec<Ref>,
        /// The reason.
        reason: String,
    },
    /// The authoriser denied a command or a read.
    #[event(refuse, "{actor} was denied {what}: {reason}")]
    Denied {
        /// The query as text.
        what: String,
        /// The references in the request.
        #[event(target)]
        on: Vec<Ref>,
        /// The reason.
        reason: String,
    },
    /// The authoriser denied the actor more commands and reads than are recorded singly.
    #[event(refuse, "{actor} was denied more, {denials} times: {reason}")]
    Repeated {
        /// The reason.
        reason: String,
        /// The number of denials since the last record of this kind.
        denials: u64,
    },
    /// Refusals came faster than they could be recorded.
    #[event(refuse, "{refusals} refusals came too fast to be recorded one by one")]
    Overflowed {
        /// The number of refusals.
        refusals: u64,
    },
}

/// Logs have events of the declared shapes: a shape changes only with a new version.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    #[test]
    fn the_shapes_of_access_log_events_do_not_change() {
        let shapes: Vec<String> = AccessLogEvent::declarations()
            .iter()
            .map(|declared| {
                let fields: Vec<String> =
                    declared.fields.iter().map(|field| format!("{}: {}", field.name, field.shape)).collect();
                format!("{} {} {} {}", declared.event_type, declared.version, declared.action, fields.join(", "))
            })
            .collect();
        assert_eq!(
            shapes,
            [
                "annals_read.viewed 2 view what: String, of: Vec<Ref>, asked: RecordedFilters",
                "annals_read.exported 2 view what: String, of: Vec<Ref>, asked: RecordedFilters, format: String, head: u64, \
                 to: Option<Ref>",
                "annals_read.repeated 1 view what: String, of: Vec<Ref>, asked: RecordedFilters, to: Option<Ref>, times: u64, \
                 until: Timestamp, minutes: Vec<ReadsInMinute>",
                "annals_refusal.refused 1 refuse what: String, on: Vec<Ref>, reason: String",
                "annals_refusal.denied 1 refuse what: String, on: Vec<Ref>, reason: String",
                "annals_refusal.repeated 1 refuse reason: String, denials: u64",
                "annals_refusal.overflowed 1 refuse refusals: u64",
            ]
        );
    }

    /// Nothing is known about the filters of an old record: it counts as a read of everything.
    #[test]
    fn a_read_of_version_1_has_no_filters() {
        let payload = serde_json::json!({ "what": "the audit log", "of": ["projection:audit"] });
        let brought = without_filters(payload).unwrap();
        assert_eq!(brought["asked"], serde_json::json!({}));
        assert_eq!(brought["of"][0], "projection:audit");
    }

    #[test]
    fn an_export_of_version_1_does_not_say_where_the_data_went() {
        let payload =
            serde_json::json!({ "what": "the audit log", "of": [], "asked": {}, "format": "csv", "head": 7 });
        let brought: ReadEvent = {
            let mut brought = without_destination(payload).unwrap();
            brought = serde_json::json!({ "Exported": brought });
            serde_json::from_value(brought).unwrap()
        };
        assert!(matches!(brought, ReadEvent::Exported { to: None, head: 7, .. }), "{brought:?}");
    }

    #[test]
    fn an_access_log_is_of_a_day_in_utc() {
        let time: Timestamp = "2026-01-31T23:30:00-02:00".parse().unwrap();
        assert_eq!(AccessLogId::for_time(time).to_string(), "annals_trail:2026-02-01");
    }
}
