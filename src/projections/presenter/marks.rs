//! Marks around the arguments that Fluent puts into a message, to separate its words from an event's facts afterwards.

use std::borrow::Cow;

use fluent_bundle::FluentValue;
use fluent_bundle::types::FluentType;

use super::Piece;

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
const ESCAPE: char = '\u{e002}';
/// After [`OPEN`]: an index of prepared pieces follows, not text.
const NUMBER: char = '\u{e003}';

/// The characters that a translation must not contain. A fact may.
pub(super) const RESERVED: [char; 4] = [OPEN, CLOSE, ESCAPE, NUMBER];

/// An argument in place of prepared pieces: the things of a fact.
#[derive(Debug, PartialEq)]
pub(super) struct Mark(pub usize);

impl FluentType for Mark {
    fn duplicate(&self) -> Box<dyn FluentType + Send> {
        Box::new(Self(self.0))
    }

    fn as_string(&self, _: &intl_memoizer::IntlLangMemoizer) -> Cow<'static, str> {
        format!("{OPEN}{NUMBER}{}{CLOSE}", self.0).into()
    }

    fn as_string_threadsafe(&self, _: &intl_memoizer::concurrent::IntlLangMemoizer) -> Cow<'static, str> {
        format!("{OPEN}{NUMBER}{}{CLOSE}", self.0).into()
    }
}

/// Formats a text argument: between marks, with the marks in the text escaped.
pub(super) fn formatter<M>(value: &FluentValue<'_>, _: &M) -> Option<String> {
    let FluentValue::String(text) = value else { return None };
    let mut marked = String::with_capacity(text.len() + 8);
    marked.push(OPEN);
    for c in text.chars() {
        match RESERVED.iter().zip("oces".chars()).find(|(reserved, _)| **reserved == c) {
            Some((_, letter)) => marked.extend([ESCAPE, letter]),
            None => marked.push(c),
        }
    }
    marked.push(CLOSE);
    Some(marked)
}

/// The pieces of a formatted message.
pub(super) fn split(text: &str, things: &[Vec<Piece>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (marked, after) = after.split_once(CLOSE).unwrap_or((after, ""));
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        match marked.strip_prefix(NUMBER) {
            Some(number) => {
                let number: Option<usize> = number.parse().ok();
                pieces.extend(number.and_then(|number| things.get(number)).into_iter().flatten().cloned());
            }
            None => pieces.push(Piece::Value(unescaped(marked))),
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

fn unescaped(marked: &str) -> String {
    let mut text = String::with_capacity(marked.len());
    let mut chars = marked.chars();
    while let Some(c) = chars.next() {
        let letter = (c == ESCAPE).then(|| chars.next()).flatten();
        let reserved = letter.and_then(|letter| "oces".find(letter)).and_then(|at| RESERVED.get(at));
        text.push(reserved.copied().unwrap_or(c));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_that_contains_marks_stays_one_piece(text in "[\u{e000}-\u{e004}a-eos0-9]{0,12}") {
            let marked = formatter(&FluentValue::from(text.clone()), &()).unwrap();
            let pieces = split(&format!("a{marked}b"), &[]);
            let expected = [Piece::Text("a".into()), Piece::Value(text), Piece::Text("b".into())];
            prop_assert_eq!(pieces, expected);
        }
    }
}
