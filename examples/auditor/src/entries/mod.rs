//! The entries of the audit log: who viewed, created, updated or deleted which thing.
//!
//! ## Layout
//! - `events`: the events
//! - `object`: the aggregate, one for each thing that entries are about
//! - `record`: the command
//! - `intake`: the messages of producers

mod events;
mod intake;
mod object;
mod record;

pub use events::{DataEvent, FieldChange};
pub use intake::{Entry, intake};
pub use object::{Object, ObjectId, Refused};
pub use record::{Record, Verb};
