//! Looking for words: in what an event says, and in what is stored.

use std::collections::BTreeSet;

use super::AuditRow;

/// Whether the sentence or the payload holds one of the texts, whatever their case. `texts` are in lower case; none of
/// them asks for nothing.
pub(super) fn says(row: &AuditRow, texts: &BTreeSet<String>) -> bool {
    let holds = |text: &str| {
        let text = text.to_lowercase();
        texts.iter().any(|wanted| text.contains(wanted.as_str()))
    };
    texts.is_empty() || holds(&row.sentence) || holds(row.payload.get())
}
