//! A Sankey diagram as SVG: sources, actors and sinks in three columns, and bands between them as wide as their counts.
//!
//! The stylesheet sets the colours, light or dark. The drawing is not made smaller than it is, so that its labels stay legible: on a
//! narrow screen it scrolls. Each label has a line of its own, as high as its text at least, so that labels do not overlap.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::http::page::address::Address;
use crate::http::page::site::{FLOWS, Site};
use crate::http::page::text::{many, number};
use crate::projections::flows::{Flow, LargestFlows, Outcome};
use crate::projections::presenter::{plain, short};

/// The size of the drawing, in pixels at its smallest.
const WIDTH: f64 = 960.0;
/// The left edges of the columns, and how wide a node is.
const COLUMNS: [f64; 3] = [230.0, 474.0, 718.0];
const NODE: f64 = 12.0;
/// How high all of a column is at most, without the space that small nodes need for their labels.
const BANDS: f64 = 300.0;
/// The least height of a node with its label, and the space between nodes.
const LINE: f64 = 20.0;
const GAP: f64 = 6.0;
/// The space above the first node, for the heads of the columns.
const TOP: f64 = 30.0;
/// The most characters of a label.
const LABEL: usize = 30;

/// A node: a place or an actor.
struct Node {
    label: String,
    title: String,
    /// The parameter that asks for its flows, if one does.
    link: Option<(&'static str, String)>,
    /// The counts that come in and go out.
    counts: [u64; 2],
    y: f64,
    height: f64,
    /// How much of its height is taken, on each side.
    taken: [f64; 2],
}

/// A band between nodes of neighbouring columns.
struct Band {
    /// The column on its left, and the nodes on its left and right.
    column: usize,
    ends: [usize; 2],
    count: u64,
    class: &'static str,
}

/// The nodes by column, and the bands.
#[derive(Default)]
struct Diagram {
    nodes: [Vec<Node>; 3],
    places: BTreeMap<(usize, String), usize>,
    bands: BTreeMap<(usize, usize, usize, &'static str), u64>,
}

impl Diagram {
    fn of(largest: &LargestFlows) -> Self {
        let mut diagram = Self::default();
        largest.flows.iter().for_each(|flow| diagram.add(flow));
        if largest.others > 0 {
            let others = many(largest.others, "further flow");
            let ends = [0, 1, 2].map(|column| diagram.node(column, &others, &others, None));
            diagram.band(0, ends[0], ends[1], "soft", largest.others_count);
            diagram.band(1, ends[1], ends[2], "soft", largest.others_count);
        }
        diagram
    }

    fn add(&mut self, flow: &Flow) {
        let consumer = match &flow.on_behalf_of {
            Some(principal) => format!("{} for {principal}", flow.actor),
            None => flow.actor.to_string(),
        };
        let class = match flow.outcome {
            Outcome::Denied | Outcome::Refused => "not",
            Outcome::Used if flow.leads_out => "out",
            Outcome::Used => "in",
        };
        let actor = self.node(1, &consumer, &consumer, Some(("actor", flow.actor.to_string())));
        let place =
            |place: &str, name| (!place.starts_with('[') || name == "sink").then(|| (name, place.to_owned()));
        if let Some(source) = &flow.source {
            let node = self.node(0, source, source, place(source, "source"));
            self.band(0, node, actor, if class == "out" { "in" } else { class }, flow.count);
        }
        if let Some(sink) = &flow.sink {
            let node = self.node(2, sink, sink, place(sink, "sink"));
            self.band(1, actor, node, class, flow.count);
        }
        if flow.source.is_none() && flow.sink.is_none() {
            let node = self.nodes[1].get_mut(actor);
            node.into_iter().for_each(|node| node.counts[0] = node.counts[0].saturating_add(flow.count));
        }
    }

    /// The place of a node in its column.
    fn node(&mut self, column: usize, name: &str, title: &str, link: Option<(&'static str, String)>) -> usize {
        let Some(nodes) = self.nodes.get_mut(column) else { return 0 };
        *self.places.entry((column, name.to_owned())).or_insert_with(|| {
            let (label, title) = (cut(name), plain(&short(title, 200)).into_owned());
            nodes.push(Node { label, title, link, counts: [0, 0], y: 0.0, height: 0.0, taken: [0.0, 0.0] });
            nodes.len() - 1
        })
    }

    fn band(&mut self, column: usize, left: usize, right: usize, class: &'static str, count: u64) {
        let band = self.bands.entry((column, left, right, class)).or_default();
        *band = band.saturating_add(count);
        for (column, node, side) in [(column, left, 1), (column + 1, right, 0)] {
            let node = self.nodes.get_mut(column).and_then(|nodes| nodes.get_mut(node));
            node.into_iter().for_each(|node| node.counts[side] = node.counts[side].saturating_add(count));
        }
    }

    /// Places the nodes below each other. Returns the height of the drawing, and how high one of a count is.
    fn place(&mut self) -> (f64, f64) {
        let of_column =
            |nodes: &Vec<Node>| nodes.iter().map(|node| node.counts[0].max(node.counts[1])).sum::<u64>();
        let most = self.nodes.iter().map(of_column).max().unwrap_or(0).max(1);
        let scale = BANDS / most as f64;
        let mut height: f64 = 0.0;
        for nodes in &mut self.nodes {
            let mut y = TOP;
            for node in nodes {
                node.height = (node.counts[0].max(node.counts[1]) as f64 * scale).max(3.0);
                let slot = node.height.max(LINE);
                node.y = y + (slot - node.height) / 2.0;
                y += slot + GAP;
            }
            height = height.max(y);
        }
        (height, scale)
    }

    /// The outline of a band. Bands of a node are below each other, in the order of the nodes at their other ends.
    fn outline(&mut self, band: &Band, scale: f64) -> String {
        let wide = (band.count as f64 * scale).max(1.0);
        let mut edge = |column: usize, node: usize, side: usize| {
            let node = self.nodes.get_mut(column).and_then(|nodes| nodes.get_mut(node));
            node.map_or(TOP, |node| {
                // Bands that are drawn wider than they are stay within their node.
                let y = node.y + node.taken[side].min((node.height - wide).max(0.0));
                node.taken[side] += wide;
                y
            })
        };
        let (left, right) = (edge(band.column, band.ends[0], 1), edge(band.column + 1, band.ends[1], 0));
        let (from, to) = (COLUMNS[band.column] + NODE, COLUMNS[band.column + 1]);
        let middle = f64::midpoint(from, to);
        format!(
            "M{from:.1} {left:.1}C{middle:.1} {left:.1} {middle:.1} {right:.1} {to:.1} {right:.1}V{:.1}C{middle:.1} {:.1} {middle:.1} {:.1} {from:.1} {:.1}Z",
            right + wide,
            right + wide,
            left + wide,
            left + wide
        )
    }
}

/// A label: without characters that act on the page, and cut.
fn cut(text: &str) -> String {
    let text = plain(text);
    match text.char_indices().nth(LABEL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// Draws the flows. A node links to its own flows.
pub(super) fn draw(site: &Site, asked: &Address, largest: &LargestFlows) -> Markup {
    if largest.flows.is_empty() {
        return html! { p.empty.sheet { "Nothing flows that these filters select." } };
    }
    let mut diagram = Diagram::of(largest);
    let (height, scale) = diagram.place();
    let bands: Vec<Band> = std::mem::take(&mut diagram.bands)
        .into_iter()
        .map(|((column, left, right, class), count)| Band { column, ends: [left, right], count, class })
        .collect();
    let outlines: Vec<(String, &Band)> = bands.iter().map(|band| (diagram.outline(band, scale), band)).collect();
    let name = |column: usize, node: usize| diagram.nodes[column].get(node).map_or("", |node| node.title.as_str());
    html! {
        figure.sankey.sheet {
            figcaption {
                span { "The largest flows" @if largest.others > 0 { ", and " (many(largest.others, "further one")) } }
                span.keys { span.in { "within" } span.out { "leads out" } span.not { "denied or refused" } }
            }
            div.scroll tabindex="0" role="group" aria-label="Drawing of the flows: the table below has the same" {
                svg viewBox=(format!("0 0 {WIDTH:.0} {height:.0}")) aria-hidden="true" {
                    @for (outline, band) in &outlines {
                        path class={ "band " (band.class) } d=(outline) {
                            title { (name(band.column, band.ends[0])) " → " (name(band.column + 1, band.ends[1])) ": " (number(band.count)) }
                        }
                    }
                    @for (column, words) in ["Source", "Actor", "Sink"].into_iter().enumerate() {
                        (label(column, TOP - 14.0, html! { (words) }, "head"))
                        @for node in &diagram.nodes[column] {
                            rect.node x=(COLUMNS[column]) y=(format!("{:.1}", node.y)) width=(NODE) height=(format!("{:.1}", node.height)) rx="2" {
                                title { (node.title) ": " (number(node.counts[0].max(node.counts[1]))) }
                            }
                            @let text = html! { (node.label) " " tspan.count { (number(node.counts[0].max(node.counts[1]))) } };
                            @let y = node.y + node.height / 2.0;
                            @match &node.link {
                                Some((name, value)) => { a href=(site.link(FLOWS, &asked.with(name, value))) tabindex="-1" { (label(column, y, text, "label")) } }
                                None => { (label(column, y, text, "label")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A label beside its node: sources on their left, the others on their right.
fn label(column: usize, y: f64, text: Markup, class: &str) -> Markup {
    let (x, anchor) = match column {
        0 => (COLUMNS[0] - 8.0, "end"),
        _ => (COLUMNS[column] + NODE + 8.0, "start"),
    };
    let x = if class == "head" && column > 0 { COLUMNS[column] } else { x };
    html! { text class=(class) x=(x) y=(format!("{y:.1}")) text-anchor=(anchor) dominant-baseline="central" { (text) } }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::events::LogPosition;
    use crate::projections::audit::Detail;

    fn flow(source: Option<&str>, actor: &str, sink: Option<&str>, count: u64) -> Flow {
        Flow {
            minute: None,
            source: source.map(str::to_owned),
            actor: actor.parse().unwrap(),
            on_behalf_of: None,
            via: Vec::new(),
            sink: sink.map(str::to_owned),
            leads_out: sink.is_some_and(|sink| sink.starts_with("host:")),
            outcome: Outcome::Used,
            count,
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            position: 1,
        }
    }

    fn largest(flows: Vec<Flow>, others: u64) -> LargestFlows {
        let (head, detail) = (LogPosition::default(), Detail::Full);
        LargestFlows { flows, others, others_count: others, head, detail }
    }

    /// Thin nodes have room for their labels, thick ones are as high as their counts.
    #[test]
    fn labels_do_not_overlap_and_bands_are_as_wide_as_their_counts() {
        let mut flows: Vec<Flow> =
            (0..24).map(|n| flow(Some(&format!("store:{n}")), "app:one", Some("host:evil"), 1)).collect();
        flows.push(flow(Some("store:big"), "app:two", None, 1_000));
        let mut diagram = Diagram::of(&largest(flows, 3));
        let (height, scale) = diagram.place();
        for nodes in &diagram.nodes {
            let middles: Vec<f64> = nodes.iter().map(|node| node.y + node.height / 2.0).collect();
            assert!(middles.windows(2).all(|pair| pair[1] - pair[0] >= LINE), "{middles:?}");
            assert!(middles.iter().all(|middle| *middle < height));
        }
        assert!(
            (diagram.nodes[0].iter().map(|node| node.height).fold(0.0, f64::max) - 1_000.0 * scale).abs() < 0.1
        );
        assert!(height < 1_000.0, "{height}");
    }

    #[test]
    fn names_are_escaped_and_cut() {
        let hostile = format!("store:<b>\u{202e}{}", "x".repeat(400));
        let drawn = draw(
            &Site::for_tests(),
            &Address::default(),
            &largest(vec![flow(Some(&hostile), "app:one", None, 1)], 0),
        );
        let drawn = drawn.into_string();
        assert!(
            drawn.contains("&lt;b&gt;\\u{202e}xx") && !drawn.contains("<b>") && !drawn.contains('\u{202e}'),
            "{drawn}"
        );
        assert!(drawn.contains("…"), "{drawn}");
        let nothing = draw(&Site::for_tests(), &Address::default(), &largest(Vec::new(), 0)).into_string();
        assert!(nothing.contains("Nothing flows"), "{nothing}");
    }
}
