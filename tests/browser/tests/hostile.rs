//! Hostile text in events has no effect, and nothing is loaded from other hosts.

use annals::prelude::*;
use annals_test_browser::{
    BookId, Browser, EFFECTS, Register, Retitle, Served, Shelve, UserId, eventually, library, reader,
};
use serde_json::json;

/// Injections of scripts, text direction overrides, terminal escape sequences, stacked marks.
const HOSTILE: [&str; 9] = [
    "<script>window.hacked = 1</script>",
    "\"><img src=x onerror=window.hacked=1>",
    "' onmouseover='window.hacked=1",
    "javascript:window.hacked=1",
    "</title></textarea></style><svg onload=window.hacked=1>",
    "safe\u{202e}txt.exe\u{2066}",
    "a\u{1b}[31mred\u{9b}2J\u{7}",
    "stacked a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}",
    "&lt;b&gt; &#x3c;script&#x3e;window.hacked=1",
];

async fn fill(served: &Served, round: usize) {
    let annals = served.annals();
    for (n, hostile) in HOSTILE.iter().enumerate() {
        let actor = Context::by(UserId::new(format!("{hostile}{round}"))).correlation(*hostile);
        let user = UserId::new(format!("{round}-{n}"));
        annals.execute(Register { user: user.clone(), name: (*hostile).to_owned() }, &actor).await.unwrap();
        let book = BookId::new(format!("{hostile}{round}"));
        let (shelf, title) = (format!("{hostile}/x"), (*hostile).to_owned());
        let by_name = Context::by(user);
        annals.execute(Shelve { book: book.clone(), shelf, title }, &by_name).await.unwrap();
        let again = Shelve { book: book.clone(), shelf: "x".to_owned(), title: "x".to_owned() };
        annals.execute(again, &actor).await.unwrap_err();
        annals.execute(Retitle { book, title: format!("{hostile}{hostile}") }, &actor).await.unwrap();
    }
    let all = 4 * HOSTILE.len() as u64 * (round as u64 + 1);
    eventually("all refusals", async || (annals.store().head().await.unwrap().position == all).then_some(())).await;
    let head = annals.store().head().await.unwrap();
    annals.audit().after(head).limit(1).page().await.unwrap();
    annals.metric("/").after(head).await.unwrap();
}

/// Mission A12: in actor, target, topic, payload, refusal and display name, on pages and in live rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_text_is_shown_without_effect() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    fill(&served, 0).await;
    let rows = "return document.querySelectorAll('#feed > li').length";
    for page in ["", "refusals", "page/metrics", "page/projections", "verify"] {
        browser.goto(served.at(page)).await;
        browser.run("for (const part of document.querySelectorAll('details')) part.open = true").await;
        assert_eq!(browser.run(EFFECTS).await, json!([]), "{page}");
    }
    browser.goto(served.at("")).await;
    // The text is shown.
    let text = browser.texts("#feed").await.concat();
    for shown in
        ["<script>window.hacked = 1</script>", "safe\\u{202e}txt.exe\\u{2066}", "a\\u{1b}[31mred\\u{9b}2J\\u{7}"]
    {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
    for hostile in HOSTILE {
        for name in ["of", "actor", "target", "text", "topic", "correlation", "cursor", "last", "from"] {
            let value = if ["of", "actor", "target"].contains(&name) {
                format!("book:{hostile}0")
            } else {
                hostile.to_owned()
            };
            for page in ["", "history", "page/metrics"] {
                // Encoded like a form submission.
                let path = json!(served.at(page));
                let pair = json!([[name, value]]);
                browser.run(&format!("location.href = {path} + '?' + new URLSearchParams({pair})")).await;
                eventually("the page", async || {
                    let there = format!("return location.search === '?' + new URLSearchParams({pair}) && document.readyState === 'complete'");
                    (browser.run(&there).await == json!(true)).then_some(())
                })
                .await;
                assert_eq!(browser.run(EFFECTS).await, json!([]), "{page} {name} {hostile:?}");
            }
        }
    }
    // In live rows.
    browser.goto(served.at("?topic=library")).await;
    eventually("the stream", async || (browser.text("#live").await == "Live").then_some(())).await;
    let before = browser.run(rows).await.as_u64().unwrap();
    fill(&served, 1).await;
    eventually("rows", async || (browser.run(rows).await.as_u64() == Some(before + 18)).then_some(())).await;
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true").await;
    assert_eq!(browser.run(EFFECTS).await, json!([]));
    browser.close().await;
}

/// Nothing is loaded from another host, and nothing violates the content security policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_a_mount_path_all_links_and_resources_stay_below_it() {
    let served = Served::mounted(library, "/inside/annals").await;
    let browser = Browser::start().await;
    let shelve = Shelve { book: BookId::new("1"), shelf: "poems".to_owned(), title: "The Tyger".to_owned() };
    served.annals().execute(shelve, &reader("ann")).await.unwrap();
    let home = served.at("").trim_end_matches('/').to_owned();
    browser.goto(&home).await;
    eventually("the stream", async || (browser.text("#live").await == "Live").then_some(())).await;
    let bytes = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/assets/')).reduce((sum, one) => sum + one.decodedBodySize, 0)";
    let bytes = browser.run(bytes).await.as_f64().unwrap();
    assert!(bytes > 5_000.0 && bytes < 280_000.0, "{bytes}");
    assert_eq!(browser.text(".name").await, "The library");
    let colour = "return getComputedStyle(document.querySelector('.top')).borderTopColor";
    assert_eq!(browser.run(colour).await, json!("rgb(122, 46, 142)"));
    let mut pages = vec![home.clone()];
    let mut seen = 0;
    // Every link of every page.
    while let Some(page) = pages.get(seen).cloned() {
        seen += 1;
        browser.goto(&page).await;
        assert_eq!(browser.texts("h1").await.len(), 1, "{page}");
        let loaded = "return performance.getEntriesByType('resource').map((one) => one.name)";
        let links = "return [...document.querySelectorAll('a[href]')].map((link) => new URL(link.getAttribute('href'), location).href.split('#')[0])";
        let loaded: Vec<String> = serde_json::from_value(browser.run(loaded).await).unwrap();
        let links: Vec<String> = serde_json::from_value(browser.run(links).await).unwrap();
        for address in loaded.iter().chain(&links) {
            assert!(address.starts_with(&home), "{address} on {page}");
        }
        assert!(browser.texts(".note.bad").await.is_empty(), "{page}: {:?}", browser.texts(".note.bad").await);
        // Those are JSON.
        let is_page = |link: &str| !["/annals/audit", "/annals/aggregates/"].iter().any(|json| link.contains(json));
        for link in links {
            if !pages.contains(&link) && is_page(&link) && pages.len() < 40 {
                pages.push(link);
            }
        }
    }
    assert!(seen > 10, "{seen} pages");
    let complaints: Vec<String> =
        browser.driver().browser_log().await.unwrap().into_iter().map(|entry| entry.message).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    browser.close().await;
}
