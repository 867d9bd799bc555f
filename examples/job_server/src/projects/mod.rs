//! Projects and their members.
//!
//! ## Layout
//! - `events`: the events
//! - `project`: the aggregate
//! - `create_project`, `close_project`, `add_member`, `update_member_roles`, `remove_member`: one command each
//! - `roster`: a view

mod add_member;
mod close_project;
mod create_project;
mod events;
mod project;
mod remove_member;
mod roster;
mod update_member_roles;

pub use add_member::AddMember;
pub use close_project::CloseProject;
pub use create_project::CreateProject;
pub use events::{MemberEvent, ProjectEvent};
pub use project::{Project, ProjectError, ProjectId};
pub use remove_member::RemoveMember;
pub use roster::Roster;
pub use update_member_roles::UpdateMemberRoles;
