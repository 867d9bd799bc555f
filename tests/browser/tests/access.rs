//! The page of access in a real browser.

use annals::access::{Access, GrantAccess, RequestAccess};
use annals::http::Authentication;
use annals::prelude::*;
use annals::tokens::Keys;
use annals_test_browser::{
    Browser, EFFECTS, Register, Served, Theme, UserId, axe, barriers, eventually, library, reader,
};
use serde_json::json;
use uuid::Uuid;

const HOSTILE: &str = "<script>window.hacked = 1</script>\u{202e}\"><img src=x onerror=window.hacked=1>";

fn owned() -> App {
    library().access(Access::new().owner(UserId::new("alice")))
}

async fn served() -> Served {
    let alice = UserId::new("alice").reference();
    Served::guarded(owned, Authentication::trusting(Some(alice)).access_tokens(Keys::generate())).await
}

/// Requests rights. Returns the request's id.
async fn asks(served: &Served, name: &str, rights: &[&str], why: &str) -> Uuid {
    let context = reader(name).command_id(Uuid::new_v4());
    let id = context.new_id(0);
    let rights = rights.iter().map(|right| right.parse().unwrap()).collect();
    served
        .annals()
        .execute(RequestAccess::new(UserId::new(name).reference(), rights, why), &context)
        .await
        .unwrap();
    id
}

async fn caught_up(served: &Served) {
    let head = served.annals().store().head().await.unwrap();
    for projection in served.annals().projections().await.unwrap() {
        served.annals().reading(&projection.name).unwrap().caught_up(head, None).await.unwrap();
    }
}

/// Mission A12: light and dark, wide and narrow, with all forms open, and texts of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_access_has_no_barriers_and_texts_of_others_have_no_effect() {
    let (served, axe) = (served().await, axe());
    let alice = reader("alice");
    for name in ["bob", HOSTILE, "\u{430}lice"] {
        let register = Register { user: UserId::new(name), name: format!("{HOSTILE}{name}") };
        served.annals().execute(register, &alice).await.unwrap();
        let long = format!("read {} *", "a-long-name-without-any-space".repeat(8));
        asks(&served, name, &["execute retitle book:*", "read %22%3E%3Cimg%20src=x%3E\u{202e} *", &long], HOSTILE)
            .await;
        let rights = vec!["audit metadata".parse().unwrap()];
        let grant = GrantAccess::new(UserId::new(name).reference(), rights, HOSTILE).delegable();
        served.annals().execute(grant, &alice).await.unwrap();
    }
    caught_up(&served).await;
    let browser = Browser::start().await;
    for theme in [Theme::Light, Theme::Dark] {
        browser.theme(theme).await;
        for width in [320, 1280] {
            browser.size(width, 900).await;
            browser.goto(served.at("page/access")).await;
            assert_eq!(browser.texts("#requests article").await.len(), 3);
            browser.run("for (const part of document.querySelectorAll('details')) part.open = true").await;
            assert_eq!(barriers(&browser, &axe).await, json!([]), "at {width}, {theme:?}");
            assert_eq!(browser.run(EFFECTS).await, json!([]), "at {width}, {theme:?}");
            let wide = browser.run("return document.scrollingElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= width.into(), "{wide} wide at {width}");
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_approved_by_a_form_without_scripts() {
    let served = served().await;
    let request = asks(&served, "bob", &["execute retitle book:*", "catalogue"], "I keep the books").await;
    caught_up(&served).await;
    let browser = Browser::start().await;
    browser.scripts(false).await;
    browser.goto(served.at("page/access")).await;
    assert_eq!(browser.text("nav a[aria-current]").await, "Access");
    browser.click("#requests .acts summary").await;
    let form = format!("#approve-{request}");
    browser.click(&format!("{form} input[value='catalogue']")).await;
    browser.element(&format!("{form} input[name=why]")).await.send_keys(" ").await.unwrap();
    browser.click(&format!("{form} button.main")).await;
    // The command refuses the reason, and nothing has to be filled in again.
    assert_eq!(browser.text(&format!("{form} .note")).await, "say why, in at most 1000 bytes");
    let checked = format!("return document.querySelector(\"{form} input[value='catalogue']\").checked");
    assert_eq!(browser.run(&checked).await, json!(false));
    browser.element(&format!("{form} input[name=why]")).await.send_keys("she does").await.unwrap();
    browser.click(&format!("{form} button.main")).await;
    assert_eq!(browser.text("#requests .empty").await, "No open requests.");
    let grants = browser.text("#grants article").await;
    assert!(grants.contains("execute retitle book:*") && !grants.contains("catalogue"), "{grants}");
    browser.close().await;
}

/// The time that is filled in is local, as all times on the page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_issued_by_a_form_until_a_local_time_and_shown_once() {
    let served = served().await;
    let context = reader("alice").command_id(Uuid::new_v4());
    let grant = GrantAccess::new(UserId::new("bob").reference(), vec!["catalogue".parse().unwrap()], "for a test");
    served.annals().execute(grant, &context).await.unwrap();
    caught_up(&served).await;
    let browser = Browser::start().await;
    browser.goto(served.at("page/access")).await;
    browser.click("#grants .acts details:nth-of-type(2) summary").await;
    let form = format!("#token-{}", context.new_id(0));
    browser.run(&format!("document.querySelector('{form}-until').value = '2100-01-31T10:00'")).await;
    browser.element(&format!("{form}-why")).await.send_keys("a report").await.unwrap();
    browser.click(&format!("{form} button.main")).await;
    let token = browser.text("#token").await;
    assert!(token.len() > 100, "{token}");
    browser.click("main a.button").await;
    eventually("the page", async || {
        (browser.run("return location.pathname").await == json!("/page/access")).then_some(())
    })
    .await;
    let listed = eventually("the token", async || {
        browser.goto(served.at("page/access")).await;
        browser.texts(".tokens li").await.pop()
    })
    .await;
    assert!(listed.contains("a report"), "{listed}");
    let until = "return document.querySelector('.tokens time:last-of-type').dateTime";
    assert_eq!(browser.run(until).await, json!("2100-01-31T09:00:00Z"), "Paris is an hour ahead of UTC");
    let page = browser.run("return document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains(&token), "it is shown again");
    browser.close().await;
}
