//! Flows: what was read, exported and written by whose hands, how often and when; and what was permitted and denied.
//!
//! A flow has a source, a consumer and a sink. The consumer is the actor with its principal, and the grants that allowed it. An
//! event is a flow from what its command was decided on and what it was derived from, to its aggregate. A recorded read is a flow from
//! what was asked for; an export one to its destination. A record of a refusal is a flow that did not happen.
//!
//! The tables have a row for each flow, and one for each flow and minute, so that their size depends on how many different flows there
//! are. Everything follows from the log alone.
//!
//! Values of payloads make no difference for readers of metadata: each event states its flows for readers of everything and for
//! readers of metadata. The two share the flows that are the same.
//!
//! ## Layout
//! - `settings`: [`Flows`], which turns them on
//! - `projection`, `tables`, `folding`, `stating`: [`FlowCounts`], the projection, and what an event says
//! - `query`, `params`, `cursor`: [`FlowQuery`], and its form as flags and URL parameters
//! - `flow`, `sql`, `names`: [`Flow`], and how flows are read
//! - `grants`: [`GrantFlow`], permitted and used side by side
//! - `outward`: [`OutwardPath`], what leads out
//! - `unusual`: [`UnusualFlow`], far from its own past
//! - `error`: [`FlowError`]

mod cursor;
mod error;
mod flow;
mod folding;
mod grants;
mod names;
mod outward;
mod params;
mod projection;
mod query;
mod settings;
mod sql;
mod stating;
mod tables;
mod unusual;

pub use cursor::FlowCursor;
pub use error::FlowError;
pub use flow::{Flow, FlowPage, LargestFlows, Outcome};
pub use grants::{GrantFlow, GrantPage};
pub use outward::{OutwardPage, OutwardPath};
pub use params::FlowQueryParams;
pub use projection::FlowCounts;
pub use query::FlowQuery;
pub(crate) use query::{FlowAccess, FlowFilter};
pub use settings::Flows;
pub use unusual::{UnusualFlow, UnusualFlows};

/// The place of what only a payload names, for readers of metadata.
pub const REDACTED: &str = "[redacted]";
/// The destination of an export of a version of the program that did not record it.
pub const NOT_RECORDED: &str = "[not recorded]";
/// The further places of an event that has more than 32.
pub const OTHERS: &str = "[others]";
