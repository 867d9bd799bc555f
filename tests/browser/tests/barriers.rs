//! Accessibility: axe-core, the keyboard, narrow screens, no scripts.

use annals_test_browser::{
    BookId, Browser, Retitle, Served, Shelve, Theme, axe, barriers, eventually, library, reader,
};
use serde_json::json;
use thirtyfour::prelude::*;

const PAGES: [&str; 10] = [
    "",
    "?actor=user%3Aann&topic=library%2Fpoems&occurred_from=2020-01-01T00%3A00%3A00Z",
    "?text=nowhere",
    "?actor=nobody",
    "history?of=book%3A1",
    "refusals",
    "page/metrics",
    "page/projections",
    "verify",
    "try#get/audit",
];

/// Events of all kinds.
async fn filled(served: &Served) {
    let annals = served.annals();
    for n in 0..60 {
        let (book, title) = (BookId::new(n.to_string()), format!("Book {n}"));
        let shelf = if n % 2 == 0 { "poems" } else { "prose" };
        let shelve = Shelve { book: book.clone(), shelf: shelf.to_owned(), title };
        annals.execute(shelve.clone(), &reader(["ann", "bob"][n % 2])).await.unwrap();
        let long = "a-very-long-title-without-any-space-".repeat(4);
        annals.execute(Retitle { book, title: long }, &reader("ann")).await.unwrap();
        let _ = annals.execute(shelve, &reader("mallory")).await;
    }
    // Refusals are recorded in the background.
    eventually("all refusals", async || (annals.store().head().await.unwrap().position == 180).then_some(())).await;
    let head = annals.store().head().await.unwrap();
    for projection in annals.projections().await.unwrap() {
        annals.reading(&projection.name).unwrap().caught_up(head, None).await.unwrap();
    }
}

/// Light and dark, wide and narrow, with all details open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_nothing_serious() {
    let (served, axe) = (Served::new(library).await, axe());
    let browser = Browser::start().await;
    filled(&served).await;
    for theme in [Theme::Light, Theme::Dark] {
        browser.theme(theme).await;
        for width in [320, 1280] {
            browser.size(width, 900).await;
            for page in PAGES {
                browser.goto(served.at(page)).await;
                browser.run("for (const part of document.querySelectorAll('details')) part.open = true").await;
                let found = barriers(&browser, &axe).await;
                assert_eq!(found, json!([]), "{page:?} at {width}, {theme:?}");
            }
        }
    }
    // Axe finds a real violation.
    browser.run("document.querySelector('main').innerHTML = '<img src=x><p style=\"color:#999\">faint'").await;
    let found = barriers(&browser, &axe).await;
    assert!(found.to_string().contains("image-alt"), "{found}");
    browser.close().await;
}

/// No horizontal scrolling at 320 px.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_wider_than_a_narrow_screen() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    filled(&served).await;
    for width in [320, 390, 768, 1280] {
        browser.size(width, 900).await;
        for page in PAGES {
            browser.goto(served.at(page)).await;
            browser.run("for (const part of document.querySelectorAll('details')) part.open = true").await;
            let wide = browser.run("return document.scrollingElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{page:?} is {wide} wide at {width}");
        }
    }
    browser.close().await;
}

/// The Tab key reaches everything, and the focus is visible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_works_by_keyboard() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    filled(&served).await;
    browser.goto(served.at("")).await;
    let press = async |keys: Key| {
        browser.driver().active_element().await.unwrap().send_keys(keys + "").await.unwrap();
    };
    let focused = async || {
        browser
            .run("const it = document.activeElement; return [it.className || it.id || it.tagName, getComputedStyle(it).outlineStyle]")
            .await
    };
    press(Key::Tab).await;
    assert_eq!(focused().await, json!(["skip", "solid"]));
    press(Key::Enter).await;
    let hash = "return [location.hash, document.activeElement.id]";
    eventually("the content", async || (browser.run(hash).await == json!(["#main", "main"])).then_some(())).await;
    // From there to the text field, past the pause and download buttons.
    let mut way = Vec::new();
    for _ in 0..8 {
        press(Key::Tab).await;
        let at = focused().await;
        assert_eq!(at[1], json!("solid"), "the focus on {at} is not visible");
        way.push(at[0].as_str().unwrap().to_owned());
        if at[0] == json!("text") {
            break;
        }
    }
    assert_eq!(way, ["pause", "button", "text"]);
    browser.driver().active_element().await.unwrap().send_keys("Book 7" + Key::Enter).await.unwrap();
    let wanted = served.at("?text=Book+7");
    let there = async || (browser.driver().current_url().await.unwrap().as_str() == wanted).then_some(());
    eventually("the address", there).await;
    browser.close().await;
}

/// Without scripts, everything works except live updates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_works_without_scripts() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    filled(&served).await;
    browser.scripts(false).await;
    browser.goto(served.at("")).await;
    let times = browser.texts("#feed .when time").await;
    assert!(times.iter().all(|time| time.ends_with(" UTC")), "{times:?}");
    assert!(!browser.element("#pause").await.is_displayed().await.unwrap());
    browser.element("#actor").await.send_keys("user:mallory").await.unwrap();
    browser.click("form.filter button.main").await;
    let all = async || {
        let rows = browser.texts("#feed .action").await;
        (!rows.is_empty() && rows.iter().all(|action| action == "refuse")).then_some(rows.len())
    };
    assert_eq!(eventually("what mallory tried", all).await, 50);
    browser.click("#older").await;
    eventually("the next page", async || (all().await == Some(10)).then_some(())).await;
    // A time without a time zone is in UTC.
    browser.goto(served.at("?occurred_from=2020-01-01T00%3A00&occurred_until=")).await;
    assert_eq!(browser.texts("#feed .action").await.len(), 50);
    browser.goto(served.at("page/projections")).await;
    browser.click("#rebuild-metrics").await;
    eventually("the rebuild", async || {
        browser.goto(served.at("page/projections")).await;
        browser.text("#p-metrics").await.contains("Rebuilt up to position").then_some(())
    })
    .await;
    browser.goto(served.at("verify")).await;
    browser.click("#check").await;
    eventually("the check", async || {
        browser.goto(served.at("verify")).await;
        browser.text("main").await.contains("No findings").then_some(())
    })
    .await;
    browser.close().await;
}
