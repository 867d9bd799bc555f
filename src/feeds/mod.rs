//! Feeds: what a question to the audit log matches, sent to a broker or a webhook, in the order of the log.
//!
//! A [`Feed`] has a name, a question and a [`Sink`]. It sends the events that match as CloudEvents 1.0 in JSON: byte for byte the
//! structure of an export and of the HTTP API. One process of several sends. The checkpoint moves when the sink has confirmed, so
//! that nothing is left out; where the sink allows it (NATS JetStream), nothing is there twice either. The log never waits for a feed.
//!
//! ## Layout
//! - `feed`: [`Feed`], the declaration
//! - `sink`: the [`Sink`] trait, messages, and what a sink answers
//! - `record`: the aggregate of a feed: its start, and what operators decided
//! - `commands`: the commands on it
//! - `checkpoint`: what is confirmed, in the tables of projections
//! - `leases`: one process of several sends
//! - `sender`: the task that sends
//! - `running`: what a sender remembers while it leads
//! - `pages`: the next messages of a feed
//! - `problem`: why a feed does not send now
//! - `status`: what a feed is doing
//! - `error`: [`FeedError`], when a feed is asked for or operated
//! - `rabbit_server`: how a RabbitMQ broker is reached (feature `rabbitmq`)
//! - `quorum_queue`: quorum queues of RabbitMQ (feature `rabbitmq`)
//! - `nats`, `rabbitmq`, `webhook`: the sinks, each with the feature of its name

mod checkpoint;
mod commands;
mod error;
mod feed;
mod leases;
#[cfg(feature = "nats")]
mod nats;
mod pages;
mod problem;
#[cfg(feature = "rabbitmq")]
pub(crate) mod quorum_queue;
#[cfg(feature = "rabbitmq")]
mod rabbit_server;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod record;
mod running;
mod sender;
mod sink;
mod status;
#[cfg(feature = "webhooks")]
mod webhook;

pub(crate) use checkpoint::{Checkpoints, VERSION, projection_name};
pub use commands::{PauseFeed, ResumeFeed};
pub(crate) use commands::{StartFeed, start_id};
pub use error::FeedError;
pub(crate) use error::MAX_WHY_BYTES;
pub use feed::{Feed, Since};
pub(crate) use leases::Leases;
#[cfg(feature = "nats")]
pub use nats::Nats;
pub use problem::FeedProblem;
#[cfg(feature = "rabbitmq")]
pub(crate) use rabbit_server::RabbitServer;
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::RabbitMq;
pub use record::{FeedEvent, FeedId, FeedRecord};
pub(crate) use running::pause;
pub(crate) use sender::{Sender, SenderParts};
pub use sink::{Connection, FeedPosition, Message, Sent, Sink, SinkError};
pub use status::FeedStatus;
#[cfg(feature = "webhooks")]
pub use webhook::Webhook;
