//! `migrate`: makes a store of a database that postgres-es made.

use clap::Args;

use super::StoreArgs;
use super::output::{self, Format, plain};
use crate::BoxError;
use crate::app::App;

/// Take over the events that postgres-es wrote: gives them positions, ids, times and digests
#[derive(Args)]
#[command(
    after_help = "Example:\n  migrate --store 'postgres://localhost/shop?schema=public'\n\nStop every program that writes \
    there first. The old rows stay in the table postgres_es_events. An event type `NameAdded` of a `customer` is called \
    `customer.NameAdded` from then on: its variant declares `was(\"NameAdded\")`."
)]
pub(super) struct Migrate {
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Migrate {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let url = app.url(&self.store);
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(
                format!("`{url}` is no database of postgres-es: give --store postgres://HOST/DATABASE").into()
            );
        }
        let migrated = app.migrate(&url).await?;
        if let Format::Json = self.format {
            return output::json(&migrated);
        }
        output::line(&format!(
            "{} events of {} aggregates got positions: {}",
            migrated.events, migrated.aggregates, migrated.order
        ))?;
        for (old, new) in migrated.event_types.iter().filter(|(old, new)| old != new) {
            output::line(&plain(&format!("{old} is called {new} now")))?;
        }
        output::line(&format!("the old rows are in the table {}", migrated.kept))?;
        Ok(())
    }
}
