//! [`Restriction`]: one check of a token, and what it means.
//!
//! The checks are evaluated here and not by the Datalog engine of the crate: it looks at its time limit only between checks, and a
//! check of a token that its holder made can take it half a minute. One of these takes a comparison. A test compares both.

use super::TokenError;
use super::token::Request;

/// One check: one of the tests must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Restriction {
    pub subject: Subject,
    /// Alternatives, at least one.
    pub any_of: Vec<Test>,
}

/// The fact of a request that a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Method,
    Path,
    Target,
    Observe,
    Time,
}

/// A test of a fact.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// There is one: every request has a method, a path, a time and is observing or not; some are about no target.
    Any,
    Is(Value),
    StartsWith(String),
    /// In seconds since 1970.
    Before(u64),
    /// The same, with this second.
    Until(u64),
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    /// Seconds since 1970.
    Time(u64),
}

impl Subject {
    pub(super) fn named(predicate: &str) -> Option<Self> {
        match predicate {
            "method" => Some(Self::Method),
            "path" => Some(Self::Path),
            "target" => Some(Self::Target),
            "observe" => Some(Self::Observe),
            "time" => Some(Self::Time),
            _ => None,
        }
    }
}

impl Test {
    fn text(&self, fact: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(Value::Text(text)) => fact == text,
            Self::StartsWith(start) => fact.starts_with(start.as_str()),
            Self::Is(_) | Self::Before(_) | Self::Until(_) => false,
        }
    }

    fn flag(&self, fact: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Is(value) => *value == Value::Flag(fact),
            Self::StartsWith(_) | Self::Before(_) | Self::Until(_) => false,
        }
    }

    fn time(&self, fact: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Is(value) => *value == Value::Time(fact),
            Self::Before(time) => fact < *time,
            Self::Until(time) => fact <= *time,
            Self::StartsWith(_) => false,
        }
    }

    /// The second from which on it does not hold any more; `None` if it never ends.
    fn end(&self) -> Option<u64> {
        match self {
            Self::Is(Value::Time(time)) | Self::Until(time) => time.checked_add(1),
            Self::Before(time) => Some(*time),
            Self::Any | Self::Is(_) | Self::StartsWith(_) => None,
        }
    }
}

impl Restriction {
    /// Whether a request meets it. `targets` are percent-encoded; each must meet it, and there must be one.
    pub(super) fn check(&self, request: &Request<'_>, targets: &[String]) -> Result<(), TokenError> {
        let any = |holds: &dyn Fn(&Test) -> bool| self.any_of.iter().any(holds);
        let (met, error) = match self.subject {
            Subject::Method => (any(&|test| test.text(request.method)), TokenError::Method),
            Subject::Path => (any(&|test| test.text(request.path)), TokenError::Path),
            Subject::Observe => (any(&|test| test.flag(request.observe)), TokenError::Observe(request.observe)),
            Subject::Time => (any(&|test| test.time(request.second())), TokenError::Expired),
            Subject::Target => {
                let all = targets.iter().all(|target| any(&|test| test.text(target)));
                (all && !targets.is_empty(), TokenError::Target)
            }
        };
        if met { Ok(()) } else { Err(error) }
    }

    /// The second from which on no request meets it; `None` if it never ends.
    pub(super) fn end(&self) -> Option<u64> {
        if self.subject != Subject::Time {
            return None;
        }
        let ends: Option<Vec<u64>> = self.any_of.iter().map(Test::end).collect();
        ends?.into_iter().max()
    }
}
