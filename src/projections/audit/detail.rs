//! [`Detail`]: how much of an event a reader sees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much of each event a reader of the audit log sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Who, when, which event type, action, aggregate and targets; and the sentence with `[redacted]` in place of other values.
    /// No payload, no field changes, no display names.
    Metadata,
    /// Everything that is stored.
    #[default]
    Full,
}

impl Detail {
    /// Whether it is everything.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_full(&self) -> bool {
        *self == Self::Full
    }

    /// The name: `metadata` or `full`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Detail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "metadata" => Ok(Self::Metadata),
            "full" => Ok(Self::Full),
            other => Err(format!("`{}` is not a detail: write metadata or full", other.escape_debug())),
        }
    }
}
