//! `flows`: what flows from where through whose hands to where, and what is permitted.

use std::fmt::Display;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::output::{self, name};
use super::session::{OpenMode, Session};
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::projections::audit::Detail;
use crate::projections::flows::{
    Flow, FlowCounts, FlowCursor, FlowQueryParams, GrantFlow, Outcome, OutwardPath, UnusualFlow,
};
use crate::projections::metrics::Width;

/// Print what flows from which source through which actor to where, how often and how fast
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ flows\n  $ flows --actor app:planner --show minutes --from 2026-05-04T08:00:00Z\n  \
    $ flows --show out --source account:7\n  $ flows --show unused\n  $ flows --show denied --format csv\n  \
    $ flows --show unusual --width 10m\n\n\
    A source is what a command was decided on, what an event was derived from, or what a read asked for. A sink is what was written, \
    or where an export went. Sources and sinks are references (account:7, or account:* for all of a kind) or topics.\n\n\
    --show grants puts what is permitted beside how it was used; unused is those of them that hold and were not used. out is each path \
    from a source through an actor out of the application: sent 0 says that the actor used the source before, and may have sent it \
    along. unusual is flows far from their own past of 30 slices.\n\n\
    Reads, exports and denials are known where the application records them. Reads that are repeated within ten minutes count when \
    these are over. With more than --limit rows, the cursor of the next page is printed to stderr."
)]
pub(super) struct FlowsCommand {
    /// Which answer
    #[arg(long, value_enum, value_name = "ANSWER", default_value_t = Answer::Flows)]
    show: Answer,
    #[command(flatten)]
    params: FlowQueryParams,
    /// Width of the slices of --show unusual: whole minutes
    #[arg(long, value_name = "WIDTH", default_value = "1m")]
    width: Width,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json", "csv"], default_value = "text")]
    format: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// Flows, with their counts
    Flows,
    /// Flows by minute, the oldest first
    Minutes,
    /// What was denied
    Denied,
    /// Grants, with their use
    Grants,
    /// Grants that hold and were not used
    Unused,
    /// Paths from a source through an actor out of the application
    Out,
    /// Flows far from their own past
    Unusual,
}

impl FlowsCommand {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        app.with(OpenMode::Read, |session| async move {
            if session.annals.keeps_flows() {
                session.catch_up(FlowCounts::NAME).await?;
            }
            self.print(&session).await
        })
        .await
    }

    async fn print(self, session: &Session) -> Result<(), BoxError> {
        let Self { show, params, width, format } = self;
        let query = params.apply(session.flows());
        match show {
            Answer::Flows | Answer::Minutes | Answer::Denied => {
                let query = if show == Answer::Denied { query.outcome(Outcome::Denied) } else { query };
                let page = if show == Answer::Minutes { query.by_minute().await? } else { query.page().await? };
                end(Some(page.detail), page.next.as_ref());
                let rows = page.flows.iter().map(|flow| flow_row(flow, show == Answer::Minutes)).collect();
                print(&format, &page, &flow_header(show == Answer::Minutes), rows)
            }
            Answer::Grants | Answer::Unused => {
                let page = query.grants(show == Answer::Unused).await?;
                end(None, page.next.as_ref());
                let header = ["grantee", "rights", "uses", "last", "given", "until", "revoked", "grant"];
                print(&format, &page, &header, page.grants.iter().map(grant_row).collect())
            }
            Answer::Out => {
                let page = query.outward().await?;
                end(Some(page.detail), page.next.as_ref());
                let header = ["source", "actor", "for", "destination", "used", "sent", "first", "last", "position"];
                print(&format, &page, &header, page.paths.iter().map(path_row).collect())
            }
            Answer::Unusual => {
                let found = query.unusual(width).await?;
                end(Some(found.detail), None);
                if found.more {
                    stderr::print("there are more: give a source, a sink, an actor or a shorter window");
                }
                let header = ["from", "source", "actor", "for", "sink", "outcome", "count", "usual", "score"];
                print(&format, &found, &header, found.unusual.iter().map(unusual_row).collect())
            }
        }
    }
}

/// Says on stderr what the page leaves out.
fn end(detail: Option<Detail>, next: Option<&FlowCursor>) {
    if detail == Some(Detail::Metadata) {
        stderr::print(
            "metadata only: sources that only a payload names are left out, and destinations of exports are [redacted]",
        );
    }
    if let Some(next) = next {
        stderr::print(format_args!("next page: --cursor {next}"));
    }
}

/// Prints an answer: JSON as it is, the others as a table.
fn print(format: &str, answer: &impl Serialize, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), BoxError> {
    match format {
        "json" => output::json(answer),
        "csv" => {
            output::csv_header(header)?;
            rows.iter().try_for_each(|row| output::csv(row))
        }
        _ => table(header, &rows),
    }
}

/// Prints columns, each as wide as its widest cell. The last one is not padded.
fn table(header: &[&str], rows: &[Vec<String>]) -> Result<(), BoxError> {
    if rows.is_empty() {
        stderr::print("nothing flows that this query selects");
        return Ok(());
    }
    let shown: Vec<Vec<String>> = std::iter::once(header.iter().map(|cell| (*cell).to_owned()).collect())
        .chain(
            rows.iter().map(|row| row.iter().map(|cell| name(if cell.is_empty() { "-" } else { cell })).collect()),
        )
        .collect();
    let width = |column: usize| {
        shown
            .iter()
            .filter_map(|row: &Vec<String>| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    shown.iter().try_for_each(|row| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        output::line(cells.join("  ").trim_end())
    })
}

fn flow_header(by_minute: bool) -> Vec<&'static str> {
    let rest = ["source", "actor", "for", "sink", "outcome", "count", "first", "last", "position", "via"];
    by_minute.then_some("minute").into_iter().chain(rest).collect()
}

fn flow_row(flow: &Flow, by_minute: bool) -> Vec<String> {
    let via: Vec<String> = flow.via.iter().map(Uuid::to_string).collect();
    let rest = [
        text(flow.source.as_ref()),
        flow.actor.to_string(),
        text(flow.on_behalf_of.as_ref()),
        text(flow.sink.as_ref()),
        flow.outcome.to_string(),
        flow.count.to_string(),
        time(flow.first),
        time(flow.last),
        flow.position.to_string(),
        via.join(" "),
    ];
    let minute = by_minute.then(|| flow.minute.map_or(String::new(), |minute| minute.to_string()));
    minute.into_iter().chain(rest).collect()
}

fn grant_row(grant: &GrantFlow) -> Vec<String> {
    vec![
        grant.grantee.to_string(),
        grant.rights.join(", "),
        grant.uses.to_string(),
        grant.last.map_or(String::new(), time),
        time(grant.at),
        grant.until.map_or(String::new(), time),
        grant.revoked.map_or(String::new(), time),
        grant.grant.to_string(),
    ]
}

fn path_row(path: &OutwardPath) -> Vec<String> {
    vec![
        path.source.clone(),
        path.actor.to_string(),
        text(path.on_behalf_of.as_ref()),
        path.destination.clone(),
        path.used.to_string(),
        path.sent.to_string(),
        time(path.first),
        time(path.last),
        path.position.to_string(),
    ]
}

fn unusual_row(flow: &UnusualFlow) -> Vec<String> {
    vec![
        time(flow.from),
        text(flow.source.as_ref()),
        flow.actor.to_string(),
        text(flow.on_behalf_of.as_ref()),
        text(flow.sink.as_ref()),
        flow.outcome.to_string(),
        flow.count.to_string(),
        format!("{:.1}", flow.usual),
        format!("{:.1}", flow.score),
    ]
}

fn text(cell: Option<&impl Display>) -> String {
    cell.map_or(String::new(), ToString::to_string)
}

/// A time in whole seconds.
fn time(time: Timestamp) -> String {
    let whole = SignedDuration::from_secs(time.as_second());
    Timestamp::from_duration(whole).unwrap_or(time).to_string()
}
