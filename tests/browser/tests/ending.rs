//! An open page whose updates end: it says what happened and what to do, and stops.

use std::sync::atomic::{AtomicBool, Ordering};

use annals::app::{AccessContext, Ask, Denial};
use annals::http::{Authentication, Keys};
use annals::prelude::*;
use annals::projections::SkipPolicy;
use annals_test_browser::{BookId, Browser, Served, Shelve, eventually, library, reader};
use annals_test_postgres::Place;
use jsonwebtoken::{EncodingKey, Header, encode};
use older::Older;
use serde_json::json;

#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../../behaviour/older.rs"]
mod older;

annals_test_postgres::both_stores!(
    after_a_restore_the_page_is_read_again_and_says_so,
    after_a_restore_that_needs_a_rebuild_the_page_says_so_and_stops,
);

const SECRET: &str = "a secret of a test, which is long enough";
const OTHER_SECRET: &str = "another secret, which is long enough too";

/// A token that is accepted for this many seconds: the leeway of 30 s is subtracted from its expiry.
fn token(seconds: i64, secret: &str) -> String {
    let expiry = jiff::Timestamp::now().as_second() - 30 + seconds;
    let claims = json!({ "sub": "bob", "aud": "library", "exp": expiry });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
}

fn book(id: &str, title: &str) -> Shelve {
    Shelve { book: BookId::new(id), shelf: "poems".to_owned(), title: title.to_owned() }
}

async fn shelve(annals: &Annals, id: &str, title: &str) {
    let receipt = annals.execute(book(id, title), &reader("ann")).await.expect("the book is shelved");
    annals.audit().after(receipt).limit(1).page().await.expect("the audit log has it");
}

async fn sign_in(browser: &Browser, token: &str) {
    browser.element("#token").await.send_keys(token).await.unwrap();
    browser.click(".sign-in button").await;
    lamp_is(browser, "Live").await;
}

async fn lamp_is(browser: &Browser, wanted: &str) {
    eventually(wanted, async || (browser.text("#live").await == wanted).then_some(())).await;
}

/// Counts the requests from now on.
async fn count_requests(browser: &Browser) {
    let script = "window.asked = 0; const original = window.fetch; \
                  window.fetch = (...all) => { window.asked += 1; return original(...all); };";
    browser.run(script).await;
}

/// Longer than the page waits before its first attempts to reconnect.
async fn stays_quiet(browser: &Browser) {
    browser.run("window.asked = 0").await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(browser.run("return window.asked").await, json!(0), "the page still sends requests");
}

/// Mission A8: also the page shows that a session has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_token_expires_or_its_key_is_withdrawn_the_page_says_so_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let keys = Keys::from_secret_file(&file).await.unwrap();
    let served = Served::guarded(library, Authentication::bearer(keys, "library")).await;
    shelve(served.annals(), "1", "The Tyger").await;
    let browser = Browser::start().await;
    browser.goto(served.at("")).await;
    sign_in(&browser, &token(6, SECRET)).await;
    count_requests(&browser).await;
    lamp_is(&browser, "Signed out").await;
    let notice = browser.text("#notice").await;
    assert!(notice.contains("the token has expired") && notice.ends_with("Sign in"), "{notice}");
    assert!(browser.text("#e1").await.contains("The Tyger"), "the rows are gone");
    stays_quiet(&browser).await;
    // The link leads to the form, and from there back to a live page.
    browser.click("#notice a").await;
    eventually("the form", async || (browser.text("h1").await == "Sign in").then_some(())).await;
    sign_in(&browser, &token(600, SECRET)).await;
    count_requests(&browser).await;
    std::fs::write(&file, OTHER_SECRET).unwrap();
    lamp_is(&browser, "Signed out").await;
    assert!(browser.text("#notice").await.contains("withdrawn"), "{}", browser.text("#notice").await);
    stays_quiet(&browser).await;
    browser.close().await;
}

/// Somebody signs in on another page, and returns to the one that has stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_signing_in_on_another_page_the_stopped_page_is_live_again() {
    let keys = Keys::from_secret(SECRET.as_bytes()).unwrap();
    let served = Served::guarded(library, Authentication::bearer(keys, "library")).await;
    let browser = Browser::start().await;
    browser.goto(served.at("")).await;
    sign_in(&browser, &token(4, SECRET)).await;
    lamp_is(&browser, "Signed out").await;
    browser.run("window.sameDocument = true").await;
    let body = json!(format!("token={}", token(600, SECRET)));
    let sign_in = format!(
        "return fetch('/sign-in', {{ method: 'POST', redirect: 'manual', body: new URLSearchParams({body}) }}).then(() => true)"
    );
    browser.run(&sign_in).await;
    browser.run("document.dispatchEvent(new Event('visibilitychange'))").await;
    lamp_is(&browser, "Live").await;
    assert_eq!(browser.run("return document.querySelector('#notice').hidden").await, json!(true));
    shelve(served.annals(), "1", "The Tyger").await;
    eventually("the next row", async || (browser.texts("#feed > li").await.len() == 1).then_some(())).await;
    assert_eq!(browser.run("return window.sameDocument").await, json!(true));
    browser.close().await;
}

/// Set while nobody may read.
static CLOSED: AtomicBool = AtomicBool::new(false);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_right_to_read_is_taken_away_the_page_says_so_and_stops() {
    fn guarded() -> App {
        library().authorise(|_: &AccessContext<'_>, ask: &Ask<'_>| match ask {
            Ask::Command { .. } => Ok(()),
            _ if CLOSED.load(Ordering::Relaxed) => Err(Denial::because("the library is closed")),
            _ => Ok(()),
        })
    }
    let keys = Keys::from_secret(SECRET.as_bytes()).unwrap();
    let served = Served::guarded(guarded, Authentication::bearer(keys, "library")).await;
    shelve(served.annals(), "1", "The Tyger").await;
    let browser = Browser::start().await;
    browser.goto(served.at("")).await;
    sign_in(&browser, &token(600, SECRET)).await;
    count_requests(&browser).await;
    CLOSED.store(true, Ordering::Relaxed);
    // The next row is not shown.
    served.annals().execute(book("2", "The Lamb"), &reader("ann")).await.unwrap();
    lamp_is(&browser, "Access denied").await;
    let notice = browser.text("#notice").await;
    assert!(notice.contains("the library is closed") && notice.ends_with("Reload"), "{notice}");
    assert_eq!(browser.texts("#feed > li").await.len(), 1);
    stays_quiet(&browser).await;
    browser.close().await;
}

/// A page with progress bars, which polls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_page_stops_and_says_so_when_the_token_expires() {
    let keys = Keys::from_secret(SECRET.as_bytes()).unwrap();
    let served = Served::guarded(library, Authentication::bearer(keys, "library")).await;
    let browser = Browser::start().await;
    browser.goto(served.at("verify")).await;
    browser.element("#token").await.send_keys(token(6, SECRET)).await.unwrap();
    browser.click(".sign-in button").await;
    browser.goto(served.at("verify")).await;
    eventually("the page", async || (browser.text("h1").await == "Verify the log").then_some(())).await;
    count_requests(&browser).await;
    eventually("the notice", async || {
        let notice = browser.run("return document.querySelector('#notice').textContent").await;
        notice.as_str().is_some_and(|text| text.contains("signed out")).then_some(())
    })
    .await;
    stays_quiet(&browser).await;
    browser.close().await;
}

/// Rebuilds all projections from the restored log.
async fn rebuild(annals: &Annals) {
    for (_, rebuild) in annals.rebuild_all(SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap();
    }
}

async fn sentences_are(browser: &Browser, wanted: &[&str]) {
    eventually(&format!("{wanted:?}"), async || (browser.texts("#feed .sentence").await == wanted).then_some(()))
        .await;
}

const TYGER: &str = "user:ann put The Tyger on poems, as The Tyger";
const LAMB: &str = "user:ann put The Lamb on poems, as The Lamb";

/// Guarantee 16: rows of the lost history do not stay on the page as if they were true.
async fn after_a_restore_the_page_is_read_again_and_says_so(place: &Place) {
    let mut served = Served::on(place, library).await;
    let browser = Browser::start().await;
    shelve(served.annals(), "1", "The Tyger").await;
    let older = Older::keep(served.annals(), place).await;
    shelve(served.annals(), "2", "The Lost").await;
    browser.goto(served.at("")).await;
    lamp_is(&browser, "Live").await;
    browser.run("window.sameDocument = true").await;
    served.stop().await;
    older.put_back(place);
    let restored = library().open_without_following(place.url()).await.unwrap();
    restored.execute(book("3", "The Lamb"), &reader("ann")).await.unwrap();
    rebuild(&restored).await;
    restored.close().await;
    served.start().await;
    sentences_are(&browser, &[LAMB, TYGER]).await;
    let notice = browser.text("#notice").await;
    assert!(notice.contains("restored to an older state") && notice.contains("read again"), "{notice}");
    assert_eq!(browser.run("return window.sameDocument").await, json!(true));
    // The page follows the restored log.
    lamp_is(&browser, "Live").await;
    shelve(served.annals(), "4", "London").await;
    eventually("the next row", async || (browser.texts("#feed > li").await.len() == 3).then_some(())).await;
    browser.close().await;
}

/// The page cannot be read before an operator has rebuilt the projections.
async fn after_a_restore_that_needs_a_rebuild_the_page_says_so_and_stops(place: &Place) {
    let served = Served::on(place, library).await;
    let browser = Browser::start().await;
    shelve(served.annals(), "1", "The Tyger").await;
    let older = Older::keep(served.annals(), place).await;
    shelve(served.annals(), "2", "The Lost").await;
    browser.goto(served.at("")).await;
    lamp_is(&browser, "Live").await;
    older.put_back(place);
    let restored = library().open_without_following(place.url()).await.unwrap();
    for id in ["3", "4", "5"] {
        restored.execute(book(id, "The Lamb"), &reader("ann")).await.unwrap();
    }
    lamp_is(&browser, "Log restored").await;
    eventually("the reason", async || {
        let notice = browser.text("#notice").await;
        (notice.contains("lost history") && notice.contains("projections rebuild")).then_some(())
    })
    .await;
    count_requests(&browser).await;
    stays_quiet(&browser).await;
    rebuild(&restored).await;
    restored.close().await;
    // The link reloads the page. The server may still be noticing the rebuild.
    browser.click("#notice a").await;
    eventually("the restored log", async || {
        let rows = browser.texts("#feed .sentence").await;
        if rows == [LAMB, LAMB, LAMB, TYGER] {
            return Some(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        browser.goto(served.at("")).await;
        None
    })
    .await;
    lamp_is(&browser, "Live").await;
    browser.close().await;
}

/// While the server is stopped, the page keeps trying, and says since when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_the_page_says_since_when_and_recovers() {
    let mut served = Served::new(library).await;
    shelve(served.annals(), "1", "The Tyger").await;
    let browser = Browser::start().await;
    browser.goto(served.at("")).await;
    lamp_is(&browser, "Live").await;
    served.stop().await;
    eventually("the notice", async || {
        let notice = browser.run("return document.querySelector('#notice').textContent").await;
        notice.as_str().is_some_and(|text| text.starts_with("No connection since ")).then_some(())
    })
    .await;
    served.start().await;
    lamp_is(&browser, "Live").await;
    eventually("no notice", async || {
        (browser.run("return document.querySelector('#notice').hidden").await == json!(true)).then_some(())
    })
    .await;
    browser.close().await;
}
