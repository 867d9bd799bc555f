//! [`Encode`]: what a format has to do.

use std::fmt::Write;

use serde::Serialize;

use super::Statement;
use crate::BoxError;
use crate::events::{Described, Known};
use crate::projections::audit::AuditRow;
use crate::projections::presenter::{Presentation, is_active};

/// An event on its way out.
pub(super) struct Item<'a> {
    pub row: &'a AuditRow,
    pub known: &'a Known,
    pub described: &'a Described,
    /// In words, if somebody was asked for them.
    pub told: Option<&'a Presentation>,
}

impl Item<'_> {
    /// Its sentence: as it was asked for, else in the declaration's words.
    pub fn sentence(&self) -> String {
        self.told.map_or_else(|| self.row.sentence.clone(), |told| told.sentence.text())
    }
}

/// A format. It appends to `out` what is to be written next.
pub(super) trait Encode: Send {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), BoxError>;
    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError>;
    fn end(&mut self, statement: &Statement, out: &mut Vec<u8>) -> Result<(), BoxError>;
}

/// A value as JSON on one line, with all escaped that would act on a terminal: what is parsed is the same.
pub(super) fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(inert(&serde_json::to_string(value)?))
}

/// JSON text with all escaped that would act; line breaks and tabs can only stand between its parts.
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
