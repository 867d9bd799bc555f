//! `lineage`: who saw something before it left.

use clap::Args;

use super::output::{self, Format, plain};
use super::{Open, ReaderArgs, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::App;
use crate::app::access_log::{ExportAccess, ReadAccess};
use crate::events::Ref;
use crate::projections::audit::AuditLog;

/// Print who saw something before it left: each recorded export that it was in, and who had read it by then
#[derive(Args)]
#[command(after_help = "Examples:\n  lineage project:7\n  lineage user:alice --format json\n\n\
    Reads and exports are known where the application records them. `by name` is who asked for the thing itself; all others \
    asked for something that it was in, or may have been: the same question within ten minutes is one record.")]
pub(super) struct Lineage {
    /// The thing, or whom: a reference like project:7
    #[arg(value_name = "KIND:ID")]
    thing: Ref,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl Lineage {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        self.reader.check(&app)?;
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            caught_up(&annals, AuditLog::NAME).await?;
            let exports = match self.reader.of(&annals) {
                Some(reader) => reader.lineage(&self.thing).await?,
                None => annals.lineage(&self.thing).await?,
            };
            match self.format {
                Format::Json => output::json(&exports),
                Format::Text => exports.iter().flat_map(told).try_for_each(|line| output::line(&line)),
            }
        })
        .await
    }
}

fn told(export: &ExportAccess) -> Vec<String> {
    let ExportAccess { position, at, actor, on_behalf_of, what, format, head, seen_by } = export;
    let who = who(actor, on_behalf_of.as_ref());
    let mut lines = vec![format!("{position} {at} {who} exported {} as {format}, up to event {head}", plain(what))];
    if seen_by.is_empty() {
        lines.push("  nobody is known to have seen it before".to_owned());
    }
    lines.extend(seen_by.iter().map(seen));
    lines
}

fn seen(read: &ReadAccess) -> String {
    let ReadAccess { actor, on_behalf_of, what, by_name, position, at, records } = read;
    let by_name = if *by_name { ", by name" } else { "" };
    let again = if *records > 1 { format!(", {records} times") } else { String::new() };
    format!("  {position} {at} {} had read {}{by_name}{again}", who(actor, on_behalf_of.as_ref()), plain(what))
}

fn who(actor: &Ref, on_behalf_of: Option<&Ref>) -> String {
    match on_behalf_of {
        Some(principal) => format!("{} for {}", plain(actor.as_str()), plain(principal.as_str())),
        None => plain(actor.as_str()).into_owned(),
    }
}
