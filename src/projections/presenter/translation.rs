//! Translations of sentences, from Fluent files that the application ships.

use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::types::FluentNumber;
use fluent_bundle::{FluentArgs, FluentError, FluentResource, FluentValue};
use serde_json::Value;
use unic_langid::LanguageIdentifier;

use super::facts::{Fact, Facts, words};
use super::marks::{self, Mark};
use super::{Phrase, Piece};
use crate::events::{Declaration, Known, Sentence, SentencePart};

/// The id of the message that translates "nothing".
pub(super) const NOTHING_MESSAGE: &str = "nothing";

/// The prefix of this crate's own aggregate types. An application need not translate their events.
const OWN: &str = "annals_";

/// The largest integer that a floating-point number holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The translation into one language.
pub(super) struct Translation {
    pub resources: Vec<Arc<FluentResource>>,
    bundle: FluentBundle<Arc<FluentResource>>,
}

impl Translation {
    /// Adds a Fluent file to the earlier files of a language. Returns what is wrong with it, one problem a line.
    pub(super) fn with_file(
        earlier: Option<&Self>,
        language: LanguageIdentifier,
        fluent: &str,
    ) -> Result<Self, Vec<String>> {
        let name = language.to_string();
        let line = |at: usize| 1 + fluent.get(..at.min(fluent.len())).unwrap_or(fluent).matches('\n').count();
        if let Some(at) = fluent.find(marks::RESERVED) {
            return Err(vec![format!(
                "locale {name}, line {}: private-use characters are reserved: remove them",
                line(at)
            )]);
        }
        let resource = FluentResource::try_new(fluent.to_owned()).map_err(|(_, errors)| {
            let problem = |error: &fluent_syntax::parser::ParserError| {
                format!("locale {name}, line {}: {error}", line(error.pos.start))
            };
            errors.iter().map(problem).collect::<Vec<_>>()
        })?;
        let mut resources = earlier.map(|earlier| earlier.resources.clone()).unwrap_or_default();
        resources.push(Arc::new(resource));
        Self::new(language, resources)
            .map_err(|errors| errors.iter().map(|error| format!("locale {name}: {error}")).collect())
    }

    fn new(language: LanguageIdentifier, resources: Vec<Arc<FluentResource>>) -> Result<Self, Vec<FluentError>> {
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // Names and values are isolated later, in HTML.
        bundle.set_use_isolating(false);
        bundle.set_formatter(Some(marks::formatter));
        bundle.add_builtins().map_err(|error| vec![error])?;
        for resource in &resources {
            bundle.add_resource(resource.clone())?;
        }
        Ok(Self { resources, bundle })
    }

    /// Formats a message, or one of its attributes.
    fn format(&self, id: &str, attribute: Option<&str>, args: &FluentArgs<'_>) -> Result<String, String> {
        let written = || attribute.map_or(id.to_owned(), |attribute| format!("{id}.{attribute}"));
        let message = self.bundle.get_message(id);
        let pattern = message.and_then(|message| match attribute {
            Some(attribute) => message.get_attribute(attribute).map(|attribute| attribute.value()),
            None => message.value(),
        });
        let pattern = pattern.ok_or_else(|| format!("the message `{}` is missing", written()))?;
        let mut errors = Vec::new();
        // Not `format_pattern`: it would mark the whole message as one more argument.
        let mut text = String::new();
        let done = self.bundle.write_pattern(&mut text, pattern, Some(args), &mut errors);
        done.map_err(|error| format!("`{}`: {error}", written()))?;
        match errors.first() {
            Some(error) => Err(format!("`{}`: {error}", written())),
            None => Ok(text),
        }
    }

    /// The label of a field, and the word for a missing value.
    pub(super) fn field(&self, field: &str) -> Result<(String, String), String> {
        let label = self.format(&field_message(field), None, &FluentArgs::new())?;
        Ok((label, self.nothing()?))
    }

    /// The word for a value of a field: that of the message `value-…`, if the language has it.
    pub(super) fn value(&self, field: &str, value: &Value, nothing: &str) -> Result<String, String> {
        match self.pieces(field, value, nothing)? {
            Some(pieces) => Ok(Phrase(pieces).text()),
            None => Ok(words(value, nothing)),
        }
    }

    /// The pieces of a value of a field that the language has words for; `None` if it has none. Each item of a list has
    /// its own.
    fn pieces(&self, field: &str, value: &Value, nothing: &str) -> Result<Option<Vec<Piece>>, String> {
        let id = value_message(field);
        if !self.bundle.has_message(&id) {
            return Ok(None);
        }
        let argument = match value {
            Value::String(text) => FluentValue::from(text.as_str()),
            Value::Bool(truth) => FluentValue::from(if *truth { "true" } else { "false" }),
            Value::Number(number) => match exact(number) {
                Some(number) => FluentValue::Number(FluentNumber::from(number)),
                None => return Ok(None),
            },
            Value::Array(items) if !items.is_empty() => {
                let mut pieces = Vec::new();
                for item in items {
                    if !pieces.is_empty() {
                        pieces.push(Piece::Text(", ".to_owned()));
                    }
                    match self.pieces(field, item, nothing)? {
                        Some(some) => pieces.extend(some),
                        None => pieces.push(Piece::Value(words(item, nothing))),
                    }
                }
                return Ok(Some(pieces));
            }
            Value::Null | Value::Array(_) | Value::Object(_) => return Ok(None),
        };
        let mut args = FluentArgs::new();
        args.set(VALUE, argument);
        Ok(Some(marks::split(&self.format(&id, None, &args)?, &[])))
    }

    fn nothing(&self) -> Result<String, String> {
        self.format(NOTHING_MESSAGE, None, &FluentArgs::new())
    }

    /// The translated sentence of an event.
    pub(super) fn sentence(&self, facts: &Facts<'_>) -> Result<Phrase, String> {
        let (id, attribute) = message_of(facts.declaration().event_type);
        if is_own(facts.known) && self.bundle.get_message(id).is_none() {
            return Ok(facts.declared());
        }
        let nothing = self.nothing()?;
        let mut args = FluentArgs::new();
        let mut pieces: Vec<Vec<Piece>> = Vec::new();
        for Argument { argument, name, part, counted } in arguments(facts.declaration(), facts.known.aggregate_type)
        {
            let value = match facts.fact(name, part.as_deref()) {
                None => FluentValue::from("?"),
                Some(Fact::Value(Value::Array(items))) if counted => FluentValue::from(items.len()),
                Some(Fact::Things(things)) if counted => FluentValue::from(things.len()),
                Some(Fact::Value(Value::Null)) if counted => FluentValue::from(0),
                Some(Fact::Value(Value::Number(number))) if exact(&number).is_some() => {
                    FluentValue::Number(FluentNumber::from(exact(&number).unwrap_or_default()))
                }
                Some(Fact::Value(value)) => {
                    match self.pieces(&field_of(name, part.as_deref()), &value, &nothing)? {
                        Some(translated) => {
                            pieces.push(translated);
                            FluentValue::Custom(Box::new(Mark(pieces.len() - 1)))
                        }
                        None => FluentValue::from(words(&value, &nothing)),
                    }
                }
                Some(things) => {
                    pieces.push(things.pieces(&nothing));
                    FluentValue::Custom(Box::new(Mark(pieces.len() - 1)))
                }
            };
            args.set(argument, value);
        }
        Ok(Phrase(marks::split(&self.format(id, attribute, &args)?, &pieces)))
    }
}

fn exact(number: &serde_json::Number) -> Option<f64> {
    number.as_f64().filter(|number| number.abs() <= EXACT)
}

/// Whether an event belongs to this crate's own aggregates.
pub(super) fn is_own(known: &Known) -> bool {
    known.aggregate_type.starts_with(OWN)
}

/// The message and attribute that translate an event type: for `project_member.added`, the attribute `added` of
/// `project_member`.
pub(super) fn message_of(event_type: &str) -> (&str, Option<&str>) {
    match event_type.split_once('.') {
        Some((id, attribute)) => (id, Some(attribute)),
        None => (event_type, None),
    }
}

/// The id of the message with the label of a field.
pub(super) fn field_message(field: &str) -> String {
    format!("field-{field}")
}

/// The argument of a message for the values of a field.
pub(super) const VALUE: &str = "value";

/// The id of the message with the words for the values of a field.
pub(super) fn value_message(field: &str) -> String {
    format!("value-{field}")
}

/// The name under which the values of a field, or of a part of it, are translated: `roles`, `dose-unit`. The two sides of a
/// change are values of one field.
fn field_of(name: &str, part: Option<&str>) -> String {
    match part {
        None | Some("from" | "to") => name.to_owned(),
        Some(part) => {
            let part = part.strip_prefix("from.").or_else(|| part.strip_prefix("to.")).unwrap_or(part);
            format!("{name}-{}", part.replace('.', "-"))
        }
    }
}

/// The names of the fields and parts of an event whose values a language may have words for.
pub(super) fn translatable(declaration: &'static Declaration) -> impl Iterator<Item = String> {
    let fields = declaration.fields.iter().map(|field| field.name.to_owned());
    fields.chain(parts(declaration).into_iter().map(|(name, part)| field_of(name, Some(&part))))
}

/// An argument of a message.
pub(super) struct Argument {
    /// Its name in Fluent.
    pub argument: String,
    /// The fact.
    pub name: &'static str,
    /// The part of the fact.
    pub part: Option<String>,
    /// Whether it is the number of items.
    pub counted: bool,
}

/// The arguments of a sentence of this event.
pub(super) fn arguments(declaration: &'static Declaration, aggregate_type: &'static str) -> Vec<Argument> {
    // Names in Fluent begin with a letter: the first field of a tuple is `field-0`.
    let named = |name: &str| match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false => format!("field-{name}"),
    };
    let whole = |name: &'static str| Argument { argument: named(name), name, part: None, counted: false };
    let part = |name: &'static str, part: &str| Argument {
        argument: format!("{}-{}", named(name), part.replace('.', "-")),
        name,
        part: Some(part.to_owned()),
        counted: false,
    };
    let mut arguments = vec![whole("actor"), whole(aggregate_type)];
    for field in declaration.fields {
        arguments.push(whole(field.name));
        if field.change {
            arguments.extend(["from", "to"].map(|side| part(field.name, side)));
        }
    }
    arguments.extend(["actor", aggregate_type].map(|name| part(name, "id")));
    for field in declaration.fields {
        let list = field.shape.trim_start_matches("Option<");
        if ["Vec<", "BTreeSet<", "HashSet<"].iter().any(|collection| list.starts_with(collection)) {
            let argument = format!("{}-count", named(field.name));
            arguments.push(Argument { argument, name: field.name, part: None, counted: true });
        }
        if field.target && !field.change {
            arguments.push(part(field.name, "id"));
        }
    }
    for (name, written) in parts(declaration) {
        let one = part(name, &written);
        if arguments.iter().all(|known| known.argument != one.argument) {
            arguments.push(one);
        }
    }
    arguments
}

/// The parts of fields that the declared sentence names.
fn parts(declaration: &'static Declaration) -> Vec<(&'static str, String)> {
    let sentence = Sentence::parse(declaration.sentence);
    let named = sentence.parts().iter().filter_map(|part| match part {
        SentencePart::Fact { name, part: Some(part) } | SentencePart::Counted { name, part: Some(part), .. } => {
            let field = declaration.fields.iter().find(|field| field.name == name)?;
            Some((field.name, part.clone()))
        }
        _ => None,
    });
    named.collect()
}
