//! The page of reactions in a real browser.

use std::time::Duration;

use annals::prelude::*;
use annals::reactions::{Reaction, Then};
use annals_test_browser::{
    Book, BookEvent, BookId, Browser, EFFECTS, Retitle, Served, Shelve, Theme, axe, barriers, eventually, library,
    reader,
};
use annals_test_postgres::Place;
use serde_json::json;

annals_test_postgres::both_stores!(a_step_of_a_reaction_is_skipped_by_a_form_without_scripts);

const HOSTILE: &str = "<script>window.hacked = 1</script>\u{202e}\"><img src=x onerror=window.hacked=1>";

/// A book that is put on a shelf is renamed after a day, and one that is retitled is odd.
struct Renaming;

impl Reaction for Renaming {
    const NAME: &'static str = "renaming";
    type On = Book;
    fn react(event: &Recorded<BookEvent>, book: &Loaded<Book>) -> Then {
        let command = Retitle { book: book.id().clone(), title: "Another".to_owned() };
        match event.event {
            BookEvent::Shelved { .. } => Then::nothing().after(Duration::from_secs(86_400), HOSTILE, command),
            BookEvent::Retitled { .. } => panic!("{HOSTILE}"),
        }
    }
}

fn app() -> App {
    library().reaction::<Renaming>()
}

async fn shelve(served: &Served, id: &str) {
    let shelve = Shelve { book: BookId::new(id), shelf: "s".to_owned(), title: "A book".to_owned() };
    served.annals().execute(shelve, &reader("ann")).await.unwrap();
}

async fn has_pending(served: &Served, count: u64) {
    eventually("the timers", async || {
        (served.annals().reactions().await.unwrap()[0].timers == count).then_some(())
    })
    .await;
}

/// Mission X65, on the page.
async fn a_step_of_a_reaction_is_skipped_by_a_form_without_scripts(place: &Place) {
    let served = Served::on_as(place, app, "user:ann".parse().unwrap()).await;
    for id in ["1", "2"] {
        shelve(&served, id).await;
    }
    has_pending(&served, 2).await;
    let browser = Browser::start().await;
    browser.scripts(false).await;
    browser.goto(served.at("page/reactions")).await;
    assert_eq!(browser.text("nav a[aria-current]").await, "Reactions");
    let shown = browser.text("#r-renaming").await;
    assert!(shown.contains("running") && shown.contains("0 pending steps, 2 timers, the next due"), "{shown}");
    browser.click(".steps li summary").await;
    browser.element(".steps li input[name=why]").await.send_keys("the title is good").await.unwrap();
    browser.click(".steps li button.main").await;
    eventually("the skip", async || (browser.texts(".steps li").await.len() == 1).then_some(())).await;
    assert!(browser.text("#r-renaming").await.contains("retitle for book:2"));
    has_pending(&served, 1).await;
    browser.close().await;
}

/// Mission A12: light and dark, wide and narrow, with all forms open, and texts of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_reactions_has_no_barriers_and_texts_of_others_have_no_effect() {
    let (served, axe) = (Served::new(app).await, axe());
    for id in ["1", HOSTILE, &"a-long-id-without-any-space".repeat(8)] {
        shelve(&served, id).await;
    }
    has_pending(&served, 3).await;
    let retitle = Retitle { book: BookId::new(HOSTILE), title: "Another".to_owned() };
    served.annals().execute(retitle, &reader("ann")).await.unwrap();
    eventually("the parked book", async || {
        (served.annals().reactions().await.unwrap()[0].parked.len() == 1).then_some(())
    })
    .await;
    let browser = Browser::start().await;
    for theme in [Theme::Light, Theme::Dark] {
        browser.theme(theme).await;
        for width in [320, 1280] {
            browser.size(width, 900).await;
            browser.goto(served.at("page/reactions")).await;
            assert_eq!(browser.texts(".steps li").await.len(), 3);
            browser.run("for (const part of document.querySelectorAll('details')) part.open = true").await;
            assert_eq!(barriers(&browser, &axe).await, json!([]), "at {width}, {theme:?}");
            assert_eq!(browser.run(EFFECTS).await, json!([]), "at {width}, {theme:?}");
            let wide = browser.run("return document.scrollingElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= width.into(), "{wide} wide at {width}");
            if let Ok(folder) = std::env::var("PICTURES") {
                let file = format!("{folder}/reactions-{width}-{theme:?}.png");
                std::fs::write(file, browser.picture().await).unwrap();
            }
        }
    }
    browser.close().await;
}
