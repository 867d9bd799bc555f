//! The write path for applications that must answer "who did what, when, and how do we know?".
//!
//! Every change goes through a typed **command**; its handler decides on **aggregates** and returns **events**;
//! events are appended to an ordered, immutable **store**; and everything that is read (the audit log, sentences,
//! metrics, the application's own views) is a **projection** of it, which can be rebuilt on demand.
//!
//! Start with [`prelude`]: it has what a first application needs. The README shows one.
//!
//! ## Layout
//! - [`prelude`]: the items that most modules of an application use
//! - [`app`]: [`App`](app::App), the parts of an application, and [`Annals`](app::Annals), an open application
//! - [`events`]: events and their declarations: sentences, topics, versions
//! - [`aggregates`]: the state that decisions need, folded from events
//! - [`commands`]: commands and their handlers: the only way to change anything
//! - [`store`]: the log, on SQLite, PostgreSQL or NATS JetStream
//! - [`projections`]: what is read: views, the audit log, metrics, exports
//! - [`testing`]: scenarios, a clock, a soundness check and a lock file of event shapes, for an application's tests
//! - `proofs`: a Merkle tree over the log, signed checkpoints, and proofs that a stranger can check (feature `proofs`)
//! - `personal`: keys of personal values, and their erasure (feature `personal`)
//! - `reactions`: which commands follow an event, at once or later
//! - `feeds`: what a question to the audit log matches, sent to a broker or a webhook (feature `feeds`)
//! - `intakes`: messages from a broker become commands (feature `feeds`)
//! - `access`: rights to do and to read something: requests, grants, revocation (feature `access`)
//! - `http`: the HTTP interface for programs, and a page for people (feature `http`)
//! - `cli`: the command line of an application (feature `cli`)
//! - `tokens`: bearer tokens that their holders narrow offline (feature `access`)
//! - `nats_servers`, `secret_url`: connects to NATS servers (features `nats`, `jetstream`); a URL with credentials
//! - `supervise`: restarts a background task that panics
//! - `web_client`: requests to servers of others, with TLS
//! - `followed_file`, `private_file`, `small_file`: values that follow a file; files that are their owner's alone; files that must be
//!   small
//! - `text`, `digest`: small tools for texts and hashes
//! - [`guide`]: the guide in steps, in the documentation only
//!
//! Modules depend on each other in one direction: cli → http → access → app → projections, commands → aggregates → store → events;
//! `tokens` depends on events only.

extern crate self as annals;

#[cfg(feature = "access")]
pub mod access;
pub mod aggregates;
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
pub mod commands;
mod digest;
pub mod events;
#[cfg(feature = "feeds")]
pub mod feeds;
#[cfg(any(feature = "access", feature = "http"))]
mod followed_file;
#[cfg(doc)]
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "feeds")]
pub mod intakes;
#[cfg(any(feature = "nats", feature = "jetstream"))]
mod nats_servers;
#[cfg(feature = "personal")]
pub mod personal;
#[cfg(any(feature = "access", feature = "proofs", feature = "sqlite"))]
mod private_file;
pub mod projections;
#[cfg(feature = "proofs")]
pub mod proofs;
pub mod reactions;
#[cfg(any(feature = "nats", feature = "jetstream", feature = "rabbitmq", feature = "webhooks"))]
mod secret_url;
#[cfg(any(feature = "access", feature = "http", feature = "proofs"))]
mod small_file;
pub mod store;
mod supervise;
pub mod testing;
mod text;
#[cfg(feature = "access")]
pub mod tokens;
#[cfg(feature = "_web_client")]
mod web_client;

#[doc(hidden)]
pub use {cqrs_es, schemars, serde, serde_json};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The items that most modules of an application use: `use annals::prelude::*`.
pub mod prelude {
    pub use annals_macros::{Command, Event, Id};
    /// `derive(JsonSchema)` writes `schemars::…`: so an application needs no such dependency of its own.
    pub use schemars::{self, JsonSchema};

    pub use crate::BoxError;
    pub use crate::aggregates::{Aggregate, Loaded};
    pub use crate::app::{Annals, App};
    pub use crate::commands::{Command, Context, ExecuteError, Handle, PrepareContext};
    pub use crate::events::{Change, Event, Id, Opened, Personal, Recorded, Ref};
    pub use crate::projections::{DocumentView, Field, On};
    pub use crate::store::Receipt;
}

/// The code in the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
