//! A server for research jobs with projects, members and roles: an example application.
//!
//! ## Layout
//! - `access`: rights in the log, once the environment names an owner (feature `server`)
//! - `applications`: applications for projects, a process over days
//! - `projects`: projects and their members
//! - `users`: users and their roles
//! - `roles`: roles
//! - `routes`: routes of the application, beside those of annals (feature `server`)
//!
//! Each domain has one module for its events, one for its aggregate, one for each command with its tests, and one for each
//! view. No module contains code for auditing: the audit log, the sentences and the metrics follow from the declarations of
//! the events.

#[cfg(feature = "server")]
pub mod access;
pub mod applications;
pub mod projects;
pub mod roles;
#[cfg(feature = "server")]
pub mod routes;
pub mod users;

use annals::prelude::*;
use annals::projections::provenance::Agents;

/// The application: its commands and views.
#[must_use]
pub fn app() -> App {
    let app = App::new("job_server")
        .command::<projects::CreateProject>()
        .command::<projects::CloseProject>()
        .command::<projects::AddMember>()
        .command::<projects::UpdateMemberRoles>()
        .command::<projects::RemoveMember>()
        .command::<users::UpdateUserRoles>()
        .command::<users::ClearUserRoles>()
        .command::<applications::ApplyForProject>()
        .command::<applications::ReviewApplication>()
        .command::<applications::WithdrawApplication>()
        .command::<applications::AdmitApplicant>()
        .command::<applications::LapseApplication>()
        .reaction::<applications::Admission>()
        .view::<projects::Roster>()
        .provenance(Agents::default());
    #[cfg(feature = "server")]
    let app = app.routes(routes::routes);
    app
}
