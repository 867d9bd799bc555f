//! The write path for applications that must answer "who did what, when, and how do we know?".
//!
//! Every change goes through a typed **command**; its handler decides on **aggregates** and returns **events**;
//! events are appended to an ordered, immutable **store**; and everything anybody reads (audit log, sentences for
//! people, metrics, the application's own views) is a **projection** of it, rebuilt on demand.
//!
//! ## Layout
//! - [`events`]: what happened, and all that a declaration says about it
//! - [`aggregates`]: what decisions need to know
//! - [`commands`]: the only door through which anything changes
//! - [`store`]: the log, on SQLite
//! - [`projections`]: what is read, the audit log, presenter and metrics among it
//! - [`app`]: an application: its commands and views, opened on a store
//! - `http`: its door for other programs, and its page for people
//! - `cli`: its command line
//! - [`testing`]: given, when, then; a clock; soundness; the lock file of event shapes
//! - [`guide`]: the guide in steps, in the documentation only
//!
//! Arrows run one way: cli → http → app → projections, commands → aggregates → store → events.

extern crate self as annals;

pub mod aggregates;
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
pub mod commands;
mod digest;
pub mod events;
#[cfg(doc)]
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
pub mod projections;
pub mod store;
pub mod testing;
mod text;

#[doc(hidden)]
pub use {cqrs_es, schemars, serde, serde_json};

/// Any error, where only its words matter.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// All that the modules of an application name.
pub mod prelude {
    pub use annals_macros::{Command, Event, Id};
    pub use schemars::JsonSchema;

    pub use crate::aggregates::{Aggregate, Loaded};
    pub use crate::app::{Annals, App};
    pub use crate::commands::{Command, Context, Handle};
    pub use crate::events::{Change, Event, Id, Recorded, Ref};
    pub use crate::projections::{DocumentView, On};
    pub use crate::store::Receipt;
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
