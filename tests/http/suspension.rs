//! A server whose log was restored from an older backup.

use annals::access::{Access, GrantAccess, RevokeAccess};
use annals::app::App;
use annals::http::Authentication;
use annals::prelude::*;
use annals::tokens::{KeyFile, Keys};
use annals_test_postgres::Place;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::json;

use crate::access_page::encoded;
use crate::access_tokens::{bob, granting};
use crate::bank::{app, by};
use crate::older::Older;
use crate::served::{Served, answer};

annals_test_postgres::both_stores! {
    tokens_are_denied_after_a_restored_backup_until_an_owner_confirms_over_http,
    an_owner_confirms_the_rights_of_an_older_log_on_the_page,
}

fn guarded(key_file: &std::path::Path) -> App {
    app().access(Access::new().owner("user:alice".parse::<Ref>().unwrap()).remember_beside(key_file))
}

async fn restored(place: &Place, key_file: &std::path::Path) {
    let annals = guarded(key_file).open(place.url()).await.unwrap();
    let rights = ["execute deposit account:*", "read access *"].map(|right| right.parse().unwrap()).to_vec();
    annals.execute(GrantAccess::new(bob(), rights, "for a test"), &granting()).await.unwrap();
    let older = Older::keep(&annals, place).await;
    let revoke = RevokeAccess::new(bob(), granting().new_id(0), "over");
    annals.execute(revoke, &by("alice")).await.unwrap();
    annals.close().await;
    older.put_back(place);
}

/// Mission X61.
async fn tokens_are_denied_after_a_restored_backup_until_an_owner_confirms_over_http(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("tokens.keys");
    KeyFile::create(&key_file).unwrap();
    restored(place, &key_file).await;
    let keys = Keys::from_file(&key_file).await.unwrap();
    let token = keys.signer().unwrap().mint(&bob(), granting().new_id(0), None).unwrap();
    let alice = Authentication::trusting(Some("user:alice".parse().unwrap()));
    let authentication = alice.access_tokens(keys);
    let served = Served::with(guarded(&key_file), place, |builder| builder.authentication(authentication)).await;
    let body = json!({ "account": "a", "cents": 1 });
    let pay =
        async || answer(served.request(Method::POST, "/commands/deposit").bearer_auth(&token).json(&body)).await;
    let detail = pay().await.problem(403, "denied");
    assert!(detail.contains("the log is older") && detail.contains("`access confirm`"), "{detail}");
    let ready = served.get("/readyz").await;
    assert_eq!(ready.status, 200, "owners are served: {ready:?}");
    assert!(ready.text.starts_with("ready\n") && ready.text.contains("rights are suspended"), "{ready:?}");
    assert_eq!(served.post("/commands/deposit", &body).await.status, 200, "alice is an owner");

    let confirmed = served.post("/commands/confirm_access", &json!({ "why": "I have looked at them" })).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    assert_eq!(pay().await.status, 200);
    assert_eq!(served.get("/readyz").await.text, "ready\n");
    served.stop().await;
}

async fn an_owner_confirms_the_rights_of_an_older_log_on_the_page(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("tokens.keys");
    restored(place, &key_file).await;
    let served = Served::alice(guarded(&key_file), place).await;
    for (_, rebuild) in served.annals.rebuild_all(annals::projections::SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap();
    }
    let shown = served.get("/page/access").await.text;
    assert!(shown.contains("Rights are suspended") && shown.contains("action=\"/page/access/confirm\""), "{shown}");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let send = async |why: &str, who: &str| {
        let request = client.post(served.url("/page/access/confirm")).header("Accept", "text/html");
        let request = request.header("Annals-Actor", format!("user:{who}")).header("Origin", served.url(""));
        let form = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded(&[("why", why)]));
        answer(form).await
    };
    let refused = send("", "alice").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text.contains("say why"), "{refused:?}");
    let done = send("I have looked at them", "alice").await;
    assert_eq!((done.status.as_u16(), done.header(LOCATION.as_str())), (303, "/page/access#grants"), "{done:?}");
    let shown = served.get("/page/access").await.text;
    assert!(!shown.contains("Rights are suspended"), "{shown}");
    served.stop().await;
}
