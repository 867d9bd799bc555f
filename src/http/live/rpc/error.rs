//! [`RpcError`]: the error object of JSON-RPC, and which problem has which code.

use std::borrow::Cow;

use serde::Serialize;

use super::super::{EndReason, Problem, StreamEnd};

/// The error of a response, or of the last notification of a subscription.
#[derive(Debug, Serialize)]
pub(super) struct RpcError {
    code: i32,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<Data>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data {
    /// The problem that HTTP would return.
    Problem(Problem),
    /// Why a subscription ends.
    End(StreamEnd),
}

impl RpcError {
    pub(super) fn parse_error(error: &serde_json::Error) -> Self {
        Self::new(-32700, format!("parse error: {error}"))
    }

    pub(super) fn invalid_request(reason: &str) -> Self {
        Self::new(-32600, format!("invalid request: {reason}"))
    }

    pub(super) fn method_not_found(method: &str, known: &str) -> Self {
        let method: String = method.chars().take(100).collect();
        Self::new(-32601, format!("unknown method `{}`: the methods are {known}", method.escape_debug()))
    }

    pub(super) fn invalid_params(error: &serde_json::Error) -> Self {
        Self::new(-32602, format!("invalid params: {error}"))
    }

    /// A limit of the connection is reached.
    pub(super) fn too_many(what: &str) -> Self {
        Self::new(-32029, format!("too many {what} on one connection"))
    }

    fn new(code: i32, message: String) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

impl From<Problem> for RpcError {
    /// The code is -32000 less the last two digits of a 4xx status. Exceptions: 400 is -32602 (invalid params), 503 is
    /// -32053, other 5xx are -32603 (internal error).
    fn from(problem: Problem) -> Self {
        let code = match problem.status().as_u16() {
            400 => -32602,
            status @ 401..=499 => -32000 - i32::from(status - 400),
            503 => -32053,
            _ => -32603,
        };
        let message = if problem.detail().is_empty() { problem.title() } else { problem.detail() };
        Self { code, message: message.to_owned().into(), data: Some(Box::new(Data::Problem(problem))) }
    }
}

impl From<StreamEnd> for RpcError {
    fn from(end: StreamEnd) -> Self {
        let code = match (&end.problem, end.reason) {
            (Some(problem), _) => Self::from(problem.clone()).code,
            (None, EndReason::Shutdown) => -32053,
            (None, EndReason::Expired | EndReason::Revoked) => -32001,
            (None, _) => -32000,
        };
        Self { code, message: end.reason.message().into(), data: Some(Box::new(Data::End(end))) }
    }
}
