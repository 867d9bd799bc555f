//! The page of flows: a drawing with legible labels, and its table.

use annals::http::Authentication;
use annals::prelude::*;
use annals::projections::export::Format;
use annals::projections::flows::Flows;
use annals_test_browser::{
    BookId, Browser, EFFECTS, Retitle, Served, Shelve, Theme, axe, barriers, library, reader,
};
use serde_json::json;

fn with_flows() -> App {
    library().record_reads().flows(Flows::default())
}

/// Books that some people write and others read and export.
async fn filled(served: &Served) {
    let annals = served.annals();
    for n in 0..7 {
        let (book, title) = (BookId::new(n.to_string()), format!("Book {n}"));
        let shelve = Shelve { book: book.clone(), shelf: "poems".to_owned(), title };
        annals.execute(shelve.clone(), &reader(["ann", "bob"][n % 2])).await.unwrap();
        for _ in 0..n % 7 {
            let retitle = Retitle { book: book.clone(), title: format!("Book {n}, again") };
            let _ = annals.execute(retitle, &reader("ann")).await;
        }
        // Refused: the book exists.
        let _ = annals.execute(shelve, &reader("mallory")).await;
        if n % 3 == 0 {
            let planner = annals.read_as(&Context::by("app:planner".parse::<Ref>().unwrap()));
            planner.audit().target(book.reference()).page().await.unwrap();
            let export = planner.audit().target(book.reference()).export(Format::Jsonl);
            let to = ["host:reports.example.org", "host:192.0.2.7"][n % 2].parse().unwrap();
            export.destination(to).to(&mut Vec::new()).await.unwrap();
        }
    }
    let head = annals.store().head().await.unwrap();
    annals.reading("flows").unwrap().caught_up(head, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drawing_of_flows_is_legible_and_has_what_the_table_has() {
    // Reads are recorded, so the reader has a name.
    let authentication = Authentication::trusting(Some("user:ann".parse().unwrap()));
    let (served, axe) = (Served::guarded(with_flows, authentication).await, axe());
    let browser = Browser::start().await;
    filled(&served).await;
    for (theme, name) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
        browser.theme(theme).await;
        for width in [390, 1280] {
            browser.size(width, 900).await;
            browser.goto(served.at("page/flows?actor=app%3Aplanner")).await;
            browser.goto(served.at("page/flows")).await;
            // Each label is at least 11 px high, and covers no other one.
            let labels = "const labels = [...document.querySelectorAll('.sankey text')]; \
                const boxes = labels.map((one) => one.getBoundingClientRect()); \
                const scale = document.querySelector('.sankey svg').getScreenCTM().a; \
                const small = labels.filter((one) => parseFloat(getComputedStyle(one).fontSize) * scale < 11); \
                let covered = 0; \
                for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) { const [a, b] = [boxes[i], boxes[j]]; \
                if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1) covered++; } \
                return [labels.length > 15, small.length, covered]";
            assert_eq!(browser.run(labels).await, json!([true, 0, 0]), "{name} at {width}");
            let parts = "return ['in', 'out', 'not'].map((kind) => document.querySelectorAll('.band.' + kind).length > 0) \
                .concat([document.querySelectorAll('#flows tbody tr').length > 15])";
            assert_eq!(browser.run(parts).await, json!([true, true, true, true]), "{name} at {width}");
            let wide = browser.run("return document.scrollingElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} at {width}");
            assert_eq!(browser.run(EFFECTS).await, json!([]));
            assert_eq!(barriers(&browser, &axe).await, json!([]), "{name} at {width}");
            if let Ok(folder) = std::env::var("ANNALS_TEST_PICTURES") {
                std::fs::write(format!("{folder}/flows-{width}-{name}.png"), browser.picture().await).unwrap();
            }
        }
    }
    // A row leads to its events.
    browser.size(1280, 900).await;
    browser.goto(served.at("page/flows?sink=host%3A*&actor=app%3Aplanner")).await;
    assert!(browser.text("#outward tbody").await.contains("host:192.0.2.7"));
    browser.click("#flows tbody td.number a").await;
    assert!(browser.text("h1").await.contains("Activity"), "the feed");
    browser.close().await;
}
