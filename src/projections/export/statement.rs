//! [`Statement`]: what an export covers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::events::{DecodeError, LogPosition};
use crate::projections::RangeBound;
use crate::projections::audit::AuditError;
use crate::projections::presenter::PresentError;
use crate::store::StoreError;

/// The formats that the audit log can be had in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A table, RFC 4180. Cells that a spreadsheet would take for formulas get a `'` in front; texts are shown as
    /// [`plain`](crate::projections::presenter::plain) shows them. The last record begins with `#export`.
    Csv,
    /// One JSON object a line, with all there is. The last one has the key `export` alone.
    Jsonl,
    /// CloudEvents 1.0 in their JSON batch format, an event a line. The last one is of the type `annals.export`.
    #[cfg(feature = "cloudevents")]
    CloudEvents,
    /// An object-centric event log, OCEL 2.0, as JSON: objects are the actors, the aggregates and the targets. Its last key
    /// is `export`. The objects are kept in memory until the end.
    Ocel,
}

impl Format {
    /// All formats of this build.
    pub const ALL: &'static [Self] = &[
        Self::Csv,
        Self::Jsonl,
        #[cfg(feature = "cloudevents")]
        Self::CloudEvents,
        Self::Ocel,
    ];

    /// The name: `csv`, `jsonl`, `cloudevents` or `ocel`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            #[cfg(feature = "cloudevents")]
            Self::CloudEvents => "cloudevents",
            Self::Ocel => "ocel",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|format| format.as_str() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|format| format.as_str()).collect();
            let text = text.escape_debug();
            if text.to_string() == "cloudevents" {
                return "this program was built without CloudEvents: build it with the feature `cloudevents`"
                    .to_owned();
            }
            format!("unknown format `{text}`: use one of {}", names.join(", "))
        })
    }
}

/// What an export covers. It stands at the end of each: one that does not end with it was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The format.
    pub format: Format,
    /// Where the range that was asked for begins, if it was said.
    pub from: Option<RangeBound>,
    /// Where it ends, if it was said.
    pub until: Option<RangeBound>,
    /// How many events there are.
    pub rows: u64,
    /// The lowest position among them.
    pub first: Option<u64>,
    /// The highest position among them.
    pub last: Option<u64>,
    /// The place in the log that it is true at: of what was asked for, all up to here is there, and nothing after it.
    pub head: LogPosition,
    /// The language of the sentences.
    pub locale: String,
}

/// Why there is no export, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The audit log does not answer.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An event cannot be told.
    #[error(transparent)]
    Present(#[from] PresentError),
    /// An event cannot be read by this program.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// Why.
        source: DecodeError,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be written in this format.
    #[error("event {position} cannot be written as {format}")]
    Encode {
        /// Its position; 0 for what stands around the events.
        position: u64,
        /// The format.
        format: Format,
        /// Why.
        source: crate::BoxError,
    },
    /// The export cannot be written where it goes.
    #[error("the export cannot be written")]
    Write(#[from] std::io::Error),
}
