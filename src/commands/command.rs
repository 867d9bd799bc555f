//! The [`Command`] and [`Handle`] traits.

use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Scope};

/// What a command's handler sees: `&Loaded<A>`, a pair or triple of them, or a `Vec` of them.
pub type ViewOf<'a, C> = <<C as Command>::Scope as Scope>::View<'a>;

/// What a command's handler answers with: a `Vec` of events for each aggregate in scope.
pub type EventsOf<C> = <<C as Command>::Scope as Scope>::Events;

/// A wish to change something: its name, its fields, and the aggregates that it is decided on.
/// Derive it with `#[derive(Command)]`, and mark the ids of those aggregates with `#[on(…)]`.
///
/// One `#[on(A)]` field makes the scope `A`; two or three make a pair or triple, in order; a `Vec<A::Id>` field
/// makes it a `Vec`. The derive takes the first aggregate's error; `#[command(error = E)]` names another, and
/// `#[command(name = "…")]` another name than the type's in snake case.
///
/// A command id stands for one body. Maps, and arrays whose JSON schema says `uniqueItems` (as those of a `HashSet` or
/// `BTreeSet` do), are the same body in any order of their items; other arrays are not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "cannot be executed",
    note = "write `#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]` on a struct with an `#[on(Aggregate)]` field"
)]
pub trait Command: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name for the log, the command line and other programs: `add_member`.
    const NAME: &'static str;

    /// What it does, in a line: the first line of its doc comment.
    const SUMMARY: &'static str;

    /// The aggregates it is decided on.
    type Scope: Scope;

    /// Why it may be refused.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Which ones.
    fn ids(&self) -> <Self::Scope as Scope>::Ids;
}

/// What a command does: decides, on the aggregates in its scope, which events follow, or why none may.
///
/// `handle` is sync and pure. It takes `&self`, because it is decided again when another writer was faster. Time and
/// new ids come from the [`Context`], where they are the same on every retry.
#[diagnostic::on_unimplemented(
    message = "the command `{Self}` has no handler",
    label = "nothing says what it does",
    note = "write `impl Handle for {Self}` with a `handle` that answers with events"
)]
pub trait Handle: Command {
    /// Decides.
    ///
    /// # Errors
    /// Why the command is refused; nothing happens then.
    fn handle(&self, scope: ViewOf<'_, Self>, context: &Context) -> Result<EventsOf<Self>, Self::Error>;

    /// Asks a service, reads a file, fills in what `handle` needs: once, before anything is loaded.
    ///
    /// # Errors
    /// Why the command is refused; nothing happens then.
    fn prepare(&mut self, context: &Context) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = context;
        async { Ok(()) }
    }
}
