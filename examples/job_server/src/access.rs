//! Rights in the log: what each user may do, once the environment names an owner.

use std::env;

use annals::access::{Access, InvalidRight, Pattern, Right};
use annals::prelude::*;
use annals::projections::flows::Flows;

use crate::projects::{AddMember, ProjectId, RemoveMember, Roster, UpdateMemberRoles};

/// The environment variable with the owners: `user:alice`, or several with commas between them.
pub const OWNERS: &str = "JOB_SERVER_OWNERS";

/// The application, with rights in its log if the environment names owners. It keeps flows.
///
/// # Errors
/// When an owner is not a reference.
pub fn app_of_environment() -> Result<App, annals::BoxError> {
    let app = match env::var(OWNERS) {
        Ok(owners) => guarded(owners.split(',').map(|owner| owner.trim().parse()).collect::<Result<Vec<_>, _>>()?),
        Err(env::VarError::NotPresent) => Ok(crate::app()),
        Err(error) => Err(format!("{OWNERS}: {error}").into()),
    };
    Ok(app?.flows(Flows::default()))
}

/// The application with rights in its log, and these owners. Refusals are recorded.
///
/// # Errors
/// When nobody is named.
pub fn guarded(owners: Vec<Ref>) -> Result<App, annals::BoxError> {
    if owners.is_empty() {
        return Err(format!("{OWNERS}: name at least one owner").into());
    }
    let access = owners.into_iter().fold(Access::new(), Access::owner);
    Ok(crate::app().access(access).record_refusals())
}

/// What a member of a project may do: read who its members are, and what happened to it.
///
/// # Errors
/// When the id is too long for a right.
pub fn of_member(project: &ProjectId) -> Result<Vec<Right>, InvalidRight> {
    let (key, project) = (Pattern::exactly(project.text()), Pattern::exactly(project.reference().as_str()));
    [format!("read {} {key}", Roster::NAME), format!("audit full target={project}")]
        .iter()
        .map(|right| right.parse())
        .collect()
}

/// What a coordinator of a project may do: what a member may, and change who its members are. Granted as delegable, it is enough to
/// approve what future members request.
///
/// # Errors
/// When the id is too long for a right.
pub fn of_coordinator(project: &ProjectId) -> Result<Vec<Right>, InvalidRight> {
    let on = Pattern::exactly(project.reference().as_str());
    let commands = [AddMember::NAME, UpdateMemberRoles::NAME, RemoveMember::NAME];
    let commands = commands.map(|name| format!("execute {name} {on}").parse());
    of_member(project)?.into_iter().map(Ok).chain(commands).collect()
}
