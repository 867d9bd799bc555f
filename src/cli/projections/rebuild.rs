//! `projections rebuild`

use std::time::Duration;

use clap::Args;

use crate::BoxError;
use crate::app::Annals;
use crate::cli::output::{self, Format};
use crate::cli::{Bar, StoreArgs};
use crate::projections::{Progress, Rebuild as Task, RebuildError, Selection, SkipPolicy};
use crate::text::error_chain;

/// Make a projection anew from the log, beside the live one, then switch
#[derive(Args)]
#[command(after_help = "Examples:\n  projections rebuild roster\n  projections rebuild roster --key 7\n  \
    projections rebuild roster --aggregate project\n  projections rebuild --all\n\n\
    Reads are answered from the old one all along, and writers go on. Ctrl-C leaves the old one as it is, and the same \
    command goes on from there later. With --key or --aggregate the documents are replaced in place, in one \
    transaction; --all reads the log once for all.")]
pub(super) struct Rebuild {
    /// Which one
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All of them, in one pass over the log
    #[arg(long)]
    all: bool,
    /// Only what is kept under this key
    #[arg(long, requires = "name", conflicts_with_all = ["aggregate", "keep_skips"])]
    key: Option<String>,
    /// Only the keys that the events of aggregates of this type touch
    #[arg(long, value_name = "TYPE", requires = "name", conflicts_with = "keep_skips")]
    aggregate: Option<String>,
    /// Leave out again what was left out before: see `projections letters`
    #[arg(long)]
    keep_skips: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

impl Rebuild {
    fn begin(&self, annals: &Annals) -> Result<Vec<Task>, RebuildError> {
        let skips = if self.keep_skips { SkipPolicy::Keep } else { SkipPolicy::Refuse };
        let Some(name) = &self.name else {
            return annals.rebuild_all(skips).into_iter().map(|(_, begun)| begun).collect();
        };
        let selection = match (&self.key, &self.aggregate) {
            (Some(key), _) => Selection::Key(key.clone()),
            (None, Some(aggregate)) => Selection::Aggregate(aggregate.clone()),
            (None, None) => return Ok(vec![annals.rebuild_with(name, skips)?]),
        };
        Ok(vec![annals.rebuild_keys(name, selection)?])
    }

    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        let tasks = self.begin(annals)?;
        let what = self.name.as_deref().unwrap_or("all projections");
        let seen: Vec<_> = tasks.iter().map(Task::progress).collect();
        let furthest_back =
            || seen.iter().map(|progress| *progress.borrow()).min_by_key(|progress| progress.position);
        let mut bar = Bar::new(format!("rebuilding {what}"), 0);
        let names: Vec<String> = tasks.iter().map(|task| task.name().to_owned()).collect();
        let mut ended = futures::future::join_all(tasks);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let results = loop {
            tokio::select! {
                results = &mut ended => break results,
                _ = tick.tick() => {
                    let Progress { position, head, .. } = furthest_back().unwrap_or_default();
                    bar.at(position, head);
                }
                stop = tokio::signal::ctrl_c() => {
                    stop?;
                    drop(ended);
                    return Err(format!("stopped: {what} as before; the same command goes on from here").into());
                }
            }
        };
        let Progress { position, head, .. } = furthest_back().unwrap_or_default();
        bar.at(position, head);
        bar.finish();
        let (mut rebuilt, mut failed) = (Vec::new(), Vec::new());
        for (name, result) in names.into_iter().zip(results) {
            match result {
                Ok(progress) => rebuilt.push(serde_json::json!({ "name": name, "position": progress.position })),
                Err(error) => failed.push(error),
            }
        }
        match self.format {
            Format::Json => output::json(&rebuilt)?,
            Format::Text => output::line(&format!("{} rebuilt", rebuilt.len()))?,
        }
        match failed.len() {
            0 => Ok(()),
            1 => Err(failed.remove(0).into()),
            _ => Err(failed.iter().map(|error| error_chain(error)).collect::<Vec<_>>().join("; ").into()),
        }
    }
}
