//! [`Phrase`]: a sentence in pieces, and its plain text, Markdown and HTML.

use std::borrow::Cow;

use serde::Serialize;

use super::{SHORT_NAME, SHORT_SENTENCE, plain, short};
use crate::events::Ref;

/// An actor or a target, with its display name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thing {
    /// The reference: `user:42`.
    pub reference: Ref,
    /// The display name, if an event gave one.
    pub name: Option<String>,
}

impl Thing {
    /// A thing without a display name.
    #[must_use]
    pub fn nameless(reference: Ref) -> Self {
        Self { reference, name: None }
    }

    /// The text to show: the display name, or the reference if there is none. A name that looks like a reference is
    /// followed by the actual one.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) if name.trim().is_empty() => self.reference.to_string(),
            Some(name) if name.trim().parse::<Ref>().is_ok() => format!("{name} ({})", self.reference),
            Some(name) => name.clone(),
            None => self.reference.to_string(),
        }
    }
}

impl Thing {
    /// Shortens the display name for people to read.
    pub(super) fn shorten(&mut self) {
        if let Some(name) = &mut self.name
            && let Cow::Owned(shorter) = short(name, SHORT_NAME)
        {
            *name = shorter;
        }
    }
}

/// A piece of a phrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// Text of the declared sentence or its translation.
    Text(String),
    /// A thing, which may be a link.
    Thing(Thing),
    /// The value of a field, as text.
    Value(String),
}

impl Piece {
    /// Shortens it for people to read, and returns the number of its characters.
    fn shorten(&mut self, most: usize) -> usize {
        match self {
            Self::Text(text) | Self::Value(text) => {
                if let Cow::Owned(shorter) = short(text, most) {
                    *text = shorter;
                }
                text.chars().count()
            }
            Self::Thing(thing) => {
                thing.shorten();
                thing.label().chars().count()
            }
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Value(text) => plain(text).into_owned(),
            Self::Thing(thing) => plain(&thing.label()).into_owned(),
        }
    }
}

/// A sentence in pieces. Plain text, Markdown and HTML show the same text. Fields and names are escaped: they can contain no
/// markup, link or terminal escape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Phrase(pub Vec<Piece>);

impl Phrase {
    /// The unescaped text, for programs. Do not print it to a terminal, a page or a file.
    #[must_use]
    pub fn text(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) | Piece::Value(text) => text.clone(),
            Piece::Thing(thing) => thing.label(),
        };
        self.0.iter().map(text).collect()
    }

    /// Plain text for a terminal or a log file, escaped by [`plain`].
    #[must_use]
    pub fn plain(&self) -> String {
        self.0.iter().map(Piece::shown).collect()
    }

    /// Markdown (CommonMark). The only markup is the links of things: `link` returns their URLs.
    #[must_use]
    pub fn markdown(&self, link: impl Fn(&Ref) -> Option<String>) -> String {
        let mut written = String::new();
        for piece in &self.0 {
            let words = markdown_text(&piece.shown());
            match piece {
                Piece::Thing(thing) => match link(&thing.reference) {
                    Some(url) => written += &format!("[{words}](<{}>)", markdown_url(&url)),
                    None => written += &words,
                },
                _ => written += &words,
            }
        }
        written
    }

    /// HTML. Things are links if `link` returns a URL, with the reference as title. Names and values are isolated (`bdi`), so that
    /// they cannot change the text direction around them.
    #[must_use]
    pub fn html(&self, link: impl Fn(&Ref) -> Option<String>) -> String {
        let mut written = String::new();
        for piece in &self.0 {
            let words = html_text(&piece.shown());
            match piece {
                Piece::Text(_) => written += &words,
                Piece::Value(_) => written += &format!("<bdi>{words}</bdi>"),
                Piece::Thing(thing) => {
                    let title = html_attribute(&plain(thing.reference.as_str()));
                    written += &match link(&thing.reference) {
                        Some(url) => {
                            let url = html_attribute(&plain(&url));
                            format!("<a href=\"{url}\" title=\"{title}\"><bdi>{words}</bdi></a>")
                        }
                        None => format!("<bdi title=\"{title}\">{words}</bdi>"),
                    };
                }
            }
        }
        written
    }

    /// Shortens values, names, and the whole for people to read.
    pub(super) fn shorten(&mut self) {
        let mut left = 2 * SHORT_SENTENCE;
        let (mut fitting, all) = (0, self.0.len());
        for piece in &mut self.0 {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(piece.shorten(SHORT_SENTENCE));
            fitting += 1;
        }
        if fitting < all {
            self.0.truncate(fitting);
            self.0.push(Piece::Text(format!("… (and {} more parts)", all - fitting)));
        }
    }

    /// The things in the phrase.
    pub(super) fn things_mut(&mut self) -> impl Iterator<Item = &mut Thing> {
        self.0.iter_mut().filter_map(|piece| match piece {
            Piece::Thing(thing) => Some(thing),
            _ => None,
        })
    }
}

/// Escapes text for Markdown: all ASCII punctuation, and white space at both ends.
pub(super) fn markdown_text(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        let edge = at == 0 || at + c.len_utf8() == text.len();
        if c.is_ascii_punctuation() {
            written.push('\\');
            written.push(c);
        } else if c.is_whitespace() && edge {
            written += &format!("&#{};", u32::from(c));
        } else {
            written.push(c);
        }
    }
    written
}

/// Escapes the target of a link, to be put between `<` and `>`.
fn markdown_url(url: &str) -> String {
    let mut written = String::with_capacity(url.len());
    for c in plain(url).chars() {
        match c {
            '<' => written += "%3C",
            '>' => written += "%3E",
            '\\' => written += "%5C",
            '&' => written += "&amp;",
            c => written.push(c),
        }
    }
    written
}

pub(super) fn html_text(text: &str) -> String {
    html_escape::encode_safe(text).into_owned()
}

fn html_attribute(text: &str) -> String {
    html_escape::encode_double_quoted_attribute(text).into_owned()
}
