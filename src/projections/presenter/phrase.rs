//! [`Phrase`]: words with things in them, and how it is written as plain text, Markdown and HTML.

use serde::Serialize;

use super::plain;
use crate::events::Ref;

/// Something that an event names: an actor or a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thing {
    /// Its reference: `user:42`.
    pub reference: Ref,
    /// What people call it, if anything said so.
    pub name: Option<String>,
}

impl Thing {
    /// A thing that goes by its reference.
    #[must_use]
    pub fn nameless(reference: Ref) -> Self {
        Self { reference, name: None }
    }

    /// What it is shown as: its name, or its reference if it has none. A name that itself reads like a reference comes
    /// with the true one.
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

/// A part of a phrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// Words of the declaration or of its translation.
    Text(String),
    /// Something that may have a page of its own.
    Thing(Thing),
    /// What a field holds, in words.
    Value(String),
}

impl Piece {
    fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Value(text) => plain(text).into_owned(),
            Self::Thing(thing) => plain(&thing.label()).into_owned(),
        }
    }
}

/// A sentence in pieces. Plain text, Markdown and HTML show the same text; whatever its fields and names hold, it does
/// nothing but be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Phrase(pub Vec<Piece>);

impl Phrase {
    /// The text as given, for programs: not for a terminal, a page or a file that is shown.
    #[must_use]
    pub fn text(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) | Piece::Value(text) => text.clone(),
            Piece::Thing(thing) => thing.label(),
        };
        self.0.iter().map(text).collect()
    }

    /// For a terminal or a log: what would act is escaped, see [`plain`].
    #[must_use]
    pub fn plain(&self) -> String {
        self.0.iter().map(Piece::shown).collect()
    }

    /// As Markdown (CommonMark): only the links that `link` gives to things are markup.
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

    /// As HTML: things are links where `link` gives one, and name their reference; names and values cannot turn the
    /// direction of what stands around them.
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

    /// The things in it.
    pub(super) fn things_mut(&mut self) -> impl Iterator<Item = &mut Thing> {
        self.0.iter_mut().filter_map(|piece| match piece {
            Piece::Thing(thing) => Some(thing),
            _ => None,
        })
    }
}

/// Text for Markdown: every mark that could mean something is escaped; so are spaces that stand where they would.
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

/// A link's target between `<` and `>`.
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
