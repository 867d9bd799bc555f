//! The events of an account, the same for every competitor.

use serde::{Deserialize, Serialize};

/// The account of this number.
#[must_use]
pub fn account_name(number: u64) -> String {
    format!("account-{number:05}")
}

/// A payment into an account. With the balance after it, it is an event of about 150 bytes of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Amount in cents.
    pub cents: i64,
    /// Unique reference.
    pub reference: String,
    /// Purpose.
    pub memo: String,
}

impl Posting {
    /// The posting of a caller, a command, and an index in the command.
    #[must_use]
    pub fn new(caller: usize, number: u64, index: usize) -> Self {
        Self {
            cents: 1 + i64::try_from(number % 9_973).unwrap_or_default(),
            reference: format!("{caller:04}-{number:012}-{index:04}"),
            memo: "monthly standing order, paid by the branch".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_about_150_bytes() {
        let payload = serde_json::json!({ "Deposited": { "posting": Posting::new(3, 77, 0), "balance": 123_456 } });
        let bytes = payload.to_string().len();
        assert!((140..=165).contains(&bytes), "{bytes}: {payload}");
    }
}
