//! Text and JSON on stdout.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use crate::BoxError;
pub use crate::projections::presenter::plain;

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
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The lines of a text, with every character escaped that a terminal acts on.
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

/// Prints bytes as they are.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), BoxError> {
    io::stdout().lock().write_all(bytes)?;
    Ok(())
}
