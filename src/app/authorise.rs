//! [`Authorise`]: allows or denies commands and reads.

use async_trait::async_trait;

use crate::commands::Context;
use crate::events::{Ref, Topic};

/// An authoriser: see [`App::authorise`](super::App::authorise).
///
/// It is called before anything is loaded. A closure is enough if it needs no await; to call a service, implement the trait.
/// A panic denies.
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
    /// Allows or denies the context's actor what it asks for.
    ///
    /// # Errors
    /// The denial.
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

/// What an actor asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask<'a> {
    /// Execute a command.
    Command {
        /// The command's name: `add_member`.
        name: &'a str,
        /// The aggregates that the command is decided on.
        on: &'a [Ref],
    },
    /// Read a view.
    View {
        /// The view's name: `roster`.
        view: &'a str,
        /// The key of the document; `None` for a list.
        key: Option<&'a str>,
    },
    /// Read the part of the audit log that these filters match. An empty filter matches everything.
    Audit {
        /// Only these actors.
        actors: &'a [Ref],
        /// Only these targets and aggregates.
        targets: &'a [Ref],
        /// Only these topics and what is below them.
        topics: &'a [Topic],
    },
    /// Operate the projections, or verify the log. Shows no content of the log.
    Operate {
        /// The operation: `status`, `rebuild`, `resume`, `skip`, `replay`, `dead_letters`, `numbers`, `check`.
        operation: &'a str,
        /// The projection, if it is one.
        projection: Option<&'a str>,
    },
    /// Read the metrics of a topic and those below it.
    Metric {
        /// The topic.
        topic: &'a str,
    },
}

/// A denial, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    reason: String,
}

impl Denial {
    /// Creates a denial with this reason, which the denied actor gets to read.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
