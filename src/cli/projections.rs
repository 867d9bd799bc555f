//! `projections`: how far each is, and making one anew.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::output::{self, Format, plain};
use super::{Bar, Open, StoreArgs};
use crate::BoxError;
use crate::app::{Annals, App};

/// Show how far each projection is, or make one anew
#[derive(Args)]
#[command(
    after_help = "Examples:\n  projections status\n  projections rebuild roster\n  projections rebuild --all"
)]
pub(super) struct Projections {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    Status(Status),
    Rebuild(Rebuild),
    Resume(Resume),
}

/// Show how far each projection is; the exit code is 0 only if none has stopped
#[derive(Args)]
#[command(after_help = "Example:\n  projections status --format json")]
struct Status {
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

/// Make a projection anew from the log, beside the live one, then switch
#[derive(Args)]
#[command(after_help = "Examples:\n  projections rebuild roster\n  projections rebuild --all\n\n\
    Reads are answered from the old one all along; Ctrl-C leaves it as it is.")]
struct Rebuild {
    /// Which one
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

/// Let a stopped projection try again
#[derive(Args)]
#[command(after_help = "Example:\n  projections resume roster")]
struct Resume {
    /// Which one
    name: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Projections {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        match self.command {
            What::Status(status) => {
                let store = status.store.clone();
                app.with(&store, Open::AsItIs.flags(), |annals| async move { status.run(&annals).await }).await
            }
            What::Rebuild(rebuild) => {
                let store = rebuild.store.clone();
                app.with(&store, Open::ToRead.flags(), |annals| async move { rebuild.run(&annals).await }).await
            }
            What::Resume(resume) => {
                let store = resume.store.clone();
                app.with(&store, Open::ToRead.flags(), |annals| async move { resume.run(&annals).await }).await
            }
        }
    }
}

impl Status {
    async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        let statuses = annals.projections().await?;
        if self.format == Format::Json {
            output::json(&statuses)?;
        }
        let mut stopped = Vec::new();
        for status in &statuses {
            if self.format == Format::Text {
                output::line(&format!(
                    "{:<20} version {:x} generation {}  at {} of {} ({} behind)  {}",
                    plain(&status.name),
                    status.version,
                    status.generation,
                    status.position,
                    status.head,
                    status.lag,
                    plain(&status.state.to_string())
                ))?;
            }
            if status.is_stopped() {
                stopped.push(status.name.as_str());
            }
        }
        match stopped.is_empty() {
            true => Ok(()),
            false => Err(format!("stopped: {}; mend the cause, or rebuild", stopped.join(", ")).into()),
        }
    }
}

impl Rebuild {
    async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => annals.projections().await?.into_iter().map(|status| status.name).collect(),
        };
        let mut rebuilt = Vec::new();
        for name in names {
            let mut task = annals.rebuild(&name)?;
            let seen = task.progress();
            let mut bar = Bar::new(format!("rebuilding {name}"), 0);
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            let progress = loop {
                tokio::select! {
                    done = &mut task => break done?,
                    _ = tick.tick() => {
                        let progress = *seen.borrow();
                        bar.at(progress.position, progress.head);
                    }
                    stop = tokio::signal::ctrl_c() => {
                        stop?;
                        task.cancel().await;
                        return Err(format!("stopped: `{name}` is as it was; the same command goes on from here").into());
                    }
                }
            };
            bar.at(progress.position, progress.head);
            bar.finish();
            rebuilt.push(serde_json::json!({ "name": name, "position": progress.position }));
        }
        match self.format {
            Format::Json => output::json(&rebuilt),
            Format::Text => output::line(&format!("{} rebuilt", rebuilt.len())),
        }
    }
}

impl Resume {
    async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        annals.resume(&self.name).await?;
        let head = annals.store().head().await?;
        annals.reading(&self.name)?.caught_up(head, None).await?;
        match self.format {
            Format::Json => output::json(&serde_json::json!({ "name": self.name, "position": head.position })),
            Format::Text => output::line(&format!("{} is at {}", self.name, head.position)),
        }
    }
}
