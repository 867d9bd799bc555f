//! `show`: the state of an aggregate, now or as of a moment.

use clap::Args;

use super::output::{self, TextOrJson, counted, name};
use super::session::OpenMode;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::events::Ref;
use crate::store::Moment;

/// Print the state of an aggregate, as it is or as it was
#[derive(Args)]
#[command(after_help = "Examples:\n  $ show project:7\n  $ show project:7 --at 1234\n  \
    $ show project:7 --at 2026-05-04T08:00:00Z --format json\n\n\
    The state is what commands are decided on, as the application writes it to JSON. As of a position, it is the state after that event \
    of the log; as of a time, after all events that were recorded up to then. The printed position gives the same state for ever. With \
    --format json the state is printed together with the moment.")]
pub(super) struct Show {
    /// The aggregate, like project:7
    #[arg(value_name = "KIND:ID")]
    aggregate: Ref,
    /// As of this moment: a position of the log, or a time with its zone [default: now]
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<Moment>,
    #[command(flatten)]
    format: TextOrJson,
}

impl Show {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        app.with(OpenMode::Inspect, |session| async move {
            let found = session.json_state(&self.aggregate, self.at).await?;
            let aggregate = name(self.aggregate.as_str());
            if found.sequence == 0 {
                return Err(format!("{aggregate} has no event up to position {}", found.position).into());
            }
            if self.format.is_json() {
                return output::json(&found);
            }
            let time = found.recorded_at.map(|time| format!(", recorded {time:.6}")).unwrap_or_default();
            let events = counted(found.sequence, "event");
            output::line(&format!("{aggregate} after {events}, as of position {}{time}", found.position))?;
            output::json(&found.state)
        })
        .await
    }
}
