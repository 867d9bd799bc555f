//! Rows and counts in each format. Terminal control characters and spreadsheet formulas are escaped.

use std::fmt::Write as _;
use std::io::{Write, stdout};

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use crate::BoxError;
use crate::cli::output::{self, counted, name, plain, plain_json};
use crate::cli::stderr;
use crate::projections::audit::{AuditCount, AuditRow, Detail, Facet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One sentence per line
    Text,
    /// One JSON array with an object per row
    Json,
    /// One JSON object per line
    Jsonl,
    /// A table with a header
    Csv,
}

impl Format {
    /// The names of the formats, for the option.
    pub(super) fn names() -> PossibleValuesParser {
        PossibleValuesParser::new(Self::value_variants().iter().filter_map(ValueEnum::to_possible_value))
    }

    pub(super) fn from_name(name: &str) -> Result<Self, BoxError> {
        Ok(Self::from_str(name, false)?)
    }
}

/// A printer of rows.
pub(super) struct Rows {
    format: Format,
    printed: u64,
}

impl Rows {
    pub(super) fn new(format: Format) -> Result<Self, BoxError> {
        match format {
            Format::Csv => output::csv_header(&CSV_HEADER)?,
            Format::Json => write!(stdout().lock(), "[")?,
            Format::Text | Format::Jsonl => {}
        }
        Ok(Self { format, printed: 0 })
    }

    pub(super) fn print(&mut self, row: &AuditRow) -> Result<(), BoxError> {
        let mut out = stdout().lock();
        match self.format {
            Format::Text => writeln!(out, "{} {:.6} {}", row.position, row.recorded_at, plain(&row.sentence))?,
            Format::Json => {
                let comma = if self.printed == 0 { "" } else { "," };
                write!(out, "{comma}\n{}", plain_json(&serde_json::to_string(row)?))?;
            }
            Format::Jsonl => writeln!(out, "{}", plain_json(&serde_json::to_string(row)?))?,
            Format::Csv => output::csv(&[
                row.position.to_string(),
                row.event_id.to_string(),
                row.recorded_at.to_string(),
                row.actor.to_string(),
                row.action.to_string(),
                serde_json::to_string(&row.targets)?,
                row.topic.to_string(),
                row.event_type.clone(),
                row.aggregate.to_string(),
                row.sentence.clone(),
                serde_json::to_string(&row.changes)?,
                row.payload.get().to_owned(),
            ])?,
        }
        if self.printed == 0 && row.detail == Detail::Metadata && !self.shows_detail() {
            stderr::print("metadata only: values are [redacted]");
        }
        self.printed += 1;
        Ok(())
    }

    /// Whether each row says how much of the event it shows.
    fn shows_detail(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    pub(super) fn end(&self) -> Result<(), BoxError> {
        if self.format == Format::Json {
            writeln!(stdout().lock(), "{}]", if self.printed == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Prints counts by actor, action and event type.
pub(super) fn count(count: &AuditCount, format: Format) -> Result<(), BoxError> {
    let at_least = if count.complete { "" } else { "at least " };
    match format {
        Format::Text => {
            let (events, actors) = (counted(count.events, "event"), counted(count.distinct_actors, "actor"));
            let mut text = format!("{at_least}{events} by {at_least}{actors}");
            facet(&mut text, "actor", &count.actors);
            facet(&mut text, "action", &count.actions);
            facet(&mut text, "event", &count.event_types);
            output::line(&text)
        }
        Format::Json => output::line(&plain_json(&serde_json::to_string_pretty(count)?)),
        Format::Jsonl => output::line(&plain_json(&serde_json::to_string(count)?)),
        Format::Csv => {
            output::csv_header(&["facet", "value", "events"])?;
            let table = lines("actor", &count.actors).chain(lines("action", &count.actions));
            table.chain(lines("event", &count.event_types)).try_for_each(|line| output::csv(&line))
        }
    }
}

fn lines<'a, T: ToString>(name: &'a str, facets: &'a [Facet<T>]) -> impl Iterator<Item = [String; 3]> + 'a {
    facets.iter().map(move |facet| [name.to_owned(), facet.value.to_string(), facet.events.to_string()])
}

fn facet<T: ToString>(text: &mut String, title: &str, facets: &[Facet<T>]) {
    for facet in facets {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{:>9} {title} {}", facet.events, name(&facet.value.to_string()));
    }
}

const CSV_HEADER: [&str; 12] = [
    "position",
    "event_id",
    "recorded_at",
    "actor",
    "action",
    "targets",
    "topic",
    "event_type",
    "aggregate",
    "sentence",
    "changes",
    "payload",
];
