//! `projections rebuild`.

use std::time::Duration;

use clap::Args;

use crate::BoxError;
use crate::app::Annals;
use crate::cli::ProgressBar;
use crate::cli::ending_signals::EndingSignals;
use crate::cli::output::{self, TextOrJson, counted};
use crate::cli::session::Session;
use crate::projections::{Progress, Rebuild as Task, RebuildError, Selection, SkipPolicy};
use crate::text::error_chain;

/// Rebuild a projection from the log beside the live one, then switch over
#[derive(Args)]
#[command(after_help = "Examples:\n  $ projections rebuild roster\n  $ projections rebuild roster --key 7\n  \
    $ projections rebuild roster --aggregate project\n  $ projections rebuild --all\n\n\
    Until the switch, reads use the old version; commands are not blocked. After Ctrl-C or another signal the old version stays, and the same \
    command continues the rebuild. With --key or --aggregate the documents are replaced in place, in one transaction. --all \
    reads the log once for all projections.")]
pub(super) struct Rebuild {
    /// Name of the projection
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All projections, in one pass over the log
    #[arg(long)]
    all: bool,
    /// Only the document with this key
    #[arg(long, requires = "name", conflicts_with_all = ["aggregate", "keep_skips"])]
    key: Option<String>,
    /// Only the documents that events of this aggregate type affect
    #[arg(long, value_name = "TYPE", requires = "name", conflicts_with = "keep_skips")]
    aggregate: Option<String>,
    /// Skip the events again that are dead letters now: see `projections dead-letters`
    #[arg(long)]
    keep_skips: bool,
    #[command(flatten)]
    format: TextOrJson,
}

impl Rebuild {
    fn start(&self, annals: &Annals) -> Result<Vec<Task>, RebuildError> {
        let skips = if self.keep_skips { SkipPolicy::Keep } else { SkipPolicy::Refuse };
        let Some(name) = &self.name else {
            return annals.rebuild_all(skips).into_iter().map(|(_, started)| started).collect();
        };
        let selection = match (&self.key, &self.aggregate) {
            (Some(key), _) => Selection::Key(key.clone()),
            (None, Some(aggregate)) => Selection::Aggregate(aggregate.clone()),
            (None, None) => return Ok(vec![annals.rebuild_with(name, skips)?]),
        };
        Ok(vec![annals.rebuild_keys(name, selection)?])
    }

    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        let mut signals = EndingSignals::listen()?;
        session.operate("rebuild", self.name.as_deref()).await?;
        let tasks = self.start(&session.annals)?;
        let what = self.name.as_deref().unwrap_or("all projections");
        let progress: Vec<_> = tasks.iter().map(Task::progress).collect();
        let slowest =
            || progress.iter().map(|progress| *progress.borrow()).min_by_key(|progress| progress.position);
        let mut bar = ProgressBar::new(format!("rebuilding {what}"), 0);
        let names: Vec<String> = tasks.iter().map(|task| task.name().to_owned()).collect();
        let mut ended = futures::future::join_all(tasks);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let results = loop {
            tokio::select! {
                results = &mut ended => break results,
                _ = tick.tick() => {
                    let Progress { position, head, .. } = slowest().unwrap_or_default();
                    bar.at(position, head);
                }
                signal = signals.received() => {
                    drop(ended);
                    return Err(format!("ended by {signal}: {what} unchanged; the same command continues the rebuild").into());
                }
            }
        };
        let Progress { position, head, .. } = slowest().unwrap_or_default();
        bar.at(position, head);
        bar.finish();
        let (mut rebuilt, mut failed) = (Vec::new(), Vec::new());
        for (name, result) in names.into_iter().zip(results) {
            match result {
                Ok(progress) => rebuilt.push(serde_json::json!({ "name": name, "position": progress.position })),
                Err(error) => failed.push(error),
            }
        }
        match self.format.is_json() {
            // Only the error is printed.
            _ if rebuilt.is_empty() && !failed.is_empty() => {}
            true => output::json(&rebuilt)?,
            false => output::line(&format!("rebuilt {}", counted(rebuilt.len() as u64, "projection")))?,
        }
        match failed.len() {
            0 => Ok(()),
            1 => Err(failed.remove(0).into()),
            _ => Err(failed.iter().map(|error| error_chain(error)).collect::<Vec<_>>().join("; ").into()),
        }
    }
}
