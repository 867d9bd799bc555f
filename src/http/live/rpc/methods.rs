//! What can be called.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::{Asked, Asker, Asking, Closing, Cursor, Live, Problem, Steps};
use super::code::Fault;
use crate::projections::RangeBound;
use crate::projections::presenter::Words;

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
    from: Option<RangeBound>,
    until: Option<RangeBound>,
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
    // What follows is counted where it is opened.
    if !method.starts_with("subscribe") {
        live.bounds.count(asker)?;
    }
    match method {
        "execute" => {
            let Execute { command, body, command_id } = read(params)?;
            let value = serde_json::from_str(body.get()).map_err(|error| Fault::wrong_parameters(&error))?;
            live.shared.schemas().check(&command, &value)?;
            let context = command_id.into_iter().fold(asker.context()?, |context, id| context.command_id(id));
            let executing = live.hub.annals().execute_read(&command, body.get(), &value, &context);
            answer(&executing.map_err(Problem::from)?.await.map_err(Problem::from)?)
        }
        "audit" => {
            let (asked, words) = question(params)?;
            let presenter = live.hub.annals().presenter();
            // A language that is not spoken is said before anything is read.
            drop(words.of(presenter.clone()).map_err(Problem::from)?);
            let mut page = asked.of(asker.audit()?).page().await.map_err(Problem::from)?;
            words.tell(presenter, &mut page.rows).await.map_err(Problem::from)?;
            answer(&page)
        }
        "metric" => {
            let asking: Asking = read(params)?;
            answer(&asking.of(asker.metric(&asking.topic).await?).await.map_err(Problem::from)?)
        }
        "subscribe_audit" => {
            let (asked, words) = question(params)?;
            Ok(Done::Follow("audit", live.audit(asker, &asked, words, closing.clone()).await?))
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

/// A question to the audit log, and how its answer is told.
fn question(params: &str) -> Result<(Asked, Words), Fault> {
    let mut all: Map<String, Value> = read(params)?;
    let told = ["locale", "names"].into_iter().filter_map(|name| all.remove_entry(name)).collect();
    let words = Words::deserialize(Value::Object(told));
    let asked = Asked::deserialize(Value::Object(all));
    let wrong = |error| Fault::wrong_parameters(&error);
    Ok((asked.map_err(wrong)?, words.map_err(wrong)?))
}

fn answer(result: &impl Serialize) -> Result<Done, Fault> {
    Ok(Done::Answer(raw(result)?))
}

/// As JSON, once and for all.
pub(super) fn raw(result: &impl Serialize) -> Result<Box<RawValue>, Fault> {
    serde_json::value::to_raw_value(result).map_err(|error| Problem::internal(&error).into())
}
