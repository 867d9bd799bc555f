//! Signing in, and requests from pages of other sites.

use annals::http::{Authentication, Keys};
use annals_test_browser::{BookId, Browser, Served, Shelve, eventually, library, reader};
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

const SECRET: &[u8] = b"a secret of a test, which is long enough";

fn token(subject: &str, secret: &[u8]) -> String {
    let expiry = jiff::Timestamp::now().as_second() + 600;
    let claims = json!({ "sub": subject, "aud": "library", "exp": expiry });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).expect("a token")
}

/// Mission A8: without a token, nothing is shown. No script can read the token's cookie, and signing out removes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_signs_in_with_a_token_and_out_again() {
    let keys = Keys::from_secret(SECRET).unwrap();
    let served = Served::guarded(library, Authentication::bearer(keys, "library")).await;
    let shelve = Shelve { book: BookId::new("1"), shelf: "poems".to_owned(), title: "The Tyger".to_owned() };
    let receipt = served.annals().execute(shelve, &reader("ann")).await.unwrap();
    served.annals().audit().after(receipt).page().await.unwrap();
    let browser = Browser::start().await;
    let sign_in = async |token: &str| {
        browser.element("#token").await.send_keys(token).await.unwrap();
        browser.click(".sign-in button").await;
    };
    for page in ["", "history?of=book%3A1", "page/metrics", "page/projections", "rows?after=0"] {
        browser.goto(served.at(page)).await;
        assert_eq!(browser.text("h1").await, "Sign in", "{page}");
        assert!(!browser.driver().source().await.unwrap().contains("Tyger"));
    }
    browser.goto(served.at("?actor=user%3Aann")).await;
    sign_in(&token("bob", b"the secret of somebody else, also long")).await;
    eventually("the form again", async || browser.text(".note.warn").await.contains("signature").then_some(()))
        .await;
    sign_in(&token("bob", SECRET)).await;
    eventually("the feed", async || (browser.text("h1").await == "Activity").then_some(())).await;
    assert!(browser.text("#e1").await.contains("The Tyger"));
    let address = browser.driver().current_url().await.unwrap();
    assert_eq!(address.as_str(), served.at("?actor=user%3Aann"), "signing in forgets where the user was going");
    assert!(browser.text(".foot").await.contains("You are user:bob."));
    eventually("the stream", async || (browser.text("#live").await == "Live").then_some(())).await;
    assert_eq!(browser.run("return document.cookie").await, json!(""), "a script can read the cookie");
    browser.click(".foot button").await;
    eventually("the form", async || (browser.text("h1").await == "Sign in").then_some(())).await;
    browser.goto(served.at("")).await;
    assert_eq!(browser.text("h1").await, "Sign in");
    browser.close().await;
}

/// A form on another site's page that submits to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_has_no_effect() {
    let served = Served::new(library).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let foreign = format!("http://{}/", listener.local_addr().unwrap());
    let form = format!(
        "<form method=post action=\"{}\"><input name=name value=audit><button>Win</button></form>",
        served.at("page/projections/rebuild")
    );
    let other = Router::new().route("/", get(move || async move { Html(form) }));
    tokio::spawn(annals::http::serve(listener, other, std::future::pending()));
    let browser = Browser::start().await;
    browser.goto(&foreign).await;
    browser.click("button").await;
    let refused = async || browser.text(".note.bad").await.contains("cross-origin").then_some(());
    eventually("the refusal", refused).await;
    let statuses = served.annals().projections().await.unwrap();
    assert!(statuses.iter().all(|status| status.generation == 1), "{statuses:?}");
    // A form of the server's own page works.
    browser.goto(served.at("page/projections")).await;
    browser.click("#rebuild-audit").await;
    eventually("the rebuild", async || {
        browser.text("#p-audit").await.contains("Rebuilt up to position").then_some(())
    })
    .await;
    browser.close().await;
}
