//! [`FlowCursor`]: where the next page of flows begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::digest::first_bytes;
use crate::events::LogPosition;
use crate::projections::QueryError;
use crate::text::{from_hex, hex, text_conversions};

/// The most numbers of a key.
const MAX_KEY: usize = 8;

/// Where the next page of a query of flows begins. Its text consists of letters and digits. It stays valid across restarts and rebuilds,
/// for its own query only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FlowCursor {
    pub(super) query: [u8; 8],
    /// The head of the page.
    pub(super) seen: LogPosition,
    /// The key of the last row of the page.
    pub(super) key: Vec<i64>,
}

fn checksum(body: &[u8]) -> [u8; 4] {
    first_bytes(&Sha256::digest(body).into())
}

impl FlowCursor {
    fn parse(body: &[u8]) -> Option<Self> {
        let (query, rest) = body.split_first_chunk::<8>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (event_id, mut rest) = rest.split_first_chunk::<16>()?;
        let mut key = Vec::new();
        while let Some((number, after)) = rest.split_first_chunk::<8>() {
            key.push(i64::from_be_bytes(*number));
            rest = after;
        }
        let seen = LogPosition { position: u64::from_be_bytes(*position), event_id: Uuid::from_bytes(*event_id) };
        (rest.is_empty() && key.len() <= MAX_KEY).then_some(Self { query: *query, seen, key })
    }
}

impl fmt::Display for FlowCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = self.query.to_vec();
        body.extend(self.seen.position.to_be_bytes());
        body.extend(self.seen.event_id.as_bytes());
        self.key.iter().for_each(|number| body.extend(number.to_be_bytes()));
        write!(f, "{}{}", hex(&checksum(&body)), hex(&body))
    }
}

impl FromStr for FlowCursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let bytes = (text.len() <= 512).then(|| from_hex(text)).flatten().ok_or(QueryError::DamagedCursor)?;
        let (sum, body) = bytes.split_first_chunk::<4>().ok_or(QueryError::DamagedCursor)?;
        Self::parse(body).filter(|_| *sum == checksum(body)).ok_or(QueryError::DamagedCursor)
    }
}

text_conversions!(FlowCursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_through_text_and_any_other_text_is_refused() {
        let seen = LogPosition { position: 9, event_id: Uuid::now_v7() };
        let cursor = FlowCursor { query: [7; 8], seen, key: vec![0, -1, i64::MAX] };
        let text = cursor.to_string();
        assert_eq!(text.parse(), Ok(cursor));
        for bad in [String::new(), "zz".into(), text[2..].to_owned(), format!("{text}00"), "00".repeat(300)] {
            assert_eq!(bad.parse::<FlowCursor>(), Err(QueryError::DamagedCursor), "{bad}");
        }
    }
}
