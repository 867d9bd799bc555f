//! Provenance: what a thing is made of, and what came of it, from the log alone.
//!
//! A version is an entity: `project:7` after its third event. The command that wrote it is the activity that made it; it used the
//! versions that it was decided on. The actor is the agent. [`Document`] has the statements, as W3C PROV has them; PROV-JSON, PROV-N,
//! DOT and SVG are written from it.
//!
//! The tables hold numbers: `versions` has a row for each event; `uses` says which event, or which command by its first event, used
//! which version; `reads` the same of recorded reads and exports. Everything else is read from the log when a query is answered.
//!
//! A query walks from node to node in the order of the log: backwards from the newest, forwards from the oldest. What was used is always
//! older than what used it, so that each node is met once, and a page continues by what was reached and not shown.
//!
//! ## Layout
//! - `query`: [`ProvenanceQuery`], [`ProvenancePage`]
//! - `walk`, `facts`, `lookup`, `cursor`: finds the nodes of a page, in a bounded number of statements
//! - `stating`, `naming`, `agents`: makes statements of nodes
//! - `document`, `json`, `provn`, `dot`, `drawing`: [`Document`], and its formats
//! - `projection`, `tables`, `folding`, `role`: [`ProvenanceGraph`], the projection
//! - `error`: [`ProvenanceError`]

mod agents;
mod cursor;
mod document;
mod dot;
mod drawing;
mod error;
mod facts;
mod folding;
mod json;
mod lookup;
mod naming;
mod projection;
mod provn;
mod query;
mod role;
mod stating;
mod tables;
#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests;
mod walk;

pub use agents::Agents;
pub use cursor::ProvenanceCursor;
pub use document::{AttributeValue, Document, Statement, StatementKind};
#[cfg(feature = "http")]
pub(crate) use dot::Relation;
#[cfg(feature = "http")]
pub(crate) use drawing::{DRAWING_STYLE, Drawing};
pub use error::ProvenanceError;
pub use projection::ProvenanceGraph;
pub(crate) use query::ProvenanceAccess;
pub use query::{Direction, ProvenancePage, ProvenanceQuery};

/// The event types of the records of an export and of another read, and the kind of the access log that has them. Its events are no
/// versions of one thing: no record is made from the one before it.
const EXPORTED: &str = "annals_read.exported";
const VIEWED: &str = "annals_read.viewed";
const ACCESS_LOG: &str = "annals_trail";

/// The name under which a causation is kept, if it is the id of a command or an event. No thing has such a name: kinds begin with a
/// small letter.
fn causation_name(causation: &str) -> Option<String> {
    // One spelling for each id.
    uuid::Uuid::parse_str(causation).ok().map(|id| format!("Causation/{id}"))
}
