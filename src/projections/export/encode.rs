//! [`Encode`]: the trait of a format; JSON that is safe to print.

use std::fmt::Write;

use serde::Serialize;

use super::ExportManifest;
use crate::BoxError;
use crate::events::{Described, Known};
use crate::projections::audit::AuditRow;
use crate::projections::presenter::{Presentation, is_active};

/// An event to be exported.
pub(super) struct Item<'a> {
    pub row: &'a AuditRow,
    pub known: &'a Known,
    pub described: &'a Described,
    /// The presentation, if the export has a presenter.
    pub presentation: Option<&'a Presentation>,
}

impl Item<'_> {
    /// The sentence: of the presentation, or as declared.
    pub fn sentence(&self) -> String {
        self.presentation.map_or_else(|| self.row.sentence.clone(), |it| it.sentence.text())
    }
}

/// A format. Each method appends to `out`.
pub(super) trait Encode: Send {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), BoxError>;
    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError>;
    fn end(&mut self, manifest: &ExportManifest, out: &mut Vec<u8>) -> Result<(), BoxError>;
}

/// A value as JSON on one line, with characters escaped that act on a terminal. It parses to the same value.
pub(super) fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(inert(&serde_json::to_string(value)?))
}

/// Escapes characters in JSON text that act on a terminal. Line breaks and tabs become spaces: in valid JSON they are only
/// between tokens.
pub(super) fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\r' | '\t' => inert.push(' '),
            c if is_active(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(inert, "\\u{unit:04x}");
                }
            }
            c => inert.push(c),
        }
    }
    inert
}
