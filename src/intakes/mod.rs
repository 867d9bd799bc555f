//! Intakes: messages from a broker become commands of the application.
//!
//! An [`Intake`] has a name, a function from a [`CloudEvent`] to a command, and a [`MessageSource`]. The command id is derived from the
//! message, so that a redelivery is a repeat. A message is acknowledged when its outcome is durable: the command's events, a refusal, or
//! a dead letter. Messages about the same subject are executed in their order, others at the same time. One process of several receives.
//!
//! ## Layout
//! - `intake`: [`Intake`], the declaration
//! - `cloud_event`: [`CloudEvent`], what the function of an intake gets
//! - `parsing`: a message as a CloudEvent, in structured or binary mode
//! - `source`: the [`MessageSource`] trait, messages, and how they are settled
//! - `identity`: the command id and the digest of a message
//! - `record`: the aggregate of an intake: refusals, dead letters, what operators decided
//! - `commands`: the commands on it
//! - `delivery`: a message's command, decided together with the record
//! - `executing`: executes the command of a message
//! - `lanes`: the order of messages about the same subject
//! - `receiver`: the task that receives
//! - `replay`: a dead letter, executed after all
//! - `state`: what a receiver tells others
//! - `notes`: what all processes know of an intake
//! - `status`: what an intake is doing
//! - `error`: [`IntakeError`], when an intake is asked for or operated
//! - `nats`, `rabbitmq`: the sources, each with the feature of its name

mod cloud_event;
mod commands;
mod delivery;
mod error;
mod executing;
mod identity;
mod intake;
mod lanes;
#[cfg(feature = "nats")]
mod nats;
mod notes;
mod parsing;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod receiver;
mod record;
mod replay;
mod source;
mod state;
mod status;

pub use cloud_event::{CloudEvent, InvalidData};
pub use commands::{PauseIntake, ResumeIntake};
pub use error::IntakeError;
pub(crate) use error::check_why;
pub use executing::Taken;
pub use intake::Intake;
#[cfg(feature = "nats")]
pub use nats::NatsStream;
pub(crate) use notes::{Notes, projection_name};
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::RabbitQueue;
pub(crate) use receiver::{Receiver, ReceiverParts};
pub use record::{DeadLetter, IntakeEvent, IntakeId, IntakeRecord};
pub use source::{IncomingMessage, MessageSource, Settle, SourceError, Subscription, SubscriptionOptions};
pub use status::{IntakeProblem, IntakeStatus};
