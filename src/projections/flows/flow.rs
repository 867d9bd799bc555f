//! [`Flow`], and a page of flows.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::FlowCursor;
use crate::events::{LogPosition, Ref};
use crate::projections::audit::Detail;

/// Whether something flowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did: something was read, exported or written.
    #[default]
    Used,
    /// It did not: access control denied it.
    Denied,
    /// It did not: the command refused it.
    Refused,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Used, Self::Denied, Self::Refused];

    /// Its name: `used`, `denied` or `refused`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Denied => "denied",
            Self::Refused => "refused",
        }
    }

    /// Its number in the tables.
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.number() == number)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| format!("`{}` is not an outcome: write used, denied or refused", text.escape_debug()))
    }
}

/// What flowed from a source through a consumer to a sink, and how often.
///
/// A place is a thing (`account:7`), a topic (`bank/eu`), or one of [`REDACTED`](super::REDACTED),
/// [`NOT_RECORDED`](super::NOT_RECORDED) and [`OTHERS`](super::OTHERS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Flow {
    /// The minute, in a query by minute; null otherwise.
    pub minute: Option<Timestamp>,
    /// Where it came from; null if it was made from nothing that the log names.
    pub source: Option<String>,
    /// The actor that consumed it.
    pub actor: Ref,
    /// The principal on whose behalf the actor acted.
    pub on_behalf_of: Option<Ref>,
    /// The grants that allowed it. Owners need none, and who was denied had none.
    pub via: Vec<Uuid>,
    /// Where it went: what was written, or the destination of an export; null if it was only read.
    pub sink: Option<String>,
    /// Whether the sink is outside of the application.
    pub leads_out: bool,
    /// Whether it happened.
    pub outcome: Outcome,
    /// How often. An event with several sources or sinks counts in the flow of each.
    pub count: u64,
    /// The time of the first one.
    pub first: Timestamp,
    /// The time of the last one.
    pub last: Timestamp,
    /// The position of the last record that counts.
    pub position: u64,
}

/// A page of flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct FlowPage {
    /// The flows, in the order in which the log first named their parts; in a query by minute, the oldest minute first.
    pub flows: Vec<Flow>,
    /// Where the next page begins; `null` on the last page.
    pub next: Option<FlowCursor>,
    /// The head of the log that the page covers.
    pub head: LogPosition,
    /// How much the reader sees. In metadata, what only a payload names is left out, and destinations of exports are redacted.
    pub detail: Detail,
}

/// The flows with the greatest counts, without the grants that allowed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LargestFlows {
    /// The flows, the greatest count first.
    pub flows: Vec<Flow>,
    /// How many further flows there are.
    pub others: u64,
    /// The sum of their counts.
    pub others_count: u64,
    /// The head of the log that the answer covers.
    pub head: LogPosition,
    /// How much the reader sees.
    pub detail: Detail,
}
