//! Checks the log for consistency, and compares it with checkpoints and with this program's event types: finds edits
//! that bypassed the triggers.
//!
//! ## Layout
//! - `report`: the findings and their kinds
//! - `observer`: what is compared with the log while it is read

mod observer;
mod report;
#[cfg(all(test, feature = "conformance"))]
pub(super) mod tests;

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use self::observer::LogObserver;
pub use self::report::{CheckReport, Finding, FindingKind, LogDigest, ReadableValues};
use super::event_digest::digest_holds;
use super::{GenerationInfo, HashChain, Interest, Store, StoreError};
use crate::events::personal::readable_fields;
use crate::events::{LogPosition, Metadata, Ref, Stored, Types};
use crate::text::{counted, error_chain, hex};

const PAGE: usize = 1_000;

/// The events that are read before their size is known, and the size of a later page in bytes.
const FIRST: usize = 16;
const PAGE_BYTES: usize = 8 << 20;

/// Runs the database's own check, reads the log up to its present head, and looks up the events of the views'
/// checkpoints. `expected` is the digest of the log up to a position, from an earlier check; `observer` reads the log along;
/// `progress` is called with the present position and the head. Memory: one sequence for each aggregate.
///
/// # Errors
/// When the store cannot be read. A fault of the log is not an error but a finding.
pub(crate) async fn check(
    store: &dyn Store,
    types: &Types,
    expected: Option<LogDigest>,
    observer: &mut dyn LogObserver,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<CheckReport, StoreError> {
    let head = store.head().await?;
    let mut check = Check::new(types, head, expected, observer);
    for finding in store.check_integrity().await? {
        check.report.found(finding);
    }
    check.compare(0);
    check.observe(|observer| observer.begin());
    let mut after = 0;
    // Near an unreadable row, rows are read one by one, so that the readable ones before it are checked.
    let mut singly_to = 0;
    let mut most = FIRST;
    while after < head.position {
        let limit = if after < singly_to { 1 } else { most };
        match store.read_bounded(after, limit, PAGE_BYTES, &Interest::All).await {
            Ok(page) => {
                let events = page.events.iter().take_while(|stored| stored.position <= head.position);
                events.for_each(|stored| check.event(stored));
                check.commands(store).await?;
                let Some(last) = page.events.last() else { break };
                let size = page.events.iter().map(Stored::text_bytes).sum::<usize>() / page.events.len() + 1;
                most = (PAGE_BYTES / size).clamp(1, PAGE);
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
    check.observe(|observer| observer.end());
    if check.report.sees_all() {
        checkpoints(store, &mut check.report).await?;
    }
    Ok(check.report)
}

/// Checks that the events of all checkpoints are in the log.
async fn checkpoints(store: &dyn Store, report: &mut CheckReport) -> Result<(), StoreError> {
    for GenerationInfo { id: generation_id, head, .. } in store.views().generations().await? {
        if head.position == 0 {
            continue;
        }
        let there = match store.read_at(&[head.position]).await {
            Ok(found) => found.first().is_some_and(|stored| stored.head() == head),
            // The unreadable row is a finding already.
            Err(StoreError::Corrupt { .. }) => true,
            Err(error) => return Err(error),
        };
        if !there {
            let problem = format!(
                "the projection `{}` has processed event {} with the id {}, which is not in the log: its tail was cut or \
                 changed, or an older backup was restored",
                generation_id.name, head.position, head.event_id
            );
            report.found(Finding { position: Some(head.position), ..Finding::new(FindingKind::Log, problem) });
        }
    }
    Ok(())
}

struct Check<'a> {
    types: &'a Types,
    report: CheckReport,
    last: LogPosition,
    recorded_at: Option<Timestamp>,
    sequences: HashMap<Ref, u64>,
    /// `None` once a row could not be read.
    chain: Option<HashChain>,
    expected: Option<LogDigest>,
    observer: &'a mut dyn LogObserver,
    /// What first events say about their commands, to be compared with the rows of these.
    named: Vec<NamedCommand>,
}

/// What the metadata of the first event of a command says about the command.
struct NamedCommand {
    position: u64,
    command_id: Uuid,
    command: String,
    body_digest: String,
}

impl<'a> Check<'a> {
    fn new(
        types: &'a Types,
        head: LogPosition,
        expected: Option<LogDigest>,
        observer: &'a mut dyn LogObserver,
    ) -> Self {
        Self {
            types,
            observer,
            named: Vec::new(),
            report: CheckReport::new(head),
            last: LogPosition::default(),
            recorded_at: None,
            sequences: HashMap::new(),
            chain: Some(HashChain::default()),
            expected,
        }
    }

    fn log(&mut self, position: u64, problem: impl Into<String>) {
        self.found(FindingKind::Log, position, problem.into());
    }

    fn found(&mut self, kind: FindingKind, position: u64, problem: String) {
        self.report.found(Finding { kind, position: Some(position), problem });
    }

    fn event(&mut self, stored: &Stored) {
        let position = stored.position;
        self.position(position);
        if stored.event_id <= self.last.event_id {
            self.log(position, format!("its id {} is not greater than the one before it", stored.event_id));
        } else if stored.event_id.get_version_num() != 7 {
            self.log(position, format!("its id {} is no UUID of version 7", stored.event_id));
        }
        self.last = stored.head();
        if self.recorded_at.is_some_and(|before| stored.recorded_at < before) {
            let time = stored.recorded_at;
            self.log(position, format!("its time {time} lies before that of the event before it"));
        }
        self.recorded_at = Some(stored.recorded_at);
        let expected = self.sequences.get(&stored.aggregate).copied().unwrap_or(0) + 1;
        if stored.sequence != expected {
            let Stored { aggregate, sequence, .. } = stored;
            self.log(position, format!("it has sequence {sequence} of {aggregate}, {expected} was to come"));
        }
        self.sequences.insert(stored.aggregate.clone(), stored.sequence);
        let as_written = digest_holds(stored);
        if !as_written {
            self.log(position, "its digest is not that of its columns: it was changed");
        }
        let kind = if as_written { FindingKind::Program } else { FindingKind::Log };
        self.content(kind, stored);
        if let Some(chain) = &mut self.chain {
            chain.add_row(stored);
        }
        self.compare(position);
        self.observe(|observer| observer.event(stored));
    }

    fn observe(&mut self, tell: impl FnOnce(&mut dyn LogObserver) -> Vec<Finding>) {
        let found = tell(&mut *self.observer);
        found.into_iter().for_each(|finding| self.report.found(finding));
    }

    /// Compares the running digest with the expected one at its position.
    fn compare(&mut self, position: u64) {
        let Some(LogDigest { digest, .. }) = self.expected.take_if(|expected| expected.position == position) else {
            return;
        };
        match self.chain {
            Some(chain) if chain == digest => {}
            Some(chain) => {
                self.log(
                    position,
                    format!("the log up to here has the digest {chain}, not {digest}: it was changed"),
                );
            }
            None => self.log(position, "the log up to here cannot be compared: an event before it cannot be read"),
        }
    }

    fn content(&mut self, kind: FindingKind, stored: &Stored) {
        let position = stored.position;
        match stored.metadata() {
            Ok(Metadata { decided_on: Some(decided_on), .. }) => {
                if let (Some(command), Some(body_digest)) = (decided_on.command, decided_on.body_digest) {
                    self.named.push(NamedCommand { position, command_id: stored.command_id, command, body_digest });
                }
            }
            Ok(_) => {}
            Err(error) => self.found(kind, position, error_chain(&error)),
        }
        match self.types.of(stored) {
            Ok(known) if known.aggregate_type != stored.aggregate.kind() => {
                let Stored { event_type, aggregate, .. } = stored;
                let owner = known.aggregate_type;
                self.found(kind, position, format!("`{event_type}` happens to a {owner}, not to {aggregate}"));
            }
            Ok(known) => {
                let readable = readable_fields(known.declaration, &stored.payload);
                self.report.readable.add(position, known.declaration.event_type, &readable);
                if let Err(error) = known.describe(stored) {
                    self.found(kind, position, error_chain(&error));
                }
            }
            Err(error) => self.found(kind, position, error_chain(&error)),
        }
    }

    /// Compares the rows of commands with what their first events say.
    async fn commands(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let named = std::mem::take(&mut self.named);
        let ids: Vec<Uuid> = named.iter().map(|named| named.command_id).collect();
        for (named, known) in named.into_iter().zip(store.find_commands(&ids).await?) {
            // A row that is missing is found with the rows.
            let Some(known) = known else { continue };
            if (&known.command, hex(&known.body_digest)) != (&named.command, named.body_digest) {
                let problem = "the row of its command has another name or digest of the body than the event says";
                self.log(named.position, problem);
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, position: u64, reason: &str) {
        self.position(position);
        self.last.position = position;
        self.chain = None;
        self.observer.unreadable();
        self.log(position, format!("it cannot be read: {reason}"));
        self.compare(position);
    }

    fn position(&mut self, position: u64) {
        self.report.events += 1;
        let expected = self.last.position + 1;
        if position > expected {
            let missing = position - expected;
            let are = if missing == 1 { "is" } else { "are" };
            self.log(expected, format!("{} {are} missing from here", counted(missing, "event")));
        } else if position < expected {
            self.log(position, format!("it comes after position {}", self.last.position));
        }
    }

    fn end(&mut self) {
        let CheckReport { head, events, .. } = self.report;
        let last = self.last;
        let problem = if last.position != head.position || events != head.position {
            let LogPosition { position, .. } = last;
            format!("the head is at {}, the last event at {position}, and there are {events}", head.position)
        } else if last.event_id != head.event_id && self.recorded_at.is_some() {
            format!("the head's id is {}, the last event's {}", head.event_id, last.event_id)
        } else {
            String::new()
        };
        if !problem.is_empty() {
            self.report.found(Finding::new(FindingKind::Log, problem));
        }
        self.report.digest = self.chain.map(|digest| LogDigest { position: last.position, digest });
        if let Some(LogDigest { position, .. }) = self.expected {
            let problem =
                format!("the log has no event {position}, which it had when the expected digest was made");
            self.report.found(Finding::new(FindingKind::Log, problem));
        }
    }
}
