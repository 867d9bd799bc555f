//! Metrics: rates, most active actors, most affected targets, anomalies.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::address::Address;
use super::chart::{bars, share};
use super::respond;
use super::site::{METRICS, Section, Site};
use super::text::{crumbs, many, number, rate, reference, time, utc};
use crate::events::Topic;
use crate::http::{AppState, Caller, Problem};
use crate::projections::RangeBound;
use crate::projections::metrics::{Anomalies, Anomaly, Busiest, Busy, Metric, MetricQuery};
use crate::text::name_list;

/// The selectable time ranges: parameter, label, length in seconds, bars of the chart, and the width in seconds of the
/// intervals that are searched for anomalies.
const WINDOWS: [(&str, &str, i64, usize, i64); 4] = [
    ("hour", "Last hour", 3_600, 60, 60),
    ("day", "Last 24 hours", 86_400, 48, 1_800),
    ("week", "Last 7 days", 7 * 86_400, 56, 3 * 3_600),
    ("month", "Last 30 days", 30 * 86_400, 60, 12 * 3_600),
];

/// The widths for other time ranges, in seconds.
const WIDTHS: [i64; 7] = [60, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400];

/// The most intervals of that width.
const MAX_INTERVALS: i64 = 240;
/// The most entries of a list.
const MAX_BUSIEST: usize = 10;
const MAX_ANOMALIES: usize = 50;

pub(super) async fn show(
    site: Site,
    caller: Caller,
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Address::parse(query.as_deref());
    check(&asked)?;
    let topic = asked.get("topic").unwrap_or("/");
    let window = Window::of(&asked, state.annals().now())?;
    let axes = Axes::of(&asked, state.annals().has_metrics_by_occurrence());
    let mut query = caller.metric(topic).await?;
    if axes.occurred {
        query = query.by_occurrence();
    }
    if let Some(from) = window.from {
        query = query.from(from);
    }
    if let Some(until) = window.until {
        query = query.until(until);
    }
    let metric = query.clone().await?;
    let buckets = query.clone().buckets(window.slices).await?;
    let busiest = query.clone().busiest(MAX_BUSIEST).await?;
    let anomalies = anomalies(&query, &metric, window.width).await?;
    let odd = |from: Timestamp, until: Timestamp| {
        anomalies.anomalies.iter().any(|anomaly| anomaly.from < until && from < anomaly.until)
    };
    let events =
        |from: Timestamp, until: Timestamp| site.link("", &with_topic(axes.range(from, until), &metric.topic));
    let content = html! {
        div.title {
            div {
                h1 { "Metrics" }
                p { (subtitle(&site, &asked, &metric)) }
            }
        }
        nav.tabs aria-label="Time range" {
            @for (name, words, ..) in WINDOWS.into_iter().chain([("all", "All", 0, 0, 0)]) {
                @let chosen = asked.get("last").unwrap_or(if window.is_stated { "" } else { "all" }) == name;
                a href=(site.link(METRICS, &axes.kept(with_topic(Address::default().with("last", name), &metric.topic)))) aria-current=[chosen.then_some("true")] { (words) }
            }
        }
        @if axes.declared {
            nav.tabs aria-label="Times" {
                @for (occurred, words) in [(true, "By time of occurrence"), (false, "By time recorded")] {
                    a href=(site.link(METRICS, &asked.with("by_occurrence", occurred))) aria-current=[(axes.occurred == occurred).then_some("true")] { (words) }
                }
            }
        }
        div.stack {
            (cards(&metric, &busiest))
            (bars(&buckets.buckets, |bucket| odd(bucket.from, bucket.until), events))
            div.two {
                (busy(&site, "Most active actors", busiest.distinct_actors, &busiest.actors, metric.total))
                (busy(&site, "Most affected targets", busiest.distinct_targets, &busiest.targets, metric.total))
                (kinds(&site, &metric))
            }
            (unusual(&site, &axes, &anomalies, window.width_for(&metric)))
        }
    };
    Ok(respond(site.page(Section::Metrics, "Metrics", &content)))
}

/// Checks the names of the parameters, and the time range: a misspelt one would show everything.
fn check(asked: &Address) -> Result<(), Problem> {
    let ranges = || WINDOWS.iter().map(|(name, ..)| *name).chain(["all"]);
    if let Some((name, _)) =
        asked.iter().find(|(name, _)| !["topic", "from", "until", "last", "by_occurrence"].contains(name))
    {
        let name = name.escape_debug();
        return Err(Problem::malformed(format!(
            "there is no parameter `{name}`; there are `topic`, `from`, `until`, `last` and `by_occurrence`"
        )));
    }
    match asked.get("last").filter(|last| ranges().all(|name| name != *last)) {
        None => Ok(()),
        Some(last) => {
            let (last, ranges) = (last.escape_debug(), name_list(ranges()));
            Err(Problem::malformed(format!("there is no time range `{last}`; there are {ranges}")))
        }
    }
}

/// Redirects from the former address, `/numbers`.
pub(super) async fn moved(site: Site, RawQuery(query): RawQuery) -> Response {
    Redirect::permanent(&site.link(METRICS, &Address::parse(query.as_deref()))).into_response()
}

/// Which times the numbers are by.
struct Axes {
    /// Whether the application keeps both.
    declared: bool,
    /// Whether the numbers are by when events occurred.
    occurred: bool,
}

impl Axes {
    /// An application that keeps metrics by occurrence imports histories: its page opens with them. An address may ask for
    /// them where they are not kept: then the query is refused.
    fn of(asked: &Address, declared: bool) -> Self {
        let occurred = asked.get("by_occurrence").map_or(declared, |asked| asked == "true");
        Self { declared, occurred }
    }

    /// The address with the axis, if it is not the one that the page opens with.
    fn kept(&self, address: Address) -> Address {
        if self.occurred == self.declared { address } else { address.with("by_occurrence", self.occurred) }
    }

    /// The filters of the events in a range of time.
    fn range(&self, from: Timestamp, until: Timestamp) -> Address {
        match self.occurred {
            true => Address::default().with("occurred_from", from).with("occurred_until", until),
            false => Address::default().with("from", from).with("until", until),
        }
    }
}

/// The requested time range.
struct Window {
    from: Option<RangeBound>,
    until: Option<RangeBound>,
    slices: usize,
    /// The width of the examined intervals in seconds, if the time range defines it.
    width: Option<i64>,
    is_stated: bool,
}

impl Window {
    /// Parses the time range. `now` is the time of the application's clock.
    fn of(asked: &Address, now: Timestamp) -> Result<Self, Problem> {
        let bound = |name| asked.get(name).map(str::parse::<RangeBound>).transpose();
        let malformed = |error: crate::projections::InvalidRangeBound| Problem::malformed(error.to_string());
        let (from, until) = (bound("from").map_err(malformed)?, bound("until").map_err(malformed)?);
        let last = WINDOWS.into_iter().find(|(name, ..)| asked.get("last") == Some(name));
        Ok(match last {
            Some((_, _, length, slices, width)) => {
                let begin = now.checked_sub(SignedDuration::from_secs(length)).unwrap_or(Timestamp::MIN);
                Self {
                    from: Some(RangeBound::Time(begin)),
                    until: None,
                    slices,
                    width: Some(width),
                    is_stated: true,
                }
            }
            None => Self { from, until, slices: 60, width: None, is_stated: from.is_some() || until.is_some() },
        })
    }

    /// The width of the examined intervals, in seconds.
    fn width_for(&self, metric: &Metric) -> i64 {
        let length = metric.from.map_or(0, |from| metric.until.duration_since(from).as_secs());
        let fitting = WIDTHS.into_iter().find(|width| length / width <= MAX_INTERVALS);
        self.width.or(fitting).unwrap_or(WIDTHS[WIDTHS.len() - 1])
    }
}

async fn anomalies(query: &MetricQuery, metric: &Metric, width: Option<i64>) -> Result<Anomalies, Problem> {
    let window = Window { from: None, until: None, slices: 0, width, is_stated: false };
    Ok(query.clone().anomalies(SignedDuration::from_secs(window.width_for(metric))).await?)
}

fn with_topic(asked: Address, topic: &Topic) -> Address {
    match topic.as_str() {
        "" => asked,
        topic => asked.with("topic", topic),
    }
}

/// The topic and the time range.
fn subtitle(site: &Site, asked: &Address, metric: &Metric) -> Markup {
    let link = |path: &str| site.link(METRICS, &asked.with("topic", path));
    html! {
        @if metric.topic == Topic::root() { "All topics" } @else {
            a href=(site.link(METRICS, &asked.without("topic"))) { "All topics" } " / " (crumbs(&metric.topic, link))
        }
        @if let Some(from) = metric.from { ", " (time(from, "minute")) " to " (time(metric.until, "minute")) }
        ", as of position " span.number { (number(metric.head.position)) }
    }
}

fn card(words: &str, value: &str, sub: &str) -> Markup {
    html! { div.card.sheet { dt { (words) } dd.big { (value) } dd.sub { (sub) } } }
}

fn cards(metric: &Metric, busiest: &Busiest) -> Markup {
    let (rates, rolling) = (&metric.rates, &metric.rolling);
    let about = |rolling: f64, unit: &str| {
        format!("about {} a{} {unit}", rate(rolling), if unit == "hour" { "n" } else { "" })
    };
    html! {
        dl.cards {
            (card("Events", &number(metric.total), &mean(metric)))
            (card("Last minute", &number(rates.last_minute), &about(rolling.per_minute, "minute")))
            (card("Last hour", &number(rates.last_hour), &about(rolling.per_hour, "hour")))
            (card("Last day", &number(rates.last_day), &about(rolling.per_day, "day")))
            (card("Actors", &number(busiest.distinct_actors), &many(busiest.distinct_targets, "target")))
        }
    }
}

/// The mean over the widest unit that the window is as long as.
fn mean(metric: &Metric) -> String {
    let means = [(metric.per_day, "a day"), (metric.per_hour, "an hour"), (metric.per_minute, "a minute")];
    let mean = means.into_iter().find_map(|(mean, unit)| Some(format!("{} {unit} on average", rate(mean?))));
    mean.unwrap_or_else(|| "in less than a minute".to_owned())
}

fn busy(site: &Site, title: &str, distinct: u64, busiest: &[Busy], total: u64) -> Markup {
    html! {
        section.block.sheet {
            h2 { (title) }
            @if busiest.is_empty() { p.soft { "None yet." } }
            ol.bars {
                @for busy in busiest {
                    li { (reference(site, &busy.reference)) span.number { (number(busy.events)) } (share(busy.events, total)) }
                }
            }
            @if distinct > busiest.len() as u64 { p.soft { "and " (number(distinct - busiest.len() as u64)) " more" } }
        }
    }
}

fn kinds(site: &Site, metric: &Metric) -> Markup {
    let mut kinds: Vec<(&String, &u64)> = metric.by_event.iter().collect();
    kinds.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
    html! {
        section.block.sheet {
            h2 { "Event types" }
            @if kinds.is_empty() { p.soft { "None yet." } }
            ol.bars {
                @for (event, count) in kinds.into_iter().take(MAX_BUSIEST) {
                    li {
                        a.ref href=(site.link("", &with_topic(Address::default().with("event", event), &metric.topic))) { (event) }
                        span.number { (number(*count)) }
                        (share(*count, metric.total))
                    }
                }
            }
        }
    }
}

fn unusual(site: &Site, axes: &Axes, anomalies: &Anomalies, width: i64) -> Markup {
    let wide = match width {
        width if width % 86_400 == 0 => many((width / 86_400).unsigned_abs(), "day"),
        width if width % 3_600 == 0 => many((width / 3_600).unsigned_abs(), "hour"),
        width => many((width / 60).unsigned_abs(), "minute"),
    };
    let mut found: Vec<&Anomaly> = anomalies.anomalies.iter().collect();
    found.reverse();
    html! {
        section.block.sheet {
            h2 { "Anomalies" }
            p.soft { "Intervals of " (wide) " in which the topic, or one of its actors, has far more or fewer events than in the 30 intervals before. " (many(anomalies.slices, "interval")) " examined." }
            @if found.is_empty() { p { "No anomalies." } } @else {
                div.scroll {
                    table.list {
                        thead { tr { th scope="col" { "When" } th scope="col" { "Actor" } th.number scope="col" { "Events" } th.number scope="col" { "Usual" } th scope="col" { "Change" } } }
                        tbody { @for anomaly in found.iter().take(MAX_ANOMALIES) { (anomaly_row(site, axes, &anomalies.topic, anomaly)) } }
                    }
                }
                @if found.len() > MAX_ANOMALIES { p.soft { "and " (number((found.len() - MAX_ANOMALIES) as u64)) " earlier ones" } }
            }
        }
    }
}

fn anomaly_row(site: &Site, axes: &Axes, topic: &Topic, anomaly: &Anomaly) -> Markup {
    let slice = with_topic(axes.range(anomaly.from, anomaly.until), topic);
    let slice = anomaly.actor.iter().fold(slice, |slice, actor| slice.with("actor", actor));
    html! {
        tr {
            td { a href=(site.link("", &slice)) title={ "until " (utc(anomaly.until, "%Y-%m-%d %H:%M UTC")) } { (time(anomaly.from, "minute")) } }
            td { @if let Some(actor) = &anomaly.actor { (reference(site, actor)) } @else { "all actors" } }
            td.number { (number(anomaly.count)) }
            td.number { (rate(anomaly.usual)) }
            td { @if anomaly.score > 0.0 { "↑ far more" } @else { "↓ far fewer" } " " span.soft.number { "(" (format!("{:+.1}", anomaly.score)) ")" } }
        }
    }
}
