//! `projections status`.

use clap::Args;

use crate::BoxError;
use crate::cli::output::{self, TextOrJson, counted, plain};
use crate::cli::session::Session;
use crate::projections::ProjectionStatus;
use crate::store::StandbyStatus;

/// Show position, lag and state of each projection; the exit code is 0 only if none has stopped
#[derive(Args)]
#[command(after_help = "Examples:\n  $ projections status\n  $ projections status --format json\n\n\
    leader: the running process that updates the projection (first digits of its id).\n\
    dead letters: skipped events, see `projections dead-letters`.")]
pub(super) struct Status {
    #[command(flatten)]
    format: TextOrJson,
}

impl Status {
    pub(super) async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("status", None).await?;
        let statuses = session.annals.projections().await?;
        match self.format.is_json() {
            true => output::json(&statuses)?,
            false => {
                statuses.iter().try_for_each(|status| output::line(&text(status)))?;
                if let Some(standby) = session.annals.store().standby().await? {
                    output::line(&of_standby(&standby))?;
                }
            }
        }
        let stopped: Vec<&str> =
            statuses.iter().filter(|status| status.is_stopped()).map(|status| status.name.as_str()).collect();
        match stopped.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "stopped: {}; fix the cause and `projections resume`, or `projections rebuild`",
                stopped.join(", ")
            )
            .into()),
        }
    }
}

fn of_standby(standby: &StandbyStatus) -> String {
    let at = match (standby.position, standby.lag) {
        (Some(position), Some(lag)) => format!("at {position} (lag {lag})"),
        _ => "which does not answer: the primary is read".to_owned(),
    };
    format!("read from the standby {}  {at}", plain(&standby.name))
}

fn text(status: &ProjectionStatus) -> String {
    let ProjectionStatus { name, version, generation, position, head, lag, .. } = status;
    let mut text = format!(
        "{:<20} version {version:x} generation {generation}  at {position} of {head} (lag {lag})  {}",
        plain(name),
        plain(&status.state.to_string())
    );
    if let Some(leader) = status.leader {
        text += &format!("  leader {:.8}", leader.simple().to_string());
    }
    if status.dead_letters > 0 {
        text += &format!("  {}", counted(status.dead_letters, "dead letter"));
    }
    if status.restarts > 0 {
        text += &format!("  restarts {}", status.restarts);
    }
    if let Some(rebuild) = status.rebuild {
        text += &format!("  rebuild at {} of {}", rebuild.position, rebuild.head);
        if let Some(eta) = rebuild.eta {
            text += &format!(" ({:.0}/s, about {} s left)", rebuild.events_per_second, eta.as_secs());
        }
    }
    text
}
