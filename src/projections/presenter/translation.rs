//! Translations of sentences, from Fluent files that the application ships.

use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::types::FluentNumber;
use fluent_bundle::{FluentArgs, FluentError, FluentResource, FluentValue};
use serde_json::Value;
use unic_langid::LanguageIdentifier;

use super::facts::{Fact, Facts, words};
use super::locale::{DECLARED, Language, Locales};
use super::marks::{self, Mark};
use super::{Phrase, Piece};
use crate::events::{Declaration, Known};

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

impl Locales {
    /// The language that serves `asked`: itself, or the language that it is a variety of (`fr` for `fr-CA`).
    pub(super) fn look_up(&self, asked: &str) -> Option<Language> {
        let mut language: LanguageIdentifier = asked.parse().ok()?;
        loop {
            let name = language.to_string();
            if let Some(translation) = self.shipped.get(&name) {
                return Some(Language::Shipped { locale: name, translation: translation.clone() });
            }
            if name == DECLARED {
                return Some(Language::Declared);
            }
            if language.variants().next().is_some() {
                language.clear_variants();
            } else if language.region.take().is_none() && language.script.take().is_none() {
                return None;
            }
        }
    }

    /// Adds a Fluent file of a language. A language may have several files, with different messages.
    pub fn add(&mut self, locale: &str, fluent: &str) {
        if let Err(problems) = self.try_add(locale, fluent) {
            self.problems.extend(problems);
        }
    }

    fn try_add(&mut self, locale: &str, fluent: &str) -> Result<(), Vec<String>> {
        let language: LanguageIdentifier = locale.parse().map_err(|_| {
            vec![format!("`{}` is not a locale: write one like `fr` or `fr-CA`", locale.escape_debug())]
        })?;
        let name = language.to_string();
        if name == DECLARED {
            return Err(vec![
                "the locale `en` is declared by the events: change their sentences instead".to_owned(),
            ]);
        }
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
        let mut resources = self.shipped.get(&name).map(|shipped| shipped.resources.clone()).unwrap_or_default();
        resources.push(Arc::new(resource));
        let translation = Translation::new(language, resources)
            .map_err(|errors| errors.iter().map(|error| format!("locale {name}: {error}")).collect::<Vec<_>>())?;
        self.shipped.insert(name, Arc::new(translation));
        Ok(())
    }

    /// The problems of the files themselves.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(super) fn shipped(&self) -> impl Iterator<Item = (&str, &Translation)> {
        self.shipped.iter().map(|(name, translation)| (name.as_str(), &**translation))
    }
}

impl Translation {
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
        for (argument, name, part) in arguments(facts.declaration(), facts.known.aggregate_type) {
            let value = match facts.fact(name, part) {
                None => FluentValue::from("?"),
                Some(Fact::Value(Value::Number(number))) if exact(&number).is_some() => {
                    FluentValue::Number(FluentNumber::from(exact(&number).unwrap_or_default()))
                }
                Some(Fact::Value(value)) => FluentValue::from(words(&value, &nothing)),
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

/// The arguments of a sentence of this event: the name in Fluent, the fact, and the part of it.
pub(super) fn arguments(
    declaration: &'static Declaration,
    aggregate_type: &'static str,
) -> Vec<(String, &'static str, Option<&'static str>)> {
    // Names in Fluent begin with a letter: the first field of a tuple is `field-0`.
    let named = |name: &str| match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false => format!("field-{name}"),
    };
    let mut arguments = vec![("actor".to_owned(), "actor", None), (named(aggregate_type), aggregate_type, None)];
    for field in declaration.fields {
        arguments.push((named(field.name), field.name, None));
        if field.change {
            for part in ["from", "to"] {
                arguments.push((format!("{}-{part}", named(field.name)), field.name, Some(part)));
            }
        }
    }
    arguments
}
