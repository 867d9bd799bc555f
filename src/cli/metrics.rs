//! `metrics`: the numbers of a topic.

use std::path::PathBuf;

use clap::Args;

use super::output::{self, Format, plain};
#[cfg(feature = "plots")]
use super::plot;
use super::{Open, ReaderArgs, StoreArgs, caught_up, sparkline};
use crate::BoxError;
use crate::app::App;
use crate::projections::metrics::{Anomalies, Busy, MetricQueryParams, MetricReport, Metrics as Projection};

/// Count what happened in a topic and below it, in all and by the minute, hour and day
#[derive(Args)]
#[command(
    after_help = "Examples:\n  metrics project/member\n  metrics / --from 2026-01-01T00:00:00Z --format json\n  \
    metrics project --plot project.svg --slices 200\n  metrics / --from 2026-05-01 --until 2026-06-01 --anomalies 1d\n\n\
    `/` is the topic above all others. Bounds are positions, event ids or times with a zone; --from is inclusive, \
    --until exclusive. The rolling averages forget: an event counts less and less as minutes, hours and days go by. A \
    anomaly is a slice of time in which the topic, or somebody in it, did far more or less than in the 30 slices before."
)]
pub(super) struct Metrics {
    /// The topic: a path like project/member
    topic: String,
    #[command(flatten)]
    asked: MetricQueryParams,
    /// Write a plot to this file: .svg or .png
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl Metrics {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        self.reader.check(&app)?;
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            caught_up(&annals, Projection::NAME).await?;
            let query = match self.reader.of(&annals) {
                Some(reader) => reader.metric(&self.topic).await?,
                None => annals.metric(&self.topic),
            };
            let numbers = self.asked.of(query).await?;
            #[cfg(feature = "plots")]
            if let Some(file) = &self.plot {
                plot::write(&numbers.buckets, file)?;
            }
            match self.format {
                Format::Json => output::json(&numbers),
                Format::Text => print(&numbers),
            }
        })
        .await
    }
}

fn print(numbers: &MetricReport) -> Result<(), BoxError> {
    let metric = &numbers.metric;
    output::line(&format!(
        "{} events in {} from {} until {} (true at position {})",
        metric.total,
        if metric.topic.as_str().is_empty() { "/".into() } else { plain(metric.topic.as_str()) },
        metric.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string()),
        metric.until,
        metric.head.position
    ))?;
    if !numbers.buckets.buckets.is_empty() {
        let (line, most) =
            (sparkline::sparkline(&numbers.buckets.buckets), sparkline::most(&numbers.buckets.buckets));
        output::line(&format!("  |{line}| at most {most} in each of {}", numbers.buckets.buckets.len()))?;
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
    if let Some(busiest) = &numbers.busiest {
        print_busiest("actors", busiest.distinct_actors, &busiest.actors)?;
        print_busiest("targets", busiest.distinct_targets, &busiest.targets)?;
    }
    match &numbers.anomalies {
        Some(anomalies) => print_anomalies(anomalies),
        None => Ok(()),
    }
}

fn print_busiest(what: &str, distinct: u64, busiest: &[Busy]) -> Result<(), BoxError> {
    output::line(&format!("{distinct} {what}, the busiest:"))?;
    busiest
        .iter()
        .try_for_each(|busy| output::line(&format!("    {:<40} {}", plain(busy.reference.as_str()), busy.events)))
}

fn print_anomalies(anomalies: &Anomalies) -> Result<(), BoxError> {
    output::line(&format!("{} anomalies in {} slices", anomalies.anomalies.len(), anomalies.slices))?;
    anomalies.anomalies.iter().try_for_each(|anomaly| {
        let whose = anomaly.actor.as_ref().map_or("all", |actor| actor.as_str());
        output::line(&format!(
            "    {} {:<32} {} where {} is usual (score {:+.1}, by {} slices)",
            anomaly.from,
            plain(whose),
            anomaly.count,
            anomaly.usual,
            anomaly.score,
            anomaly.past
        ))
    })
}
