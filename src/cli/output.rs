//! Text, JSON and CSV on stdout.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use crate::BoxError;
pub use crate::projections::presenter::plain;
pub(super) use crate::projections::presenter::plain_json;
use crate::projections::presenter::{SHORT_NAME, short};

/// The most characters of a line of an error, or of a stored payload.
const MAX_LINE: usize = 2_000;

/// `--format` of the subcommands that print text or one JSON document.
#[derive(Args, Clone, Debug)]
pub(super) struct TextOrJson {
    /// Output format
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

impl TextOrJson {
    pub(super) fn is_json(&self) -> bool {
        self.format == "json"
    }
}

/// A count with its noun: `1 event`, `2 events`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    crate::text::counted(count, noun)
}

/// A name or a reference: shortened, with every character escaped that a terminal acts on.
pub(super) fn name(text: &str) -> String {
    plain(&short(text, SHORT_NAME)).into_owned()
}

/// A text on one line: shortened, with every character escaped that a terminal acts on.
pub(super) fn shown(text: &str) -> String {
    plain(&short(text, MAX_LINE)).into_owned()
}

/// The lines of a text, each as [`shown`].
pub(super) fn lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// Prints a value as indented JSON, with every character escaped that a terminal acts on: the value is the same.
pub(super) fn json(value: &impl Serialize) -> Result<(), BoxError> {
    line(&plain_json(&serde_json::to_string_pretty(value)?))
}

/// Prints an item of an indented JSON array, and the bracket before the first. The caller prints the last bracket.
pub(super) fn item(value: &impl Serialize, first: bool) -> Result<(), BoxError> {
    let indented = serde_json::to_string_pretty(value)?.replace('\n', "\n  ");
    write!(io::stdout().lock(), "{}\n  {}", if first { "[" } else { "," }, plain_json(&indented))?;
    Ok(())
}

/// Prints a line.
pub(super) fn line(text: &str) -> Result<(), BoxError> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints bytes as they are.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), BoxError> {
    io::stdout().lock().write_all(bytes)?;
    Ok(())
}

/// Prints the names of the columns. Quoted: programs that guess the separator look at what follows the first quote.
pub(super) fn csv_header(names: &[&str]) -> Result<(), BoxError> {
    let mut line = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    line.write_record(names)?;
    io::stdout().lock().write_all(&line.into_inner()?)?;
    Ok(())
}

/// Prints a CSV record.
pub(super) fn csv(cells: &[String]) -> Result<(), BoxError> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells.iter().map(|cell| inert_cell(cell).into_owned()))?;
    io::stdout().lock().write_all(&line.into_inner()?)?;
    Ok(())
}

/// A cell with control characters escaped, and with a quote in front if a spreadsheet would read it as a formula.
fn inert_cell(cell: &str) -> Cow<'_, str> {
    let cell = plain(cell);
    match cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        true => Cow::Owned(format!("'{cell}")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_not_a_formula_and_has_no_control_characters() {
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
}
