//! The shared store: a PostgreSQL schema, written by any number of processes.
//!
//! ## Layout
//! - `place`: from a URL to a pool of connections, and what the schema is called
//! - `fault`: what Postgres says, as a [`StoreError`](super::StoreError) that says what to do
//! - `views`: checkpoints and the tables of projections

mod fault;
mod place;
mod views;
