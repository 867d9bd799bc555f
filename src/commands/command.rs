//! The [`Command`] and [`Handle`] traits.

use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, PrepareContext, Scope, ServiceType};
use crate::events::Ref;

/// The aggregates as a command's handler sees them: `&Loaded<A>`, a pair or triple of them, or a `Vec` of them.
pub type ViewOf<'a, C> = <<C as Command>::Scope as Scope>::View<'a>;

/// The events that a command's handler returns: a `Vec` for each aggregate in scope.
pub type EventsOf<C> = <<C as Command>::Scope as Scope>::Events;

/// A request to change something: a name, fields, and the aggregates that it is decided on.
/// Derive it with `#[derive(Command)]`, and mark the ids of those aggregates with `#[on(…)]`.
///
/// One `#[on(A)]` field makes the scope `A`; two or three make a pair or triple, in order; a `Vec<A::Id>` field
/// makes it a `Vec`. The error type is the first aggregate's, or the `E` of `#[command(error = E)]`. The name is the type's
/// name in snake case, or the one in `#[command(name = "…")]`; the version is 1, or the one in `#[command(version = 2)]`.
///
/// A command id identifies one body. The order of items does not matter in maps, nor in arrays whose JSON schema has
/// `uniqueItems` (those of a `HashSet` or `BTreeSet`); in other arrays it does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "cannot be executed",
    note = "write `#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]` on a struct with an `#[on(Aggregate)]` field"
)]
pub trait Command: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The command's name in the log, on the command line and over HTTP: `add_member`.
    const NAME: &'static str;

    /// What the command does, in one line: the first line of its doc comment.
    const SUMMARY: &'static str;

    /// The version of the command: `#[command(version = 2)]`. Raise it when the command decides in another way. The log says by
    /// which version each change was decided; nothing else depends on it.
    const VERSION: u32 = 1;

    /// The types of the aggregates that the command is decided on.
    type Scope: Scope;

    /// Why the handler may refuse the command.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the ids of the aggregates that the command is decided on.
    fn ids(&self) -> <Self::Scope as Scope>::Ids;

    /// The services that [`Handle::prepare`] uses: those of `#[command(needs(…))]`.
    #[must_use]
    fn services() -> Vec<ServiceType> {
        Vec::new()
    }

    /// The names of the fields with personal values: those marked `#[personal]`.
    #[must_use]
    fn personal_fields() -> &'static [&'static str] {
        &[]
    }

    /// The subjects of these fields, in the same order; `None` for a field that does not name one subject.
    #[must_use]
    fn personal_subjects(&self) -> Vec<Option<Ref>> {
        Vec::new()
    }
}

/// The handler of a command: decides on the aggregates in scope which events follow, or refuses the command.
///
/// `handle` is synchronous and pure. It takes `&self` because it runs again after a conflict with another writer. Time and
/// new ids come from the [`Context`], where they are the same on every retry.
#[diagnostic::on_unimplemented(
    message = "the command `{Self}` has no handler",
    label = "no `Handle` implementation",
    note = "write `impl Handle for {Self}` with a `handle` that returns events"
)]
pub trait Handle: Command {
    /// Decides which events follow.
    ///
    /// # Errors
    /// The reason why the command is refused. Nothing is written then.
    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<EventsOf<Self>, Self::Error>;

    /// Prepares the command once, before anything is loaded: calls a service, reads what others wrote, fills in what `handle`
    /// needs. [`PrepareContext`] has an example.
    ///
    /// It may take 10 seconds, or the time of [`App::service_time_limit`](crate::app::App::service_time_limit). After that the
    /// command fails with [`ExecuteError::PrepareTimedOut`](super::ExecuteError::PrepareTimedOut), which is not recorded as a
    /// refusal: the caller may try again.
    ///
    /// # Errors
    /// The reason why the command is refused. Nothing is written then.
    fn prepare(
        &mut self,
        context: &PrepareContext<'_, Self>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = context;
        async { Ok(()) }
    }
}
