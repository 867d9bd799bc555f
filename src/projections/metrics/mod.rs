//! Metrics: the number of events of a topic, and of all topics below it, over any range of the log.
//!
//! ## Layout
//! - `projection`, `tables`: [`Metrics`], the projection, and its tables
//! - `folding`: fills the tables from many pages at once
//! - `entry`, `names`, `bytes`: the entry of one event, the dictionary of names, and the encoding of numbers
//! - `blocks`, `block_closing`: the log in blocks, and what is written when a block is complete
//! - `prefix_sums`, `frequency_table`: cumulative counts of a topic, and how often each actor and target occurs
//! - `block_reader`: reads prefix sums and frequencies of one topic
//! - `slots`, `slot_reader`: the same by when events occurred: counts in slots of time, and reading them
//! - `axis`: the two axes, by when events were recorded and by when they occurred, read alike
//! - `query`, `params`: [`MetricQuery`], the builder, and [`MetricQueryParams`], its form as flags and URL
//!   parameters
//! - `metric`, `answer`: [`Metric`], the counts of a topic, and how they are read and watched
//! - `busiest`: [`Busiest`], the most active actors and targets
//! - `child_topics`: [`ChildTopics`], the topics one step below
//! - `buckets`, `anomalies`: [`Buckets`], the window in time slices, and [`Anomalies`], unusual rates

mod anomalies;
mod answer;
mod axis;
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
mod slot_reader;
mod slots;
mod tables;
#[cfg(test)]
mod tests;

pub use anomalies::{Anomalies, Anomaly};
pub(in crate::projections) use anomalies::{PAST, judge};
pub use buckets::{Bucket, Buckets};
pub use busiest::{Busiest, Busy};
pub use child_topics::ChildTopics;
pub use metric::{Metric, MetricError, Rates, Rolling};
pub use params::{MetricQueryParams, MetricReport, Width};
pub use projection::Metrics;
pub use query::MetricQuery;
