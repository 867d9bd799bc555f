//! [`Document`]: statements of W3C PROV, as formats write them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

#[cfg(feature = "http")]
use super::naming;
#[cfg(feature = "http")]
use crate::events::Ref;

/// The namespace of the types, roles and attributes that are not PROV's own.
pub(super) const ANNALS_NAMESPACE: &str = "https://annals.example/prov#";

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StatementKind {
    /// Someone or something that is responsible.
    Agent,
    /// A thing, a version of one, a file or a plan.
    Entity,
    /// A command or an export.
    Activity,
    /// A version is one of a thing; or an entity is a special form of another one.
    SpecializationOf,
    /// An agent was responsible for an activity, by a plan and in a role.
    WasAssociatedWith,
    /// An agent acted for another one.
    ActedOnBehalfOf,
    /// An activity made an entity.
    WasGeneratedBy,
    /// An entity is an agent's.
    WasAttributedTo,
    /// An activity used an entity.
    Used,
    /// An entity was made from another one.
    WasDerivedFrom,
    /// An activity led to another one.
    WasInformedBy,
    /// An entity led to an activity.
    WasStartedBy,
    /// An activity ended an entity.
    WasInvalidatedBy,
    /// Two entities are forms of the same thing.
    AlternateOf,
    /// A collection has a member.
    HadMember,
}

impl StatementKind {
    /// All kinds, in the order in which PROV-JSON lists them.
    pub const ALL: [Self; 15] = [
        Self::Agent,
        Self::Entity,
        Self::Activity,
        Self::SpecializationOf,
        Self::WasAssociatedWith,
        Self::ActedOnBehalfOf,
        Self::WasGeneratedBy,
        Self::WasAttributedTo,
        Self::Used,
        Self::WasDerivedFrom,
        Self::WasInformedBy,
        Self::WasStartedBy,
        Self::WasInvalidatedBy,
        Self::AlternateOf,
        Self::HadMember,
    ];

    /// Its name in PROV-JSON and PROV-N: `wasGeneratedBy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Entity => "entity",
            Self::Activity => "activity",
            Self::SpecializationOf => "specializationOf",
            Self::WasAssociatedWith => "wasAssociatedWith",
            Self::ActedOnBehalfOf => "actedOnBehalfOf",
            Self::WasGeneratedBy => "wasGeneratedBy",
            Self::WasAttributedTo => "wasAttributedTo",
            Self::Used => "used",
            Self::WasDerivedFrom => "wasDerivedFrom",
            Self::WasInformedBy => "wasInformedBy",
            Self::WasStartedBy => "wasStartedBy",
            Self::WasInvalidatedBy => "wasInvalidatedBy",
            Self::AlternateOf => "alternateOf",
            Self::HadMember => "hadMember",
        }
    }

    /// Whether it is a node: an agent, an entity or an activity.
    #[must_use]
    pub fn is_node(self) -> bool {
        matches!(self, Self::Agent | Self::Entity | Self::Activity)
    }

    /// The names of its arguments in PROV-JSON, in the order of PROV-N. Those of an agent or an entity are attributes only.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Agent | Self::Entity => &[],
            Self::Activity => &["prov:startTime", "prov:endTime"],
            Self::SpecializationOf => &["prov:specificEntity", "prov:generalEntity"],
            Self::WasAssociatedWith => &["prov:activity", "prov:agent", "prov:plan"],
            Self::ActedOnBehalfOf => &["prov:delegate", "prov:responsible", "prov:activity"],
            Self::WasGeneratedBy | Self::WasInvalidatedBy => &["prov:entity", "prov:activity", "prov:time"],
            Self::WasAttributedTo => &["prov:entity", "prov:agent"],
            Self::Used => &["prov:activity", "prov:entity", "prov:time"],
            Self::WasDerivedFrom => {
                &["prov:generatedEntity", "prov:usedEntity", "prov:activity", "prov:generation", "prov:usage"]
            }
            Self::WasInformedBy => &["prov:informed", "prov:informant"],
            Self::AlternateOf => &["prov:alternate1", "prov:alternate2"],
            Self::HadMember => &["prov:collection", "prov:entity"],
            Self::WasStartedBy => &["prov:activity", "prov:trigger", "prov:starter", "prov:time"],
        }
    }
}

impl fmt::Display for StatementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A qualified name: `prov:Revision`.
    Name(&'static str),
    /// A position or a count.
    Number(u64),
}

/// A statement: a node with its id, or a relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The kind of the node or of the relation.
    pub kind: StatementKind,
    /// The qualified name of a node: `log:project/7@3`. Relations have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The arguments of a relation, or the times of an activity, in the order of PROV-N. `None` where one is not given.
    pub arguments: Vec<Option<String>>,
    /// Attributes, each with its qualified name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(&'static str, AttributeValue)>,
}

impl Statement {
    pub(super) fn node(kind: StatementKind, id: impl Into<String>) -> Self {
        Self { kind, id: Some(id.into()), arguments: Vec::new(), attributes: Vec::new() }
    }

    pub(super) fn relation<'a>(kind: StatementKind, arguments: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let arguments = arguments.into_iter().map(|argument| argument.map(str::to_owned)).collect();
        Self { kind, id: None, arguments, attributes: Vec::new() }
    }

    pub(super) fn times(mut self, time: Option<&str>) -> Self {
        self.arguments = vec![time.map(str::to_owned); 2];
        self
    }

    pub(super) fn typed(self, name: &'static str) -> Self {
        self.with("prov:type", AttributeValue::Name(name))
    }

    pub(super) fn role(self, name: &'static str) -> Self {
        self.with("prov:role", AttributeValue::Name(name))
    }

    pub(super) fn text(self, name: &'static str, text: impl Into<String>) -> Self {
        self.with(name, AttributeValue::Text(text.into()))
    }

    pub(super) fn number(self, name: &'static str, number: u64) -> Self {
        self.with(name, AttributeValue::Number(number))
    }

    pub(super) fn with(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.attributes.push((name, value));
        self
    }

    /// Each argument that is not left out, with its name. Times are arguments too.
    pub(super) fn named_arguments(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let given = self.kind.arguments().iter().zip(&self.arguments);
        given.filter_map(|(name, argument)| Some((*name, argument.as_deref()?)))
    }

    /// The nodes that it names.
    fn named(&self) -> impl Iterator<Item = &str> {
        let is_time = |name: &str| matches!(name, "prov:time" | "prov:startTime" | "prov:endTime");
        self.named_arguments().filter(move |(name, _)| !is_time(name)).map(|(_, id)| id)
    }

    /// The thing, and its version, that a node is.
    #[cfg(feature = "http")]
    pub(crate) fn thing(&self) -> Option<(Ref, Option<u64>)> {
        naming::parse(self.id.as_deref()?)
    }

    /// The label of a node.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.attributes.iter().find_map(|(name, value)| match value {
            AttributeValue::Text(text) if *name == "prov:label" => Some(text.as_str()),
            _ => None,
        })
    }
}

/// Statements of W3C PROV about things of one log: `log:project/7@3` is `project:7` after its third event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The id of the log, of which the namespace `log:` is made.
    pub log_id: String,
    /// The statements, in an order that follows from the log. Each node that one names has one.
    pub statements: Vec<Statement>,
}

impl Document {
    /// The namespace of the prefix `log:`.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("urn:uuid:{}#", self.log_id)
    }

    /// The errors in it that readers of PROV do not report: an entity that was generated or invalidated twice, a node that
    /// is stated twice, and a name of a node that is not stated.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut nodes = HashSet::new();
        let mut ends: HashMap<(StatementKind, &str), usize> = HashMap::new();
        for statement in &self.statements {
            if let Some(id) = &statement.id
                && !nodes.insert((statement.kind, id.as_str()))
            {
                problems.push(format!("{} {id} is stated twice", statement.kind));
            }
            let once = [StatementKind::WasGeneratedBy, StatementKind::WasInvalidatedBy].contains(&statement.kind);
            if let (true, Some(Some(entity))) = (once, statement.arguments.first()) {
                *ends.entry((statement.kind, entity.as_str())).or_default() += 1;
            }
        }
        let mut twice: Vec<_> = ends.into_iter().filter(|(_, count)| *count > 1).collect();
        twice.sort_unstable();
        problems.extend(twice.iter().map(|((kind, entity), count)| format!("{entity} has {count} times {kind}")));
        let ids: HashSet<&str> = nodes.into_iter().map(|(_, id)| id).collect();
        for statement in &self.statements {
            let missing = statement.named().filter(|id| !ids.contains(id));
            problems.extend(missing.map(|id| format!("{} names {id}, which is not stated", statement.kind)));
        }
        problems
    }
}
