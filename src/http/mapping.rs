//! Which error is which [`Problem`].

use axum::http::StatusCode;
use serde_json::json;

use super::Problem;
use crate::aggregates::LoadError;
use crate::app::ReaderError;
use crate::commands::{ExecuteError, ParseError, Refusal};
use crate::projections::audit::AuditError;
use crate::projections::export::ExportError;
use crate::projections::metrics::MetricError;
use crate::projections::presenter::PresentError;
use crate::projections::{QueryError, ReadError, RebuildError, RepairError};
use crate::store::StoreError;
use crate::text::error_chain;

fn conflict(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", "it does not fit what is there", detail)
}

/// The case of an error enum, as its `Debug` begins: `AlreadyMember`.
fn case(refusal: &Refusal) -> String {
    let debug = format!("{:?}", refusal.0);
    debug.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

impl From<ExecuteError<Refusal>> for Problem {
    fn from(error: ExecuteError<Refusal>) -> Self {
        let words = error.to_string();
        let unprocessable = |kind, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, words.clone());
        match &error {
            ExecuteError::Refused(refusal) => {
                unprocessable("refused", "the command was refused").with("refusal", case(refusal))
            }
            ExecuteError::Denied { .. } => Self::denied(words),
            ExecuteError::Reference(_) => unprocessable("reference", "a reference cannot be stored"),
            ExecuteError::SameAggregateTwice(_) => unprocessable("twice", "one thing is named twice"),
            ExecuteError::CommandIdReused(id) => {
                unprocessable("command-id-reused", "the id is another command's").with("command_id", json!(id))
            }
            ExecuteError::CommandIdReserved(id) => {
                unprocessable("command-id-reserved", "the id is kept for own records").with("command_id", json!(id))
            }
            ExecuteError::Conflict { .. } => conflict(words),
            ExecuteError::OutcomeUnknown { command_id, source } => {
                tracing::warn!(%command_id, error = %error_chain(&**source), "the outcome of a command is not known");
                Self::unavailable(words).with("command_id", json!(command_id)).with("outcome", "unknown")
            }
            // It hangs on what the caller gave, and no retry helps. It is a fault of the application all the same.
            ExecuteError::ReadBack { .. } => {
                let words = error_chain(&error);
                tracing::error!(error = %words, "a command decided what cannot be written");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unwritable", "it cannot be written", words)
            }
            ExecuteError::NotExecuted => Self::unavailable(words),
            ExecuteError::Store(source) => of_store(source),
            ExecuteError::Load(source) => match source.downcast_ref() {
                Some(LoadError::Store(source)) => of_store(source),
                _ => Self::internal(&error),
            },
            ExecuteError::InProjection(_)
            | ExecuteError::Panicked(_)
            | ExecuteError::Unstorable(_)
            | ExecuteError::Unregistered { .. }
            | ExecuteError::Body(_) => Self::internal(&error),
        }
    }
}

impl From<ParseError> for Problem {
    fn from(error: ParseError) -> Self {
        match &error {
            ParseError::Unknown { .. } => Self::not_found(error.to_string()),
            ParseError::Body { command, .. } => Self::malformed(error.to_string()).with("command", *command),
            ParseError::UnknownField { command, field, .. } => {
                Self::malformed(error.to_string()).with("command", *command).with("field", field.as_str())
            }
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::malformed(error.to_string())
    }
}

fn of_store(error: &StoreError) -> Problem {
    match error {
        StoreError::Busy(_) | StoreError::Closed => Problem::unavailable(error.to_string()),
        StoreError::OutcomeUnknown(_) | StoreError::Database { .. } | StoreError::Unusable { .. } => {
            tracing::error!(error = %error_chain(error), "the store cannot be used");
            Problem::unavailable("the store cannot be used now; why is in the program's log")
        }
        StoreError::Diverged(_) => conflict(error.to_string()),
        _ => Problem::internal(error),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Unknown { .. } => Self::not_found(error.to_string()),
            ReadError::Stopped { .. } | ReadError::Waiting { .. } | ReadError::Late { .. } => {
                Self::unavailable(error.to_string())
            }
            ReadError::Diverged(_) => conflict(error.to_string()),
            ReadError::LogDiverged { .. } => {
                let title = "a projection does not belong to the log";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-diverged", title, error.to_string())
            }
            ReadError::Invalid(_) => Self::malformed(error.to_string()),
            ReadError::Store(error) => of_store(error),
            ReadError::Document { .. } => Self::internal(&error),
        }
    }
}

impl From<ReaderError> for Problem {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::Denied(_) => Self::denied(error.to_string()),
            ReaderError::Read(error) => error.into(),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Query(error) => error.into(),
            AuditError::Denied { .. } => Self::denied(error.to_string()),
            AuditError::Read(error) => error.into(),
            AuditError::Store(error) => error.into(),
            AuditError::Decode { .. } => Self::internal(&error),
        }
    }
}

impl From<MetricError> for Problem {
    fn from(error: MetricError) -> Self {
        match error {
            MetricError::Query(error) => error.into(),
            MetricError::Read(error) => error.into(),
            MetricError::Store(error) => error.into(),
            MetricError::TooManySlices { .. } | MetricError::NoWidth => Self::malformed(error.to_string()),
        }
    }
}

impl From<PresentError> for Problem {
    fn from(error: PresentError) -> Self {
        match error {
            PresentError::NotShipped { .. } => Self::malformed(error.to_string()),
            PresentError::Read(error) => error.into(),
            PresentError::Store(error) => error.into(),
            PresentError::Decode { .. } | PresentError::Translation { .. } => Self::internal(&error),
        }
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Audit(error) => error.into(),
            ExportError::Present(error) => error.into(),
            ExportError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<RebuildError> for Problem {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Unknown(error) => error.into(),
            RebuildError::Running { .. }
            | RebuildError::Skips { .. }
            | RebuildError::Elsewhere(_)
            | RebuildError::Diverged { .. }
            | RebuildError::Cancelled(_) => conflict(error.to_string()),
            RebuildError::NoKeys(_) | RebuildError::Nothing { .. } => Self::malformed(error.to_string()),
            RebuildError::Event { .. } | RebuildError::Failed { .. } => conflict(error_chain(&error)),
        }
    }
}

impl From<RepairError> for Problem {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Read(error) => error.into(),
            RepairError::Rebuild(error) => error.into(),
            other => conflict(error_chain(&other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ReadBackError;

    #[test]
    fn an_event_that_cannot_be_read_back_is_told_to_the_caller_who_gave_the_value() {
        let source = ReadBackError::Number { number: "18446744073709551616".into(), path: "wei".into() };
        let problem = Problem::from(ExecuteError::<Refusal>::ReadBack { event_type: "probe.weighed", source });
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        for words in ["probe.weighed", "18446744073709551616", "`wei`"] {
            assert!(problem.detail().contains(words), "{}", problem.detail());
        }
    }
}
