//! What is recorded, and on what.

use std::convert::Infallible;

use annals_macros::{Event, Id};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::BoxError;
use crate::aggregates::Aggregate;
use crate::events::Ref;
use crate::projections::audit::AskedFor;

/// Which trail: a day, like `2026-01-31`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_trail")]
pub struct AccessLogId(String);

impl AccessLogId {
    /// The trail of the day in which this time falls, in UTC.
    #[must_use]
    pub fn for_time(time: Timestamp) -> Self {
        Self::new(time.to_zoned(TimeZone::UTC).date().to_string())
    }
}

/// Reads and refusals of a day. Nothing is decided on it.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct AccessLog {}

impl Aggregate for AccessLog {
    const TYPE: &'static str = "annals_trail";
    type Id = AccessLogId;
    type Event = AccessLogEvent;
    type Error = Infallible;

    fn apply(&mut self, _: &AccessLogEvent) {}
}

/// What can happen to a trail.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_trail", on = AccessLog)]
pub enum AccessLogEvent {
    /// Somebody read something.
    #[event(transparent)]
    Read(ReadEvent),
    /// Somebody was refused something.
    #[event(transparent)]
    Refusal(RefusalEvent),
}

/// Who read what.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_read", topic = "annals/read", on = AccessLog)]
pub enum ReadEvent {
    /// Somebody asked for something and got an answer: the first time in ten minutes, or goes on following it.
    #[event(view, "{actor} read {what}", version = 2, from(1 = asked_for_all))]
    Viewed {
        /// What was asked for, in words.
        what: String,
        /// The projection, and what the question names.
        #[event(target)]
        of: Vec<Ref>,
        /// What was asked for, filter by filter: none asks for all.
        asked: AskedFor,
    },
    /// Somebody took an answer out of here. It is recorded before anything of it leaves.
    #[event(view, "{actor} exported {what} as {format}, up to event {head}")]
    Exported {
        /// What was asked for, in words.
        what: String,
        /// The projection, and what the question names.
        #[event(target)]
        of: Vec<Ref>,
        /// What was asked for, filter by filter: none asks for all.
        asked: AskedFor,
        /// In which format.
        format: String,
        /// The position up to which the log was exported.
        head: u64,
    },
}

/// The first version did not say what was asked for but in words.
fn asked_for_all(mut payload: Value) -> Result<Value, BoxError> {
    payload["asked"] = Value::Object(Map::new());
    Ok(payload)
}

/// Who was refused what, and why.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_refusal", topic = "annals/refusal", on = AccessLog)]
pub enum RefusalEvent {
    /// A command's handler refused it.
    #[event(refuse, "{actor} was refused {what}: {reason}")]
    Refused {
        /// The command, in words.
        what: String,
        /// The aggregates that it names.
        #[event(target)]
        on: Vec<Ref>,
        /// Why.
        reason: String,
    },
    /// The authoriser did not let it in: a command or a read.
    #[event(refuse, "{actor} was denied {what}: {reason}")]
    Denied {
        /// What was asked for, in words.
        what: String,
        /// What it names.
        #[event(target)]
        on: Vec<Ref>,
        /// Why.
        reason: String,
    },
    /// The authoriser denied the actor more than is recorded one by one: commands and reads.
    #[event(refuse, "{actor} was denied more, {denials} times: {reason}")]
    Repeated {
        /// Why.
        reason: String,
        /// How often, since the last record of this kind.
        denials: u64,
    },
    /// Refusals came faster than they could be recorded.
    #[event(refuse, "{refusals} refusals came too fast to be recorded one by one")]
    Overflowed {
        /// How many.
        refusals: u64,
    },
}

/// The declared shapes lie in every log: they change only with a new version.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    #[test]
    fn the_shapes_of_the_trails_events_are_what_lies_in_logs() {
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
                "annals_read.viewed 2 view what: String, of: Vec<Ref>, asked: AskedFor",
                "annals_read.exported 1 view what: String, of: Vec<Ref>, asked: AskedFor, format: String, head: u64",
                "annals_refusal.refused 1 refuse what: String, on: Vec<Ref>, reason: String",
                "annals_refusal.denied 1 refuse what: String, on: Vec<Ref>, reason: String",
                "annals_refusal.repeated 1 refuse reason: String, denials: u64",
                "annals_refusal.overflowed 1 refuse refusals: u64",
            ]
        );
    }

    /// Of what was recorded before it was said filter by filter, nothing is known to have been left out.
    #[test]
    fn a_read_of_the_first_version_asked_for_all() {
        let payload = serde_json::json!({ "what": "the audit log", "of": ["projection:audit"] });
        let brought = asked_for_all(payload).unwrap();
        assert_eq!(brought["asked"], serde_json::json!({}));
        assert_eq!(brought["of"][0], "projection:audit");
    }

    #[test]
    fn a_trail_is_of_a_day_in_utc() {
        let time: Timestamp = "2026-01-31T23:30:00-02:00".parse().unwrap();
        assert_eq!(AccessLogId::for_time(time).to_string(), "annals_trail:2026-02-01");
    }
}
