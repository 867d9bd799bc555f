//! [`Authorise`]: who may do and read what.

use async_trait::async_trait;

use crate::commands::Context;
use crate::events::{Ref, Topic};

/// Decides who may do what, and read what: see [`App::authorise`](super::App::authorise).
///
/// It is asked before anything is loaded. A closure that answers at once will do; what has to ask a service implements
/// the trait. One that panics denies.
///
/// ```
/// use annals::app::{Ask, Denial};
/// use annals::commands::Context;
///
/// fn only_users_write(context: &Context, ask: &Ask<'_>) -> Result<(), Denial> {
///     match ask {
///         Ask::Command { .. } if context.actor().kind() != "user" => Err(Denial::because("only users may")),
///         _ => Ok(()),
///     }
/// }
/// # annals::app::App::new("demo").authorise(only_users_write);
/// ```
#[async_trait]
pub trait Authorise: Send + Sync + 'static {
    /// Whether the context's actor may.
    ///
    /// # Errors
    /// Why not.
    async fn authorise(&self, context: &Context, ask: &Ask<'_>) -> Result<(), Denial>;
}

#[async_trait]
impl<F> Authorise for F
where
    F: Fn(&Context, &Ask<'_>) -> Result<(), Denial> + Send + Sync + 'static,
{
    async fn authorise(&self, context: &Context, ask: &Ask<'_>) -> Result<(), Denial> {
        self(context, ask)
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask<'a> {
    /// Execute a command.
    Command {
        /// The command's name: `add_member`.
        name: &'a str,
        /// The aggregates that it is decided on.
        on: &'a [Ref],
    },
    /// Read a view of the application's own.
    View {
        /// The view's name: `roster`.
        view: &'a str,
        /// The key of the document; none: a list of them.
        key: Option<&'a str>,
    },
    /// Read the audit log, as far as these filters let something through. An empty one lets everything through.
    Audit {
        /// Only these actors.
        actors: &'a [Ref],
        /// Only these targets and aggregates.
        targets: &'a [Ref],
        /// Only these topics and what is below them.
        topics: &'a [Topic],
    },
    /// Look after the projections, or verify the log: nothing that is in the log is shown.
    Operate {
        /// What is to be done: `status`, `rebuild`, `resume`, `skip`, `replay`, `dead_letters`, `numbers`, `check`.
        operation: &'a str,
        /// To which projection, if to one.
        projection: Option<&'a str>,
    },
    /// Read the numbers of a topic and what is below it.
    Metric {
        /// The topic.
        topic: &'a str,
    },
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    reason: String,
}

impl Denial {
    /// A denial for this reason, which the one who asked gets to read.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
