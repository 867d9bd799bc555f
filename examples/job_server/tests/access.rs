//! Rights in the log: coordinators approve who joins, auditors see metadata.

mod common;

use annals::access::{ApproveAccess, GrantAccess, RequestAccess, RevokeAccess};
use annals::app::ReaderError;
use annals::prelude::*;
use annals_test_postgres::Place;
use common::{Answer, Server};
use job_server::access::{OWNERS, guarded, of_coordinator, of_member};
use job_server::projects::{AddMember, CreateProject, ProjectId, Roster};
use job_server::roles::{Role, roles};
use job_server::users::UserId;

annals_test_postgres::both_stores! { a_coordinator_approves_who_joins_until_its_right_is_revoked }

mod command_line {
    use super::*;

    annals_test_postgres::both_stores! {
        blocking:
        rights_are_asked_where_the_environment_names_an_owner_and_auditors_see_metadata,
    }
}

fn user(name: &str) -> Ref {
    UserId::new(name).reference()
}

fn by(name: &str) -> Context {
    Context::by(user(name))
}

/// Mission D10.
async fn a_coordinator_approves_who_joins_until_its_right_is_revoked(place: &Place) {
    let annals = guarded(vec![user("alice")]).unwrap().open(place.url()).await.unwrap();
    let seven = ProjectId::new("7");
    for project in [seven.clone(), ProjectId::new("8")] {
        let create = CreateProject { project, name: "Vaccines".to_owned() };
        annals.execute(create, &by("alice")).await.unwrap();
    }
    let add = |project: &str, member: &str| AddMember {
        project: ProjectId::new(project),
        user: UserId::new(member),
        roles: roles([Role::Developer]),
    };
    let denied = |done: Result<Receipt, ExecuteError<_>>| matches!(done, Err(ExecuteError::Denied { .. }));
    assert!(denied(annals.execute(add("7", "carol"), &by("bob")).await), "bob coordinates nothing yet");

    let coordinate =
        GrantAccess::new(user("bob"), of_coordinator(&seven).unwrap(), "he coordinates it").delegable();
    annals.execute(coordinate, &by("alice")).await.unwrap();
    let join = RequestAccess::new(user("carol"), of_member(&seven).unwrap(), "I analyse the trial");
    annals.execute(join, &by("carol")).await.unwrap();
    let request = *annals.access_of(&user("carol")).await.unwrap().requests().keys().next().unwrap();
    let approve = |name: &str| (ApproveAccess::new(user("carol"), request, "she joins"), by(name));
    for nobody in ["carol", "mallory"] {
        let (approval, context) = approve(nobody);
        assert!(annals.execute(approval, &context).await.is_err(), "{nobody} approves it");
    }
    let (approval, context) = approve("bob");
    annals.execute(approval, &context).await.unwrap();
    let added = annals.execute(add("7", "carol"), &by("bob")).await.unwrap();
    assert!(denied(annals.execute(add("8", "carol"), &by("bob")).await), "bob does not coordinate project:8");
    let members = async || annals.read_as(&by("carol")).view::<Roster>(&seven).after(added.head).await;
    assert!(members().await.unwrap().unwrap().members.contains_key(&UserId::new("carol")));

    let grant = *annals.access_of(&user("bob")).await.unwrap().grants().keys().next().unwrap();
    annals.execute(RevokeAccess::new(user("bob"), grant, "he left"), &by("alice")).await.unwrap();
    assert!(denied(annals.execute(add("7", "erik"), &by("bob")).await), "bob was revoked");
    assert!(matches!(members().await, Err(ReaderError::Denied(_))), "what bob passed on ended with his right");
    annals.close().await;
}

fn rights_are_asked_where_the_environment_names_an_owner_and_auditors_see_metadata(place: &Place) {
    let server = Server::new(place);
    let owned = |arguments: &[&str]| -> Answer {
        server.command(arguments).env(OWNERS, "user:alice").output().unwrap().into()
    };
    let ok = |arguments: &[&str]| {
        let answer = owned(arguments);
        assert!(answer.ok, "{arguments:?}: {}", answer.err);
        answer.out
    };
    ok(&["execute", "create_project", "--project", "7", "--name", "Vaccines", "--as", "user:alice"]);
    let add = ["execute", "add_member", "--project", "7", "--user", "eve", "--roles", "developer", "--as"];
    let denied = owned(&[&add[..], &["user:bob"]].concat());
    assert!(!denied.ok && denied.err.contains("has no right to execute add_member on project:7"), "{}", denied.err);
    // As the README shows it.
    let add_member = "execute add_member project:7";
    let coordinate = ["access", "grant", "user:bob", "--delegable", "read roster 7", add_member];
    ok(&[&coordinate[..], &["--why", "he coordinates project 7", "--as", "user:alice"]].concat());
    ok(&["access", "grant", "user:bob", "read access *", "--why", "he sees the requests", "--as", "user:alice"]);
    ok(&["access", "request", "read roster 7", "--why", "I analyse the trial", "--as", "user:eve"]);
    ok(&["access", "approve", "user:eve", "--why", "she joins", "--as", "user:bob"]);
    ok(&[&add[..], &["user:bob"]].concat());
    assert!(ok(&["view", "roster", "7", "--as", "user:eve"]).contains("user:eve"));
    ok(&["access", "grant", "user:dana", "audit metadata", "--why", "she audits us", "--as", "user:alice"]);
    let seen = ok(&["audit", "--as", "user:dana"]);
    assert!(seen.contains("created project:7, called [redacted]") && !seen.contains("Vaccines"), "{seen}");
    assert!(ok(&["audit", "--as", "user:alice"]).contains("called Vaccines"));
    assert!(!owned(&["audit", "--as", "user:bob"]).ok);
    // A log that has rights is not opened without them.
    server.refused(&["audit", "--as", "user:alice"], "its log has rights since event");
    for wrong in ["", "alice", "user:alice,"] {
        let answer: Answer = server.command(&["commands"]).env(OWNERS, wrong).output().unwrap().into();
        assert!(!answer.ok && answer.err.contains("error"), "{wrong:?}: {}", answer.err);
    }
}
