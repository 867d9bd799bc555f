//! The audit log in other formats: any question to it, streamed, with what it covers at its end.
//!
//! ## Layout
//! - `run`: [`Export`], the builder, and how it runs
//! - `statement`: [`Statement`], what an export covers; [`Format`], [`ExportError`]
//! - `encode`: what a format has to do; JSON without marks that act
//! - `csv`, `jsonl`, `cloudevents` (with the feature of that name), `ocel`: the formats

#[cfg(feature = "cloudevents")]
mod cloudevents;
mod csv;
mod encode;
mod jsonl;
mod ocel;
mod run;
mod statement;
#[cfg(test)]
mod tests;

pub use run::{Export, ExportProgress};
pub use statement::{ExportError, Format, Statement};
