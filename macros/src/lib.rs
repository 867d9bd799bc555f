//! The derive macros of `annals`: they parse a declaration, check it and generate code.
//!
//! Each mistake is one error, at its place in the source, that says what to write. Beside an error the macros generate
//! stubs, so that the compiler reports nothing else.
//!
//! ## Layout
//! - `event`: `derive(Event)`: generates code from `model`
//! - `model`: an event enum, parsed and checked
//! - `attributes`: the grammar of `#[event(…)]`
//! - `template`, `placeholders`: the placeholders of sentences and topics, parsed and checked
//! - `shape`: types and serde attributes as text
//! - `command`: `derive(Command)`
//! - `stubs`: what `derive(Event)` generates beside an error
//! - `personal`: whose the value of a field is
//! - `id`: `derive(Id)`
//! - `names`: names in the log, unique in a crate
//! - `errors`: collects several errors

mod attributes;
mod command;
mod errors;
mod event;
mod id;
mod model;
mod names;
mod personal;
mod placeholders;
mod shape;
mod stubs;
mod template;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an enum a domain event: its variants declare what can happen, with sentences, topics, targets and versions.
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
/// - `topic = "a/{field}"` or `topic("a", "b/{*field}")`: the topics of variants without topics; the default is the name.
///   `{field}` is one segment; `{*field}` is split at slashes into several.
/// - `on = Project`: the aggregate; sentences and topics can name it by its TYPE.
///
/// On a variant:
/// - `create`, `update`, `delete`, `view` or `refuse`: the action.
/// - `"…"`: the sentence template, with `{field}`, `{actor}` and the aggregate's `{type}`; `{{` and `}}` are literal braces.
///   The fields of a tuple variant are `{0}`, `{1}` and so on. Parts: `{change.from}` and `{change.to}`; fields of a struct
///   (`{dose.amount}`, `{dose.drug.name}`), also in an `Option`; `{target.id}`, `{actor.id}` and `{type.id}`, the id without its
///   kind. `{files|file|files}` is the first word if the number is 1 or the list has one item, else the second.
/// - `version = 2, from(1 = function)`: the version of the payload's shape, and an upcaster from each older version.
/// - `was("left", "old_member.left")`: former names; one without a dot is of this enum.
/// - `topic`: the topics of this variant.
/// - `transparent`, alone: the variant contains another event enum with its own declarations.
///
/// On a field: `target`, if the event is also about the thing it names: an id, a `Ref`, or an `Option`,
/// `Vec` or `Change` of them. `source`, if what came to be was derived from the thing it names, as that was then: an id, a
/// `Ref`, or an `Option` or `Vec` of them. A field may be both. `source = "specialization"`: what came to be is also that thing in a more special form, as
/// what is installed is of what is offered; `source = "alternate"`: the same in another form; `source = "member"`: a collection that has it
/// as a member.
///
/// `personal`, if the field is a `Personal` value about the aggregate, or `personal = field` if it is about the thing that another field
/// names. It is stored sealed, and erased with the key of its subject. It may be in the sentence, not in a topic.
///
/// Two variants with the same event type in a crate are a compile error (in different crates, an error when the application
/// is opened).
#[proc_macro_derive(Event, attributes(event))]
pub fn event(input: TokenStream) -> TokenStream {
    event::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a struct a command, with its name, its summary and the aggregates that it is decided on.
///
/// ```ignore
/// /// Gives a user roles on a project.
/// #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// pub struct AddMember { #[on(Project)] pub project: ProjectId, pub user: UserId, pub roles: Roles }
/// ```
///
/// One field marked `#[on(A)]` makes the scope `A`; two or three make a pair or triple, in order; one that is a `Vec`
/// of ids makes it `Vec<A>`. The name is the type's in snake case or `#[command(name = "…")]`; the error is that of
/// the first aggregate or `#[command(error = E)]`; the summary is the first line of the doc comment; the version is 1 or
/// `#[command(version = 2)]`.
/// `#[command(needs(dyn Prices, Mailer))]` declares the services that `prepare` uses.
///
/// A field marked `#[personal]` has a value about the first aggregate, `#[personal(user)]` one about the thing that the field `user`
/// names: it is not in recorded refusals, and the digest of the body has it under the subject's key only.
#[proc_macro_derive(Command, attributes(command, on, personal))]
pub fn command(input: TokenStream) -> TokenStream {
    command::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a struct of one field a typed id: `ProjectId`, whose references are `project:7`.
///
/// ```ignore
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct ProjectId(String);
/// ```
///
/// The kind is the type's name in snake case without `Id`, or `#[id(kind = "…")]`. The field's type must implement
/// `FromStr` and `Display`: `String`, `u64`, `Uuid`. The type also gets `new`, `Display`, `FromStr`, `Serialize`,
/// `Deserialize`, `JsonSchema`, a conversion into `Ref`, and may be a target or a source.
#[proc_macro_derive(Id, attributes(id))]
pub fn id(input: TokenStream) -> TokenStream {
    id::derive(&parse_macro_input!(input as DeriveInput)).into()
}
