//! [`Graph`]: the nodes and arrows that a drawing shows.

use std::collections::{HashMap, HashSet};

use super::super::document::{AttributeValue, Document, Statement, StatementKind as Kind};
use super::super::dot::{End, edge_label, ends};

/// The most arrows of a drawing, and its approximate size in bytes.
const MAX_ARROWS: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;

/// The approximate size of an arrow with its nodes, without their names.
const ARROW_BYTES: usize = 700;

/// The nodes and arrows of a drawing. An arrow points from what came later to what was before it.
pub(super) struct Graph<'a> {
    pub nodes: Vec<GraphNode<'a>>,
    pub arrows: Vec<Arrow>,
    /// How many arrows have no place in the drawing.
    pub left_out: usize,
    bytes: usize,
}

/// A node, with its statement.
pub(super) struct GraphNode<'a> {
    pub statement: &'a Statement,
    /// Whether it has no place of its own, and is drawn beside each node that names it: an agent, a plan, a thing. One place for
    /// it would draw lines across everything.
    pub floats: bool,
}

/// An arrow between two nodes, by their indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    pub from: usize,
    pub to: usize,
    pub label: String,
    /// The activity beside which a delegation is drawn.
    pub beside: Option<usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        let mut graph = Self { nodes: Vec::new(), arrows: Vec::new(), left_out: 0, bytes: 0 };
        let mut indexes: HashMap<End<'a>, usize> = HashMap::new();
        for statement in document.statements.iter().filter(|statement| statement.kind.is_node()) {
            let Some(id) = statement.id.as_deref() else { continue };
            indexes.insert((statement.kind == Kind::Agent, id), graph.nodes.len());
            graph.nodes.push(GraphNode { statement, floats: floats(statement) });
        }
        let follows = Attributions::of(document);
        for statement in document.statements.iter().filter(|statement| !statement.kind.is_node()) {
            if follows.say(statement) {
                continue;
            }
            let Some((from, to)) = ends(statement) else { continue };
            let Some((from, to)) = indexes.get(&from).copied().zip(indexes.get(&to).copied()) else { continue };
            let third = statement.arguments.get(2).and_then(Option::as_deref);
            let third = third.and_then(|id| indexes.get(&(false, id)).copied());
            let label = edge_label(statement);
            let label = label.trim_start_matches("was ").trim_start_matches("is ").to_owned();
            match statement.kind {
                Kind::ActedOnBehalfOf => graph.arrow(Arrow { from, to, label, beside: third }),
                Kind::WasAssociatedWith => {
                    graph.arrow(Arrow { from, to, label, beside: None });
                    if let Some(plan) = third {
                        graph.arrow(Arrow { from, to: plan, label: "by plan".to_owned(), beside: None });
                    }
                }
                _ => graph.arrow(Arrow { from, to, label, beside: None }),
            }
        }
        graph
    }

    fn arrow(&mut self, arrow: Arrow) {
        let name = |index: usize| self.nodes.get(index).and_then(|node| node.statement.id.as_deref());
        let names: usize = [arrow.from, arrow.to].into_iter().filter_map(name).map(str::len).sum();
        self.bytes = self.bytes.saturating_add(ARROW_BYTES + names);
        match self.arrows.len() < MAX_ARROWS && self.bytes < MAX_BYTES {
            true => self.arrows.push(arrow),
            false => self.left_out += 1,
        }
    }
}

/// Whether a node is drawn beside each node that names it.
fn floats(statement: &Statement) -> bool {
    let is_type = |(name, value): &(&str, AttributeValue)| {
        *name == "prov:type"
            && [AttributeValue::Name("annals:Thing"), AttributeValue::Name("prov:Plan")].contains(value)
    };
    statement.kind == Kind::Agent || statement.attributes.iter().any(is_type)
}

/// Who did what, and what it made.
struct Attributions<'a> {
    made_by: HashMap<&'a str, &'a str>,
    done_by: HashSet<(&'a str, &'a str)>,
}

impl<'a> Attributions<'a> {
    fn of(document: &'a Document) -> Self {
        let pairs = |kind| {
            let of_kind = document.statements.iter().filter(move |statement| statement.kind == kind);
            of_kind.filter_map(|statement| match statement.arguments.as_slice() {
                [Some(from), Some(to), ..] => Some((from.as_str(), to.as_str())),
                _ => None,
            })
        };
        Self { made_by: pairs(Kind::WasGeneratedBy).collect(), done_by: pairs(Kind::WasAssociatedWith).collect() }
    }

    /// Whether an attribution says no more than the arrows to the activity and on to the agent.
    fn say(&self, statement: &Statement) -> bool {
        match (statement.kind, statement.arguments.as_slice()) {
            (Kind::WasAttributedTo, [Some(entity), Some(agent), ..]) => {
                self.made_by.get(entity.as_str()).is_some_and(|made_by| self.done_by.contains(&(*made_by, agent)))
            }
            _ => false,
        }
    }
}
