//! A server for research jobs, as far as its projects, members and roles go: the template of an application.
//!
//! Sliced by domain; each slice in the same order:
//! - `events`: what can happen
//! - the aggregate: what decisions need to know
//! - one command a file, with its tests
//! - views: what the application itself reads
//!
//! No slice knows of auditing: the audit log, the sentences and the metrics follow from the declarations.

pub mod projects;
pub mod roles;
pub mod users;

use annals::prelude::*;

/// The application: its commands and views.
#[must_use]
pub fn app() -> App {
    App::new("job_server")
        .command::<projects::CreateProject>()
        .command::<projects::AddMember>()
        .command::<projects::UpdateMemberRoles>()
        .command::<projects::RemoveMember>()
        .command::<users::UpdateUserRoles>()
        .command::<users::ClearUserRoles>()
        .view::<projects::Roster>()
}
