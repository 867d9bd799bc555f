//! [`ExportManifest`]: what an export covers; [`Format`] and [`ExportError`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::events::{DecodeError, LogPosition};
use crate::projections::RangeBound;
use crate::projections::audit::{AuditError, Detail, RecordedFilters};
use crate::projections::presenter::PresentError;
use crate::store::StoreError;

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CSV, RFC 4180. Targets and changes are JSON. A cell that a spreadsheet could treat as a formula begins with `'`; texts are escaped by
    /// [`plain`](crate::projections::presenter::plain). The first cell of the last record is `#export`.
    Csv,
    /// JSON Lines: one object a line, with all fields. The last one has only the key `export`.
    Jsonl,
    /// CloudEvents 1.0 in the JSON batch format, one event a line. The last one has the type `annals.export`.
    #[cfg(feature = "cloudevents")]
    CloudEvents,
    /// An object-centric event log, OCEL 2.0, as JSON. The objects are the actors, aggregates and targets; they are kept in
    /// memory until the end. The last key is `export`.
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

/// What an export covers. Every export ends with it: one without it is incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportManifest {
    /// The format.
    pub format: Format,
    /// The start of the query's range, if it has one.
    pub from: Option<RangeBound>,
    /// The end of the query's range, if it has one.
    pub until: Option<RangeBound>,
    /// The query's filters, by name, with the bounds of its range.
    pub filters: RecordedFilters,
    /// The number of events.
    pub rows: u64,
    /// The lowest position.
    pub first: Option<u64>,
    /// The highest position.
    pub last: Option<u64>,
    /// The head of the log when the export began: it holds all matching events up to here, and none after it.
    pub head: LogPosition,
    /// How much of each event it shows.
    #[serde(default)]
    pub detail: Detail,
    /// The language of the sentences.
    pub locale: String,
}

/// An export failed. Part of it may have been written, without a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The audit query failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An event cannot be presented.
    #[error(transparent)]
    Present(#[from] PresentError),
    /// This program cannot decode an event.
    #[error("event {position} cannot be read")]
    Decode {
        /// The position.
        position: u64,
        /// The cause.
        source: DecodeError,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be encoded in this format.
    #[error("event {position} cannot be encoded as {format}")]
    Encode {
        /// The position; 0 for the beginning and the end of the file.
        position: u64,
        /// The format.
        format: Format,
        /// The cause.
        source: crate::BoxError,
    },
    /// The output cannot be written.
    #[error("the export cannot be written")]
    Write(#[from] std::io::Error),
}
