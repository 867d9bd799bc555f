//! [`Types`]: the event types of an application.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::personal::OpeningKeys;
use super::shape::VariantShape;
use super::{Action, Declaration, DecodeError, Event, Ref, Sentence, SourceRole, Stored, Topic, TopicPattern};

type Describe = fn(&Stored) -> Result<Described, DecodeError>;

/// The references in the source fields of an event, and those in its target fields.
type Sources = fn(&Stored) -> Result<(Vec<Ref>, Vec<Ref>), DecodeError>;

type SourceRoles = fn(&Stored) -> Result<Vec<(SourceRole, Ref)>, DecodeError>;

/// The fields and targets of a decoded event.
#[derive(Clone, Debug)]
pub struct Described {
    /// The fields by name.
    pub facts: Vec<(&'static str, Value)>,
    /// The parts of structs that the sentence names, by their placeholders: `dose.amount`.
    pub parts: Vec<(&'static str, Value)>,
    /// The aggregate and the references in the target fields.
    pub targets: Vec<Ref>,
}

/// A registered event type.
#[derive(Debug)]
pub struct Known {
    /// The declaration of the variant.
    pub declaration: &'static Declaration,
    /// The aggregate type.
    pub aggregate_type: &'static str,
    sentence: Sentence,
    topics: Vec<TopicPattern>,
    describe: Describe,
    sources: Sources,
    source_roles: SourceRoles,
    shape: fn(&str) -> Option<VariantShape>,
}

impl Known {
    /// The shape of the payload; `None` if the event is not derived.
    pub(crate) fn shape(&self) -> Option<VariantShape> {
        (self.shape)(self.declaration.event_type)
    }

    /// Returns what the event was derived from, each once; and for each whether it is also a target or the aggregate. An event
    /// type without a source field is not decoded.
    ///
    /// # Errors
    /// When the row cannot be decoded.
    pub(crate) fn sources(&self, stored: &Stored) -> Result<Vec<(Ref, bool)>, DecodeError> {
        if !self.declaration.fields.iter().any(|field| field.source) {
            return Ok(Vec::new());
        }
        let (mut sources, targets) = (self.sources)(stored)?;
        let mut seen = HashSet::with_capacity(sources.len());
        sources.retain(|source| seen.insert(source.clone()));
        let targets: HashSet<Ref> = targets.into_iter().collect();
        let is_shown = |source: &Ref| *source == stored.aggregate || targets.contains(source);
        Ok(sources
            .into_iter()
            .map(|source| {
                let shown = is_shown(&source);
                (source, shown)
            })
            .collect())
    }

    /// Returns what the event says about its sources, beside that it was derived from them. An event type without a source field is not
    /// decoded.
    ///
    /// # Errors
    /// When the row cannot be decoded.
    pub(crate) fn source_roles(&self, stored: &Stored) -> Result<Vec<(SourceRole, Ref)>, DecodeError> {
        match self.declaration.fields.iter().any(|field| field.source) {
            true => (self.source_roles)(stored),
            false => Ok(Vec::new()),
        }
    }

    /// Whether the event says that the aggregate itself was deleted: a delete of the enum that is called as the aggregate.
    pub(crate) fn deletes_aggregate(&self) -> bool {
        let subject = self.declaration.event_type.rsplit_once('.').map_or("", |(subject, _)| subject);
        self.declaration.action == Action::Delete && subject == self.aggregate_type
    }

    fn fact(&self, stored: &Stored, facts: &[(&'static str, Value)], name: &str) -> Option<Value> {
        if let Some((_, value)) = facts.iter().find(|(field, _)| *field == name) {
            return Some(value.clone());
        }
        match name {
            "actor" => Some(Value::from(stored.metadata().ok()?.actor.to_string())),
            name if name == self.aggregate_type => Some(Value::from(stored.aggregate.to_string())),
            _ => None,
        }
    }

    /// Returns the event's fields and targets. The aggregate itself is the first target.
    ///
    /// # Errors
    /// When the row cannot be decoded.
    pub fn describe(&self, stored: &Stored) -> Result<Described, DecodeError> {
        let mut described = (self.describe)(stored)?;
        described.targets.insert(0, stored.aggregate.clone());
        if described.targets.len() > 1 {
            let mut seen = HashSet::with_capacity(described.targets.len());
            described.targets.retain(|target| seen.insert(target.clone()));
        }
        Ok(described)
    }

    /// Returns the event's sentence in the declared language.
    #[must_use]
    pub fn sentence(&self, stored: &Stored, described: &Described) -> String {
        self.sentence.render(|name, part| self.part(stored, described, name, part))
    }

    /// Returns a fact that the sentence may name, or a part of it.
    pub(crate) fn part(
        &self,
        stored: &Stored,
        described: &Described,
        name: &str,
        part: Option<&str>,
    ) -> Option<Value> {
        let fact = || self.fact(stored, &described.facts, name);
        let Some(part) = part else { return fact() };
        let named = |written: &str| written.split_once('.') == Some((name, part));
        if let Some((_, value)) = described.parts.iter().find(|(written, _)| named(written)) {
            return Some(value.clone());
        }
        let field = self.declaration.fields.iter().find(|field| field.name == name);
        // The actor and the aggregate are references, too.
        match (part, field.is_none_or(|field| field.target)) {
            ("id", true) => Some(ids(&fact()?)),
            ("from.id", true) => Some(ids(fact()?.get("from")?)),
            ("to.id", true) => Some(ids(fact()?.get("to")?)),
            _ => fact()?.get(part).cloned(),
        }
    }

    /// Returns the event's topics, each once.
    #[must_use]
    pub fn topics(&self, stored: &Stored, described: &Described) -> Vec<Topic> {
        let mut topics: Vec<Topic> = Vec::with_capacity(self.topics.len());
        for pattern in &self.topics {
            let topic = pattern.topic(|name| self.topic_fact(stored, described, name));
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        topics
    }

    /// A topic has bare ids: the path says the kind.
    fn topic_fact(&self, stored: &Stored, described: &Described, name: &str) -> Option<Value> {
        if name == self.aggregate_type {
            return Some(Value::from(stored.aggregate.id()));
        }
        let value = self.fact(stored, &described.facts, name)?;
        let target = self.declaration.fields.iter().any(|field| field.name == name && field.target);
        match value.as_str().and_then(|text| text.parse::<Ref>().ok()).filter(|_| target) {
            Some(reference) => Some(Value::from(reference.id())),
            None => Some(value),
        }
    }

    /// The topic patterns.
    #[must_use]
    pub fn patterns(&self) -> &[TopicPattern] {
        &self.topics
    }
}

/// A conflict between two declarations of one application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypesError {
    /// Two variants have the same event type.
    #[error("two events are called `{event_type}` (one of `{first}`, one of `{second}`): rename one")]
    Duplicate {
        /// The event type.
        event_type: String,
        /// The aggregate type of the first.
        first: &'static str,
        /// The aggregate type of the second.
        second: &'static str,
    },
    /// Two event enums belong to one aggregate type.
    #[error(
        "the aggregate type `{aggregate_type}` has two event enums, {first} and {second}: rename one aggregate"
    )]
    TwoEnums {
        /// The aggregate type.
        aggregate_type: &'static str,
        /// The enum that was added first.
        first: &'static str,
        /// The enum that was added second.
        second: &'static str,
    },
}

/// The event types of an application, by name.
#[derive(Clone, Debug, Default)]
pub struct Types {
    by_name: HashMap<&'static str, Arc<Known>>,
    ordered: BTreeMap<&'static str, Arc<Known>>,
    roots: Vec<Root>,
    /// The keys with which personal values are opened for an answer.
    pub(super) keys: OpeningKeys,
}

/// An aggregate type, which is a topic root, and its event enum.
#[derive(Clone, Copy, Debug)]
struct Root {
    aggregate_type: &'static str,
    events: (TypeId, &'static str),
}

impl Types {
    /// Adds the events of an aggregate type, which becomes a topic root.
    ///
    /// # Errors
    /// When an event type or the aggregate type is already taken.
    pub fn add<E: Event>(&mut self, aggregate_type: &'static str) -> Result<(), TypesError> {
        let events = (TypeId::of::<E>(), type_name::<E>());
        if let Some(known) = self.roots.iter().find(|root| root.aggregate_type == aggregate_type) {
            let (first, second) = (known.events.1, events.1);
            return match known.events.0 == events.0 {
                true => Ok(()),
                false => Err(TypesError::TwoEnums { aggregate_type, first, second }),
            };
        }
        self.roots.push(Root { aggregate_type, events });
        for declaration in E::declarations() {
            let known = Arc::new(Known {
                declaration,
                aggregate_type,
                sentence: Sentence::parse(declaration.sentence),
                topics: declaration.topics.iter().map(|topic| TopicPattern::parse(topic)).collect(),
                describe: describe::<E>,
                sources: sources::<E>,
                source_roles: |stored| Ok(E::from_stored(stored)?.source_roles()),
                shape: E::shape,
            });
            for name in std::iter::once(&declaration.event_type).chain(declaration.was) {
                if let Some(other) = self.by_name.insert(name, known.clone()) {
                    return Err(TypesError::Duplicate {
                        event_type: (*name).to_owned(),
                        first: other.aggregate_type,
                        second: aggregate_type,
                    });
                }
            }
            self.ordered.insert(declaration.event_type, known);
        }
        Ok(())
    }

    /// Finds an event type by its current or a former name.
    #[must_use]
    pub fn get(&self, event_type: &str) -> Option<&Arc<Known>> {
        self.by_name.get(event_type)
    }

    /// Finds the type of a stored event.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn of(&self, stored: &Stored) -> Result<&Arc<Known>, DecodeError> {
        self.get(&stored.event_type).ok_or_else(|| DecodeError::UnknownType(stored.event_type.clone()))
    }

    /// All types, ordered by name, without former names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Known>> {
        self.ordered.values()
    }

    /// All names, current and former, of the type now called `event_type`.
    #[must_use]
    pub fn names(&self, event_type: &str) -> Vec<&'static str> {
        match self.get(event_type) {
            Some(known) => {
                let declaration = known.declaration;
                std::iter::once(declaration.event_type).chain(declaration.was.iter().copied()).collect()
            }
            None => Vec::new(),
        }
    }

    /// Whether any event can be at or below this topic: a declared pattern reaches it, or it is an aggregate type.
    #[must_use]
    pub fn knows_topic(&self, topic: &Topic) -> bool {
        self.roots.iter().any(|root| root.aggregate_type == topic.as_str())
            || self.iter().any(|known| known.topics.iter().any(|pattern| pattern.reaches(topic)))
    }

    /// The roots of all topics, ordered: those of the declared patterns, and the aggregate types.
    #[must_use]
    pub fn topic_roots(&self) -> Vec<String> {
        let declared = self.iter().flat_map(|known| known.topics.iter().map(|pattern| pattern.root().to_string()));
        let mut roots: Vec<String> =
            declared.chain(self.roots.iter().map(|root| root.aggregate_type.to_owned())).collect();
        roots.sort();
        roots.dedup();
        roots
    }
}

/// The ids of references, without their kinds.
fn ids(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.parse::<Ref>() {
            Ok(reference) => Value::from(reference.id()),
            Err(_) => value.clone(),
        },
        Value::Array(items) => items.iter().map(ids).collect(),
        other => other.clone(),
    }
}

fn sources<E: Event>(stored: &Stored) -> Result<(Vec<Ref>, Vec<Ref>), DecodeError> {
    let event = E::from_stored(stored)?;
    Ok((event.sources(), event.targets()))
}

fn describe<E: Event>(stored: &Stored) -> Result<Described, DecodeError> {
    let event = E::from_stored(stored)?;
    let failed = |source| DecodeError::Payload { event_type: stored.event_type.clone(), source };
    Ok(Described {
        facts: event.facts().map_err(failed)?,
        parts: event.parts().map_err(failed)?,
        targets: event.targets(),
    })
}
