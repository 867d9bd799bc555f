//! Formats.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::BoxError;
pub use crate::projections::presenter::plain;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// The lines of a text, with nothing in them that acts on a terminal.
pub(super) fn lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), BoxError> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a line.
pub(super) fn line(text: &str) -> Result<(), BoxError> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}
