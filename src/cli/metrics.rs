//! `metrics`: the numbers of a topic.

use clap::Args;

use super::output::{self, Format, plain};
use super::{Open, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::App;
use crate::projections::Bound;
use crate::projections::metrics::Metrics as Projection;

/// Count what happened in a topic and below it, in all and by the minute, hour and day
#[derive(Args)]
#[command(
    after_help = "Examples:\n  metrics project/member\n  metrics / --from 2026-01-01T00:00:00Z --format json\n\n\
    `/` is the topic above all others. Bounds are positions, event ids or times with a zone; --from is inclusive, \
    --until exclusive."
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
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Metrics {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            caught_up(&annals, Projection::NAME).await?;
            let mut query = annals.metric(&self.topic);
            if let Some(from) = self.from {
                query = query.from(from);
            }
            if let Some(until) = self.until {
                query = query.until(until);
            }
            let metric = query.await?;
            if self.format == Format::Json {
                return output::json(&metric);
            }
            output::line(&format!(
                "{} events in {} from {} until {} (true at position {})",
                metric.total,
                if metric.topic.as_str().is_empty() { "/".into() } else { plain(metric.topic.as_str()) },
                metric.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string()),
                metric.until,
                metric.head.position
            ))?;
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
            let rates = &metric.rates;
            output::line(&format!(
                "last minute {}, last hour {}, last day {}",
                rates.last_minute, rates.last_hour, rates.last_day
            ))
        })
        .await
    }
}
