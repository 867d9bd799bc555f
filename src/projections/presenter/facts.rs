//! [`Facts`]: the actor, aggregate and fields that an event's sentence can name.

use serde_json::Value;

use super::phrase::{Phrase, Piece, Thing};
use crate::events::{Declaration, Described, Known, Metadata, Ref, Sentence, SentencePart, Stored, is_one};
use crate::projections::audit::Detail;

/// One fact that a sentence can name.
pub(super) enum Fact {
    /// References.
    Things(Vec<Ref>),
    /// Any other value.
    Value(Value),
}

/// What is shown in place of a value that the reader may not see.
pub(super) const REDACTED: &str = "[redacted]";

/// The facts of one event.
pub(super) struct Facts<'a> {
    pub known: &'a Known,
    pub stored: &'a Stored,
    pub metadata: &'a Metadata,
    pub described: &'a Described,
    pub detail: Detail,
}

impl Facts<'_> {
    pub fn declaration(&self) -> &'static Declaration {
        self.known.declaration
    }

    /// Looks up a fact, or a part of one, as [`Known::sentence`] does: a field first, then the actor, then the aggregate. For a
    /// reader of metadata, everything but the actor and the targets is [`REDACTED`].
    pub fn fact(&self, name: &str, part: Option<&str>) -> Option<Fact> {
        match self.detail {
            Detail::Full => self.look_up(name, part),
            Detail::Metadata => Some(self.of_metadata(name, part)),
        }
    }

    fn of_metadata(&self, name: &str, part: Option<&str>) -> Fact {
        let part = match part {
            None | Some("id") => None,
            Some("from" | "from.id") => Some("from"),
            Some("to" | "to.id") => Some("to"),
            Some(_) => return Fact::Value(REDACTED.into()),
        };
        // Only references that the answer has anyway.
        let is_shown = |thing: &Ref| *thing == self.metadata.actor || self.described.targets.contains(thing);
        match self.look_up(name, part) {
            Some(Fact::Things(things)) if things.iter().all(is_shown) => Fact::Things(things),
            _ => Fact::Value(REDACTED.into()),
        }
    }

    fn look_up(&self, name: &str, part: Option<&str>) -> Option<Fact> {
        let field = self.described.facts.iter().any(|(field, _)| *field == name);
        match part {
            None if !field && name == "actor" => return Some(Fact::Things(vec![self.metadata.actor.clone()])),
            None if !field && name == self.known.aggregate_type => {
                return Some(Fact::Things(vec![self.stored.aggregate.clone()]));
            }
            _ => {}
        }
        let value = self.known.part(self.stored, self.described, name, part)?;
        let thing = matches!(part, None | Some("from" | "to")) && self.is_target(name);
        Some(if thing { things(&value) } else { Fact::Value(value) })
    }

    fn is_target(&self, name: &str) -> bool {
        self.declaration().fields.iter().any(|field| field.target && field.name == name)
    }

    /// The declared sentence with its facts. A missing fact is written as `?`.
    pub fn declared(&self) -> Phrase {
        let mut pieces = Vec::new();
        for part in Sentence::parse(self.declaration().sentence).parts() {
            match part {
                SentencePart::Text(text) => pieces.push(Piece::Text(text.clone())),
                SentencePart::Fact { name, part } => match self.fact(name, part.as_deref()) {
                    Some(fact) => pieces.extend(fact.pieces(NOTHING)),
                    None => pieces.push(Piece::Value("?".to_owned())),
                },
                SentencePart::Counted { name, part, one, many } => {
                    let value = self.known.part(self.stored, self.described, name, part.as_deref());
                    // Which word it is says something about the value.
                    let value = value.filter(|_| self.detail == Detail::Full);
                    let word = if value.is_some_and(|value| is_one(&value)) { one } else { many };
                    pieces.push(Piece::Text(word.clone()));
                }
            }
        }
        Phrase(pieces)
    }
}

/// The English word for a missing value.
pub(super) const NOTHING: &str = "nothing";

impl Fact {
    /// The pieces of a phrase for this fact.
    pub fn pieces(self, nothing: &str) -> Vec<Piece> {
        match self {
            Self::Value(value) => vec![Piece::Value(words(&value, nothing))],
            Self::Things(things) if things.is_empty() => vec![Piece::Value(nothing.to_owned())],
            Self::Things(things) => {
                let mut pieces = Vec::with_capacity(2 * things.len());
                for thing in things {
                    if !pieces.is_empty() {
                        pieces.push(Piece::Text(", ".to_owned()));
                    }
                    pieces.push(Piece::Thing(Thing::nameless(thing)));
                }
                pieces
            }
        }
    }
}

/// The references in a target field. A value that is no reference is kept as it is.
fn things(value: &Value) -> Fact {
    fn collect(value: &Value, things: &mut Vec<Ref>) -> Option<()> {
        match value {
            Value::Null => Some(()),
            Value::String(text) => text.parse().ok().map(|reference| things.push(reference)),
            Value::Array(items) => items.iter().try_for_each(|item| collect(item, things)),
            _ => None,
        }
    }
    let mut things = Vec::new();
    match collect(value, &mut things) {
        Some(()) => Fact::Things(things),
        None => Fact::Value(value.clone()),
    }
}

/// A value as text, as by [`value_text`](crate::events::value_text), with a translated word for a missing value.
pub(super) fn words(value: &Value, nothing: &str) -> String {
    match value {
        Value::Null => nothing.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => nothing.to_owned(),
        Value::Array(items) => items.iter().map(|item| words(item, nothing)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
