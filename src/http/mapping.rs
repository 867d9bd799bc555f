//! Which error becomes which [`Problem`].

use axum::http::StatusCode;
use serde_json::json;

use super::Problem;
use crate::aggregates::LoadError;
use crate::app::ReaderError;
use crate::commands::{ExecuteError, ParseError};
use crate::events::personal::KeyError;
use crate::projections::audit::AuditError;
use crate::projections::export::ExportError;
use crate::projections::flows::FlowError;
use crate::projections::metrics::MetricError;
use crate::projections::presenter::PresentError;
use crate::projections::provenance::ProvenanceError;
use crate::projections::{FollowEnd, QueryError, ReadError, RebuildError, RepairError};
#[cfg(feature = "proofs")]
use crate::proofs::ProofError;
use crate::reactions::StepError;
use crate::store::{MomentError, StoreError};
use crate::text::error_chain;

fn conflict(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", "conflict with the current state", detail)
}

/// The variant of an error enum, which its `Debug` output starts with: `AlreadyMember`.
fn variant(refusal: &dyn std::fmt::Debug) -> String {
    let debug = format!("{refusal:?}");
    debug.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

impl<E: std::error::Error + Send + Sync + 'static> From<ExecuteError<E>> for Problem {
    fn from(error: ExecuteError<E>) -> Self {
        let message = error.to_string();
        let unprocessable = |kind, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, message.clone());
        match &error {
            ExecuteError::Refused(refusal) => {
                unprocessable("refused", "the command was refused").with("refusal", variant(refusal))
            }
            ExecuteError::Denied { .. } => Self::denied(message),
            ExecuteError::Reference(_) => unprocessable("reference", "invalid reference"),
            ExecuteError::SameAggregateTwice(_) => unprocessable("twice", "aggregate named twice"),
            ExecuteError::CommandIdReused(id) => {
                unprocessable("command-id-reused", "command id already used").with("command_id", json!(id))
            }
            ExecuteError::CommandIdReserved(id) => {
                unprocessable("command-id-reserved", "command id reserved").with("command_id", json!(id))
            }
            ExecuteError::Erased(subject) => {
                unprocessable("erased", "the subject is erased").with("subject", json!(subject))
            }
            ExecuteError::Keys(source) => {
                tracing::error!(error = %error_chain(&**source), "personal values cannot be sealed or opened");
                match **source {
                    KeyError::Store { .. } | KeyError::Behind => Self::unavailable(message),
                    _ => Self::internal(&error),
                }
            }
            ExecuteError::Conflict { .. } => conflict(message),
            ExecuteError::OutcomeUnknown { command_id, source } => {
                tracing::warn!(%command_id, error = %error_chain(&**source), "the outcome of a command is unknown");
                Self::unavailable(message).with("command_id", json!(command_id)).with("outcome", "unknown")
            }
            // The caller's input causes it, and a retry does not help. It is a defect of the application all the same.
            ExecuteError::ReadBack { .. } => {
                let message = error_chain(&error);
                tracing::error!(error = %message, "a command returned an event that cannot be read back");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unwritable", "event cannot be stored", message)
            }
            ExecuteError::NotExecuted | ExecuteError::PrepareTimedOut { .. } => Self::unavailable(message),
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

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match &error {
            LoadError::Id(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "reference", "invalid reference", error.to_string())
            }
            LoadError::Store(error) => of_store(error),
            LoadError::Moment(error) => of_moment(error),
            LoadError::UnknownKind { .. } => Self::not_found(error.to_string()),
            LoadError::Decode(_) | LoadError::Panicked(_) | LoadError::OtherType(_) | LoadError::Json { .. } => {
                Self::internal(&error)
            }
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
        StoreError::Busy(_) | StoreError::NoneFree(_) | StoreError::Closed => {
            Problem::unavailable(error.to_string())
        }
        StoreError::OutcomeUnknown(_) | StoreError::Database { .. } | StoreError::Unusable { .. } => {
            tracing::error!(error = %error_chain(error), "the store failed");
            Problem::unavailable("the store failed; the server logged the cause")
        }
        StoreError::Diverged(_) => conflict(error.to_string()),
        StoreError::Requires(_) => {
            tracing::error!(%error, "this program cannot append to the log");
            let title = "the log requires another program";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log-requires", title, error.to_string())
        }
        _ => Problem::internal(error),
    }
}

/// A moment that has not come is the caller's mistake.
fn of_moment(error: &MomentError) -> Problem {
    match error {
        MomentError::PositionAhead { .. } | MomentError::TimeAhead { .. } => {
            Problem::malformed(error.to_string()).with("parameter", "at")
        }
        MomentError::Store(error) => of_store(error),
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
            ReadError::Unknown { .. } | ReadError::UnknownReaction { .. } => Self::not_found(error.to_string()),
            ReadError::Stopped { .. } | ReadError::Waiting { .. } | ReadError::Late { .. } => {
                Self::unavailable(error.to_string())
            }
            ReadError::Diverged(_) => conflict(error.to_string()),
            ReadError::LogDiverged { .. } => {
                let title = "projection of another log";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-diverged", title, error.to_string())
            }
            ReadError::Invalid(_) => Self::malformed(error.to_string()),
            ReadError::Store(error) => of_store(error),
            ReadError::Moment(error) => of_moment(error),
            ReadError::PastTooLong { .. } => Self::unavailable(error.to_string()),
            ReadError::Past { .. } => Self::internal(&error),
            ReadError::Document { .. } => Self::internal(&error),
        }
    }
}

impl From<StepError> for Problem {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Unknown(_) | StepError::NotRefused(_) => Self::not_found(error.to_string()),
            StepError::Done(_) | StepError::NoLonger { .. } | StepError::Command(_) => conflict(error.to_string()),
            StepError::Why => Self::malformed(error.to_string()).with("parameter", "why"),
            StepError::Store(error) => error.into(),
            StepError::Load(error) => error.into(),
            StepError::Read(error) => error.into(),
            StepError::Execute(error) => error.into(),
        }
    }
}

#[cfg(feature = "feeds")]
impl From<crate::feeds::FeedError> for Problem {
    fn from(error: crate::feeds::FeedError) -> Self {
        use crate::feeds::FeedError;
        match error {
            FeedError::Unknown { .. } => Self::not_found(error.to_string()),
            FeedError::Why => Self::malformed(error.to_string()).with("parameter", "why"),
            FeedError::From { .. } => Self::malformed(error.to_string()).with("parameter", "from"),
            FeedError::Load(error) => error.into(),
            FeedError::Store(error) => error.into(),
            FeedError::Execute(error) => error.into(),
        }
    }
}

#[cfg(feature = "feeds")]
impl From<crate::intakes::IntakeError> for Problem {
    fn from(error: crate::intakes::IntakeError) -> Self {
        use crate::intakes::IntakeError;
        match error {
            IntakeError::Unknown { .. } | IntakeError::NoDeadLetter(_) | IntakeError::NotOverHttp(_) => {
                Self::not_found(error.to_string())
            }
            IntakeError::Message(_) => Self::malformed(error.to_string()),
            IntakeError::Paused(_) => Self::unavailable(error.to_string()),
            IntakeError::Why => Self::malformed(error.to_string()).with("parameter", "why"),
            IntakeError::NotWhole(_) | IntakeError::Unreadable { .. } | IntakeError::Done(_) => {
                conflict(error.to_string())
            }
            IntakeError::Load(error) => error.into(),
            IntakeError::Store(error) => error.into(),
            IntakeError::Execute(error) => error.into(),
        }
    }
}

impl From<ReaderError> for Problem {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::Denied(_) => Self::denied(error.to_string()),
            ReaderError::Read(error) => error.into(),
            ReaderError::Load(error) => error.into(),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Query(error) => error.into(),
            AuditError::Denied { .. } => Self::denied(error.to_string()),
            AuditError::Unconfirmed { .. } => Self::unavailable(error.to_string()),
            AuditError::Read(error) => error.into(),
            AuditError::Store(error) => error.into(),
            AuditError::Decode { .. } | AuditError::Undecodable { .. } => Self::internal(&error),
        }
    }
}

impl From<ProvenanceError> for Problem {
    fn from(error: ProvenanceError) -> Self {
        match error {
            ProvenanceError::Off => Self::not_found(error.to_string()),
            ProvenanceError::Query(error) => error.into(),
            ProvenanceError::Depth { .. } => Self::malformed(error.to_string()),
            ProvenanceError::Denied(_) => Self::denied(error.to_string()),
            ProvenanceError::Read(error) => error.into(),
            ProvenanceError::Store(error) => error.into(),
            ProvenanceError::Decode { .. } => Self::internal(&error),
        }
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Off | FlowError::NoRights => Self::not_found(error.to_string()),
            FlowError::Query(error) => error.into(),
            FlowError::NoPlace(_)
            | FlowError::NoWidth
            | FlowError::TooManySlices { .. }
            | FlowError::TooMuch { .. } => Self::malformed(error.to_string()),
            FlowError::Denied(_) => Self::denied(error.to_string()),
            FlowError::Read(error) => error.into(),
            FlowError::Store(error) => error.into(),
        }
    }
}

#[cfg(feature = "proofs")]
impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Off | ProofError::NoCheckpoint | ProofError::NotCovered { .. } => {
                Self::not_found(error.to_string())
            }
            ProofError::Denied(_) => Self::denied(error.to_string()),
            ProofError::Behind { .. } => Self::unavailable(error.to_string()),
            ProofError::Read(error) => error.into(),
            ProofError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<FollowEnd> for Problem {
    fn from(end: FollowEnd) -> Self {
        match end {
            FollowEnd::Denied(_) => Self::denied(end.to_string()),
            FollowEnd::Unconfirmed => Self::unavailable(end.to_string()),
        }
    }
}

impl From<MetricError> for Problem {
    fn from(error: MetricError) -> Self {
        match error {
            MetricError::Query(error) => error.into(),
            MetricError::Read(error) => error.into(),
            MetricError::Store(error) => error.into(),
            MetricError::Follow(end) => end.into(),
            MetricError::TooManySlices { .. }
            | MetricError::NoWidth
            | MetricError::NotByOccurrence
            | MetricError::BoundIsNoTime(_) => Self::malformed(error.to_string()),
        }
    }
}

impl From<PresentError> for Problem {
    fn from(error: PresentError) -> Self {
        match error {
            PresentError::NotShipped { .. } => Self::malformed(error.to_string()),
            PresentError::Read(error) => error.into(),
            PresentError::Store(error) => error.into(),
            PresentError::Decode { .. } | PresentError::Undecodable { .. } | PresentError::Translation { .. } => {
                Self::internal(&error)
            }
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
    use crate::commands::Refusal;
    use crate::events::ReadBackError;

    #[test]
    fn a_value_that_cannot_be_read_back_is_named_to_the_caller() {
        let source = ReadBackError::Number { number: "18446744073709551616".into(), path: "wei".into() };
        let problem = Problem::from(ExecuteError::<Refusal>::ReadBack { event_type: "probe.weighed", source });
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        for part in ["probe.weighed", "18446744073709551616", "`wei`"] {
            assert!(problem.detail().contains(part), "{}", problem.detail());
        }
    }

    /// Guarantee 3: a caller that took the doubt for a failure would execute the command a second time, with a new id.
    #[test]
    fn an_unknown_outcome_says_so_and_names_the_id_for_the_retry() {
        let id = uuid::Uuid::now_v7();
        let source = std::sync::Arc::new(StoreError::OutcomeUnknown("the connection was cut".into()));
        let problem = Problem::from(ExecuteError::<Refusal>::store(id, source));
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            problem.detail(),
            format!("the outcome of command {id} is unknown: execute it again with this command id")
        );
        let body = serde_json::to_value(&problem).unwrap();
        assert_eq!((&body["outcome"], &body["command_id"]), (&json!("unknown"), &json!(id)));
    }
}
