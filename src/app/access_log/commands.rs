//! The internal commands that append records. They are not registered, so that no caller can execute them.

use std::convert::Infallible;

use annals_macros::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessLog, AccessLogEvent, AccessLogId, ReadEvent, RefusalEvent};
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
}

impl Handle for RecordRead {
    fn handle(&self, _: &Loaded<AccessLog>, _: &Context) -> Result<Vec<AccessLogEvent>, Infallible> {
        let Self { what, of, asked, left, .. } = self.clone();
        let event = match left {
            None => ReadEvent::Viewed { what, of, asked },
            Some((format, head)) => ReadEvent::Exported { what, of, asked, format, head },
        };
        Ok(vec![event.into()])
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
pub(super) struct RecordDenials {
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
