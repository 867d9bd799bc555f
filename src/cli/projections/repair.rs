//! What helps a projection that stopped, and what tidies up.

use clap::Args;
use serde_json::json;

use crate::BoxError;
use crate::app::Annals;
use crate::cli::StoreArgs;
use crate::cli::output::{self, Format, plain};
use crate::projections::DeadLetter;

/// Let a stopped projection try again
#[derive(Args)]
#[command(after_help = "Example:\n  projections resume roster")]
pub(super) struct Resume {
    /// Which one
    name: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Leave out the event that a projection has stopped at, and let it go on
#[derive(Args)]
#[command(after_help = "Example:\n  projections skip roster\n\n\
    A view keeps what it has under the event's keys as it is: later events of these keys queue behind it, so that \
    `projections replay` can take them in, in order. In other projections the event alone is left out.")]
pub(super) struct Skip {
    /// Which one
    name: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// List what a projection has left out: the events, why, since when
#[derive(Args)]
#[command(after_help = "Example:\n  projections letters roster --format json")]
pub(super) struct Letters {
    /// Which one
    name: String,
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Take in what a projection has left out, now that it can be
#[derive(Args)]
#[command(after_help = "Example:\n  projections replay roster\n\n\
    Key by key and in order; what fails still stays left out. A projection that keeps nothing by key is made anew.")]
pub(super) struct Replay {
    /// Which one
    name: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// Drop the versions of projections that no program uses any more
#[derive(Args)]
#[command(after_help = "Examples:\n  projections prune --dry-run\n  projections prune\n\n\
    After a deploy, the views of the older version stay for as long as a program that uses them runs, and for one that is \
    rolled back to. When you are sure, drop them: a program that comes back builds them anew.")]
pub(super) struct Prune {
    /// Only say what would be dropped
    #[arg(long)]
    dry_run: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

impl Resume {
    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        annals.resume(&self.name).await?;
        let head = annals.store().head().await?;
        annals.reading(&self.name)?.caught_up(head, None).await?;
        match self.format {
            Format::Json => output::json(&json!({ "name": self.name, "position": head.position })),
            Format::Text => output::line(&format!("{} is at {}", self.name, head.position)),
        }
    }
}

impl Skip {
    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        print(self.format, &annals.skip(&self.name).await?)
    }
}

impl Letters {
    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        print(self.format, &annals.dead_letters(&self.name).await?)
    }
}

fn print(format: Format, letters: &[DeadLetter]) -> Result<(), BoxError> {
    if format == Format::Json {
        return output::json(&letters);
    }
    letters.iter().try_for_each(|letter| {
        let DeadLetter { position, event_type, since, attempts, .. } = letter;
        let key = letter.key.as_deref().map(|key| format!(" of `{}`", plain(key))).unwrap_or_default();
        let why = match &letter.error {
            Some(error) => format!("{} (tried {attempts} times)", plain(error)),
            None => "queues behind an earlier one".to_owned(),
        };
        output::line(&format!("{position} {event_type}{key} since {since}: {why}"))
    })
}

impl Replay {
    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        let events = annals.replay(&self.name).await?;
        match self.format {
            Format::Json => output::json(&json!({ "name": self.name, "events": events })),
            Format::Text => output::line(&format!("{events} taken in")),
        }
    }
}

impl Prune {
    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        let pruned = if self.dry_run { annals.unused().await? } else { annals.prune().await? };
        if self.format == Format::Json {
            return output::json(&pruned);
        }
        let done = if self.dry_run { "would drop" } else { "dropped" };
        for unused in &pruned {
            let (name, version, position) = (plain(&unused.name), unused.version, unused.position);
            output::line(&format!("{done} {name} version {version:x}, at {position}"))?;
        }
        match pruned.is_empty() {
            true => output::line("nothing is unused"),
            false => Ok(()),
        }
    }
}
