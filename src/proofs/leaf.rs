//! [`Leaf`]: what a leaf of the tree says about an event.

use jiff::Timestamp;
use uuid::Uuid;

use super::TreeHash;
use crate::events::Stored;
use crate::text::{from_hex, hex};

/// The longest record of a leaf, in bytes: a bundle of entries has its length as a 16-bit number.
pub const MAX_LEAF_BYTES: usize = 65_535;

/// What a leaf of the tree says about an event. It holds no values: the payload and the metadata are in it as their digest only. So it
/// may be shown to readers of metadata, and stays as it is when values are erased.
///
/// Its record is a JSON array without spaces: position, event id, time of recording (RFC 3339 in UTC with 6 decimal places), type of
/// the aggregate, id of the aggregate, sequence, event type, digest (64 hexadecimal digits). Only `"`, `\` and control characters are
/// escaped. The digest covers the payload, the metadata, the command id and the time of occurrence, as stored.
///
/// ```
/// use annals::proofs::Leaf;
///
/// let digest = "5e".repeat(32);
/// let record = format!(
///     r#"[1,"0193f2a4-7c1e-7000-8000-000000000001","2026-06-01T12:00:00.000000Z","project","7",1,"project.created","{digest}"]"#
/// );
/// let leaf = Leaf::parse(record.as_bytes())?;
/// assert_eq!((leaf.position, leaf.event_type.as_str()), (1, "project.created"));
/// assert_eq!(leaf.record()?, record.into_bytes());
/// # Ok::<(), annals::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The position of the event in the log: leaf 0 is position 1.
    pub position: u64,
    /// The event's id.
    pub event_id: Uuid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The type of its aggregate.
    pub aggregate_type: String,
    /// The id of its aggregate.
    pub aggregate_id: String,
    /// Its sequence in the aggregate.
    pub sequence: u64,
    /// Its event type.
    pub event_type: String,
    /// The digest of what the writer appended.
    pub digest: [u8; 32],
}

/// A record is no leaf, or an event has no leaf.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLeaf {
    /// The record is not the canonical form of a leaf.
    #[error("the record is not a leaf of a log of annals")]
    NotCanonical,
    /// The record is not JSON of the right shape.
    #[error("the record is not a leaf of a log of annals")]
    Json(#[from] serde_json::Error),
    /// The record would be too long.
    #[error(
        "the leaf of event {position} has {bytes} bytes; the limit is {MAX_LEAF_BYTES}: use shorter ids and event types"
    )]
    TooLong {
        /// The event's position.
        position: u64,
        /// The length of its record.
        bytes: usize,
    },
}

impl Leaf {
    /// Returns the leaf of an event.
    #[must_use]
    pub fn of(stored: &Stored) -> Self {
        Self {
            position: stored.position,
            event_id: stored.event_id,
            recorded_at: stored.recorded_at,
            aggregate_type: stored.aggregate.kind().to_owned(),
            aggregate_id: stored.aggregate.id().to_owned(),
            sequence: stored.sequence,
            event_type: stored.event_type.clone(),
            digest: stored.digest,
        }
    }

    /// Returns its record: the bytes that are hashed.
    ///
    /// # Errors
    /// When the record would be longer than [`MAX_LEAF_BYTES`].
    pub fn record(&self) -> Result<Vec<u8>, InvalidLeaf> {
        let record = serde_json::to_vec(&(
            self.position,
            self.event_id,
            format!("{:.6}", self.recorded_at),
            &self.aggregate_type,
            &self.aggregate_id,
            self.sequence,
            &self.event_type,
            hex(&self.digest),
        ))?;
        match record.len() {
            bytes if bytes > MAX_LEAF_BYTES => Err(InvalidLeaf::TooLong { position: self.position, bytes }),
            _ => Ok(record),
        }
    }

    /// Returns its hash.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn hash(&self) -> Result<TreeHash, InvalidLeaf> {
        Ok(TreeHash::of_leaf(&self.record()?))
    }

    /// Reads a record. Only the canonical form is accepted: the bytes that [`record`](Self::record) returns.
    ///
    /// # Errors
    /// When it is not a leaf.
    pub fn parse(record: &[u8]) -> Result<Self, InvalidLeaf> {
        type Parts = (u64, Uuid, String, String, String, u64, String, String);
        let (position, event_id, time, aggregate_type, aggregate_id, sequence, event_type, digest): Parts =
            serde_json::from_slice(record)?;
        let recorded_at = time.parse().map_err(|_| InvalidLeaf::NotCanonical)?;
        let digest = from_hex(&digest).and_then(|bytes| bytes.try_into().ok()).ok_or(InvalidLeaf::NotCanonical)?;
        let leaf =
            Self { position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, digest };
        match leaf.record()? == record {
            true => Ok(leaf),
            false => Err(InvalidLeaf::NotCanonical),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(aggregate_id: &str) -> Leaf {
        Leaf {
            position: 3,
            event_id: Uuid::from_u128(7),
            recorded_at: Timestamp::from_microsecond(1_780_000_000_000_001).unwrap(),
            aggregate_type: "project".to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            sequence: 2,
            event_type: "project.renamed".to_owned(),
            digest: [0xa5; 32],
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_whatever_is_in_the_ids() {
        for id in ["7", "a\nb", "\"],[\"", "é\u{1}\\", "", "\u{7f}\u{2028}"] {
            let record = leaf(id).record().unwrap();
            assert_eq!(Leaf::parse(&record).unwrap(), leaf(id), "{id:?}");
            assert!(!record.contains(&b'\n'), "{id:?}");
        }
        assert_ne!(leaf("a\nb").hash().unwrap(), leaf("a\\nb").hash().unwrap());
    }

    /// Else one event had two leaves.
    #[test]
    fn another_form_of_the_same_record_is_refused() {
        let record = String::from_utf8(leaf("é").record().unwrap()).unwrap();
        for other in [
            record.replace(',', ", "),
            record.replace('é', "\\u00e9"),
            record.replace("a5a5", "A5a5"),
            record.replace("Z\"", "+00:00\""),
            record.replace(".000001Z", ".0000010Z"),
            format!("{record}\n"),
            record.replace("[3,", "[3.0,"),
            record.replace("]", ",1]"),
        ] {
            assert_ne!(other, record);
            assert!(Leaf::parse(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_record_is_refused_when_it_is_too_long_for_a_bundle() {
        let room = MAX_LEAF_BYTES - leaf("").record().unwrap().len();
        assert_eq!(leaf(&"x".repeat(room)).record().unwrap().len(), MAX_LEAF_BYTES);
        let error = leaf(&"x".repeat(room + 1)).record().unwrap_err();
        assert!(matches!(error, InvalidLeaf::TooLong { position: 3, bytes: 65_536 }), "{error}");
    }
}
