//! [`CheckReport`]: the findings of a check.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::events::LogPosition;
use crate::store::HashChain;

/// The most findings in a report; further ones are counted.
const KEPT: usize = 1_000;

/// The faults that no check of the store alone can find: a user who can change all tables can make them consistent
/// again.
const NOT_COVERED: &[&str] = &[
    "events, with their command rows, that were rewritten or added at the end with digests made again",
    "a tail that was cut from events, command rows, views and snapshots alike",
    "times or event ids that were changed, with their command rows, within the order of the log",
    "the command name and body digest of a command row, and rows of commands without events that were removed or added",
];

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// Parts of the log could not be read, so other findings may be wrong or missing.
    Unseen,
    /// Events, or the rows of their commands, differ from those that were written.
    Log,
    /// The protection of the log differs from this program's: triggers, constraints, functions, rights.
    Protection,
    /// A snapshot of an aggregate differs from the fold of its events.
    Snapshot,
    /// Events are as they were written, but this program cannot decode them: a type or an upcaster is missing.
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

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// The position at which it was found, if there is one.
    pub position: Option<u64>,
    /// A description of the fault.
    pub problem: String,
}

impl Finding {
    /// Returns a finding without a position.
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
/// The digest of an event covers its aggregate, sequence, type, version, payload, metadata, command id, and
/// `occurred_at` if it was given (otherwise it is `recorded_at`). So equal log digests mean the same events, with the
/// same ids and times. They do not cover the rows of commands, views and snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogDigest {
    /// The position of its last event.
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

/// The result of checking the whole log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct CheckReport {
    /// The number of events read.
    pub events: u64,
    /// The head up to which the log was checked.
    pub head: LogPosition,
    /// The digest of the log up to that head, as POSITION:DIGEST. Saved elsewhere, it shows later whether the log up to
    /// there is unchanged. `None` when a row could not be read.
    #[cfg_attr(feature = "http", schema(value_type = Option<String>))]
    pub digest: Option<LogDigest>,
    /// The number of snapshots of aggregates that were compared with the log.
    pub snapshots: u64,
    /// The first 1,000 findings, in the order of finding.
    pub findings: Vec<Finding>,
    /// The number of further findings.
    pub more: u64,
    /// The number of findings of each kind.
    #[cfg_attr(feature = "http", schema(value_type = std::collections::HashMap<String, u64>))]
    pub kinds: BTreeMap<FindingKind, u64>,
    /// The faults that no check of the store alone can find. A digest that was saved elsewhere finds those of events;
    /// signed checkpoints would find the rest.
    pub not_covered: Vec<String>,
    /// Values of fields that are personal now, and were stored readable before.
    pub readable: ReadableValues,
}

/// Events with values of fields that are personal now, which were stored readable before the fields were personal. They are no finding:
/// the log is as it was written. An erasure does not reach them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ReadableValues {
    /// The number of events.
    pub events: u64,
    /// The positions of the first 1,000 of them.
    pub positions: Vec<u64>,
    /// The fields, as `event_type.field`, each with the number of events.
    #[cfg_attr(feature = "http", schema(value_type = std::collections::HashMap<String, u64>))]
    pub fields: BTreeMap<String, u64>,
}

impl ReadableValues {
    /// Adds an event, whose fields of these names are readable.
    pub(super) fn add(&mut self, position: u64, event_type: &str, fields: &[&str]) {
        if fields.is_empty() {
            return;
        }
        self.events += 1;
        if self.positions.len() < KEPT {
            self.positions.push(position);
        }
        for field in fields {
            *self.fields.entry(format!("{event_type}.{field}")).or_default() += 1;
        }
    }
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
            not_covered: NOT_COVERED.iter().map(|what| (*what).to_owned()).collect(),
            readable: ReadableValues::default(),
        }
    }

    /// Returns whether there are no findings.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Returns the number of findings.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Returns the meaning of the findings in one sentence; `None` without findings.
    #[must_use]
    pub fn verdict(&self) -> Option<String> {
        let each = self.kinds.iter().map(|(kind, count)| format!("{} ({count})", kind.verdict()));
        (!self.is_sound()).then(|| each.collect::<Vec<_>>().join("; "))
    }

    /// Says what is not covered if the log was compared with a checkpoint of this size from outside the store. `eventless`: the number of
    /// rows of commands without events.
    #[cfg(feature = "proofs")]
    pub(crate) fn compared_with_checkpoint(&mut self, size: u64, eventless: Option<u64>) {
        let mut not_covered = Vec::new();
        if size < self.head.position {
            not_covered.push(format!(
                "events after position {size}, the last one that a given checkpoint covers: rewritten, added or cut with their command \
                 rows, tree and views alike"
            ));
        }
        let count = eventless.map_or("some".to_owned(), |count| count.to_string());
        not_covered.push(format!("rows of commands without events ({count}) that were removed, added or changed"));
        not_covered.push(
            "the command name and body digest of events that were recorded before proofs were kept".to_owned(),
        );
        not_covered.push("triggers that were dropped and made again without an edit meanwhile".to_owned());
        self.not_covered = not_covered;
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
