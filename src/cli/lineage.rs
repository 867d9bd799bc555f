//! `lineage`: who read an entity before each export of it.

use clap::Args;

use super::output::{self, TextOrJson, counted, name, shown};
use super::session::OpenMode;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::app::access_log::{ExportAccess, ReadAccess};
use crate::events::Ref;
use crate::projections::audit::AuditLog;

/// Print the access lineage of an entity: each recorded export of it, and who had read it before
#[derive(Args)]
#[command(after_help = "Examples:\n  $ lineage project:7\n  $ lineage user:alice --format json\n\n\
    Only reads that the application records are known. `by name` marks a read of the entity itself; the other reads \
    covered it or may have covered it. The same query of the same actor within ten minutes is one record.")]
pub(super) struct Lineage {
    /// The entity: a reference like project:7
    #[arg(value_name = "KIND:ID")]
    entity: Ref,
    #[command(flatten)]
    format: TextOrJson,
}

impl Lineage {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        let records_reads = app.app.records_reads();
        app.with(OpenMode::Read, |session| async move {
            session.catch_up(AuditLog::NAME).await?;
            let exports = session.lineage(&self.entity).await?;
            match self.format.is_json() {
                true => output::json(&exports),
                false if exports.is_empty() => output::line(&nothing(&self.entity, records_reads)),
                false => exports.iter().flat_map(export_lines).try_for_each(|line| output::line(&line)),
            }
        })
        .await
    }
}

fn nothing(entity: &Ref, records_reads: bool) -> String {
    let entity = name(entity.as_str());
    match records_reads {
        true => format!("no recorded export includes {entity}"),
        false => format!(
            "no recorded export includes {entity}: this application does not record reads and exports (`App::record_reads`)"
        ),
    }
}

fn export_lines(export: &ExportAccess) -> Vec<String> {
    let ExportAccess { position, at, actor, on_behalf_of, what, format, head, to, seen_by } = export;
    let who = who(actor, on_behalf_of.as_ref());
    let to = to.as_ref().map_or_else(String::new, |to| format!(" to {}", shown(to.as_str())));
    let mut lines =
        vec![format!("{position} {at:.6} {who} exported {} as {format}{to}, up to event {head}", shown(what))];
    if seen_by.is_empty() {
        lines.push("  no read before it is recorded".to_owned());
    }
    lines.extend(seen_by.iter().map(read_line));
    lines
}

fn read_line(read: &ReadAccess) -> String {
    let ReadAccess { actor, on_behalf_of, what, by_name, position, at, records } = read;
    let by_name = if *by_name { ", by name" } else { "" };
    let times = if *records > 1 { format!(", {}", counted(*records, "time")) } else { String::new() };
    format!("  {position} {at:.6} {} had read {}{by_name}{times}", who(actor, on_behalf_of.as_ref()), shown(what))
}

fn who(actor: &Ref, on_behalf_of: Option<&Ref>) -> String {
    match on_behalf_of {
        Some(principal) => format!("{} for {}", name(actor.as_str()), name(principal.as_str())),
        None => name(actor.as_str()),
    }
}
