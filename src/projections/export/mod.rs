//! Exports of the audit log: the result of any audit query, streamed in a file format, with a manifest at the end.
//!
//! ## Layout
//! - `run`: [`Export`], the builder, and how it runs
//! - `manifest`: [`ExportManifest`], what an export covers; [`Format`], [`ExportError`]
//! - `encode`: the trait of a format, and JSON that is safe to print
//! - `items`: the rows of a page, with what a format needs to write them
//! - `one_by_one`: events as CloudEvents, one by one, for feeds (feature `feeds`)
//! - `csv`, `jsonl`, `cloudevents`, `ocel`: the formats (CloudEvents with the feature of that name)

#[cfg(feature = "cloudevents")]
mod cloudevents;
mod csv;
mod encode;
mod items;
mod jsonl;
mod manifest;
mod ocel;
#[cfg(feature = "feeds")]
mod one_by_one;
mod run;
#[cfg(test)]
mod tests;

pub use manifest::{ExportError, ExportManifest, Format};
#[cfg(feature = "feeds")]
pub(crate) use one_by_one::cloud_events;
pub use run::{Export, ExportProgress};
