//! [`Words`]: the texts in a node. Widths are estimated, on the safe side: the server has no fonts.

use std::borrow::Cow;

use super::super::document::{AttributeValue, Statement, StatementKind};
use super::super::naming;
use crate::projections::presenter::{SHORT_SENTENCE, short};

/// The sizes of texts, in pixels: in a node, and of labels.
pub(super) const NODE_SIZE: f64 = 12.0;
pub(super) const LABEL_SIZE: f64 = 11.0;

/// The texts in a node.
pub(super) struct Words {
    /// What it is: `project:7`.
    pub what: String,
    /// Of what kind or when: `version 3`.
    pub kind: String,
    /// Both in full.
    pub title: String,
}

impl Words {
    pub(super) fn of(statement: &Statement) -> Self {
        let id = statement.id.as_deref().unwrap_or_default();
        let label = statement.label().unwrap_or(id);
        let time = statement.arguments.first().and_then(Option::as_deref);
        let (what, kind) = match statement.kind {
            StatementKind::Agent => (label.to_owned(), agent(statement).to_owned()),
            // Of another page: its name is an id.
            StatementKind::Activity if statement.attributes.len() == 1 => {
                let what = label.split(' ').next().unwrap_or(label);
                (what.to_owned(), "not on this page".to_owned())
            }
            StatementKind::Activity => {
                let minutes = time.and_then(|time| time.get(..16));
                let when = minutes.map(|time| time.replace('T', " ") + " UTC");
                (label.to_owned(), when.unwrap_or_else(|| "activity".to_owned()))
            }
            _ => match naming::parse(id) {
                Some((thing, Some(sequence))) => (naming::label(&thing), format!("version {sequence}")),
                Some((_, None)) => (label.to_owned(), "thing".to_owned()),
                None => match id.strip_prefix("log:CommandType/").and_then(|name| name.rsplit_once('@')) {
                    Some((name, version)) => (name.to_owned(), format!("plan, version {version}")),
                    None => (label.to_owned(), "file".to_owned()),
                },
            },
        };
        let time = time.map(|time| format!(", {time}")).unwrap_or_default();
        let title = format!("{}: {}{time}", statement.kind, short(label, SHORT_SENTENCE));
        Self { what, kind, title }
    }
}

fn has_type(statement: &Statement, of: &str) -> bool {
    statement.attributes.iter().any(|(name, value)| match value {
        AttributeValue::Name(value) => *name == "prov:type" && *value == of,
        _ => false,
    })
}

fn agent(statement: &Statement) -> &'static str {
    let types =
        [("prov:Person", "person"), ("prov:Organization", "organisation"), ("prov:SoftwareAgent", "software")];
    types.into_iter().find(|(name, _)| has_type(statement, name)).map_or("agent", |(_, words)| words)
}

/// The width of a text in a font without serifs: no usual one is wider.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(char_width).sum::<f64>() * size
}

/// The width of a character, in units of the size of the font.
fn char_width(c: char) -> f64 {
    match c {
        ' ' | '.' | ',' | ':' | ';' | '\'' | '!' | '|' | '/' | '\\' | '-' | '(' | ')' | '[' | ']' | 'i' | 'l'
        | 'j' | 'I' => 0.42,
        'f' | 't' | 'r' | '"' => 0.47,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.02,
        'A'..='Z' | '#' | '&' | '+' | '<' | '=' | '>' | '~' | '^' => 0.86,
        c if c.is_ascii() => 0.66,
        _ => 1.15,
    }
}

/// The text, or its beginning and its end, in this width.
pub(super) fn fitted(text: &str, width: f64, size: f64) -> Cow<'_, str> {
    if text_width(text, size) <= width {
        return Cow::Borrowed(text);
    }
    let room = width / size - char_width('…');
    let taken = |chars: &mut dyn Iterator<Item = char>, room: f64| {
        let mut left = room;
        let fits = |c: &char| {
            left -= char_width(*c);
            left >= 0.0
        };
        chars.take_while(fits).collect::<Vec<char>>()
    };
    let begin = taken(&mut text.chars(), room * 0.6);
    let end = taken(&mut text.chars().rev(), room * 0.4);
    Cow::Owned(begin.into_iter().chain(['…']).chain(end.into_iter().rev()).collect())
}

/// The text in XML, in an element or an attribute. Characters that no XML document may have are replaced.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !matches!(c, '&' | '<' | '>' | '"' | '\'') && is_allowed(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if is_allowed(c) => escaped.push(c),
            _ => escaped.push('\u{fffd}'),
        }
    }
    Cow::Owned(escaped)
}

/// Whether XML 1.0 allows a character.
fn is_allowed(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_with_its_beginning_and_its_end() {
        assert_eq!(fitted("note:7", 150.0, 12.0), "note:7");
        for text in
            ["note:0193f0c0-1111-7222-8333-0123456789ab", &"語".repeat(90), &"W".repeat(40), &"i".repeat(500)]
        {
            let cut = fitted(text, 150.0, 12.0);
            assert!(text_width(&cut, 12.0) <= 150.0, "{cut}");
            let (begin, end) = cut.split_once('…').unwrap();
            assert!(text.starts_with(begin) && text.ends_with(end) && !end.is_empty(), "{cut}");
        }
    }

    #[test]
    fn every_character_is_well_formed() {
        let every: String = (0..=0x2_ffff).filter_map(char::from_u32).collect();
        let text = escaped(&every);
        assert!(text.chars().all(is_allowed) && !text.contains(['<', '>', '"', '\'']));
        assert_eq!(escaped("a & <b>"), "a &amp; &lt;b&gt;");
    }
}
