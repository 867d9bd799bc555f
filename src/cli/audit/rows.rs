//! Printing rows and counts, so that nothing in them acts on a terminal or in a spreadsheet.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{Write, stdout};

use clap::ValueEnum;

use crate::BoxError;
use crate::cli::output::{self, plain};
use crate::projections::audit::{AuditCount, AuditRow, Facet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Sentences.
    Text,
    /// One JSON list with an object a row.
    Json,
    /// One JSON object a row.
    Jsonl,
    /// A table with a head row.
    Csv,
}

/// Prints rows one by one.
pub(super) struct Rows {
    format: Format,
    printed: u64,
}

impl Rows {
    pub(super) fn new(format: Format) -> Result<Self, BoxError> {
        match format {
            Format::Csv => csv(&CSV_HEAD.map(str::to_owned))?,
            Format::Json => write!(stdout().lock(), "[")?,
            Format::Text | Format::Jsonl => {}
        }
        Ok(Self { format, printed: 0 })
    }

    pub(super) fn print(&mut self, row: &AuditRow) -> Result<(), BoxError> {
        let mut out = stdout().lock();
        match self.format {
            Format::Text => writeln!(out, "{} {} {}", row.position, row.recorded_at, plain(&row.sentence))?,
            Format::Json => {
                let comma = if self.printed == 0 { "" } else { "," };
                write!(out, "{comma}\n{}", inert_json(&serde_json::to_string(row)?))?;
            }
            Format::Jsonl => writeln!(out, "{}", inert_json(&serde_json::to_string(row)?))?,
            Format::Csv => csv(&[
                row.position.to_string(),
                row.event_id.to_string(),
                row.recorded_at.to_string(),
                row.actor.to_string(),
                row.action.to_string(),
                row.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                row.topic.to_string(),
                row.event_type.clone(),
                row.aggregate.to_string(),
                row.sentence.clone(),
                serde_json::to_string(&row.changes)?,
                row.payload.get().to_owned(),
            ])?,
        }
        self.printed += 1;
        Ok(())
    }

    pub(super) fn end(&self) -> Result<(), BoxError> {
        if self.format == Format::Json {
            writeln!(stdout().lock(), "{}]", if self.printed == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Prints how many, by whom, of which kind.
pub(super) fn count(count: &AuditCount, format: Format) -> Result<(), BoxError> {
    let at_least = if count.complete { "" } else { "at least " };
    match format {
        Format::Text => {
            let mut text =
                format!("{at_least}{} events by {at_least}{} actors", count.events, count.distinct_actors);
            facet(&mut text, "actor", &count.actors);
            facet(&mut text, "action", &count.actions);
            facet(&mut text, "event", &count.event_types);
            output::line(&text)
        }
        Format::Json => output::line(&inert_json(&serde_json::to_string_pretty(count)?)),
        Format::Jsonl => output::line(&inert_json(&serde_json::to_string(count)?)),
        Format::Csv => {
            csv(&["facet", "value", "events"].map(str::to_owned))?;
            let table = lines("actor", &count.actors).chain(lines("action", &count.actions));
            table.chain(lines("event", &count.event_types)).try_for_each(|line| csv(&line))
        }
    }
}

fn lines<'a, T: ToString>(name: &'a str, facets: &'a [Facet<T>]) -> impl Iterator<Item = [String; 3]> + 'a {
    facets.iter().map(move |facet| [name.to_owned(), facet.value.to_string(), facet.events.to_string()])
}

fn facet<T: ToString>(text: &mut String, name: &str, facets: &[Facet<T>]) {
    for facet in facets {
        // To write to a text does not fail.
        let _ = write!(text, "\n{:>9} {name} {}", facet.events, plain(&facet.value.to_string()));
    }
}

const CSV_HEAD: [&str; 12] = [
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

/// A CSV line.
fn csv(cells: &[String]) -> Result<(), BoxError> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells.iter().map(|cell| inert_cell(cell).into_owned()))?;
    stdout().lock().write_all(&line.into_inner()?)?;
    Ok(())
}

/// A cell in which what would act is escaped, and with a quote in front where a spreadsheet would take it for a formula.
fn inert_cell(cell: &str) -> Cow<'_, str> {
    let cell = plain(cell);
    match cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        true => Cow::Owned(format!("'{cell}")),
        false => cell,
    }
}

/// The same JSON value with everything escaped that acts on a terminal and that JSON lets stand: outside of texts there
/// is nothing of the kind.
fn inert_json(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' || matches!(plain(c.encode_utf8(&mut [0; 4])), Cow::Borrowed(_)) {
            inert.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // To write to a text does not fail.
                let _ = write!(inert, "\\u{unit:04x}");
            }
        }
    }
    inert
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_does_nothing_to_a_terminal() {
        for (given, shown) in [
            ("=1+1", "'=1+1"),
            (" @SUM(A1)", "' @SUM(A1)"),
            ("-2", "'-2"),
            ("\t=cmd|' /C calc'!A0", "\\t=cmd|' /C calc'!A0"),
            ("＝1", "'＝1"),
            ("a\u{1b}[2J\u{202e}b", "a\\u{1b}[2J\\u{202e}b"),
            ("user:zoë", "user:zoë"),
        ] {
            assert_eq!(inert_cell(given), shown);
        }
    }

    #[test]
    fn json_keeps_its_value_though_nothing_in_it_acts() {
        let hostile = "a\u{1b}[31m\u{9b}31m\u{7f}\u{202e}\u{e0041}\n\u{2028}é👩‍👧";
        let json = serde_json::to_string(hostile).unwrap();
        let inert = inert_json(&json);
        assert_eq!(serde_json::from_str::<String>(&inert).unwrap(), hostile);
        assert_eq!(plain(&inert), inert);
        assert!(inert.contains("é👩‍👧"));
    }
}
