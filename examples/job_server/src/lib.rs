//! A server for research jobs with projects, members and roles: an example application.
//!
//! ## Layout
//! - `projects`: projects and their members
//! - `users`: users and their roles
//! - `roles`: roles
//! - `routes`: routes of the application, beside those of annals (feature `server`)
//!
//! Each domain has one module for its events, one for its aggregate, one for each command with its tests, and one for each
//! view. No module contains code for auditing: the audit log, the sentences and the metrics follow from the declarations of
//! the events.

pub mod projects;
pub mod roles;
#[cfg(feature = "server")]
pub mod routes;
pub mod users;

use annals::prelude::*;

/// The application: its commands and views.
#[must_use]
pub fn app() -> App {
    let app = App::new("job_server")
        .command::<projects::CreateProject>()
        .command::<projects::AddMember>()
        .command::<projects::UpdateMemberRoles>()
        .command::<projects::RemoveMember>()
        .command::<users::UpdateUserRoles>()
        .command::<users::ClearUserRoles>()
        .view::<projects::Roster>();
    #[cfg(feature = "server")]
    let app = app.routes(routes::routes);
    app
}
