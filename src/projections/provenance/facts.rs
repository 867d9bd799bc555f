//! [`Facts`]: an event with its version and uses, and the cause of its command.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::lookup::{self, UsedRow, VersionRow};
use super::role::Role;
use super::{EXPORTED, ProvenanceError, VIEWED};
use crate::events::{Metadata, Ref, SourceRole, Stored};
use crate::projections::Reading;
use crate::projections::audit::Detail;
use crate::store::bisect;

/// An event with its version and uses, and the cause of the command that begins with it.
pub(super) struct Facts {
    pub stored: Stored,
    pub metadata: Metadata,
    pub version: VersionRow,
    pub uses: Vec<UsedRow>,
    pub cause: Option<Cause>,
    /// The query, if the event is the record of a read or an export, and the reader sees everything.
    pub read: Option<RecordedRead>,
    /// What the event says about its sources, beside that it was derived from them.
    pub source_roles: Vec<(SourceRole, Ref)>,
}

/// What a record says about a read.
pub(super) struct RecordedRead {
    /// The query as text.
    pub what: String,
    /// The format and the head of an export.
    pub export: Option<(String, u64)>,
}

/// What led to a command, if the log has it.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// A command.
    Command { id: Uuid, first: u64 },
    /// An event.
    Event { command: Uuid, aggregate: Ref, sequence: u64, position: u64, makes: bool },
}

impl Cause {
    fn position(&self) -> u64 {
        match self {
            Self::Command { first, .. } => *first,
            Self::Event { position, .. } => *position,
        }
    }
}

/// What the record of a read or an export says. These are values of the record, so readers of metadata do not see them.
pub(super) fn recorded_read(
    reading: &Reading,
    detail: Detail,
    stored: &Stored,
) -> Result<Option<RecordedRead>, ProvenanceError> {
    let known = reading.types().get(&stored.event_type);
    let known = known.filter(|known| [EXPORTED, VIEWED].contains(&known.declaration.event_type));
    let Some(known) = known.filter(|_| detail == Detail::Full) else { return Ok(None) };
    let decode = |source| ProvenanceError::Decode { position: stored.position, source };
    let facts = known.describe(stored).map_err(decode)?.facts;
    let fact = |name: &str| facts.iter().find(|(field, _)| *field == name).map(|(_, value)| value);
    let text = |name| fact(name).and_then(Value::as_str).map(str::to_owned);
    let export = text("format").zip(fact("head").and_then(Value::as_u64));
    Ok(Some(RecordedRead { what: text("what").unwrap_or_default(), export }))
}

/// What an event says about its sources.
pub(super) fn source_roles(reading: &Reading, stored: &Stored) -> Result<Vec<(SourceRole, Ref)>, ProvenanceError> {
    let Some(known) = reading.types().get(&stored.event_type) else { return Ok(Vec::new()) };
    known.source_roles(stored).map_err(|source| ProvenanceError::Decode { position: stored.position, source })
}

/// Finds what led to the commands that begin at these positions. A caller may name anything as the cause: only what is older is
/// one.
pub(super) async fn find_causes(
    reading: &Reading,
    positions: &[u64],
    facts: &mut HashMap<u64, Facts>,
) -> Result<(), ProvenanceError> {
    let named = positions.iter().filter_map(|position| {
        let causation = facts.get(position)?.uses.iter().find(|used| used.role == Role::Causation)?;
        Some((*position, Uuid::parse_str(causation.name.split_once('/')?.1).ok()?))
    });
    let named: Vec<(u64, Uuid)> = named.collect();
    if named.is_empty() {
        return Ok(());
    }
    let log = &**reading.log();
    let ids: Vec<Uuid> = named.iter().map(|(_, id)| *id).collect();
    let known = log.find_commands(&ids).await?;
    for ((position, id), known) in named.into_iter().zip(known) {
        let cause = match known.map(|known| known.receipt) {
            Some(receipt) => {
                let is_older = receipt.events > 0 && receipt.first_position < position;
                is_older.then_some(Cause::Command { id, first: receipt.first_position })
            }
            None => event_with(reading, id).await?.filter(|cause| cause.position() < position),
        };
        if let Some(facts) = facts.get_mut(&position) {
            facts.cause = cause;
        }
    }
    Ok(())
}

/// The event with this id, if the log has it. Ids rise with positions.
async fn event_with(reading: &Reading, id: Uuid) -> Result<Option<Cause>, ProvenanceError> {
    if id.get_version_num() != 7 {
        return Ok(None);
    }
    let log = &**reading.log();
    let position = bisect(log, |event| event.event_id < id).await?;
    let Some(event) = log.read_at(&[position]).await?.pop().filter(|event| event.event_id == id) else {
        return Ok(None);
    };
    let mut snapshot = reading.snapshot().await?;
    let version = lookup::versions_at(&[position], &mut *snapshot).await?.remove(&position);
    Ok(version.map(|version| Cause::Event {
        command: event.command_id,
        aggregate: event.aggregate,
        sequence: event.sequence,
        position,
        makes: version.makes,
    }))
}
