//! Exports of the audit log: the result of any audit query, streamed in a file format, with a manifest at the end.
//!
//! ## Layout
//! - `run`: [`Export`], the builder, and how it runs
//! - `manifest`: [`ExportManifest`], what an export covers; [`Format`], [`ExportError`]
//! - `encode`: the trait of a format, and JSON that is safe to print
//! - `csv`, `jsonl`, `cloudevents`, `ocel`: the formats (CloudEvents with the feature of that name)

#[cfg(feature = "cloudevents")]
mod cloudevents;
mod csv;
mod encode;
mod jsonl;
mod manifest;
mod ocel;
mod run;
#[cfg(test)]
mod tests;

pub use manifest::{ExportError, ExportManifest, Format};
pub use run::{Export, ExportProgress};
