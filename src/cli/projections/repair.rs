//! `projections resume`, `skip`, `dead-letters`, `replay` and `prune`.

use clap::Args;
use serde_json::json;

use crate::BoxError;
use crate::cli::output::{self, TextOrJson, counted, plain};
use crate::cli::session::Session;
use crate::projections::DeadLetter;

/// Retry the event at which a projection has stopped
#[derive(Args)]
#[command(after_help = "Example:\n  $ projections resume roster")]
pub(super) struct Resume {
    /// Name of the projection
    name: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Skip the event at which a projection has stopped: it becomes a dead letter
#[derive(Args)]
#[command(after_help = "Example:\n  $ projections skip roster\n\n\
    A view does not change the documents of the event's keys any more: later events of these keys become dead letters too, so \
    that `projections replay` can apply them in order. Other projections skip only the event.")]
pub(super) struct Skip {
    /// Name of the projection
    name: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// List the dead letters of a projection: skipped events with error and time
#[derive(Args)]
#[command(after_help = "Example:\n  $ projections dead-letters roster --format json")]
pub(super) struct DeadLetters {
    /// Name of the projection
    name: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Apply the dead letters of a projection
#[derive(Args)]
#[command(after_help = "Example:\n  $ projections replay roster\n\n\
    Key by key, in order; events that still fail stay dead letters. A projection without keys is rebuilt.")]
pub(super) struct Replay {
    /// Name of the projection
    name: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Drop the versions of projections that no running program uses
#[derive(Args)]
#[command(after_help = "Examples:\n  $ projections prune --dry-run\n  $ projections prune\n\n\
    After a deployment, the older version of a view stays for programs that still use it and for a rollback. Drop it when it \
    is no longer needed; an older program that starts again rebuilds it.")]
pub(super) struct Prune {
    /// Only print what would be dropped
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: TextOrJson,
}

impl Resume {
    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("resume", Some(&self.name)).await?;
        session.annals.resume(&self.name).await?;
        let head = session.annals.store().head().await?;
        session.annals.reading(&self.name)?.caught_up(head, None).await?;
        match self.format.is_json() {
            true => output::json(&json!({ "name": self.name, "position": head.position })),
            false => output::line(&format!("{} is at position {}", self.name, head.position)),
        }
    }
}

impl Skip {
    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("skip", Some(&self.name)).await?;
        print(&self.format, &session.annals.skip(&self.name).await?)
    }
}

impl DeadLetters {
    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("dead_letters", Some(&self.name)).await?;
        let letters = session.annals.dead_letters(&self.name).await?;
        match letters.is_empty() && !self.format.is_json() {
            true => output::line(&format!("{} has no dead letters", plain(&self.name))),
            false => print(&self.format, &letters),
        }
    }
}

fn print(format: &TextOrJson, letters: &[DeadLetter]) -> Result<(), BoxError> {
    if format.is_json() {
        return output::json(&letters);
    }
    letters.iter().try_for_each(|letter| {
        let DeadLetter { position, event_type, since, attempts, .. } = letter;
        let key = letter.key.as_deref().map(|key| format!(" of `{}`", plain(key))).unwrap_or_default();
        let why = match &letter.error {
            Some(error) => format!("{} ({})", plain(error), counted(*attempts as u64, "attempt")),
            None => "waits for an earlier event of this key".to_owned(),
        };
        output::line(&format!("{position} {event_type}{key} since {since:.6}: {why}"))
    })
}

impl Replay {
    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("replay", Some(&self.name)).await?;
        let events = session.annals.replay(&self.name).await?;
        match self.format.is_json() {
            true => output::json(&json!({ "name": self.name, "events": events })),
            false => output::line(&format!("applied {}", counted(events as u64, "event"))),
        }
    }
}

impl Prune {
    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("prune", None).await?;
        let pruned = if self.dry_run { session.annals.unused().await? } else { session.annals.prune().await? };
        if self.format.is_json() {
            return output::json(&pruned);
        }
        let done = if self.dry_run { "would drop" } else { "dropped" };
        for unused in &pruned {
            let (name, version, position) = (plain(&unused.name), unused.version, unused.position);
            output::line(&format!("{done} {name} version {version:x}, at position {position}"))?;
        }
        match pruned.is_empty() {
            true => output::line("no unused versions"),
            false => Ok(()),
        }
    }
}
