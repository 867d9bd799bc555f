//! [`ProvenanceCursor`]: where the next page of a walk begins.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::digest::first_bytes;
use crate::events::LogPosition;
use crate::projections::QueryError;
use crate::text::{from_hex, hex, text_conversions};

/// The longest text of a cursor, in bytes.
const MAX_TEXT: usize = 24_000;

/// Where the next page of a query of provenance begins: what was reached and is not yet shown. Its text consists of letters and
/// digits. It stays valid across restarts and rebuilds, for its own query only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProvenanceCursor {
    pub(super) query: [u8; 8],
    /// The event of the last node of the page.
    pub(super) seen: LogPosition,
    /// The last node of the page.
    pub(super) last: u64,
    /// The sequence of the last event of the thing itself that was shown.
    pub(super) sequence: u64,
    /// The nodes that were reached, each with its depth.
    pub(super) pending: BTreeMap<u64, u8>,
}

fn checksum(body: &[u8]) -> [u8; 4] {
    first_bytes(&Sha256::digest(body).into())
}

impl ProvenanceCursor {
    fn body(&self) -> Vec<u8> {
        let mut body = self.query.to_vec();
        body.extend(self.seen.position.to_be_bytes());
        body.extend(self.seen.event_id.as_bytes());
        body.extend(self.last.to_be_bytes());
        body.extend(self.sequence.to_be_bytes());
        let mut before = 0;
        for (node, depth) in &self.pending {
            body.push(*depth);
            let mut step = node - before;
            before = *node;
            // Seven bits a byte, the lowest first.
            while step >= 0x80 {
                body.push(step as u8 & 0x7f | 0x80);
                step >>= 7;
            }
            body.push(step as u8);
        }
        body
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (query, rest) = body.split_first_chunk::<8>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (event_id, rest) = rest.split_first_chunk::<16>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, mut rest) = rest.split_first_chunk::<8>()?;
        let (mut pending, mut before) = (BTreeMap::new(), 0_u64);
        while let Some((depth, after)) = rest.split_first() {
            let end = after.iter().position(|byte| byte & 0x80 == 0)?;
            let (step, after) = after.split_at(end + 1);
            let step = step
                .iter()
                .rev()
                .try_fold(0_u64, |step, byte| step.checked_mul(0x80)?.checked_add(u64::from(byte & 0x7f)))?;
            before = before.checked_add(step)?;
            pending.insert(before, *depth);
            rest = after;
        }
        let seen = LogPosition { position: u64::from_be_bytes(*position), event_id: Uuid::from_bytes(*event_id) };
        let (last, sequence) = (u64::from_be_bytes(*last), u64::from_be_bytes(*sequence));
        Some(Self { query: *query, seen, last, sequence, pending })
    }
}

impl fmt::Display for ProvenanceCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        write!(f, "{}{}", hex(&checksum(&body)), hex(&body))
    }
}

impl FromStr for ProvenanceCursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let bytes = (text.len() <= MAX_TEXT).then(|| from_hex(text)).flatten().ok_or(QueryError::DamagedCursor)?;
        let (sum, body) = bytes.split_first_chunk::<4>().ok_or(QueryError::DamagedCursor)?;
        let cursor = Self::parse(body).filter(|_| *sum == checksum(body));
        cursor.ok_or(QueryError::DamagedCursor)
    }
}

text_conversions!(ProvenanceCursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_through_text_and_any_other_text_is_refused() {
        let pending = (0..512).map(|n| (n * n * 7_919 + 1, (n % 9) as u8)).collect();
        let seen = LogPosition { position: 9, event_id: Uuid::now_v7() };
        let full = ProvenanceCursor { query: [7; 8], seen, last: u64::MAX, sequence: 3, pending };
        let empty = ProvenanceCursor { pending: BTreeMap::new(), ..full.clone() };
        for cursor in [full, empty] {
            let text = cursor.to_string();
            assert!(text.len() < MAX_TEXT, "{}", text.len());
            assert_eq!(text.parse(), Ok(cursor));
            for bad in [String::new(), "zz".into(), text[2..].to_owned(), format!("{text}00"), "00".repeat(60)] {
                assert_eq!(bad.parse::<ProvenanceCursor>(), Err(QueryError::DamagedCursor), "{bad}");
            }
        }
    }
}
