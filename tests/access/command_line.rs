//! `access` on the command line, and the view `access`.

use std::process::ExitCode;

use annals::access::{Access, AccessView};
use annals::tokens::KeyFile;
use annals_test_postgres::Place;

use crate::older::Older;
use crate::support::*;

annals_test_postgres::both_stores!(
    rights_are_requested_granted_and_revoked_on_the_command_line,
    keys_are_made_and_tokens_are_issued_on_the_command_line,
    the_view_shows_open_requests_and_grants_and_each_party_its_own,
    an_owner_confirms_the_rights_of_an_older_log_on_the_command_line,
);

async fn run(place: &Place, arguments: &[&str]) -> u8 {
    let app = crate::bank::app().access(Access::new()).record_refusals();
    let arguments = [&["bank", "access"], arguments, &["--store", place.url()]].concat();
    let code = format!("{:?}", app.main_with(arguments).await);
    [0, 1, 2, 77]
        .into_iter()
        .find(|known| code == format!("{:?}", ExitCode::from(*known)))
        .expect("a known exit code")
}

async fn rights_are_requested_granted_and_revoked_on_the_command_line(place: &Place) {
    let right = "execute deposit account:*";
    assert_eq!(run(place, &["init", "user:alice", "--why", "she runs it"]).await, 1, "without an actor");
    assert_eq!(run(place, &["init", "user:alice", "--why", "she runs it", "--as", "user:root"]).await, 0);
    assert_eq!(run(place, &["init", "user:eve", "--why", "me too", "--as", "user:eve"]).await, 1);
    assert_eq!(
        run(place, &["request", "execute deposit", "--why", "x", "--as", "user:bob"]).await,
        2,
        "no aggregate"
    );
    let ask = ["request", right, "read balance *", "--why", "to help", "--until", "2999-01-01T00:00:00Z"];
    assert_eq!(run(place, &[&ask[..], &["--as", "user:bob"]].concat()).await, 0);
    assert_eq!(run(place, &["approve", "user:bob", "--why", "me", "--as", "user:bob"]).await, 1, "his own request");
    let approve = ["approve", "user:bob", "--only", right, "--why", "so he does", "--as", "user:alice"];
    assert_eq!(run(place, &approve).await, 0);
    assert_eq!(run(place, &approve).await, 1, "there is none left");
    assert_eq!(run(place, &["request", right, "--why", "to help", "--as", "user:carol"]).await, 0);
    assert_eq!(run(place, &["deny", "user:carol", "--why", "not now", "--as", "user:alice"]).await, 0);
    let pass = ["grant", "user:dave", right, "--delegable", "--why", "a deputy", "--as", "user:alice"];
    assert_eq!(run(place, &pass).await, 0);
    for list in [&["list"][..], &["list", "--open"], &["list", "user:bob", "--format", "json"]] {
        assert_eq!(run(place, &[list, &["--as", "user:alice"]].concat()).await, 0, "{list:?}");
    }
    assert_eq!(run(place, &["list", "--as", "user:bob"]).await, 77, "only his own");
    assert_eq!(run(place, &["list", "user:bob", "--as", "user:bob"]).await, 0);
    assert_eq!(run(place, &["revoke", "user:bob", "--why", "over", "--as", "user:mallory"]).await, 77);
    assert_eq!(run(place, &["revoke", "user:bob", "--why", "over", "--as", "user:alice"]).await, 0);

    let annals = crate::bank::app().access(Access::new()).open(place.url()).await.unwrap();
    assert!(annals.access_of(&party("bob")).await.unwrap().grants().is_empty());
    assert!(annals.access_owners().await.unwrap().owners().contains(&party("alice")));
    let daves = annals.access_of(&party("dave")).await.unwrap();
    assert!(daves.grants().values().all(|grant| grant.delegable && grant.until.is_none()));
    annals.close().await;
}

async fn keys_are_made_and_tokens_are_issued_on_the_command_line(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.keys");
    let file = ["--access-keys", path.to_str().unwrap()];
    let keys = async |arguments: &[&str]| run(place, &[&["keys"], arguments, &file].concat()).await;
    assert_eq!(keys(&["list"]).await, 1, "there is no file");
    assert_eq!(keys(&["create"]).await, 0);
    assert_eq!(keys(&["create"]).await, 1, "it exists");
    assert_eq!(keys(&["rotate"]).await, 0);
    assert_eq!(keys(&["remove", "2"]).await, 1, "it signs");
    assert_eq!(keys(&["remove", "1"]).await, 0);
    assert_eq!(keys(&["list", "--format", "json"]).await, 0);
    let infos = KeyFile::open(&path).unwrap().keys().infos();
    assert_eq!(infos.iter().map(|key| (key.id, key.signs)).collect::<Vec<_>>(), [(2, true)]);

    let token = async |arguments: &[&str]| run(place, &[&["token", "--why", "x"], arguments, &file].concat()).await;
    assert_eq!(run(place, &["init", "user:alice", "--why", "she runs it", "--as", "user:root"]).await, 0);
    assert_eq!(token(&["--as", "user:bob"]).await, 1, "he has no grant");
    let grant = ["grant", "user:bob", "audit metadata", "--why", "to look", "--as", "user:alice"];
    assert_eq!(run(place, &grant).await, 0);
    assert_eq!(token(&["--as", "user:bob", "--until", "2999-01-01T00:00:00Z"]).await, 0);
    assert_eq!(token(&["--as", "user:bob", "--until", "2001-01-01T00:00:00Z"]).await, 1, "it has expired");
    assert_eq!(token(&["--of", "user:bob", "--as", "user:alice"]).await, 0);
    assert_eq!(token(&["--of", "user:bob", "--as", "user:mallory"]).await, 77);
    let annals = crate::bank::app().access(Access::new()).open(place.url()).await.unwrap();
    let head = annals.store().head().await.unwrap();
    let view = annals.view::<AccessView>(&party("bob")).after(head).await.unwrap().unwrap();
    let issued: Vec<_> = view.grants[0].tokens.iter().map(|token| token.by.as_str()).collect();
    assert_eq!(issued, ["user:bob", "user:alice"]);
    annals.close().await;
}

async fn the_view_shows_open_requests_and_grants_and_each_party_its_own(place: &Place) {
    let annals = open(place).await;
    let ask = annals::access::RequestAccess::new(party("bob"), rights(["audit metadata"]), "to look");
    annals.execute(ask, &crate::bank::by("bob")).await.unwrap();
    let grant = grant(&annals, "bob", &["execute * *"]).await;
    let head = annals.store().head().await.unwrap();
    let shown = |of: &str, to: &str| {
        let reader = annals.read_as(&crate::bank::by(to));
        let of = party(of);
        async move { reader.view::<AccessView>(&of).after(head).await }
    };
    let bobs = shown("bob", "bob").await.unwrap().expect("a document");
    assert_eq!((bobs.requests.len(), bobs.grants.len()), (1, 1));
    assert_eq!((bobs.grants[0].grant, &bobs.grants[0].by), (grant, &party("alice")));
    assert_eq!(shown("bob", "alice").await.unwrap(), Some(bobs));
    shown("bob", "carol").await.unwrap_err();
    let revoked = revoke(&annals, "bob", grant).await;
    let now = annals.view::<AccessView>(&party("bob")).after(revoked).await.unwrap().unwrap();
    assert!(now.grants.is_empty() && now.requests.len() == 1);
    annals.close().await;
}

async fn an_owner_confirms_the_rights_of_an_older_log_on_the_command_line(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.keys");
    annals::tokens::KeyFile::create(&path).unwrap();
    let open = async || {
        let app = crate::bank::app().access(Access::new().remember_beside(&path));
        app.open(place.url()).await.unwrap()
    };
    assert_eq!(run(place, &["init", "user:alice", "--why", "she runs it", "--as", "user:root"]).await, 0);
    let grant = ["grant", "user:bob", "audit metadata", "--why", "to look", "--as", "user:alice"];
    assert_eq!(run(place, &grant).await, 0);
    let annals = open().await;
    let older = Older::keep(&annals, place).await;
    annals.close().await;
    // By a program that remembers nothing: the next one does.
    assert_eq!(run(place, &["revoke", "user:bob", "--why", "over", "--as", "user:alice"]).await, 0);
    open().await.close().await;
    older.put_back(place);
    let annals = open().await;
    assert!(annals.rights_suspended().is_some());
    for (_, rebuild) in annals.rebuild_all(annals::projections::SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap();
    }
    annals.close().await;

    assert_eq!(run(place, &["list", "--as", "user:alice"]).await, 0, "an owner looks at the grants");
    let confirm = ["confirm", "--why", "I have looked", "--access-keys", path.to_str().unwrap()];
    assert_eq!(run(place, &[&confirm[..], &["--as", "user:bob"]].concat()).await, 1);
    let mistyped = folder.path().join("token.keys");
    let mistyped =
        ["confirm", "--why", "I have looked", "--access-keys", mistyped.to_str().unwrap(), "--as", "user:alice"];
    assert_eq!(run(place, &mistyped).await, 1);
    assert!(
        names(folder.path()).iter().all(|name| name.starts_with("tokens.keys")),
        "nothing is written beside it"
    );
    assert_eq!(run(place, &[&confirm[..], &["--as", "user:alice"]].concat()).await, 0);
    let annals = open().await;
    assert_eq!(annals.rights_suspended(), None);
    let log = log_after(&annals, 0).await;
    let confirmed = log.iter().rfind(|event| event.event_type == "annals_access.confirmed").unwrap();
    let remembered = std::fs::read_to_string(folder.path().join("tokens.keys.withdrawn")).unwrap();
    assert!(remembered.contains(&format!(" {} {}", confirmed.position, confirmed.event_id)), "{remembered}");
    annals.close().await;
}

fn names(folder: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
