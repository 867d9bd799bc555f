//! [`Cursor`]: where the next page of a query begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::digest::first_bytes;
use crate::events::LogPosition;
use crate::projections::QueryError;
use crate::text::{from_hex, hex, text_conversions};

/// A position in the result of one query: the next page begins after it. Its text consists of letters and digits.
///
/// A cursor stays valid across restarts and rebuilds, for its own query only: with another filter, range or order it is
/// refused. The limit may change from page to page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    last: LogPosition,
    query: [u8; 8],
}

impl Cursor {
    pub(super) fn new(last: LogPosition, query: [u8; 8]) -> Self {
        Self { last, query }
    }

    /// The event after which the next page begins.
    #[must_use]
    pub fn last(&self) -> LogPosition {
        self.last
    }

    pub(super) fn query(&self) -> [u8; 8] {
        self.query
    }

    fn body(&self) -> Vec<u8> {
        [&self.last.position.to_be_bytes()[..], self.last.event_id.as_bytes(), &self.query].concat()
    }
}

/// Detects truncated and mistyped cursors. It does not authenticate them.
fn checksum(body: &[u8]) -> [u8; 4] {
    first_bytes(&Sha256::digest(body).into())
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        write!(f, "{}{}", hex(&checksum(&body)), hex(&body))
    }
}

impl FromStr for Cursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
        let bytes: [u8; 36] = bytes.ok_or(QueryError::DamagedCursor)?;
        let (sum, body) = bytes.split_at(4);
        let (position, rest) = body.split_at(8);
        let (event_id, query) = rest.split_at(16);
        if sum != checksum(body) {
            return Err(QueryError::DamagedCursor);
        }
        let damaged = |_| QueryError::DamagedCursor;
        Ok(Self {
            last: LogPosition {
                position: u64::from_be_bytes(position.try_into().map_err(damaged)?),
                event_id: Uuid::from_bytes(event_id.try_into().map_err(damaged)?),
            },
            query: query.try_into().map_err(damaged)?,
        })
    }
}

text_conversions!(Cursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_through_text_and_any_other_text_is_refused() {
        let cursor = Cursor::new(LogPosition { position: 7, event_id: Uuid::now_v7() }, [3; 8]);
        let text = cursor.to_string();
        assert_eq!(text.parse(), Ok(cursor));
        assert_eq!(text.len(), 72);
        let turned: String = text.chars().rev().collect();
        for bad in ["", "12", "zz", "é", &text[2..], &format!("{text}00"), &turned, &"+f".repeat(36)] {
            assert_eq!(bad.parse::<Cursor>(), Err(QueryError::DamagedCursor), "{bad}");
        }
    }
}
