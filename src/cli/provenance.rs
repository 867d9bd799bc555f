//! `provenance`: what a thing is made of, and what was made from it.

use clap::Args;

use super::output::{self, plain_json};
use super::session::OpenMode;
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::events::Ref;
use crate::projections::RangeBound;
use crate::projections::audit::Detail;
use crate::projections::provenance::{Direction, ProvenanceCursor, ProvenanceGraph};

/// Print what an entity is made of, or what came of it
#[derive(Args)]
#[command(after_help = "Examples:\n  $ provenance project:7\n  $ provenance project:7 --forwards --depth 5\n  \
    $ provenance project:7 --at 2026-05-04T08:00:00Z --format provn\n  $ provenance project:7 --format svg > project.svg\n\n\
    A version is an entity: project:7 after its third event. The command that made it is an activity; it used the versions \
    that it was decided on. json is PROV-JSON, provn is PROV-N, dot is for Graphviz, svg is a drawing. With more than --limit nodes, the cursor of \
    the next page is printed to stderr, as is what a page leaves out.")]
pub(super) struct Provenance {
    /// The entity: a reference like project:7
    #[arg(value_name = "KIND:ID")]
    entity: Ref,
    /// Print the versions and commands that it is made of, newest first: the default
    #[arg(long)]
    backwards: bool,
    /// Print the versions and commands that were made from it, oldest first
    #[arg(long, conflicts_with = "backwards")]
    forwards: bool,
    /// How many steps to go from version to version, through commands
    #[arg(long, value_name = "STEPS", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    depth: u8,
    /// As the log was then: a position, an event id, a time with its zone, or a date
    #[arg(long, value_name = "WHEN")]
    at: Option<RangeBound>,
    /// Maximum number of versions and commands
    #[arg(long, value_name = "NODES", default_value_t = 100)]
    limit: usize,
    /// Cursor that an earlier page printed; repeat its direction, depth and time
    #[arg(long)]
    cursor: Option<ProvenanceCursor>,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json", "provn", "dot", "svg"], default_value = "text")]
    format: String,
}

impl Provenance {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        app.with(OpenMode::Read, |session| async move {
            if session.annals.keeps_provenance() {
                session.catch_up(ProvenanceGraph::NAME).await?;
            }
            let direction = if self.forwards { Direction::Forwards } else { Direction::Backwards };
            let query = session.provenance(&self.entity).direction(direction).depth(self.depth).limit(self.limit);
            let query = self.at.into_iter().fold(query, |query, at| query.at(at));
            let page = self.cursor.into_iter().fold(query, |query, cursor| query.cursor(cursor)).page().await?;
            match self.format.as_str() {
                "json" => output::line(&plain_json(&page.document.to_prov_json()?))?,
                "provn" => output::line(page.document.to_prov_n().trim_end())?,
                "dot" => output::line(page.document.to_dot().trim_end())?,
                "svg" => output::line(page.document.to_svg(direction).trim_end())?,
                _ => page.document.to_text().iter().try_for_each(|line| output::line(&output::shown(line)))?,
            }
            if page.detail == Detail::Metadata {
                stderr::print("metadata only: sources that only a payload names are left out");
            }
            for (is, what) in [
                (page.deeper, "some of it is deeper: --depth goes further"),
                (page.unfollowed, "some of it is named and not followed: ask for these entities"),
                (page.withheld, "some of it is left out: you may not read the audit log of these entities"),
            ] {
                if is {
                    stderr::print(what);
                }
            }
            if let Some(next) = &page.next {
                stderr::print(format_args!("next page: --cursor {next}"));
            }
            Ok(())
        })
        .await
    }
}
