//! `projections status`

use clap::Args;

use crate::BoxError;
use crate::app::Annals;
use crate::cli::StoreArgs;
use crate::cli::output::{self, Format, plain};
use crate::projections::ProjectionStatus;

/// Show how far each projection is; the exit code is 0 only if none has stopped
#[derive(Args)]
#[command(after_help = "Examples:\n  projections status\n  projections status --format json\n\n\
    leader: which of the processes that run now keeps it up with the log (the first digits of its number).\n\
    left out: events among its dead letters, see `projections letters`.")]
pub(super) struct Status {
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

impl Status {
    pub(super) async fn run(&self, annals: &Annals) -> Result<(), BoxError> {
        let statuses = annals.projections().await?;
        match self.format {
            Format::Json => output::json(&statuses)?,
            Format::Text => statuses.iter().try_for_each(|status| output::line(&words(status)))?,
        }
        let stopped: Vec<&str> =
            statuses.iter().filter(|status| status.is_stopped()).map(|status| status.name.as_str()).collect();
        match stopped.is_empty() {
            true => Ok(()),
            false => Err(format!("stopped: {}; mend the cause, or rebuild", stopped.join(", ")).into()),
        }
    }
}

fn words(status: &ProjectionStatus) -> String {
    let ProjectionStatus { name, version, generation, position, head, lag, .. } = status;
    let mut words = format!(
        "{:<20} version {version:x} generation {generation}  at {position} of {head} ({lag} behind)  {}",
        plain(name),
        plain(&status.state.to_string())
    );
    if let Some(leader) = status.leader {
        words += &format!("  leader {:.8}", leader.simple().to_string());
    }
    if status.dead_letters > 0 {
        words += &format!("  {} left out", status.dead_letters);
    }
    if let Some(rebuild) = status.rebuild {
        words += &format!("  rebuild at {} of {}", rebuild.position, rebuild.head);
        if let Some(eta) = rebuild.eta {
            words += &format!(" ({:.0}/s, about {} s left)", rebuild.events_per_second, eta.as_secs());
        }
    }
    words
}
