//! Tokens that the page of access issues.

use annals::tokens::KeyFile;
use annals_test_postgres::Place;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::access_page::{encoded, form};
use crate::process::{GUARDED, Process};
use crate::served::answer;
use crate::tokens::{but, ed, jwks, token};

annals_test_postgres::both_stores! { a_token_is_shown_once_is_in_no_event_and_no_log_line_and_is_revoked_by_a_form }

async fn a_token_is_shown_once_is_in_no_event_and_no_log_line_and_is_revoked_by_a_form(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, web) = (folder.path().join("tokens.keys"), folder.path().join("jwks.json"));
    KeyFile::create(&tokens).unwrap();
    std::fs::write(&web, jwks()).unwrap();
    let arguments = ["--access-keys", tokens.to_str().unwrap(), "--jwks", web.to_str().unwrap()];
    let logs = [(GUARDED, "1"), ("ANNALS_LOG", "trace"), ("ANNALS_LOG_FORMAT", "json")];
    let command = Process::bank(
        &[&["serve", "--listen", "127.0.0.1:0", "--store", place.url()], &arguments[..]].concat(),
        &logs,
    );
    let process = Process::start(command, std::process::Stdio::piped());
    let client = Client::new();
    let bearer = |name: &str| token(jsonwebtoken::Algorithm::EdDSA, None, &but(&json!({ "sub": name })), &ed());
    let url = |path: &str| format!("{}{path}", process.url);
    let grant = json!({ "grantee": "user:bob", "rights": ["audit full"], "why": "for a test" });
    let grant = client.post(url("/commands/grant_access")).bearer_auth(bearer("alice")).json(&grant);
    let receipt = answer(grant).await.json();
    let after = crate::served::after(&receipt);
    let view = client.get(url(&format!("/views/access/user:bob?{after}"))).bearer_auth(bearer("bob"));
    let grant = answer(view).await.json()["grants"][0]["grant"].as_str().unwrap().to_owned();
    let issue = async |name: &str, why: &str| {
        let fields = encoded(&[("grantee", "user:bob"), ("grant", &grant), ("why", why)]);
        let request =
            client.post(url("/page/access/token")).bearer_auth(bearer(name)).header("Accept", "text/html");
        answer(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields)).await
    };
    let issued = issue("bob", "a nightly report").await;
    assert_eq!((issued.status.as_u16(), issued.header("cache-control")), (200, "no-store"), "{issued:?}");
    let shown = issued.text.split("<pre id=\"token\"").nth(1).unwrap().split('>').nth(1).unwrap();
    let text = shown.split('<').next().unwrap();
    assert!(text.len() > 100, "{text}");
    let events = answer(client.get(url("/events?limit=100")).bearer_auth(text)).await;
    assert_eq!(events.status, 200, "the token cannot be used: {events:?}");
    assert!(events.text.contains("annals_access.token_issued") && !events.text.contains(text), "{}", events.text);

    assert_eq!(issue("mallory", "x").await.status, 422);
    let kept = issue("bob", "").await;
    assert_eq!(kept.status, 422, "{kept:?}");
    assert!(form(&kept.text, &format!("token-{grant}")).contains("say why"), "{kept:?}");
    let page = client.get(url("/page/access")).bearer_auth(bearer("alice")).header("Accept", "text/html");
    let page = answer(page).await.text;
    assert!(page.contains("a nightly report") && page.contains("Issue a token") && !page.contains(text), "{page}");

    // It can be revoked where it is listed, by its holder and by owners.
    let block = page.split("Revocation id</summary><code>").nth(1).unwrap().split('<').next().unwrap();
    let revoke = async |name: &str, why: &str| {
        let fields = encoded(&[("grantee", "user:bob"), ("block", block), ("why", why)]);
        let request =
            client.post(url("/page/access/revoke-token")).bearer_auth(bearer(name)).header("Accept", "text/html");
        answer(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields)).await
    };
    assert_eq!(revoke("mallory", "x").await.status, 422);
    let kept = revoke("alice", "").await;
    assert_eq!(kept.status, 422, "{kept:?}");
    assert!(form(&kept.text, &format!("revoke-token-{block}")).contains("say why"), "{kept:?}");
    let used = async || answer(client.get(url("/audit?limit=1")).bearer_auth(text)).await.status.as_u16();
    assert_eq!(used().await, 200);
    let revoked = revoke("alice", "no longer needed").await;
    assert_eq!(revoked.status, 200, "a redirect to the page: {revoked:?}");
    assert!(!revoked.text.contains("a nightly report"), "{revoked:?}");
    assert_eq!(used().await, 403);
    let ended = process.stop().await;
    assert!(ended.err.iter().any(|line| line.contains("/page/access/token")), "no log lines: {ended:?}");
    let lines = ended.err.iter().chain(&ended.out);
    assert!(lines.into_iter().all(|line| !line.contains(text)), "a reader of the log lines could use the token");
}
