//! The derives of `annals`: what a declaration says is read, checked, and made into code.
//!
//! A mistake is one message, on the culprit, that says what to write: beside an error the derives put out stubs, so
//! that nothing else complains about what is missing.
//!
//! ## Layout
//! - `event`: `derive(Event)`: puts out what `model` has read
//! - `model`: an event enum, read and checked
//! - `attributes`: the grammar of `#[event(…)]`
//! - `template`: the placeholders of sentences and topics
//! - `shape`: types and serde attributes as text
//! - `command`: `derive(Command)`
//! - `id`: `derive(Id)`
//! - `names`: names of things in the log; a name is taken once in a crate
//! - `errors`: several mistakes at once

mod attributes;
mod command;
mod errors;
mod event;
mod id;
mod model;
mod names;
mod shape;
mod template;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an enum a domain event: its variants say what can happen, and everything that anybody reads about it.
///
/// ```ignore
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "project_member", topic = "project/member", on = Project)]
/// pub enum MemberEvent {
///     #[event(create, "{actor} added {user} to {project} as {roles}")]
///     Added { #[event(target)] user: UserId, roles: Roles },
///     #[event(update, "{actor} changed {user}'s roles from {roles.from} to {roles.to}", version = 2, from(1 = v1))]
///     RolesUpdated { #[event(target)] user: UserId, roles: Change<Roles> },
///     #[event(delete, "{actor} removed {user} from {project}", was("left"))]
///     Removed { #[event(target)] user: UserId },
/// }
/// ```
///
/// On the enum:
/// - `name = "…"`: its name in the log. The type of an event is `name.variant`, the variant in snake case.
/// - `topic = "a/{field}"` or `topic("a", "b/{*field}")`: where its events are found, unless a variant says otherwise;
///   the name, when it is left out. `{field}` is one segment, `{*field}` as many as the field has between slashes.
/// - `on = Project`: the aggregate it happens to; sentences and topics then name it by its TYPE.
///
/// On a variant:
/// - `create`, `update`, `delete`, `view` or `refuse`: what it did.
/// - `"…"`: its sentence, with `{field}`, `{actor}`, `{change.from}`, `{change.to}` and the aggregate's `{type}`;
///   `{{` and `}}` stand for braces. The fields of a tuple variant are `{0}`, `{1}` and so on.
/// - `version = 2, from(1 = function)`: the version of its shape, and what brings each older payload to the next one.
/// - `was("left", "old_member.left")`: names that it had before; one without a dot is of this enum.
/// - `topic`: its own topics.
/// - `transparent`, alone: the variant holds another event enum, which speaks for itself.
///
/// On a field: `target`, when it names what the event is also about: an id, a `Ref`, an `Option` or `Vec` of them.
///
/// Two variants with one name in a crate are an error on the second (over several crates, when the application opens).
#[proc_macro_derive(Event, attributes(event))]
pub fn event(input: TokenStream) -> TokenStream {
    event::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a struct a command: its name, its summary, and the aggregates that it is decided on.
///
/// ```ignore
/// /// Gives a user roles on a project.
/// #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// pub struct AddMember { #[on(Project)] pub project: ProjectId, pub user: UserId, pub roles: Roles }
/// ```
///
/// One field marked `#[on(A)]` makes the scope `A`; two or three make a pair or triple, in order; one that is a `Vec`
/// of ids makes it `Vec<A>`. The name is the type's in snake case or `#[command(name = "…")]`; the error is that of
/// the first aggregate or `#[command(error = E)]`; the summary is the first line of the doc comment.
#[proc_macro_derive(Command, attributes(command, on))]
pub fn command(input: TokenStream) -> TokenStream {
    command::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a struct of one field a typed name of a thing: `ProjectId`, whose references read `project:7`.
///
/// ```ignore
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct ProjectId(String);
/// ```
///
/// The kind is the type's name in snake case without `Id`, or `#[id(kind = "…")]`. The field is anything that reads
/// and writes itself as text: `String`, `u64`, `Uuid`. The type also gets `new`, `Display`, `FromStr`, `Serialize`,
/// `Deserialize`, `JsonSchema`, a conversion into `Ref`, and may be a target.
#[proc_macro_derive(Id, attributes(id))]
pub fn id(input: TokenStream) -> TokenStream {
    id::derive(&parse_macro_input!(input as DeriveInput)).into()
}
