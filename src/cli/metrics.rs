//! `metrics`: the numbers of a topic.

use std::path::PathBuf;

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

use super::output::{self, Format, plain};
use super::plot;
use super::{Open, ReaderArgs, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::App;
use crate::projections::Bound;
use crate::projections::metrics::{Buckets, Busiest, Busy, Metric, MetricQuery, Metrics as Projection, Shifts};

/// Count what happened in a topic and below it, in all and by the minute, hour and day
#[derive(Args)]
#[command(
    after_help = "Examples:\n  metrics project/member\n  metrics / --from 2026-01-01T00:00:00Z --format json\n  \
    metrics project --plot project.svg --slices 200\n  metrics / --from 2026-05-01 --until 2026-06-01 --shifts 1d\n\n\
    `/` is the topic above all others. Bounds are positions, event ids or times with a zone; --from is inclusive, \
    --until exclusive. The rolling averages forget: an event counts less and less as minutes, hours and days go by. A \
    shift is a slice of time in which the topic, or somebody in it, did far more or less than in the 30 slices before."
)]
pub(super) struct Metrics {
    /// The topic: a path like project/member
    topic: String,
    /// Only what was recorded at or after this position, event id or time
    #[arg(long, value_name = "BOUND")]
    from: Option<Bound>,
    /// Only what was recorded before this position, event id or time
    #[arg(long, value_name = "BOUND")]
    until: Option<Bound>,
    /// How many of the busiest actors and targets; 0 leaves them out
    #[arg(long, value_name = "N", default_value_t = 5)]
    busiest: usize,
    /// Into how many slices of time the plots cut the window, 1000 at most
    #[arg(long, value_name = "N", default_value_t = 60)]
    slices: usize,
    /// Write a plot to this file: .svg or .png
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Look for changes of behaviour in slices of time as wide as this: 15m, 1h, 1d
    #[arg(long, value_name = "WIDTH", value_parser = width)]
    shifts: Option<SignedDuration>,
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// All there is to say, as JSON.
#[derive(Serialize)]
struct Numbers {
    #[serde(flatten)]
    metric: Metric,
    busiest: Option<Busiest>,
    buckets: Buckets,
    shifts: Option<Shifts>,
}

impl Metrics {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        self.reader.check(&app)?;
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            caught_up(&annals, Projection::NAME).await?;
            let mut query = match self.reader.of(&annals) {
                Some(reader) => reader.metric(&self.topic).await?,
                None => annals.metric(&self.topic),
            };
            if let Some(from) = self.from {
                query = query.from(from);
            }
            if let Some(until) = self.until {
                query = query.until(until);
            }
            let numbers = self.ask(query).await?;
            if let Some(file) = &self.plot {
                plot::write(&numbers.buckets, file)?;
            }
            match self.format {
                Format::Json => output::json(&numbers),
                Format::Text => numbers.print(),
            }
        })
        .await
    }

    async fn ask(&self, query: MetricQuery) -> Result<Numbers, BoxError> {
        let busiest = match self.busiest {
            0 => None,
            most => Some(query.clone().busiest(most).await?),
        };
        let shifts = match self.shifts {
            None => None,
            Some(width) => Some(query.clone().shifts(width).await?),
        };
        let buckets = query.clone().buckets(self.slices).await?;
        Ok(Numbers { metric: query.await?, busiest, buckets, shifts })
    }
}

impl Numbers {
    fn print(&self) -> Result<(), BoxError> {
        let metric = &self.metric;
        output::line(&format!(
            "{} events in {} from {} until {} (true at position {})",
            metric.total,
            if metric.topic.as_str().is_empty() { "/".into() } else { plain(metric.topic.as_str()) },
            metric.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string()),
            metric.until,
            metric.head.position
        ))?;
        if !self.buckets.buckets.is_empty() {
            let (line, most) = (plot::sparkline(&self.buckets.buckets), plot::most(&self.buckets.buckets));
            output::line(&format!("  |{line}| at most {most} in each of {}", self.buckets.buckets.len()))?;
        }
        for (action, count) in &metric.by_action {
            output::line(&format!("  {action:<8} {count}"))?;
        }
        for (event_type, count) in &metric.by_event {
            output::line(&format!("    {event_type:<40} {count}"))?;
        }
        output::line(&format!(
            "mean: {:.3} a minute, {:.3} an hour, {:.3} a day",
            metric.per_minute, metric.per_hour, metric.per_day
        ))?;
        let (rates, rolling) = (&metric.rates, &metric.rolling);
        output::line(&format!(
            "last minute {}, last hour {}, last day {}",
            rates.last_minute, rates.last_hour, rates.last_day
        ))?;
        output::line(&format!(
            "rolling: {:.3} a minute, {:.3} an hour, {:.3} a day",
            rolling.per_minute, rolling.per_hour, rolling.per_day
        ))?;
        if let Some(busiest) = &self.busiest {
            print_busiest("actors", busiest.distinct_actors, &busiest.actors)?;
            print_busiest("targets", busiest.distinct_targets, &busiest.targets)?;
        }
        match &self.shifts {
            Some(shifts) => print_shifts(shifts),
            None => Ok(()),
        }
    }
}

fn print_busiest(what: &str, distinct: u64, busiest: &[Busy]) -> Result<(), BoxError> {
    output::line(&format!("{distinct} {what}, the busiest:"))?;
    busiest
        .iter()
        .try_for_each(|busy| output::line(&format!("    {:<40} {}", plain(busy.reference.as_str()), busy.events)))
}

fn print_shifts(shifts: &Shifts) -> Result<(), BoxError> {
    output::line(&format!("{} shifts in {} slices", shifts.shifts.len(), shifts.slices))?;
    shifts.shifts.iter().try_for_each(|shift| {
        let whose = shift.actor.as_ref().map_or("all", |actor| actor.as_str());
        output::line(&format!(
            "    {} {:<32} {} where {} is usual (score {:+.1}, by {} slices)",
            shift.from,
            plain(whose),
            shift.count,
            shift.usual,
            shift.score,
            shift.past
        ))
    })
}

/// A width: what jiff reads, and days.
fn width(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u16>().ok());
    match days {
        Some(days) => Ok(SignedDuration::from_hours(24 * i64::from(days))),
        None => text.parse().map_err(|_| format!("`{}` is no width: write 15m, 1h or 1d", text.escape_debug())),
    }
}
