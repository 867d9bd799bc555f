//! CSV, RFC 4180.

use std::borrow::Cow;

use super::ExportManifest;
use super::encode::{Encode, Item, inert, json};
use crate::BoxError;
use crate::projections::presenter::plain;

const COLUMNS: [&str; 14] = [
    "position",
    "event_id",
    "recorded_at",
    "occurred_at",
    "actor",
    "action",
    "targets",
    "topic",
    "event_type",
    "aggregate",
    "correlation",
    "sentence",
    "changes",
    "payload",
];

/// The first cell of the last record.
pub(super) const END: &str = "#export";

/// A table with a header; the last record is the manifest.
pub(super) struct Csv {
    pub byte_order_mark: bool,
}

impl Encode for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if self.byte_order_mark {
            out.extend_from_slice("\u{feff}".as_bytes());
        }
        // Quoted: programs that guess the separator look at what follows the first quote.
        record(COLUMNS.map(Cow::Borrowed), csv::QuoteStyle::Always, out)
    }

    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let row = item.row;
        let cells = [
            row.position.to_string(),
            row.event_id.to_string(),
            row.recorded_at.to_string(),
            row.occurred_at.to_string(),
            row.actor.to_string(),
            row.action.to_string(),
            // An id may contain any separator.
            json(&row.targets)?,
            row.topic.to_string(),
            row.event_type.clone(),
            row.aggregate.to_string(),
            row.correlation.clone().unwrap_or_default(),
            item.sentence(),
            json(&row.changes)?,
            inert(row.payload.get()),
        ];
        record(cells.each_ref().map(|cell| plain(cell)), csv::QuoteStyle::Necessary, out)
    }

    fn end(&mut self, manifest: &ExportManifest, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let mut cells = COLUMNS.map(|_| Cow::Borrowed(""));
        cells[0] = END.into();
        cells[1] = json(manifest)?.into();
        record(cells, csv::QuoteStyle::Necessary, out)
    }
}

fn record(
    cells: [Cow<'_, str>; COLUMNS.len()],
    quotes: csv::QuoteStyle,
    out: &mut Vec<u8>,
) -> Result<(), BoxError> {
    let mut line = csv::WriterBuilder::new();
    let mut line = line.terminator(csv::Terminator::CRLF).quote_style(quotes).from_writer(out);
    line.write_record(cells.iter().map(|cell| no_formula(cell).into_owned()))?;
    line.flush()?;
    Ok(())
}

/// A cell that no spreadsheet treats as a formula: a `'` is put before one that could be, and before one that begins with it.
fn no_formula(cell: &str) -> Cow<'_, str> {
    match cell.starts_with(['\'', '=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        true => format!("'{cell}").into(),
        false => cell.into(),
    }
}
