//! [`Types`]: the event types that an application knows, and what each says about a stored row.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::shape::VariantShape;
use super::{Declaration, DecodeError, Event, Ref, Sentence, Stored, Topic, TopicPattern};

type Describe = fn(&Stored) -> Result<Described, DecodeError>;

/// What an event says about itself once it is decoded.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its fields by name.
    pub facts: Vec<(&'static str, Value)>,
    /// What its target fields name.
    pub targets: Vec<Ref>,
}

/// One event type as an application knows it.
#[derive(Debug)]
pub struct Known {
    /// What the variant declares.
    pub declaration: &'static Declaration,
    /// The type of the aggregate it happens to.
    pub aggregate_type: &'static str,
    sentence: Sentence,
    topics: Vec<TopicPattern>,
    describe: Describe,
    shape: fn(&str) -> Option<VariantShape>,
}

impl Known {
    /// The shape of its payload, unless the event is not derived.
    pub(crate) fn shape(&self) -> Option<VariantShape> {
        (self.shape)(self.declaration.event_type)
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

    /// The event's fields and targets. The aggregate itself is the first target.
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

    /// The event's sentence, from its declaration.
    #[must_use]
    pub fn sentence(&self, stored: &Stored, described: &Described) -> String {
        self.sentence.render(|name| self.fact(stored, &described.facts, name))
    }

    /// The event's topics, each once.
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

    /// In a topic a reference stands with its bare id: the path says the kind.
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

    /// Its topic patterns.
    #[must_use]
    pub fn patterns(&self) -> &[TopicPattern] {
        &self.topics
    }
}

/// Two declarations that cannot stand together in one application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypesError {
    /// Two variants have one name in the log.
    #[error("two events are called `{event_type}` (one of `{first}`, one of `{second}`): rename one")]
    Duplicate {
        /// The name.
        event_type: String,
        /// The aggregate of the one.
        first: &'static str,
        /// The aggregate of the other.
        second: &'static str,
    },
    /// One aggregate type was given events of two Rust types.
    #[error(
        "the aggregate type `{aggregate_type}` has two event enums, {first} and {second}: rename one aggregate"
    )]
    TwoEnums {
        /// The aggregate type.
        aggregate_type: &'static str,
        /// The enum that was added first.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
}

/// The event types of an application, by name.
#[derive(Clone, Debug, Default)]
pub struct Types {
    by_name: HashMap<&'static str, Arc<Known>>,
    ordered: BTreeMap<&'static str, Arc<Known>>,
    roots: Vec<Root>,
}

/// An aggregate type, which is a topic root, and the enum of its events.
#[derive(Clone, Copy, Debug)]
struct Root {
    aggregate_type: &'static str,
    events: (TypeId, &'static str),
}

impl Types {
    /// Adds the events of one aggregate. Its type becomes a topic root.
    ///
    /// # Errors
    /// When a name is taken.
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

    /// The type that the log calls `event_type`, or called so before.
    #[must_use]
    pub fn get(&self, event_type: &str) -> Option<&Arc<Known>> {
        self.by_name.get(event_type)
    }

    /// The type of a stored event.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn of(&self, stored: &Stored) -> Result<&Arc<Known>, DecodeError> {
        self.get(&stored.event_type).ok_or_else(|| DecodeError::UnknownType(stored.event_type.clone()))
    }

    /// All types, ordered by name; old names are not listed.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Known>> {
        self.ordered.values()
    }

    /// Every name in the log, old ones too, that stands for the type now called `event_type`.
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

    /// Whether any event can lie at or below this topic: a declared pattern reaches it, or it is an aggregate's root.
    #[must_use]
    pub fn knows_topic(&self, topic: &Topic) -> bool {
        self.roots.iter().any(|root| root.aggregate_type == topic.as_str())
            || self.iter().any(|known| known.topics.iter().any(|pattern| pattern.reaches(topic)))
    }

    /// The roots of all topics: of the declared patterns and of the aggregates, ordered.
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

fn describe<E: Event>(stored: &Stored) -> Result<Described, DecodeError> {
    let event = E::from_stored(stored)?;
    let facts =
        event.facts().map_err(|source| DecodeError::Payload { event_type: stored.event_type.clone(), source })?;
    Ok(Described { facts, targets: event.targets() })
}
