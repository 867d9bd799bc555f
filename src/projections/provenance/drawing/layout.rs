//! [`Layout`]: where the nodes and arrows of a drawing are.
//!
//! Nodes are in columns: each to the right of those that point to it, by the longest path. Within a column they are ordered by the mean of
//! their neighbours (barycentre), and then moved towards them. An arrow that passes a column has a place of its own there, as a
//! node has; so has the label of an arrow, beside the node where it begins. So nothing overlaps. An arrow that would pass many
//! columns, or point back, leads to a copy of its node beside the node where it begins.

use std::collections::HashMap;

use super::super::query::Direction;
use super::graph::{Arrow, Graph};
use super::ordering::{Neighbours, longest_paths, order, set_heights};

/// The size of a node, in pixels.
pub(super) const NODE_WIDTH: f64 = 176.0;
pub(super) const NODE_HEIGHT: f64 = 42.0;
/// The height of the label of an arrow, of an arrow that passes, and the space between them.
const LABEL_HEIGHT: f64 = 18.0;
const PASS_HEIGHT: f64 = 8.0;
const GAP: f64 = 14.0;
/// The width of what leads to a label, and of the curves behind it.
const FAN: f64 = 14.0;
const CURVES: f64 = 64.0;
/// The most columns that an arrow passes.
const MAX_PASSED: usize = 5;

/// Something that has a place in a column.
pub(super) struct Item {
    /// The node; `None` for an arrow that passes.
    pub node: Option<usize>,
    /// Whether the node has its own place elsewhere.
    pub is_copy: bool,
    pub column: usize,
    /// The middle.
    pub y: f64,
    /// The arrows that begin here, by their labels.
    pub ports: Vec<Port>,
}

/// A label with the arrows that begin there.
pub(super) struct Port {
    pub label: String,
    /// The indexes of the next items.
    pub to: Vec<usize>,
}

/// A column of items.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Column {
    pub x: f64,
    /// Where labels begin and end. Curves are behind it.
    pub labels: (f64, f64),
}

/// Where everything is. The newest nodes are on the left.
pub(super) struct Layout {
    pub items: Vec<Item>,
    pub columns: Vec<Column>,
    pub width: f64,
    pub height: f64,
}

impl Item {
    pub(super) fn height(&self) -> f64 {
        match self.node {
            Some(_) => NODE_HEIGHT.max(self.ports.len() as f64 * LABEL_HEIGHT) + GAP,
            None => PASS_HEIGHT,
        }
    }

    /// The middle of the line under a label.
    pub(super) fn port_y(&self, index: usize) -> f64 {
        self.y + (index as f64 - (self.ports.len() as f64 - 1.0) / 2.0) * LABEL_HEIGHT
    }
}

impl Layout {
    /// `text_width` measures a label, in pixels.
    pub(super) fn of(graph: &Graph<'_>, direction: Direction, text_width: impl Fn(&str) -> f64) -> Self {
        let mut places = Places { items: Vec::new(), fixed: HashMap::new(), copies: HashMap::new() };
        let columns = columns(graph, direction);
        for arrow in &graph.arrows {
            places.add(graph, arrow, &columns);
        }
        let mut items = places.items;
        let count = items.iter().map(|item| item.column + 1).max().unwrap_or(0);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (index, item) in items.iter().enumerate() {
            if let Some(row) = rows.get_mut(item.column) {
                row.push(index);
            }
        }
        let neighbours = Neighbours::of(&items);
        order(&mut rows, &neighbours);
        // What was asked for is at the top on the left: where a reader begins.
        let first = if direction == Direction::Forwards { count.saturating_sub(1) } else { 0 };
        set_heights(&mut items, &rows, &neighbours, first);
        let top = items.iter().map(|item| item.y - item.height() / 2.0).fold(f64::INFINITY, f64::min);
        let mut height: f64 = 0.0;
        for item in &mut items {
            item.y -= top - GAP;
            height = height.max(item.y + item.height() / 2.0 + GAP);
        }
        let mut x = GAP;
        let columns: Vec<Column> = rows
            .iter()
            .map(|row| {
                let labels = row.iter().filter_map(|index| items.get(*index)).flat_map(|item| &item.ports);
                let widest = labels.map(|port| text_width(&port.label)).fold(0.0, f64::max);
                let begin = x + NODE_WIDTH + FAN;
                let column = Column { x, labels: (begin, begin + widest) };
                x = begin + widest + CURVES;
                column
            })
            .collect();
        let width = columns.last().map_or(0.0, |last| last.x + NODE_WIDTH) + GAP;
        Self { items, columns, width, height }
    }
}

/// The column of each node that has a place of its own: the one after the last column of the nodes that point to it. Forwards, the
/// oldest nodes have the same column instead, the last one.
fn columns(graph: &Graph<'_>, direction: Direction) -> Vec<usize> {
    let is_fixed = |index: usize| graph.nodes.get(index).is_some_and(|node| !node.floats);
    let fixed = graph.arrows.iter().filter(|arrow| is_fixed(arrow.from) && is_fixed(arrow.to));
    let edges: Vec<(usize, usize)> = fixed
        .map(|arrow| match direction {
            Direction::Backwards => (arrow.from, arrow.to),
            Direction::Forwards => (arrow.to, arrow.from),
        })
        .collect();
    let mut columns = longest_paths(graph.nodes.len(), &edges);
    if direction == Direction::Forwards {
        let used = graph.arrows.iter().flat_map(|arrow| [arrow.from, arrow.to]).filter(|index| is_fixed(*index));
        let last = used.filter_map(|index| columns.get(index).copied()).max().unwrap_or(0);
        columns.iter_mut().for_each(|column| *column = last.saturating_sub(*column));
        // What is only named has no reason to be as far away as the oldest: it is next to those that name it.
        let mut nearest: HashMap<usize, usize> = HashMap::new();
        for (to, from) in &edges {
            let after = columns.get(*from).map_or(0, |column| column + 1);
            nearest.entry(*to).and_modify(|column| *column = after.max(*column)).or_insert(after);
        }
        for (_, from) in &edges {
            nearest.remove(from);
        }
        for (node, nearest) in nearest {
            if let Some(column) = columns.get_mut(node) {
                *column = nearest;
            }
        }
    }
    columns
}

/// The items as they are made.
struct Places {
    items: Vec<Item>,
    /// The items of nodes with a place of their own.
    fixed: HashMap<usize, usize>,
    /// The items of nodes in a column that is not their own.
    copies: HashMap<(usize, usize), usize>,
}

impl Places {
    fn push(&mut self, node: Option<usize>, is_copy: bool, column: usize) -> usize {
        self.items.push(Item { node, is_copy, column, y: 0.0, ports: Vec::new() });
        self.items.len() - 1
    }

    fn fixed(&mut self, node: usize, column: usize) -> usize {
        match self.fixed.get(&node) {
            Some(index) => *index,
            None => {
                let index = self.push(Some(node), false, column);
                self.fixed.insert(node, index);
                index
            }
        }
    }

    fn beside(&mut self, node: usize, is_copy: bool, column: usize) -> usize {
        match self.copies.get(&(node, column)) {
            Some(index) => *index,
            None => {
                let index = self.push(Some(node), is_copy, column);
                self.copies.insert((node, column), index);
                index
            }
        }
    }

    fn add(&mut self, graph: &Graph<'_>, arrow: &Arrow, columns: &[usize]) {
        let floats = |node: usize| graph.nodes.get(node).is_some_and(|node| node.floats);
        let column = |node: usize| columns.get(node).copied().unwrap_or(0);
        let from = match (floats(arrow.from), arrow.beside) {
            (false, _) => self.fixed(arrow.from, column(arrow.from)),
            (true, Some(activity)) => self.beside(arrow.from, false, column(activity) + 1),
            (true, None) => self.beside(arrow.from, false, 0),
        };
        let begin = self.items.get(from).map_or(0, |item| item.column);
        let end = column(arrow.to);
        let to = match (floats(arrow.to), end > begin && end - begin <= MAX_PASSED + 1) {
            (true, _) => self.beside(arrow.to, false, begin + 1),
            (false, true) => self.fixed(arrow.to, end),
            (false, false) => {
                // It has a place of its own, even if every arrow leads to a copy.
                self.fixed(arrow.to, end);
                self.beside(arrow.to, true, begin + 1)
            }
        };
        let end = self.items.get(to).map_or(0, |item| item.column);
        let mut label = arrow.label.as_str();
        let mut last = from;
        for column in begin + 1..end {
            let pass = self.push(None, false, column);
            self.join(last, pass, label);
            (last, label) = (pass, "");
        }
        self.join(last, to, label);
    }

    fn join(&mut self, from: usize, to: usize, label: &str) {
        let Some(item) = self.items.get_mut(from) else { return };
        match item.ports.iter_mut().find(|port| port.label == label) {
            Some(port) if port.to.contains(&to) => {}
            Some(port) => port.to.push(to),
            None => item.ports.push(Port { label: label.to_owned(), to: vec![to] }),
        }
    }
}
