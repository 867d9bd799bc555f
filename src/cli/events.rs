//! `events`: the log as it lies there.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json, value::RawValue};

use super::output::{Format, plain};
use super::{Open, StoreArgs};
use crate::BoxError;
use crate::app::App;
use crate::events::{Ref, Stored};
use crate::text::hex;

const PAGE: usize = 1_000;

/// Print the events of the log, or of one aggregate, as they lie there
#[derive(Args)]
#[command(
    after_help = "Examples:\n  events --from 100 --limit 10\n  events --aggregate project/7 --format json\n\n\
    JSON has one object a line."
)]
pub(super) struct Events {
    /// Only from this position on
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    from: u64,
    /// Only those of this aggregate: TYPE/ID
    #[arg(long, value_name = "TYPE/ID")]
    aggregate: Option<String>,
    /// At most so many
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Events {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let aggregate = self.aggregate.as_deref().map(aggregate).transpose()?;
        let store = self.store.clone();
        app.with(&store, Open::AsItIs.flags(), |annals| async move {
            let mut left = self.limit.unwrap_or(u64::MAX);
            let mut after = self.from.saturating_sub(1);
            let mut sequence = 0;
            while left > 0 {
                let events = match &aggregate {
                    Some(aggregate) => annals.history(aggregate, sequence, PAGE).await?,
                    None => annals.events(after, PAGE).await?.events,
                };
                let Some(last) = events.last() else { break };
                (after, sequence) = (last.position, last.sequence);
                for stored in events.iter().filter(|stored| stored.position >= self.from) {
                    print(stored, self.format)?;
                    left -= 1;
                    if left == 0 {
                        break;
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

fn aggregate(text: &str) -> Result<Ref, BoxError> {
    match text.split_once('/') {
        Some((kind, id)) => Ok(Ref::new(kind, id)?),
        None => {
            Err(format!("`{text}` names no aggregate: write its type, a slash and its id, like project/7").into())
        }
    }
}

fn print(stored: &Stored, format: Format) -> Result<(), BoxError> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Text => writeln!(
            out,
            "{} {} {} #{} {} {} {}",
            stored.position,
            stored.recorded_at,
            plain(stored.aggregate.as_str()),
            stored.sequence,
            plain(&stored.event_type),
            stored.event_version,
            plain(&stored.payload)
        )?,
        Format::Json => {
            // What is not JSON (which `check` would report) is shown as text.
            let raw = |text: &str| match serde_json::from_str::<Box<RawValue>>(text) {
                Ok(raw) => serde_json::to_value(raw).unwrap_or(Value::Null),
                Err(_) => Value::from(text),
            };
            let row = json!({
                "position": stored.position,
                "event_id": stored.event_id,
                "aggregate": stored.aggregate,
                "sequence": stored.sequence,
                "event_type": stored.event_type,
                "event_version": stored.event_version,
                "payload": raw(&stored.payload),
                "metadata": raw(&stored.metadata),
                "command_id": stored.command_id,
                "occurred_at": stored.occurred_at,
                "recorded_at": stored.recorded_at,
                "digest": hex(&stored.digest),
            });
            writeln!(out, "{row}")?;
        }
    }
    Ok(())
}
