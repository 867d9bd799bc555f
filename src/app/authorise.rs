//! [`Authorise`]: allows or denies commands and reads.

#[cfg(feature = "access")]
use std::borrow::Cow;

use async_trait::async_trait;

use super::AccessContext;
use crate::aggregates::LoadError;
use crate::commands::{ServiceType, TRY_AGAIN};
use crate::events::{Ref, Topic};
use crate::projections::audit::Detail;

/// An authoriser: see [`App::authorise`](super::App::authorise).
///
/// It is called before anything is loaded. A closure is enough if it needs no await; to call a service or load an aggregate,
/// implement the trait. A panic denies, and so does an authoriser that takes longer than
/// [`App::service_time_limit`](super::App::service_time_limit).
///
/// ```
/// use annals::app::{AccessContext, Ask, Denial};
///
/// fn only_staff_writes(access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
///     let staff = access.claim("groups").is_some_and(|groups| groups.as_array().is_some_and(|all| all.contains(&"staff".into())));
///     match ask {
///         Ask::Command { .. } if !staff => Err(Denial::because(format!("{} is not of the staff", access.actor()))),
///         _ => Ok(()),
///     }
/// }
/// # annals::app::App::new("demo").authorise(only_staff_writes);
/// ```
#[async_trait]
pub trait Authorise: Send + Sync + 'static {
    /// Allows or denies the context's actor what it asks for.
    ///
    /// # Errors
    /// The denial.
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial>;

    /// The services that it uses: `vec![ServiceType::of::<dyn Directory>()]`. [`App::check`](super::App::check) names those that
    /// are missing.
    fn needs(&self) -> Vec<ServiceType> {
        Vec::new()
    }
}

#[async_trait]
impl<F> Authorise for F
where
    F: Fn(&AccessContext<'_>, &Ask<'_>) -> Result<(), Denial> + Send + Sync + 'static,
{
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        self(access, ask)
    }
}

/// What the denial of a read that shows stored values says.
pub(super) const NEEDS_FULL: &str = "needs the right to read the audit log in full";

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
    ///
    /// A query first asks for [`Detail::Full`]. If that is denied, and metadata can answer it, it asks for
    /// [`Detail::Metadata`]: only the second denial is recorded. What shows stored events (`/events`, a backup, the lineage of
    /// exports) asks for [`Detail::Full`] alone.
    Audit {
        /// Only these actors.
        actors: &'a [Ref],
        /// Only these targets and aggregates.
        targets: &'a [Ref],
        /// Only these topics and what is below them.
        topics: &'a [Topic],
        /// How much of each event.
        detail: Detail,
    },
    /// Read the catalogue: the names of commands with their schemas, of event types, topics and views. Shows no values.
    Catalogue,
    /// Operate the projections, or verify or copy the log. Shows no content of the log.
    Operate {
        /// The operation: `status`, `rebuild`, `resume`, `skip`, `replay`, `dead_letters`, `prune`, `skip_step` and `replay_step` (of a
        /// reaction), `pause_feed`, `resume_feed`, `pause_intake`, `resume_intake`, `replay_dead_letter`, `publish` (to an intake),
        /// `metrics` (those of the process), `check`, `backup`, `erase` (the personal data of a subject), `keys` (listing and copying them).
        operation: &'a str,
        /// The projection, if it is one; `reaction_<name>` for a reaction, `feed_<name>` for a feed, `intake_<name>` for an intake.
        projection: Option<&'a str>,
    },
    /// Read the metrics of a topic and those below it.
    Metric {
        /// The topic.
        topic: &'a str,
    },
}

#[cfg(feature = "access")]
impl Ask<'_> {
    /// The names of the particular things that it is about, as access tokens are narrowed to them: the aggregates of a command,
    /// the targets of a query of the audit log, `view/key` of a document, the topic of a metric.
    pub(crate) fn targets(&self) -> Vec<Cow<'_, str>> {
        let references = |all: &'_ [Ref]| all.iter().map(|one| Cow::Owned(one.as_str().to_owned())).collect();
        match self {
            Self::Command { on, .. } => references(on),
            Self::Audit { targets, .. } => references(targets),
            Self::View { view, key: Some(key) } => vec![format!("{view}/{key}").into()],
            Self::Metric { topic } if !topic.is_empty() => vec![(*topic).into()],
            // About nothing in particular: denied to a token that is narrowed to targets.
            _ => Vec::new(),
        }
    }
}

/// A denial, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    reason: String,
}

impl Denial {
    /// Creates a denial with this reason, which the denied actor gets to read. If it ends with `try again`, an intake does not record it as
    /// the outcome of a message, and tries again.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// An aggregate that the decision depends on could not be loaded: nothing is allowed without it.
impl From<LoadError> for Denial {
    fn from(error: LoadError) -> Self {
        tracing::error!(error = %crate::text::error_chain(&error), "the authoriser could not load an aggregate");
        Self::because(format!("the authoriser could not load an aggregate from the log: {TRY_AGAIN}"))
    }
}
