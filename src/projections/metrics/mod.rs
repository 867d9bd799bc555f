//! Metrics: how many events of a topic, and of all below it, over any range of the log.
//!
//! ## Layout
//! - `projection`: [`Metrics`], what is kept: `entry`, of each event; `completing`, of each block of events; `names`, once;
//!   `bytes`, how; `folding`, much at once
//! - `blocks`: the log cut into blocks, and ranges of it into as few as can be
//! - `running`: the running numbers of a topic
//! - `query`: [`MetricQuery`], the builder
//! - `metric`, `answer`: [`Metric`], how it is read and watched, by `ledger`
//! - `crowd`: who occurs how often
//! - `busiest`: [`Busiest`], who did most, and to what most was done
//! - `below`: [`Below`], the topics one step below
//! - `buckets`: [`Buckets`], the window in slices, for a plot
//! - `shifts`: [`Shifts`], rates far from their own past

mod answer;
mod asked;
mod below;
mod blocks;
mod buckets;
mod busiest;
mod bytes;
mod completing;
mod crowd;
mod entry;
mod folding;
mod ledger;
mod metric;
mod names;
mod projection;
mod query;
mod running;
mod shifts;
#[cfg(test)]
mod tests;

pub use asked::{Asked, Numbers, Width};
pub use below::Below;
pub use buckets::{Bucket, Buckets};
pub use busiest::{Busiest, Busy};
pub use metric::{Metric, MetricError, Rates, Rolling};
pub use projection::Metrics;
pub use query::MetricQuery;
pub use shifts::{Shift, Shifts};
