//! Metrics: how many events of a topic, and of all below it, over any range of the log.
//!
//! ## Layout
//! - `projection`: [`Metrics`], what is kept
//! - `metric`: [`Metric`], what is answered
//! - `query`: [`MetricQuery`], the builder
//! - `answer`: how a metric is read, and watched

mod answer;
mod metric;
mod projection;
mod query;
#[cfg(test)]
mod tests;

pub use metric::{Metric, MetricError, Rates};
pub use projection::Metrics;
pub use query::MetricQuery;
