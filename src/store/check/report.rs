//! [`CheckReport`]: what a check found.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::events::LogPosition;
use crate::store::HashChain;

/// How many findings are kept; the others are counted.
const KEPT: usize = 1_000;

/// What no check of the store alone can show: whoever may change every table can make all of it agree again.
const NOT_COVERED: &[&str] = &[
    "events, with their command rows, that were rewritten or added at the end with digests made again",
    "a tail that was cut from events, command rows, views and snapshots alike",
    "times or event ids that were changed, with their command rows, within the order of the log",
    "the command name and body digest of a command row, and rows of commands without events that were removed or added",
];

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// Not all of the log could be seen, so other findings may be wrong and others be missing.
    Unseen,
    /// The events, or the rows of their commands, are not as they were written.
    Log,
    /// What protects the log is not as this program makes it: triggers, constraints, functions, rights.
    Protection,
    /// A snapshot of an aggregate is not what the log says.
    Snapshot,
    /// Events are as they were written, and this program cannot read them: a type or an upcaster is missing.
    Program,
}

impl FindingKind {
    fn verdict(self) -> &'static str {
        match self {
            Self::Unseen => "the check could not see the whole log",
            Self::Log => "the log is not as it was written",
            Self::Protection => "what protects the log was changed",
            Self::Snapshot => "snapshots are not what the log says (drop them with `check --drop-snapshots`)",
            Self::Program => "this program cannot read events that are as they were written",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// The position it was noticed at, if at one.
    pub position: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

impl Finding {
    /// A finding at no position.
    pub fn new(kind: FindingKind, problem: impl Into<String>) -> Self {
        Self { kind, position: None, problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{position}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// The digest of a log up to a position: a running SHA-256 over position, event id, `recorded_at` and digest of each
/// event, in order (see [`HashChain`]). As text: `POSITION:DIGEST`.
///
/// The digest of an event covers its aggregate, sequence, type, version, payload, metadata, command id, and the time it
/// happened where that was given (else it is `recorded_at`). So two equal log digests mean the same events, with the
/// same ids and times. They say nothing of the rows of commands, of views and of snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogDigest {
    /// The position of the last event in it.
    pub position: u64,
    /// The running digest.
    pub digest: HashChain,
}

impl fmt::Display for LogDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.digest)
    }
}

impl FromStr for LogDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (position, digest) = text.split_once(':').ok_or_else(|| {
            format!("`{text}` is no digest of a log: write POSITION:DIGEST, as `check` prints it")
        })?;
        let position = position.parse().map_err(|_| format!("`{position}` is no position: write a number"))?;
        Ok(Self { position, digest: digest.parse()? })
    }
}

impl serde::Serialize for LogDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a check of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct CheckReport {
    /// How many events were read.
    pub events: u64,
    /// The head up to which the log was checked.
    pub head: LogPosition,
    /// The digest of the log up to that head, as POSITION:DIGEST: kept elsewhere, it shows later whether the log up to
    /// there is still the same. Nothing when a row could not be read.
    #[cfg_attr(feature = "http", schema(value_type = Option<String>))]
    pub digest: Option<LogDigest>,
    /// How many snapshots of aggregates were compared with the log.
    pub snapshots: u64,
    /// What is wrong, in the order in which it was found: the first 1,000.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
    /// How many findings there are of each kind.
    #[cfg_attr(feature = "http", schema(value_type = std::collections::HashMap<String, u64>))]
    pub kinds: BTreeMap<FindingKind, u64>,
    /// What no check of the store alone can show. A digest that was kept elsewhere shows what concerns events; signed
    /// checkpoints would show the rest.
    #[cfg_attr(feature = "http", schema(value_type = Vec<String>))]
    pub not_covered: &'static [&'static str],
}

impl CheckReport {
    pub(super) fn new(head: LogPosition) -> Self {
        Self {
            events: 0,
            head,
            digest: None,
            snapshots: 0,
            findings: Vec::new(),
            more: 0,
            kinds: BTreeMap::new(),
            not_covered: NOT_COVERED,
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many findings there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// What the findings mean, in one sentence; nothing when nothing is wrong.
    #[must_use]
    pub fn verdict(&self) -> Option<String> {
        let each = self.kinds.iter().map(|(kind, count)| format!("{} ({count})", kind.verdict()));
        (!self.is_sound()).then(|| each.collect::<Vec<_>>().join("; "))
    }

    pub(crate) fn sees_all(&self) -> bool {
        !self.kinds.contains_key(&FindingKind::Unseen)
    }

    pub(crate) fn found(&mut self, finding: Finding) {
        *self.kinds.entry(finding.kind).or_default() += 1;
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}
