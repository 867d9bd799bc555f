//! The digest of an event.

use jiff::Timestamp;
use uuid::Uuid;

use super::NewEvent;
use crate::digest::PartsDigest;
use crate::events::{Ref, Stored};

/// Returns the digest of an event: SHA-256 over aggregate type and id, sequence, event type and version, payload,
/// metadata, command id and, if given, the time of occurrence (microseconds), each part preceded by its length.
#[must_use]
pub fn digest_of(
    aggregate: &Ref,
    sequence: u64,
    event: &NewEvent,
    metadata: &str,
    command_id: Uuid,
    occurred_at: Option<Timestamp>,
) -> [u8; 32] {
    let mut hash = PartsDigest::default();
    let mut part = |bytes: &[u8]| hash.add(bytes);
    part(aggregate.kind().as_bytes());
    part(aggregate.id().as_bytes());
    part(&sequence.to_le_bytes());
    part(event.event_type().as_bytes());
    part(event.event_version().as_bytes());
    part(event.payload().as_bytes());
    part(metadata.as_bytes());
    part(command_id.as_bytes());
    match occurred_at {
        Some(time) => part(&time.as_microsecond().to_le_bytes()),
        None => part(&[]),
    }
    hash.finish()
}

/// Returns whether the row's digest matches its columns.
pub(crate) fn digest_holds(stored: &Stored) -> bool {
    let event = NewEvent::new(stored.event_type.clone(), stored.event_version.clone(), stored.payload.clone());
    let digest = |occurred_at| {
        digest_of(&stored.aggregate, stored.sequence, &event, &stored.metadata, stored.command_id, occurred_at)
    };
    digest(Some(stored.occurred_at)) == stored.digest
        || stored.occurred_at == stored.recorded_at && digest(None) == stored.digest
}
