//! What can be called.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::{Asked, Asker, Asking, Closing, Cursor, Live, Problem, Steps};
use super::code::Fault;
use crate::projections::Bound;

/// All that can be called.
const METHODS: &str = "execute, audit, metric, subscribe_audit, subscribe_metric, unsubscribe";

/// What a call comes to.
pub(super) enum Done {
    /// An answer.
    Answer(Box<RawValue>),
    /// Something to follow, and what its notifications are called.
    Follow(&'static str, Steps),
    /// No more of this subscription.
    Leave(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execute {
    command: String,
    body: Box<RawValue>,
    #[serde(default)]
    command_id: Option<Uuid>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SubscribeMetric {
    topic: String,
    from: Option<Bound>,
    until: Option<Bound>,
    cursor: Option<Cursor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    subscription: u64,
}

/// Calls a method as who asks.
pub(super) async fn call(
    live: &Live,
    asker: &Asker,
    closing: &Closing,
    method: &str,
    params: &str,
) -> Result<Done, Fault> {
    match method {
        "execute" => {
            let Execute { command, body, command_id } = read(params)?;
            let context = command_id.into_iter().fold(asker.context()?, |context, id| context.command_id(id));
            let done = live.hub.annals().execute_json(&command, body.get(), &context).await;
            answer(&done.map_err(Problem::from)?.map_err(Problem::from)?)
        }
        "audit" => {
            let asked: Asked = read(params)?;
            answer(&asked.of(asker.audit()?).page().await.map_err(Problem::from)?)
        }
        "metric" => {
            let asking: Asking = read(params)?;
            answer(&asking.of(asker.metric(&asking.topic).await?).await.map_err(Problem::from)?)
        }
        "subscribe_audit" => {
            let asked: Asked = read(params)?;
            Ok(Done::Follow("audit", live.audit(asker, &asked, closing.clone()).await?))
        }
        "subscribe_metric" => {
            let SubscribeMetric { topic, from, until, cursor } = read(params)?;
            let asking = Asking { topic, from, until };
            Ok(Done::Follow("metric", live.metric(asker, asking, cursor, closing.clone()).await?))
        }
        "unsubscribe" => read(params).map(|Unsubscribe { subscription }| Done::Leave(subscription)),
        other => Err(Fault::no_method(other, METHODS)),
    }
}

fn read<T: DeserializeOwned>(params: &str) -> Result<T, Fault> {
    serde_json::from_str(params).map_err(|error| Fault::wrong_parameters(&error))
}

fn answer(result: &impl Serialize) -> Result<Done, Fault> {
    Ok(Done::Answer(raw(result)?))
}

/// As JSON, once and for all.
pub(super) fn raw(result: &impl Serialize) -> Result<Box<RawValue>, Fault> {
    serde_json::value::to_raw_value(result).map_err(|error| Problem::internal(&error).into())
}
