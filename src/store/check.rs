//! Finds edits made around the triggers: everything that the log promises, looked at event by event.

use std::collections::HashMap;

use jiff::Timestamp;

use super::commit::digest_holds;
use super::{Interest, Store, StoreError};
use crate::events::{Head, Ref, Stored, Types};

/// How many findings are kept; the others are counted.
const KEPT: usize = 1_000;
const PAGE: usize = 1_000;

/// Something in the log that is not as this crate writes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The position it was noticed at, if at one.
    pub position: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.position {
            Some(position) => write!(f, "{position}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// What a check of the whole log found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct CheckReport {
    /// How many events were read.
    pub events: u64,
    /// The head up to which the log was checked.
    pub head: Head,
    /// What is wrong, in the order in which it was found: the first 1,000.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, position: Option<u64>, problem: impl Into<String>) {
        if self.findings.len() < KEPT {
            self.findings.push(Finding { position, problem: problem.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Reads the log from its first event to the head of now, and asks the database. `progress` hears of the position
/// reached and the head. It keeps one number for each aggregate in memory.
///
/// # Errors
/// When the store cannot be read. What is wrong with the log is no error but a finding.
pub(crate) async fn check(
    store: &dyn Store,
    types: &Types,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<CheckReport, StoreError> {
    let head = store.head().await?;
    let mut check = Check::new(types, head);
    let mut after = 0;
    // While an unreadable row is near, rows are read one by one, to have the readable ones before it.
    let mut singly_to = 0;
    while after < head.position {
        let limit = if after < singly_to { 1 } else { PAGE };
        match store.read(after, limit, &Interest::All).await {
            Ok(page) => {
                let events = page.events.iter().take_while(|stored| stored.position <= head.position);
                events.for_each(|stored| check.event(stored));
                let Some(last) = page.events.last() else { break };
                after = last.position.max(after + 1);
            }
            Err(StoreError::Corrupt { position, reason }) if position > after => {
                if limit == 1 || position == after + 1 {
                    check.unreadable(position, &reason);
                    after = position;
                } else {
                    singly_to = position;
                }
            }
            Err(error) => return Err(error),
        }
        progress(after.min(head.position), head.position);
    }
    check.end();
    for problem in store.integrity().await? {
        check.report.found(None, problem);
    }
    Ok(check.report)
}

struct Check<'a> {
    types: &'a Types,
    report: CheckReport,
    last: Head,
    recorded_at: Option<Timestamp>,
    sequences: HashMap<Ref, u64>,
}

impl<'a> Check<'a> {
    fn new(types: &'a Types, head: Head) -> Self {
        Self {
            types,
            report: CheckReport { head, ..CheckReport::default() },
            last: Head::default(),
            recorded_at: None,
            sequences: HashMap::new(),
        }
    }

    fn event(&mut self, stored: &Stored) {
        let position = Some(stored.position);
        self.position(stored.position);
        if stored.event_id <= self.last.event_id {
            self.report
                .found(position, format!("its id {} is not greater than the one before it", stored.event_id));
        }
        self.last = stored.head();
        if self.recorded_at.is_some_and(|before| stored.recorded_at < before) {
            self.report.found(
                position,
                format!("its time {} lies before that of the event before it", stored.recorded_at),
            );
        }
        self.recorded_at = Some(stored.recorded_at);
        let expected = self.sequences.get(&stored.aggregate).copied().unwrap_or(0) + 1;
        if stored.sequence != expected {
            let Stored { aggregate, sequence, .. } = stored;
            self.report
                .found(position, format!("it has sequence {sequence} of {aggregate}, {expected} was to come"));
        }
        self.sequences.insert(stored.aggregate.clone(), stored.sequence);
        if !digest_holds(stored) {
            self.report.found(position, "its digest is not that of its columns: it was changed");
        }
        self.content(stored);
    }

    fn content(&mut self, stored: &Stored) {
        let position = Some(stored.position);
        if let Err(error) = stored.metadata() {
            self.report.found(position, words(&error));
        }
        match self.types.of(stored) {
            Ok(known) if known.aggregate_type != stored.aggregate.kind() => {
                let Stored { event_type, aggregate, .. } = stored;
                let owner = known.aggregate_type;
                self.report.found(position, format!("`{event_type}` happens to a {owner}, not to {aggregate}"));
            }
            Ok(known) => {
                if let Err(error) = known.describe(stored) {
                    self.report.found(position, words(&error));
                }
            }
            Err(error) => self.report.found(position, words(&error)),
        }
    }

    fn unreadable(&mut self, position: u64, reason: &str) {
        self.position(position);
        self.last.position = position;
        self.report.found(Some(position), format!("it cannot be read: {reason}"));
    }

    fn position(&mut self, position: u64) {
        self.report.events += 1;
        let expected = self.last.position + 1;
        if position > expected {
            let missing = position - expected;
            self.report.found(Some(expected), format!("{missing} events are missing from here"));
        } else if position < expected {
            self.report.found(Some(position), format!("it comes after position {}", self.last.position));
        }
    }

    fn end(&mut self) {
        let CheckReport { head, events, .. } = self.report;
        if self.last.position != head.position || self.report.events != head.position {
            let last = self.last.position;
            let text =
                format!("the head is at {}, the last event at {last}, and there are {events}", head.position);
            self.report.found(None, text);
        } else if self.last.event_id != head.event_id && self.recorded_at.is_some() {
            self.report.found(
                None,
                format!("the head's id is {}, the last event's {}", head.event_id, self.last.event_id),
            );
        }
    }
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
