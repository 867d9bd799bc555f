//! `events`: the events of the log as they are stored.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json, value::RawValue};

use super::output::{TextOrJson, name, plain, plain_json, shown};
use super::session::OpenMode;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::events::{Ref, Stored};
use crate::text::hex;

const PAGE: usize = 1_000;

/// Print the stored events of the log or of one aggregate
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ events --from 100 --limit 10\n  $ events --aggregate project/7 --format json\n\n\
    With --format json, each line is one JSON object. A line of text has position, time, aggregate, sequence in the \
    aggregate, event type, version of the type and payload; a long payload is shortened."
)]
pub(super) struct Events {
    /// First position
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    from: u64,
    /// Only events of this aggregate, like project/7
    #[arg(long, value_name = "TYPE/ID")]
    aggregate: Option<String>,
    /// Maximum number of events
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    format: TextOrJson,
}

impl Events {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        let aggregate = self.aggregate.as_deref().map(aggregate).transpose()?;
        app.check_reader()?;
        app.with(OpenMode::Inspect, |session| async move {
            let mut left = self.limit.unwrap_or(u64::MAX);
            let mut after = self.from.saturating_sub(1);
            let mut sequence = 0;
            while left > 0 {
                let events = match &aggregate {
                    Some(aggregate) => session.history(aggregate, sequence, PAGE).await?,
                    None => session.events(after, PAGE).await?,
                };
                let Some(last) = events.last() else { break };
                (after, sequence) = (last.position, last.sequence);
                for stored in events.iter().filter(|stored| stored.position >= self.from) {
                    print(stored, self.format.is_json())?;
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
            Err(format!("`{text}` is not an aggregate: write its type, a slash and its id, like project/7").into())
        }
    }
}

fn print(stored: &Stored, json: bool) -> Result<(), BoxError> {
    let mut out = std::io::stdout().lock();
    match json {
        false => writeln!(
            out,
            "{} {:.6} {} #{} {} {} {}",
            stored.position,
            stored.recorded_at,
            name(stored.aggregate.as_str()),
            stored.sequence,
            plain(&stored.event_type),
            stored.event_version,
            shown(&stored.payload)
        )?,
        true => {
            // Invalid JSON, which `check` reports, is printed as text.
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
            writeln!(out, "{}", plain_json(&row.to_string()))?;
        }
    }
    Ok(())
}
