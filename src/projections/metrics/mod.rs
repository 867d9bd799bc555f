//! Metrics: how many events of a topic, and of all below it, over any range of the log.
//!
//! ## Layout
//! - `projection`: [`Metrics`], what is kept: `entry`, of each event; `block_closing`, of each block of events; `names`, once;
//!   `bytes`, how; `folding`, much at once
//! - `blocks`: the log cut into blocks, and ranges of it into as few as can be
//! - `prefix_sums`: the running numbers of a topic
//! - `query`: [`MetricQuery`], the builder
//! - `metric`, `answer`: [`Metric`], how it is read and watched, by `block_reader`
//! - `frequency_table`: who occurs how often
//! - `busiest`: [`Busiest`], who did most, and to what most was done
//! - `child_topics`: [`ChildTopics`], the topics one step below
//! - `buckets`: [`Buckets`], the window in slices, for a plot
//! - `anomalies`: [`Anomalies`], rates far from their own past

mod anomalies;
mod answer;
mod block_closing;
mod block_reader;
mod blocks;
mod buckets;
mod busiest;
mod bytes;
mod child_topics;
mod entry;
mod folding;
mod frequency_table;
mod metric;
mod names;
mod params;
mod prefix_sums;
mod projection;
mod query;
#[cfg(test)]
mod tests;

pub use anomalies::{Anomalies, Anomaly};
pub use buckets::{Bucket, Buckets};
pub use busiest::{Busiest, Busy};
pub use child_topics::ChildTopics;
pub use metric::{Metric, MetricError, Rates, Rolling};
pub use params::{MetricQueryParams, MetricReport, Width};
pub use projection::Metrics;
pub use query::MetricQuery;
