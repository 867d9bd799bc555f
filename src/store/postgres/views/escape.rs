//! Escaping U+0000, which Postgres does not store: it becomes U+0001 U+0001, and U+0001 becomes U+0001 U+0002.
//!
//! This keeps the order of texts by their bytes, and different texts stay different.

use std::borrow::Cow;

const NUL: char = '\0';
const MARK: char = '\u{1}';
const NUL_AFTER_MARK: char = '\u{1}';
const MARK_AFTER_MARK: char = '\u{2}';

/// Returns the text as it is stored.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains([NUL, MARK]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            NUL => escaped.extend([MARK, NUL_AFTER_MARK]),
            MARK => escaped.extend([MARK, MARK_AFTER_MARK]),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Returns the original of a stored text. U+0001 before any other character was not written by this crate and is kept.
pub(super) fn unescaped(stored: &str) -> Cow<'_, str> {
    if !stored.contains(MARK) {
        return Cow::Borrowed(stored);
    }
    let mut text = String::with_capacity(stored.len());
    let mut characters = stored.chars().peekable();
    while let Some(character) = characters.next() {
        let meant = match (character, characters.peek()) {
            (MARK, Some(&NUL_AFTER_MARK)) => Some(NUL),
            (MARK, Some(&MARK_AFTER_MARK)) => Some(MARK),
            _ => None,
        };
        if meant.is_some() {
            characters.next();
        }
        text.push(meant.unwrap_or(character));
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaping_removes_nul_keeps_the_order_and_is_reversible(
            text in "[\\x00\\x01\\x02ä𝄞]{0,12}", other in "[\\x00\\x01\\x02ä𝄞]{0,12}",
        ) {
            let (one, two) = (escaped(&text), escaped(&other));
            prop_assert!(!one.contains(NUL));
            prop_assert_eq!(one.cmp(&two), text.cmp(&other));
            prop_assert_eq!(&unescaped(&one), &text);
        }
    }
}
