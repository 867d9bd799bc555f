//! Which problem has which code.

use std::borrow::Cow;

use serde::Serialize;

use super::super::{Ending, Problem, Reason};

/// The error of an answer, or of the last notification of a subscription.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    code: i32,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<Data>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data {
    /// What HTTP would have answered.
    Problem(Problem),
    /// Why a subscription ends.
    Ending(Ending),
}

impl Fault {
    /// No JSON.
    pub(super) fn no_json(why: &serde_json::Error) -> Self {
        Self::of(-32700, format!("parse error: {why}"))
    }

    /// JSON, but no request.
    pub(super) fn no_request(why: &str) -> Self {
        Self::of(-32600, format!("invalid request: {why}"))
    }

    /// A method that there is not.
    pub(super) fn no_method(method: &str, known: &str) -> Self {
        let method: String = method.chars().take(100).collect();
        Self::of(-32601, format!("there is no method `{}`: there are {known}", method.escape_debug()))
    }

    /// Parameters that the method does not have.
    pub(super) fn wrong_parameters(why: &serde_json::Error) -> Self {
        Self::of(-32602, format!("invalid params: {why}"))
    }

    /// More than one connection may have.
    pub(super) fn too_many(what: &str) -> Self {
        Self::of(-32029, format!("too many {what} on one connection"))
    }

    fn of(code: i32, message: String) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

impl From<Problem> for Fault {
    /// -32000 less the last two digits of an HTTP status that begins with 4; but invalid parameters are the protocol's
    /// own -32602, and what is this program's fault is its -32603.
    fn from(problem: Problem) -> Self {
        let code = match problem.status().as_u16() {
            400 => -32602,
            status @ 401..=499 => -32000 - i32::from(status - 400),
            503 => -32053,
            _ => -32603,
        };
        let words = if problem.detail().is_empty() { problem.title() } else { problem.detail() };
        Self { code, message: words.to_owned().into(), data: Some(Box::new(Data::Problem(problem))) }
    }
}

impl From<Ending> for Fault {
    fn from(ending: Ending) -> Self {
        let code = match (&ending.problem, ending.reason) {
            (Some(problem), _) => Self::from(problem.clone()).code,
            (None, Reason::Shutdown) => -32053,
            (None, Reason::Expired) => -32001,
            (None, _) => -32000,
        };
        Self { code, message: ending.reason.words().into(), data: Some(Box::new(Data::Ending(ending))) }
    }
}
