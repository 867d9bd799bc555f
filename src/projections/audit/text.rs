//! Looking for words: in what an event says, and in what is stored.

use std::collections::BTreeSet;

use super::AuditRow;
use crate::events::{DecodeError, Stored, Types};

/// Whether the sentence or the payload holds one of the texts, whatever their case. `texts` are in lower case; none of
/// them asks for nothing.
pub(super) fn says(row: &AuditRow, texts: &BTreeSet<String>) -> bool {
    texts.is_empty() || holds(&row.sentence, texts) || holds(row.payload.get(), texts)
}

/// The same of an event as it is stored: its sentence is only made if need be.
pub(super) fn is_said(stored: &Stored, types: &Types, texts: &BTreeSet<String>) -> Result<bool, DecodeError> {
    if texts.is_empty() || holds(&stored.payload, texts) {
        return Ok(true);
    }
    let known = types.of(stored)?;
    Ok(holds(&known.sentence(stored, &known.describe(stored)?), texts))
}

fn holds(text: &str, texts: &BTreeSet<String>) -> bool {
    let text = text.to_lowercase();
    texts.iter().any(|wanted| text.contains(wanted.as_str()))
}
