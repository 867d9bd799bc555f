//! The routes of the application, beside those of annals.

use annals::http::Authentication;
use annals::prelude::*;
use annals_test_postgres::Place;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use job_server::projects::{AddMember, CreateProject, ProjectId, RemoveMember};
use job_server::roles::{Role, roles};
use job_server::users::UserId;
use serde_json::Value;
use tower::ServiceExt;

annals_test_postgres::both_stores! { members_see_the_members_and_leave }

async fn ask(router: &Router, method: &str, path: &str, who: &str) -> (StatusCode, Value) {
    let request =
        Request::builder().method(method).uri(path).header("Host", "localhost").header("Annals-Actor", who);
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn members_see_the_members_and_leave(place: &Place) {
    let annals = job_server::app().open(place.url()).await.unwrap();
    let router = annals::http::router(annals.clone())
        .authentication(Authentication::trusting(None))
        .with(job_server::routes::routes(annals.clone()))
        .into_router();
    let (project, alice) = (ProjectId::new("7"), Context::by(UserId::new("alice")));
    annals.execute(CreateProject { project: project.clone(), name: "Vaccines".to_owned() }, &alice).await.unwrap();
    let mut last = None;
    for user in ["bob", "eve"] {
        let add = AddMember { project: project.clone(), user: UserId::new(user), roles: roles([Role::Developer]) };
        last = Some(annals.execute(add, &alice).await.unwrap());
    }
    annals.view::<job_server::projects::Roster>(&project).after(last.unwrap()).await.unwrap();

    let (status, roster) = ask(&router, "GET", "/projects/7/members", "user:bob").await;
    assert_eq!((status.as_u16(), roster["members"].as_object().unwrap().len()), (200, 2), "{roster}");
    let (status, problem) = ask(&router, "GET", "/projects/7/members", "user:alice").await;
    assert_eq!((status.as_u16(), &problem["type"]), (403, &"urn:annals:denied".into()), "{problem}");

    let (status, receipt) = ask(&router, "POST", "/projects/7/leave", "user:bob").await;
    assert_eq!((status.as_u16(), &receipt["events"]), (200, &1.into()), "{receipt}");
    let (status, _) = ask(&router, "GET", "/projects/7/members", "user:bob").await;
    assert_eq!(status, 403, "a member who left sees nothing, at once");
    let (status, problem) = ask(&router, "POST", "/projects/7/leave", "user:bob").await;
    assert_eq!((status.as_u16(), &problem["refusal"]), (422, &"NotMember".into()), "{problem}");
    let (status, _) = ask(&router, "POST", "/projects/7/leave", "service:backup").await;
    assert_eq!(status, 403);

    annals.execute(RemoveMember { project: project.clone(), user: UserId::new("eve") }, &alice).await.unwrap();
    assert_eq!(ask(&router, "GET", "/projects/7/members", "user:eve").await.0, 403);
    let (status, commands) = ask(&router, "GET", "/commands", "user:eve").await;
    assert_eq!((status.as_u16(), commands.as_array().unwrap().len()), (200, 12), "annals is in the same program");
    annals.close().await;
}
