//! The internal commands that append records. They are not registered, so that no caller can execute them.

use std::convert::Infallible;

use annals_macros::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessLog, AccessLogEvent, AccessLogId, ReadEvent, ReadsInMinute, RefusalEvent};
use crate::aggregates::Loaded;
use crate::commands::{Context, Handle};
use crate::events::Ref;
use crate::projections::audit::RecordedFilters;

/// Record a read
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_read")]
pub(super) struct RecordRead {
    /// `trail` in JSON: the id of a record is derived from its JSON, and must not change.
    #[on(AccessLog)]
    #[serde(rename = "trail")]
    pub log: AccessLogId,
    pub what: String,
    pub of: Vec<Ref>,
    pub asked: RecordedFilters,
    /// The format and the last position, if it was exported.
    pub left: Option<(String, u64)>,
    /// Where the data goes, if it was exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Ref>,
}

impl Handle for RecordRead {
    fn handle(&self, _: &Loaded<AccessLog>, _: &Context) -> Result<Vec<AccessLogEvent>, Infallible> {
        let Self { what, of, asked, left, to, .. } = self.clone();
        let event = match left {
            None => ReadEvent::Viewed { what, of, asked },
            Some((format, head)) => ReadEvent::Exported { what, of, asked, format, head, to },
        };
        Ok(vec![event.into()])
    }
}

/// Record how often the same was read again
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_repeats")]
pub(super) struct RecordRepeats {
    /// `trail` in JSON: as in the other records.
    #[on(AccessLog)]
    #[serde(rename = "trail")]
    pub log: AccessLogId,
    pub what: String,
    pub of: Vec<Ref>,
    pub asked: RecordedFilters,
    pub to: Option<Ref>,
    #[schemars(with = "serde_json::Value")]
    pub minutes: Vec<ReadsInMinute>,
}

impl Handle for RecordRepeats {
    fn handle(&self, _: &Loaded<AccessLog>, _: &Context) -> Result<Vec<AccessLogEvent>, Infallible> {
        let Self { what, of, asked, to, minutes, .. } = self.clone();
        let Some(until) = minutes.iter().map(|minute| minute.last).max() else { return Ok(Vec::new()) };
        let times = minutes.iter().fold(0, |times: u64, minute| times.saturating_add(minute.times));
        Ok(vec![ReadEvent::Repeated { what, of, asked, to, times, until, minutes }.into()])
    }
}

/// Record a refusal
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_refusal")]
pub(super) struct RecordRefusal {
    /// `trail` in JSON: the id of a record is derived from its JSON, and must not change.
    #[on(AccessLog)]
    #[serde(rename = "trail")]
    pub log: AccessLogId,
    pub what: String,
    pub on: Vec<Ref>,
    pub reason: String,
    pub denied: bool,
}

impl Handle for RecordRefusal {
    fn handle(&self, _: &Loaded<AccessLog>, _: &Context) -> Result<Vec<AccessLogEvent>, Infallible> {
        let Self { what, on, reason, denied, .. } = self.clone();
        let event = match denied {
            true => RefusalEvent::Denied { what, on, reason },
            false => RefusalEvent::Refused { what, on, reason },
        };
        Ok(vec![event.into()])
    }
}

/// Record how often more was denied
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_denials")]
pub(in crate::app) struct RecordDenials {
    /// `trail` in JSON: the id of a record is derived from its JSON, and must not change.
    #[on(AccessLog)]
    #[serde(rename = "trail")]
    pub log: AccessLogId,
    pub reason: String,
    pub denials: u64,
}

impl Handle for RecordDenials {
    fn handle(&self, _: &Loaded<AccessLog>, _: &Context) -> Result<Vec<AccessLogEvent>, Infallible> {
        let Self { reason, denials, .. } = self.clone();
        Ok(vec![RefusalEvent::Repeated { reason, denials }.into()])
    }
}

/// Record how many refusals there was no time for
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_overflow")]
pub(super) struct RecordOverflow {
    /// `trail` in JSON: the id of a record is derived from its JSON, and must not change.
    #[on(AccessLog)]
    #[serde(rename = "trail")]
    pub log: AccessLogId,
    pub refusals: u64,
}

impl Handle for RecordOverflow {
    fn handle(&self, _: &Loaded<AccessLog>, _: &Context) -> Result<Vec<AccessLogEvent>, Infallible> {
        Ok(vec![RefusalEvent::Overflowed { refusals: self.refusals }.into()])
    }
}
