//! Projections: everything anybody reads, made from the log, and rebuilt from it on demand.
//!
//! ## Layout
//! - `projection`: the [`Projection`] trait and [`EventBatch`]
//! - `document`: [`DocumentView`], JSON documents by key, on top of it
//! - `reader`: one reader that follows the log's head and shares what it reads
//! - `runner`: keeps one projection up with the log
//! - `rebuild`: makes a projection anew beside the live one, then switches
//! - `status`: how far each is, and why it stopped
//! - `audit`, `presenter`, `metrics`: the built-in ones, on the public traits alone

mod projection;

pub use projection::{EventBatch, Projection, ProjectionError};
