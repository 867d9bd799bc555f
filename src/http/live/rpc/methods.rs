//! The methods.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::{AuditQueryParams, Caller, Cursor, Live, LiveStream, MetricParams, Problem, StreamLifetime};
use super::error::RpcError;
use crate::projections::RangeBound;
use crate::projections::presenter::PresentationParams;

/// The names, for an error message.
const METHODS: &str = "execute, audit, metric, subscribe_audit, subscribe_metric, unsubscribe";

/// The outcome of a call.
pub(super) enum Outcome {
    /// A result.
    Value(Box<RawValue>),
    /// A new subscription: the method of its notifications, and its items.
    Subscribe(&'static str, LiveStream),
    /// The end of the subscription with this number.
    Unsubscribe(u64),
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
    by_occurrence: bool,
    from: Option<RangeBound>,
    until: Option<RangeBound>,
    cursor: Option<Cursor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    subscription: u64,
}

/// Calls a method as this caller.
pub(super) async fn call(
    live: &Live,
    caller: &Caller,
    lifetime: &StreamLifetime,
    method: &str,
    params: &str,
) -> Result<Outcome, RpcError> {
    // Subscriptions are counted when they are opened.
    if !method.starts_with("subscribe") {
        live.requests.count(caller.key())?;
    }
    match method {
        "execute" => {
            let Execute { command, body, command_id } = parse(params)?;
            let json = serde_json::from_str(body.get()).map_err(|error| RpcError::invalid_params(&error))?;
            live.state.schemas().check(&command, &json)?;
            let caller = caller.for_request("POST", &live.path(&format!("/commands/{command}")), false)?;
            let context = command_id.into_iter().fold(caller.context()?, |context, id| context.command_id(id));
            let executing = live.state.annals().execute_json(&command, body.get(), &context);
            value(&executing.map_err(Problem::from)?.await.map_err(Problem::from)?)
        }
        "audit" => {
            let caller = caller.for_request("GET", &live.path("/audit"), false)?;
            let (asked, words) = audit_params(params)?;
            let presenter = live.state.annals().presenter();
            // An unsupported language is an error before anything is read.
            drop(words.apply(presenter.clone()).map_err(Problem::from)?);
            let mut page = asked.apply(caller.audit()?).page().await.map_err(Problem::from)?;
            words.apply_to_rows(presenter, &mut page.rows).await.map_err(Problem::from)?;
            value(&page)
        }
        "metric" => {
            let params: MetricParams = parse(params)?;
            let caller = caller.for_request("GET", &live.path(&format!("/metrics/{}", params.topic)), false)?;
            value(&params.apply_to(caller.metric(&params.topic).await?).await.map_err(Problem::from)?)
        }
        "subscribe_audit" => {
            let (asked, words) = audit_params(params)?;
            let caller = caller.for_request("GET", &live.path("/live/audit"), true)?;
            Ok(Outcome::Subscribe("audit", live.audit(&caller, &asked, words, lifetime.clone()).await?))
        }
        "subscribe_metric" => {
            let SubscribeMetric { topic, by_occurrence, from, until, cursor } = parse(params)?;
            let params = MetricParams { topic, by_occurrence, from, until };
            let path = live.path(&format!("/live/metrics/{}", params.topic));
            let caller = caller.for_request("GET", &path, true)?;
            Ok(Outcome::Subscribe("metric", live.metric(&caller, params, cursor, lifetime.clone()).await?))
        }
        "unsubscribe" => parse(params).map(|Unsubscribe { subscription }| Outcome::Unsubscribe(subscription)),
        other => Err(RpcError::method_not_found(other, METHODS)),
    }
}

fn parse<T: DeserializeOwned>(params: &str) -> Result<T, RpcError> {
    serde_json::from_str(params).map_err(|error| RpcError::invalid_params(&error))
}

/// The parameters of the audit log, and the language of its sentences.
fn audit_params(params: &str) -> Result<(AuditQueryParams, PresentationParams), RpcError> {
    let mut all: Map<String, Value> = parse(params)?;
    let words = ["locale", "names"].into_iter().filter_map(|name| all.remove_entry(name)).collect();
    let words = PresentationParams::deserialize(Value::Object(words));
    let asked = AuditQueryParams::deserialize(Value::Object(all));
    let wrong = |error| RpcError::invalid_params(&error);
    Ok((asked.map_err(wrong)?, words.map_err(wrong)?))
}

fn value(result: &impl Serialize) -> Result<Outcome, RpcError> {
    Ok(Outcome::Value(to_json(result)?))
}

/// Serialises a result.
pub(super) fn to_json(result: &impl Serialize) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(result).map_err(|error| Problem::internal(&error).into())
}
