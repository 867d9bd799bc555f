//! `migrate`: creates a PostgreSQL store, upgrades its schema, or takes over a log of postgres-es.

use clap::Args;

use super::output::{self, TextOrJson, counted, plain};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::store::{Migrated, Upgraded, grant, redact_url};

/// Create a PostgreSQL store, upgrade its schema to this program's version, or take over a log of postgres-es
#[derive(Args)]
#[command(after_help = "Examples:\n  $ migrate --store 'postgres://owner@localhost/shop?schema=shop'\n  \
    $ migrate --store 'postgres://owner@localhost/shop?schema=shop' --grant shop_app\n\nRun it as the owner of the schema; \
    the application may connect as another role. The statements of --grant are printed.\n\nIf the schema holds events of \
    postgres-es, they get positions, ids, times and digests. Stop every program that writes there first. The old rows stay in \
    the table postgres_es_events. The event type `NameAdded` of a `customer` is renamed `customer.NameAdded`: declare \
    `was(\"NameAdded\")` on its variant.")]
pub(super) struct Migrate {
    /// Grant this role the privileges that an application needs, on the tables of its projections too
    #[arg(long, value_name = "ROLE")]
    grant: Option<String>,
    #[command(flatten)]
    format: TextOrJson,
}

/// The result.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    upgraded: Option<Upgraded>,
    #[serde(flatten)]
    migrated: Option<Migrated>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    granted: Vec<String>,
}

impl Migrate {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        let url = app.url().to_owned();
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let url = redact_url(&url);
            return Err(format!("`{url}` is not a PostgreSQL store: give --store postgres://HOST/DATABASE").into());
        }
        let upgraded = app.app.upgrade(&url).await?;
        let migrated = if upgraded.is_none() { Some(app.app.migrate(&url).await?) } else { None };
        let granted = match &self.grant {
            Some(role) => grant(&url, role).await?,
            None => Vec::new(),
        };
        let report = Report { upgraded, migrated, granted };
        if self.format.is_json() { output::json(&report) } else { report.print() }
    }
}

impl Report {
    fn print(&self) -> Result<(), BoxError> {
        match &self.upgraded {
            Some(Upgraded { from: None, to }) => {
                output::line(&format!("created a store with schema version {to}"))?
            }
            Some(Upgraded { from: Some(from), to }) if from == to => {
                output::line(&format!("the schema already has this program's version {to}"))?;
            }
            Some(Upgraded { from: Some(from), to }) => {
                output::line(&format!("upgraded the schema from version {from} to {to}"))?;
            }
            None => {}
        }
        if let Some(migrated) = &self.migrated {
            output::line(&format!(
                "took over {} of {}; order: {}",
                counted(migrated.events, "event"),
                counted(migrated.aggregates, "aggregate"),
                migrated.order
            ))?;
            for (old, new) in migrated.event_types.iter().filter(|(old, new)| old != new) {
                output::line(&plain(&format!("renamed {old} to {new}")))?;
            }
            output::line(&format!("the old rows are in the table {}", migrated.kept))?;
        }
        for statement in &self.granted {
            output::line(&plain(statement))?;
        }
        Ok(())
    }
}
