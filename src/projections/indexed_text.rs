//! Indexed text: how text of any length is stored in an indexed column.
//!
//! A row of a Postgres index has at most 2,704 bytes, and an index of documents holds a field and a key. A text of
//! up to 1,024 bytes is stored whole; a longer one as its beginning and the SHA-256 of the whole text. So two texts
//! are never stored as the same value, each is found by all of its characters, and texts are ordered by their first
//! 1,024 bytes.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::text::hex;

/// The most bytes of a text that are stored whole.
const WHOLE: usize = 1_024;

/// The most bytes of a prefix: the stored beginning of a longer text may be up to three bytes shorter than
/// [`WHOLE`], and its digest must not be taken for text.
pub(super) const LONGEST_PREFIX: usize = WHOLE - 4;

/// Whether the stored form of each text with this prefix begins with it, and of no other text.
pub(super) fn holds_prefix(prefix: &str) -> bool {
    bytes(prefix) <= LONGEST_PREFIX
}

/// The size of a text in an index: Postgres does not accept NUL, so the store escapes U+0000 and U+0001.
fn bytes(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| *byte <= 1).count()
}

/// The text as stored in an indexed column.
pub(super) fn indexed(text: &str) -> Cow<'_, str> {
    if bytes(text) <= WHOLE {
        return Cow::Borrowed(text);
    }
    let (mut end, mut taken) = (0, 0);
    for (at, character) in text.char_indices() {
        let after = at + character.len_utf8();
        taken += bytes(&text[at..after]);
        if taken > WHOLE {
            break;
        }
        end = after;
    }
    // At least 1,021 bytes and 64 more: longer than any text that is stored whole.
    Cow::Owned(format!("{}{}", &text[..end], hex(&Sha256::digest(text))))
}

/// The body of a document as stored: its JSON, together with its key if the column of keys does not hold the whole
/// key.
pub(super) fn body(key: &str, json: String) -> String {
    match indexed(key) {
        Cow::Borrowed(_) => json,
        Cow::Owned(_) => format!("{{\"key\":{},\"document\":{json}}}", serde_json::Value::from(key)),
    }
}

#[derive(Deserialize)]
struct WithKey {
    key: String,
    document: Box<RawValue>,
}

/// The key and the JSON of a stored document. A projection of the application may store a long key whole.
pub(super) fn document(stored_key: String, stored_body: String) -> (String, String) {
    if bytes(&stored_key) <= WHOLE {
        return (stored_key, stored_body);
    }
    match serde_json::from_str::<WithKey>(&stored_body) {
        Ok(WithKey { key, document }) if indexed(&key) == stored_key => (key, document.get().to_owned()),
        _ => (stored_key, stored_body),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_of_any_length_is_indexed_in_few_bytes_by_its_beginning(
            text in "(?s).{0,40}", other in "(?s).{0,40}", times in 0_usize..200,
        ) {
            let (text, other) = (text.repeat(times), other.repeat(times));
            let (one, two) = (indexed(&text), indexed(&other));
            prop_assert!(bytes(&one) <= WHOLE + 64);
            prop_assert_eq!(one == two, text == other);
            if bytes(&text) <= WHOLE && bytes(&other) <= WHOLE {
                prop_assert_eq!(one.cmp(&two), text.cmp(&other));
            }
        }

        #[test]
        fn a_stored_document_decodes_to_its_key_and_json(key in "(?s).{0,40}", times in 0_usize..200) {
            let (key, json) = (key.repeat(times), "{\"a\": [1]}".to_owned());
            let stored = body(&key, json.clone());
            prop_assert_eq!(document(indexed(&key).into_owned(), stored), (key, json));
        }
    }

    /// Nobody can type a key that is stored as another's.
    #[test]
    fn a_text_equal_to_a_stored_form_is_another_text() {
        let long = "ä".repeat(2_000);
        let alike = indexed(&long).into_owned();
        assert_ne!(indexed(&alike), alike);
        let (key, _) = document(indexed(&alike).into_owned(), body(&alike, "1".to_owned()));
        assert_eq!(key, alike);
    }
}
