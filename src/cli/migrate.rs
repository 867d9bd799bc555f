//! `migrate`: creates a PostgreSQL store, upgrades its schema, or takes over a log of postgres-es.

use std::time::Duration;

use clap::Args;

use super::output::{self, TextOrJson, counted, plain};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::store::{Migrated, Takeover, Undone, Unmapped, Upgraded, grant, redact_url};

/// Create a PostgreSQL store, upgrade its schema to this program's version, or take over a log of postgres-es
#[derive(Args)]
#[command(after_help = "Examples:\n  $ migrate --store 'postgres://owner@localhost/shop?schema=shop'\n  \
    $ migrate --store 'postgres://owner@localhost/shop?schema=shop' --grant shop_app\n  \
    $ migrate --store 'postgres://owner@localhost/shop' --dry-run --time-from time --actor-from user --actor-kind user\n\n\
    Run it as the owner of the schema; the application may connect as another role. The statements of --grant are printed.\n\n\
    If the schema holds events of postgres-es, they are decoded with this program's event types and then get positions, ids, \
    times and digests, in one transaction. Stop every program on postgres-es first: after the migration its commands fail. \
    --dry-run can run while it works. The event type `NameAdded` of a `customer` is renamed `customer.NameAdded`: declare \
    `was(\"NameAdded\")` on its variant. The old rows stay in the table postgres_es_events, and until the first command \
    --undo puts them back.")]
pub(super) struct Migrate {
    /// Grant this role the privileges that an application needs, on the tables of its projections too
    #[arg(long, value_name = "ROLE")]
    grant: Option<String>,
    #[command(flatten)]
    takeover: TakeoverArgs,
    #[command(flatten)]
    format: TextOrJson,
}

// How a log of postgres-es is taken over. They add to what the application declares. (A doc comment would replace the
// description of the subcommand.)
#[derive(Args)]
#[command(next_help_heading = "Taking over a log of postgres-es")]
struct TakeoverArgs {
    /// Read and convert every event, report what would be done, and change nothing
    #[arg(long, conflicts_with = "grant")]
    dry_run: bool,
    /// Drop the store and put the table of postgres-es back, if no command was executed since the migration
    #[arg(long, conflicts_with_all = ["grant", "dry_run"])]
    undo: bool,
    /// Metadata field with the actor [default: actor]
    #[arg(long, value_name = "FIELD")]
    actor_from: Option<String>,
    /// Kind of actors whose field has no kind: with `user`, alice becomes user:alice
    #[arg(long, value_name = "KIND")]
    actor_kind: Option<String>,
    /// Metadata field with the time at which an event happened, in RFC 3339; it orders the aggregates too
    #[arg(long, value_name = "FIELD")]
    time_from: Option<String>,
    /// New name of an aggregate type, like shop::Account=account; repeat it for several
    #[arg(long, value_name = "OLD=NEW", value_parser = kind)]
    kind: Vec<(String, String)>,
    /// Version that a version text was, like AccountOpened:0.1=1; repeat it for several
    #[arg(long, value_name = "TYPE:TEXT=N", value_parser = event_version)]
    event_version: Vec<(String, String, u32)>,
    /// How long to wait until no other program uses the table [default: 30]
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
}

fn kind(text: &str) -> Result<(String, String), String> {
    let (old, new) = text.rsplit_once('=').ok_or("write OLD=NEW, like shop::Account=account")?;
    Ok((old.to_owned(), new.to_owned()))
}

fn event_version(text: &str) -> Result<(String, String, u32), String> {
    let parts = || {
        let (old, version) = text.rsplit_once('=')?;
        let (event_type, old) = old.rsplit_once(':')?;
        Some((event_type.to_owned(), old.to_owned(), version.parse().ok().filter(|version| *version > 0)?))
    };
    parts().ok_or_else(|| "write TYPE:TEXT=N with a number from 1, like AccountOpened:0.1=1".to_owned())
}

impl TakeoverArgs {
    fn add_to(self, mut takeover: Takeover) -> Takeover {
        if let Some(field) = self.actor_from {
            takeover = takeover.actor_from(field);
        }
        if let Some(kind) = self.actor_kind {
            takeover = takeover.actor_kind(kind);
        }
        if let Some(field) = self.time_from {
            takeover = takeover.time_from(field);
        }
        if let Some(seconds) = self.wait {
            takeover = takeover.wait(Duration::from_secs(seconds.into()));
        }
        takeover = self.kind.into_iter().fold(takeover, |takeover, (old, new)| takeover.kind(old, new));
        let versions = self.event_version.into_iter();
        takeover = versions.fold(takeover, |takeover, (name, old, version)| takeover.version(name, old, version));
        if self.dry_run { takeover.dry_run() } else { takeover }
    }
}

/// The result.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    upgraded: Option<Upgraded>,
    #[serde(flatten)]
    migrated: Option<Migrated>,
    #[serde(flatten)]
    undone: Option<Undone>,
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
        let mut report = Report { upgraded: None, migrated: None, undone: None, granted: Vec::new() };
        let (dry_run, undo) = (self.takeover.dry_run, self.takeover.undo);
        let mut app = app.app;
        app.takeover = self.takeover.add_to(app.takeover);
        if undo {
            report.undone = Some(app.undo_migration(&url).await?);
        } else {
            report.upgraded = if dry_run { None } else { app.upgrade(&url).await? };
            if report.upgraded.is_none() {
                report.migrated = Some(app.migrate(&url).await?);
            }
        }
        if let Some(role) = &self.grant {
            report.granted = grant(&url, role).await?;
        }
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
            print(migrated)?;
        }
        if let Some(Undone { undone_events }) = &self.undone {
            let events = counted(*undone_events, "event");
            output::line(&format!("put the table of postgres-es back, with {events}; the store was dropped"))?;
        }
        for statement in &self.granted {
            output::line(&plain(statement))?;
        }
        Ok(())
    }
}

fn print(migrated: &Migrated) -> Result<(), BoxError> {
    let done = if migrated.dry_run { "could take over" } else { "took over" };
    let (events, aggregates) = (counted(migrated.events, "event"), counted(migrated.aggregates, "aggregate"));
    output::line(&format!("{done} {events} of {aggregates}"))?;
    output::line(&format!("order: {}", plain(&migrated.order)))?;
    for (old, new) in migrated.kinds.iter().filter(|(old, new)| old != new) {
        output::line(&plain(&format!("renamed the aggregate type {old} to {new}")))?;
    }
    for (old, new) in migrated.event_types.iter().filter(|(old, new)| old != new) {
        output::line(&plain(&format!("renamed {old} to {new}")))?;
    }
    if migrated.shortened_ids > 0 {
        let ids = migrated.shortened_ids;
        output::line(&format!("left out the kind in {ids} ids: `account:9` of an account is now the account `9`"))?;
    }
    unmapped("actor", "are by system:postgres-es", &migrated.without_actor)?;
    unmapped("time", "have the time of the migration", &migrated.without_time)?;
    if !migrated.metadata_fields.is_empty() {
        let fields = migrated.metadata_fields.iter().map(|(name, events)| format!("{name} ({events})"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        output::line(&plain(&format!("metadata kept under `postgres_es`, with the fields: {fields}")))?;
    }
    if let Some(lacking) = &migrated.lacking {
        output::line(&plain(&format!("before the migration: {lacking}")))?;
    }
    match migrated.dry_run {
        true => output::line("nothing was changed"),
        false => output::line(&format!(
            "the old rows are in the table {}; until the first command, `migrate --undo` puts them back",
            migrated.kept
        )),
    }
}

fn unmapped(what: &str, instead: &str, Unmapped { events, first }: &Unmapped) -> Result<(), BoxError> {
    match first {
        Some(first) => output::line(&plain(&format!(
            "no {what} in the metadata of {}, which {instead}; the first is {first}",
            counted(*events, "event")
        ))),
        None => Ok(()),
    }
}
