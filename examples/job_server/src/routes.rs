//! Routes of the application beside those of annals, in the same program: for the members of a project.

use annals::http::Problem;
use annals::prelude::*;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::projects::{Project, ProjectId, RemoveMember, Roster};
use crate::users::UserId;

/// `GET /projects/{project}/members` and `POST /projects/{project}/leave`.
pub fn routes(annals: Annals) -> Router {
    Router::new()
        .route("/projects/{project}/members", get(members))
        .route("/projects/{project}/leave", post(leave))
        .with_state(annals)
}

/// Returns the members of a project, to its members.
async fn members(
    State(annals): State<Annals>,
    context: Context,
    Path(project): Path<String>,
) -> Result<Json<Roster>, Problem> {
    let (project, user) = (ProjectId::new(project), user(&context)?);
    // From the log, not from a view: a member who was removed a moment ago is no member.
    if !annals.load::<Project>(&project).await?.is_member(&user) {
        return Err(Problem::denied(format!("only members of {project} see its members")));
    }
    let roster = annals.read_as(&context).view::<Roster>(&project).await?;
    roster.map(Json).ok_or_else(|| Problem::unavailable(format!("{project} is not in the view yet")))
}

/// Removes the caller from a project.
async fn leave(
    State(annals): State<Annals>,
    context: Context,
    Path(project): Path<String>,
) -> Result<Json<Receipt>, Problem> {
    let command = RemoveMember { project: ProjectId::new(project), user: user(&context)? };
    Ok(Json(annals.execute(command, &context).await?))
}

fn user(context: &Context) -> Result<UserId, Problem> {
    context.actor().as_str().parse().map_err(|_| Problem::denied("only users are members of projects"))
}
