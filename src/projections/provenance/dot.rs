//! Graphviz DOT, and text for people.

use std::collections::HashMap;
use std::fmt::Write;

use super::document::{AttributeValue, Document, Statement, StatementKind};
use super::provn::quoted;

impl Document {
    /// The document as a graph for Graphviz: `dot -Tsvg`. Entities are ellipses, activities boxes, agents houses; an arrow
    /// points from what came later to what was before it.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut text = "digraph provenance {\n  rankdir=\"RL\";\n  node [fontname=\"sans-serif\"];\n".to_owned();
        text.push_str("  edge [fontname=\"sans-serif\", fontsize=\"10\"];\n");
        let mut ids: HashMap<(bool, &str), usize> = HashMap::new();
        for statement in self.statements.iter().filter(|statement| statement.kind.is_node()) {
            let Some(id) = statement.id.as_deref() else { continue };
            let number = ids.len();
            // A thing may be an entity and an agent.
            ids.insert((statement.kind == StatementKind::Agent, id), number);
            let shape = match statement.kind {
                StatementKind::Agent => "house",
                StatementKind::Activity => "box",
                _ => "ellipse",
            };
            let label = quoted(statement.label().unwrap_or(id));
            let _ = writeln!(text, "  n{number} [label={label}, shape=\"{shape}\"];");
        }
        for statement in self.statements.iter().filter(|statement| !statement.kind.is_node()) {
            let Some((from, to)) = ends(statement) else { continue };
            let numbers = ids.get(&from).zip(ids.get(&to));
            let Some((from, to)) = numbers else { continue };
            let _ = writeln!(text, "  n{from} -> n{to} [label={}];", quoted(&edge_label(statement)));
        }
        text.push_str("}\n");
        text
    }

    /// The document as lines of text: each version, file and command with its relations.
    #[must_use]
    pub fn to_text(&self) -> Vec<String> {
        let nodes = self.statements.iter().filter(|statement| statement.kind.is_node());
        let labels: HashMap<&str, &str> =
            nodes.filter_map(|statement| Some((statement.id.as_deref()?, statement.label()?))).collect();
        let label = |id: &str| labels.get(id).copied().unwrap_or(id).to_owned();
        let relations = self.statements.iter().filter(|statement| !statement.kind.is_node());
        let line = |statement: &Statement| {
            let ((_, from), (_, to)) = ends(statement)?;
            Some(format!("{} {} {}", label(from), edge_label(statement), label(to)))
        };
        relations.filter_map(line).collect()
    }
}

/// A relation with the nodes at its ends.
#[cfg(feature = "http")]
pub(crate) struct Relation<'a> {
    pub from: &'a Statement,
    pub words: String,
    pub to: &'a Statement,
}

#[cfg(feature = "http")]
impl Document {
    /// The relations whose nodes are stated, in words.
    pub(crate) fn relations(&self) -> impl Iterator<Item = Relation<'_>> {
        let nodes = self.statements.iter().filter(|statement| statement.kind.is_node());
        let nodes: HashMap<End<'_>, &Statement> = nodes
            .filter_map(|node| Some(((node.kind == StatementKind::Agent, node.id.as_deref()?), node)))
            .collect();
        let relations = self.statements.iter().filter(|statement| !statement.kind.is_node());
        relations.filter_map(move |statement| {
            let (from, to) = ends(statement)?;
            Some(Relation { from: nodes.get(&from)?, words: edge_label(statement), to: nodes.get(&to)? })
        })
    }

    /// The position of the event that made or ended each version, and of the first one in the document of each activity and file.
    pub(crate) fn positions(&self) -> HashMap<&str, u64> {
        let mut positions = HashMap::new();
        let mut events = HashMap::new();
        for statement in &self.statements {
            let value =
                |name: &str| statement.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
            let Some(AttributeValue::Number(position)) = value("annals:position") else { continue };
            if let Some(id) = statement.id.as_deref() {
                positions.insert(id, *position);
            } else if let [_, Some(command), ..] = statement.arguments.as_slice() {
                positions.insert(command, *position);
            }
            if let Some(AttributeValue::Text(event)) = value("annals:event") {
                events.insert(event.as_str(), *position);
            }
        }
        for statement in &self.statements {
            // Exports, files and reads are named by the event that records them.
            if let Some(position) = statement.id.as_deref().and_then(|id| events.get(id.rsplit_once('/')?.1)) {
                statement.id.as_deref().map(|id| positions.insert(id, *position));
            }
            if let (StatementKind::WasGeneratedBy, [Some(made), Some(activity), ..]) =
                (statement.kind, statement.arguments.as_slice())
                && let Some(position) = positions.get(made.as_str()).copied()
            {
                let first = positions.entry(activity.as_str()).or_insert(position);
                *first = position.min(*first);
            }
        }
        positions
    }
}

/// A node at an end of a relation: whether it is an agent, and its name.
pub(super) type End<'a> = (bool, &'a str);

/// The nodes at the ends of a relation.
pub(super) fn ends(statement: &Statement) -> Option<(End<'_>, End<'_>)> {
    let [Some(from), Some(to), ..] = statement.arguments.as_slice() else { return None };
    let (from_agent, to_agent) = match statement.kind {
        StatementKind::ActedOnBehalfOf => (true, true),
        StatementKind::WasAssociatedWith | StatementKind::WasAttributedTo => (false, true),
        _ => (false, false),
    };
    Some(((from_agent, from), (to_agent, to)))
}

/// The relation in words: `used (annals:read)`.
pub(super) fn edge_label(statement: &Statement) -> String {
    let words = match statement.kind {
        StatementKind::SpecializationOf if is_own_version(statement) => "is a version of",
        StatementKind::SpecializationOf => "is a special form of",
        StatementKind::WasAssociatedWith => "was done by",
        StatementKind::ActedOnBehalfOf => "acted for",
        StatementKind::WasGeneratedBy => "was made by",
        StatementKind::WasAttributedTo => "is by",
        StatementKind::Used => "used",
        StatementKind::WasDerivedFrom => "was derived from",
        StatementKind::WasInformedBy => "was caused by",
        StatementKind::WasStartedBy => "was started by",
        StatementKind::WasInvalidatedBy => "was ended by",
        StatementKind::AlternateOf => "is an alternate of",
        StatementKind::HadMember => "has the member",
        StatementKind::Agent | StatementKind::Entity | StatementKind::Activity => "is",
    };
    let kind = statement.attributes.iter().find_map(|(name, value)| match value {
        AttributeValue::Name(value) if ["prov:role", "prov:type"].contains(name) => value.split(':').nth(1),
        _ => None,
    });
    match kind {
        Some("actor") | None => words.to_owned(),
        Some(kind) => format!("{words} ({kind})"),
    }
}

/// Whether a specialization is the version of a thing.
fn is_own_version(statement: &Statement) -> bool {
    match statement.arguments.as_slice() {
        [Some(version), Some(thing)] => version.split_once('@').is_some_and(|(of, _)| of == thing),
        _ => false,
    }
}
