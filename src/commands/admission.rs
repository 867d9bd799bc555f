//! Admission of commands: access control is asked, and the commit names the aggregates that it loaded.
//!
//! The first answer is given before `prepare`. If one of the loaded aggregates has changed when the command is decided, the
//! command is decided again, and access control is asked first.

use jiff::Timestamp;
use uuid::Uuid;

use super::access::{AccessLoads, Decision};
use super::engine::Engine;
use super::member::Member;
use super::prepared::Prepared;
use super::received::Received;
use super::{CommandAccess, ExecuteError, Refusal};
use crate::aggregates::{AggregateType, LoadError};
use crate::events::Ref;
#[cfg(feature = "access")]
use crate::tokens::NEEDS_RIGHTS;

/// What access control said about a command.
#[derive(Clone, Default)]
pub(super) struct Admission {
    /// The reason why it denied the command, if it did.
    pub(super) denied: Option<String>,
    /// The command's aggregates, as access control was asked; `None` if it was not asked.
    pub(super) on: Option<Vec<Ref>>,
    /// The aggregates that it loaded to decide.
    pub(super) loaded: Vec<Member>,
    /// The grants that allowed the command.
    pub(super) grants: Vec<Uuid>,
    /// The time until which its answer holds.
    pub(super) valid_until: Option<Timestamp>,
}

/// A command that is rejected before it is decided, and the aggregates that access control loaded to deny it.
pub(super) struct Rejected {
    pub(super) error: Box<ExecuteError<Refusal>>,
    pub(super) loaded: Vec<Member>,
}

impl<E: Into<ExecuteError<Refusal>>> From<E> for Rejected {
    fn from(error: E) -> Self {
        Self { error: Box::new(error.into()), loaded: Vec::new() }
    }
}

impl Admission {
    /// An error, if the command was denied.
    pub(super) fn or_rejected(self) -> Result<Self, Rejected> {
        match self.denied {
            None => Ok(self),
            Some(reason) => {
                let error = Box::new(ExecuteError::Denied { reason });
                Err(Rejected { error, loaded: self.loaded })
            }
        }
    }
}

impl Engine {
    /// Asks access control whether the command may be executed. Internal commands always may. `durable` leaves out states
    /// that are still on their way to the log.
    pub(super) async fn admit(&self, received: &Received, durable: bool) -> Admission {
        let Some(access) = self.access_for(received) else { return without_access_control(received) };
        let on = received.references();
        let loads = AccessLoads::new(self, durable);
        let checked = access.check(&received.context, received.command.name(), &on, &loads).await;
        let Decision { loaded, valid_until } = loads.into_decision();
        let (grants, denied) = match checked {
            Ok(grants) => (grants, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        Admission { denied, on: Some(on), loaded, grants, valid_until }
    }

    /// Returns the first answer of access control, or another one if that has expired.
    pub(super) async fn still_admitted(&self, prepared: &Prepared) -> Admission {
        match prepared.admission.valid_until {
            Some(until) if until <= self.time.now() => self.admit(&prepared.received, false).await,
            _ => prepared.admission.clone(),
        }
    }

    pub(super) fn access_for(&self, received: &Received) -> Option<&dyn CommandAccess> {
        self.access.as_deref().filter(|_| !received.context.has_own_right())
    }

    /// Has access control record a refusal or a denial.
    pub(super) fn record_rejection(&self, received: &Received, error: &ExecuteError<Refusal>) {
        let (reason, denied) = match error {
            ExecuteError::Refused(refusal) => (received.recordable(refusal), false),
            ExecuteError::Erased(_) => (error.to_string(), false),
            ExecuteError::Denied { reason } => (reason.clone(), true),
            _ => return,
        };
        if let Some(access) = self.access_for(received) {
            let (name, on) = (received.command.name(), received.references());
            access.record_refusal(&received.context, name, &on, &reason, denied);
        }
    }

    /// Loads an aggregate for access control.
    pub(super) async fn load_for_access(
        &self,
        kind: AggregateType,
        aggregate: &Ref,
        durable: bool,
    ) -> Result<Member, LoadError> {
        match durable {
            false => self.load(kind, aggregate).await,
            true => Ok(Member::new(kind, aggregate.clone(), self.repository.load(kind, aggregate).await?)),
        }
    }
}

/// The answer where nobody is asked: everything is allowed, but not to an access token.
fn without_access_control(received: &Received) -> Admission {
    #[cfg(feature = "access")]
    if received.context.presented_token().is_some() && !received.context.is_internal() {
        return Admission { denied: Some(NEEDS_RIGHTS.to_owned()), ..Admission::default() };
    }
    let _ = received;
    Admission::default()
}

/// Adds the aggregates that access control loaded to the members of a command, each once. Returns whether they have the same
/// states as the members.
pub(super) fn join(members: &mut Vec<Member>, loaded: &[Member]) -> bool {
    let scope = members.len();
    for load in loaded {
        match members[..scope].iter().find(|member| member.aggregate == load.aggregate) {
            Some(member) if member.sequence_before() != load.sequence_before() || member.stamp != load.stamp => {
                return false;
            }
            Some(_) => {}
            None => members.push(load.clone()),
        }
    }
    true
}
