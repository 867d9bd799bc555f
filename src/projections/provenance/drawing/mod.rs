//! The drawing of a document, as SVG: nodes in columns, with arrows from what came later to what was before it.
//!
//! ## Layout
//! - `graph`: the nodes and arrows that are drawn
//! - `layout`, `ordering`: where they are
//! - `words`: the texts in the nodes, cut to their widths

mod graph;
mod layout;
mod ordering;
mod words;

use std::fmt::Write;

use self::graph::{Graph, GraphNode};
use self::layout::{Item, Layout, NODE_HEIGHT, NODE_WIDTH};
use self::words::{LABEL_SIZE, NODE_SIZE, Words, escaped, fitted, text_width};
use super::Direction;
use super::document::{Document, Statement, StatementKind};

/// The rules for the classes of a drawing. They work in a page and in a file, light and dark.
pub(crate) const DRAWING_STYLE: &str = include_str!("drawing.css");

/// The space between a node and its text.
const PADDING: f64 = 12.0;
/// The height of the roof of an agent.
const ROOF: f64 = 10.0;

/// A drawing.
pub(crate) struct Drawing {
    width: f64,
    height: f64,
    content: String,
    /// How many arrows of the document have no place in it.
    pub left_out: usize,
}

impl Document {
    /// The document as a drawing in SVG: a file with its style, light or dark as its reader prefers. Entities are rounded, activities
    /// rectangles, agents houses; an arrow points from what came later to what was before it. Agents, plans and things are drawn beside
    /// each node that names them; what is stated elsewhere has a dashed line. The newest are on the left; for a query forwards, on
    /// the right. At most 1,000 arrows are drawn, and about a megabyte.
    ///
    /// An attribution is left out where the activity and its agent say it.
    #[must_use]
    pub fn to_svg(&self, direction: Direction) -> String {
        let drawing = Drawing::of(self, direction, |_| None);
        let more = match drawing.left_out {
            0 => String::new(),
            more => format!("<desc>{more} more arrows are left out</desc>"),
        };
        let attributes = "xmlns=\"http://www.w3.org/2000/svg\" role=\"img\"";
        let svg =
            drawing.element(attributes, &format!("<title>Provenance</title>{more}<style>{DRAWING_STYLE}</style>"));
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{svg}\n")
    }
}

impl Drawing {
    /// Draws a document. `link` returns the URL of a node.
    pub(crate) fn of(
        document: &Document,
        direction: Direction,
        link: impl Fn(&Statement) -> Option<String>,
    ) -> Self {
        let graph = Graph::of(document);
        let layout = Layout::of(&graph, direction, |label| text_width(label, LABEL_SIZE));
        let pen = Pen { layout: &layout, mirrors: direction == Direction::Forwards };
        let mut content = String::new();
        for item in &layout.items {
            pen.arrows(&mut content, item);
        }
        for item in &layout.items {
            if let Some(node) = item.node.and_then(|index| graph.nodes.get(index)) {
                pen.node(&mut content, item, node, &link);
            }
        }
        Self { width: layout.width.ceil(), height: layout.height.ceil(), content, left_out: graph.left_out }
    }

    /// The element of a page that has [`DRAWING_STYLE`] in its stylesheet. It is hidden from screen readers: a table beside it has the
    /// same relations.
    #[cfg(feature = "http")]
    pub(crate) fn in_page(&self) -> String {
        self.element("aria-hidden=\"true\"", "")
    }

    fn element(&self, attributes: &str, head: &str) -> String {
        let Self { width, height, content, .. } = self;
        format!(
            "<svg class=\"provenance\" {attributes} width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">{head}\
             <defs><marker id=\"prov-arrow\" class=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8Z\"/></marker><clipPath id=\"prov-text\">\
             <rect x=\"{}\" width=\"{}\" height=\"{NODE_HEIGHT}\"/></clipPath></defs>{content}</svg>",
            PADDING / 2.0,
            NODE_WIDTH - PADDING
        )
    }
}

/// Writes items. Writing to a string does not fail.
struct Pen<'a> {
    layout: &'a Layout,
    /// Whether left and right are exchanged.
    mirrors: bool,
}

impl Pen<'_> {
    fn x(&self, x: f64) -> f64 {
        if self.mirrors { self.layout.width - x } else { x }
    }

    /// The arrows that begin at an item, with their labels.
    fn arrows(&self, svg: &mut String, item: &Item) {
        let Some(column) = self.layout.columns.get(item.column) else { return };
        let (begin, end) = column.labels;
        let right = column.x + NODE_WIDTH;
        for (index, port) in item.ports.iter().enumerate() {
            let y = item.port_y(index);
            match item.node {
                Some(_) => {
                    let [from, begin, end] = [right, begin, end].map(|x| self.x(x));
                    let _ = write!(
                        svg,
                        "<path class=\"line\" d=\"M{from:.1} {:.1}L{begin:.1} {y:.1}H{end:.1}\"/>",
                        item.y
                    );
                }
                None => {
                    let [from, end] = [column.x, end].map(|x| self.x(x));
                    let _ = write!(svg, "<path class=\"line\" d=\"M{from:.1} {y:.1}H{end:.1}\"/>");
                }
            }
            for next in port.to.iter().filter_map(|next| self.layout.items.get(*next)) {
                let left = self.layout.columns.get(next.column).map_or(end, |column| column.x);
                let [from, middle, to] = [end, f64::midpoint(end, left), left].map(|x| self.x(x));
                let marker = if next.node.is_some() { " marker-end=\"url(#prov-arrow)\"" } else { "" };
                let _ = write!(
                    svg,
                    "<path class=\"line\" d=\"M{from:.1} {y:.1}C{middle:.1} {y:.1} {middle:.1} {:.1} {to:.1} {:.1}\"{marker}/>",
                    next.y, next.y
                );
            }
            if !port.label.is_empty() {
                let side = if self.mirrors { " text-anchor=\"end\"" } else { "" };
                let (x, y, label) = (self.x(begin), y - 4.0, escaped(&port.label));
                let _ = write!(svg, "<text class=\"words\" x=\"{x:.1}\" y=\"{y:.1}\"{side}>{label}</text>");
            }
        }
    }

    fn node(
        &self,
        svg: &mut String,
        item: &Item,
        node: &GraphNode<'_>,
        link: &impl Fn(&Statement) -> Option<String>,
    ) {
        let statement = node.statement;
        let x = self.layout.columns.get(item.column).map_or(0.0, |column| column.x);
        let x = if self.mirrors { self.layout.width - x - NODE_WIDTH } else { x };
        let y = item.y - NODE_HEIGHT / 2.0;
        let Words { what, kind, title } = Words::of(statement);
        let (class, shape, first) = match statement.kind {
            StatementKind::Agent => {
                let roof = format!(
                    "<path class=\"shape\" d=\"M0 {ROOF}L{} 0L{NODE_WIDTH} {ROOF}V{NODE_HEIGHT}H0Z\"/>",
                    NODE_WIDTH / 2.0
                );
                ("agent", roof, 23.0)
            }
            StatementKind::Activity => ("activity", rectangle(2.0), 18.0),
            _ => ("entity", rectangle(NODE_HEIGHT / 2.0), 18.0),
        };
        let elsewhere = item.is_copy || statement.attributes.iter().all(|(name, _)| *name == "prov:label");
        let floats = if node.floats && statement.kind != StatementKind::Agent { " floats" } else { "" };
        let elsewhere = if elsewhere { " elsewhere" } else { "" };
        let width = NODE_WIDTH - 2.0 * PADDING;
        let _ = write!(svg, "<g class=\"node {class}{floats}{elsewhere}\" transform=\"translate({x:.1} {y:.1})\">");
        let href = link(statement);
        if let Some(href) = &href {
            // The table under the drawing has the same links for the keyboard.
            let _ = write!(svg, "<a href=\"{}\" tabindex=\"-1\">", escaped(href));
        }
        let _ = write!(svg, "<title>{}</title>{shape}<g clip-path=\"url(#prov-text)\">", escaped(&title));
        let middle = NODE_WIDTH / 2.0;
        let second = first + 14.0;
        let [what, kind] = [(what, NODE_SIZE), (kind, LABEL_SIZE)]
            .map(|(text, size)| escaped(&fitted(&text, width, size)).into_owned());
        let _ = write!(
            svg,
            "<text class=\"what\" x=\"{middle}\" y=\"{first}\">{what}</text>\
             <text class=\"kind\" x=\"{middle}\" y=\"{second}\">{kind}</text></g>"
        );
        svg.push_str(if href.is_some() { "</a></g>" } else { "</g>" });
    }
}

fn rectangle(radius: f64) -> String {
    format!("<rect class=\"shape\" width=\"{NODE_WIDTH}\" height=\"{NODE_HEIGHT}\" rx=\"{radius}\"/>")
}
