//! Checks that the translations of an application are complete and name only existing fields.

use std::collections::{BTreeSet, HashMap};

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

use super::locale::Locales;
use super::translation::{
    NOTHING_MESSAGE, Translation, VALUE, arguments, field_message, is_own, message_of, translatable, value_message,
};
use crate::events::{Known, Types};

/// Returns all problems of the translations of an application with these event types: files that cannot be parsed, messages
/// that are missing or belong to no event, placeholders that name no field. This crate's own events are in English if they are
/// not translated.
#[must_use]
pub fn check(locales: &Locales, types: &Types) -> Vec<String> {
    let mut problems = locales.problems().to_vec();
    for (name, translation) in locales.shipped() {
        let messages = Messages::of(translation);
        let mut found = Vec::new();
        messages.check_general(types, &mut found);
        for known in types.iter().filter(|known| !is_own(known)) {
            messages.check_event(known, &mut found);
        }
        problems.extend(found.into_iter().map(|problem| format!("locale {name}: {problem}")));
    }
    problems
}

/// The patterns of a language, by reference: `id`, `id.attribute`, `-term`, `-term.attribute`.
struct Messages<'a>(HashMap<String, &'a Pattern<&'a str>>);

impl<'a> Messages<'a> {
    fn of(translation: &'a Translation) -> Self {
        let mut patterns = HashMap::new();
        for entry in translation.resources.iter().flat_map(|resource| resource.entries()) {
            let (id, value, attributes) = match entry {
                Entry::Message(message) => {
                    (message.id.name.to_owned(), message.value.as_ref(), &message.attributes)
                }
                Entry::Term(term) => (format!("-{}", term.id.name), Some(&term.value), &term.attributes),
                _ => continue,
            };
            for attribute in attributes {
                patterns.insert(format!("{id}.{}", attribute.id.name), &attribute.value);
            }
            patterns.extend(value.map(|value| (id, value)));
        }
        Self(patterns)
    }

    /// Checks the messages that every language needs: the word for nothing and the labels of changed fields. Finds messages that
    /// belong to no event.
    fn check_general(&self, types: &Types, problems: &mut Vec<String>) {
        let translated = types.iter().filter(|known| !is_own(known));
        let fields = translated.flat_map(|known| known.declaration.fields).filter(|field| field.change);
        let mut wanted: BTreeSet<String> = fields.map(|field| field_message(field.name)).collect();
        wanted.insert(NOTHING_MESSAGE.to_owned());
        for id in wanted {
            match self.0.get(&id) {
                Some(pattern) => self.walk(&id, pattern, &[], &mut vec![id.clone()], problems),
                None => problems.push(format!("the message `{id}` is missing")),
            }
        }
        let translated = types.iter().filter(|known| !is_own(known));
        let values: BTreeSet<String> = translated
            .flat_map(|known| translatable(known.declaration))
            .map(|field| value_message(&field))
            .collect();
        let mut given: Vec<(&String, &&Pattern<&str>)> =
            self.0.iter().filter(|(id, _)| id.starts_with(&value_message("")) && !id.contains('.')).collect();
        given.sort_unstable_by_key(|(id, _)| *id);
        for (id, pattern) in given {
            match values.contains(id) {
                true => self.walk(id, pattern, &[VALUE], &mut vec![id.clone()], problems),
                false => problems.push(format!("the message `{id}` belongs to no field")),
            }
        }
        let enums: BTreeSet<&str> = types.iter().map(|known| message_of(known.declaration.event_type).0).collect();
        let mut strays: Vec<&String> = self.0.keys().collect();
        strays.retain(|written| match message_of(written) {
            (id, Some(_)) => enums.contains(id) && !types.iter().any(|k| k.declaration.event_type == **written),
            _ => false,
        });
        strays.sort_unstable();
        problems.extend(strays.into_iter().map(|stray| format!("the message `{stray}` belongs to no event")));
    }

    fn check_event(&self, known: &Known, problems: &mut Vec<String>) {
        let event_type = known.declaration.event_type;
        let Some(pattern) = self.0.get(event_type) else {
            let (id, attribute) = message_of(event_type);
            let attribute = attribute.unwrap_or_default();
            problems
                .push(format!("the message `{event_type}` is missing: write `.{attribute} = …` below `{id} =`"));
            return;
        };
        let arguments = arguments(known.declaration, known.aggregate_type);
        let names: Vec<&str> = arguments.iter().map(|one| one.argument.as_str()).collect();
        self.walk(event_type, pattern, &names, &mut vec![event_type.to_owned()], problems);
    }

    /// Walks a pattern, with all its variants and references.
    fn walk(
        &self,
        message: &str,
        pattern: &Pattern<&str>,
        names: &[&str],
        path: &mut Vec<String>,
        problems: &mut Vec<String>,
    ) {
        for element in &pattern.elements {
            if let PatternElement::Placeable { expression } = element {
                self.walk_expression(message, expression, names, path, problems);
            }
        }
    }

    fn walk_expression(
        &self,
        message: &str,
        expression: &Expression<&str>,
        names: &[&str],
        path: &mut Vec<String>,
        problems: &mut Vec<String>,
    ) {
        match expression {
            Expression::Inline(inline) => self.walk_inline(message, inline, names, path, problems),
            Expression::Select { selector, variants } => {
                self.walk_inline(message, selector, names, path, problems);
                for variant in variants {
                    self.walk(message, &variant.value, names, path, problems);
                }
            }
        }
    }

    fn walk_inline(
        &self,
        message: &str,
        inline: &InlineExpression<&str>,
        names: &[&str],
        path: &mut Vec<String>,
        problems: &mut Vec<String>,
    ) {
        let attributed = |id: String, attribute: &Option<fluent_syntax::ast::Identifier<&str>>| match attribute {
            Some(attribute) => format!("{id}.{}", attribute.name),
            None => id,
        };
        match inline {
            // A term sees only its own arguments.
            InlineExpression::VariableReference { .. } if path.iter().any(|on| on.starts_with('-')) => {}
            InlineExpression::VariableReference { id } if !names.contains(&id.name) => {
                let known = match names {
                    [] => "it has no arguments".to_owned(),
                    names => {
                        let names: Vec<String> = names.iter().map(|name| format!("`${name}`")).collect();
                        format!("its arguments are {}", names.join(", "))
                    }
                };
                problems.push(format!("the message `{message}` names `${}`, but {known}", id.name));
            }
            InlineExpression::MessageReference { id, attribute } => {
                self.follow(message, attributed(id.name.to_owned(), attribute), names, path, problems);
            }
            InlineExpression::TermReference { id, attribute, arguments } => {
                for argument in arguments.iter().flat_map(|arguments| &arguments.positional) {
                    self.walk_inline(message, argument, names, path, problems);
                }
                self.follow(message, attributed(format!("-{}", id.name), attribute), names, path, problems);
            }
            InlineExpression::FunctionReference { id, arguments } => {
                if id.name != "NUMBER" {
                    let problem =
                        format!("the message `{message}` calls `{}`: the only function is `NUMBER`", id.name);
                    problems.push(problem);
                }
                for argument in &arguments.positional {
                    self.walk_inline(message, argument, names, path, problems);
                }
            }
            InlineExpression::Placeable { expression } => {
                self.walk_expression(message, expression, names, path, problems);
            }
            _ => {}
        }
    }

    fn follow(
        &self,
        message: &str,
        to: String,
        names: &[&str],
        path: &mut Vec<String>,
        problems: &mut Vec<String>,
    ) {
        if path.contains(&to) {
            problems.push(format!("the message `{message}` refers to itself through `{to}`"));
            return;
        }
        match self.0.get(&to) {
            None => problems.push(format!("the message `{message}` refers to `{to}`, which does not exist")),
            Some(pattern) => {
                path.push(to);
                self.walk(message, pattern, names, path, problems);
                path.pop();
            }
        }
    }
}
