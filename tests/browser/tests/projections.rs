//! Projections, the check of the log, exports, and reconnecting after a server restart.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use annals::commands::Envelope;
use annals::prelude::*;
use annals::projections::{EventBatch, Projection, ProjectionError};
use annals::store::Transaction;
use annals_test_browser::{BookId, Browser, Served, Shelve, eventually, library, reader};
use annals_test_postgres::Place;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

annals_test_postgres::both_stores!(
    a_projection_is_rebuilt_by_a_button_with_a_progress_bar,
    after_a_server_restart_no_row_is_missing,
);

fn book(n: usize) -> Shelve {
    Shelve { book: BookId::new(n.to_string()), shelf: format!("s{}", n % 7), title: format!("Book {n}") }
}

/// Adds this many books.
async fn fill(annals: &Annals, books: usize) {
    let commands = stream::iter((1..=books).map(|n| Envelope::new(book(n), reader("ann"))));
    annals.execute_all(commands, 256).for_each(async |receipt| assert!(receipt.is_ok(), "{receipt:?}")).await;
    let head = annals.store().head().await.unwrap();
    for projection in annals.projections().await.unwrap() {
        annals.reading(&projection.name).unwrap().caught_up(head, None).await.unwrap();
    }
}

/// A projection that takes a millisecond for each event, so that its rebuild is seen on a fast machine too.
struct Slow;

#[async_trait]
impl Projection for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn setup(&self, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        tokio::time::sleep(Duration::from_millis(batch.events.len() as u64)).await;
        Ok(())
    }
}

fn with_a_slow_projection() -> App {
    library().projection(Slow)
}

/// Mission X3.
async fn a_projection_is_rebuilt_by_a_button_with_a_progress_bar(place: &Place) {
    let served = Served::on(place, with_a_slow_projection).await;
    let browser = Browser::start().await;
    fill(served.annals(), 3_000).await;
    browser.goto(served.at("page/projections")).await;
    let generation = async || {
        let statuses = served.annals().projections().await.unwrap();
        statuses.into_iter().find(|status| status.name == "slow").unwrap().generation
    };
    let before = generation().await;
    browser.click("#rebuild-slow").await;
    let mut bar: BTreeSet<u64> = BTreeSet::new();
    let shown = "const part = document.querySelector('#p-slow'); if (!part) return [null, false]; \
                 return [part.querySelector('progress')?.value ?? null, part.innerText.includes('Rebuilt up to position')]";
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < Duration::from_secs(300), "the rebuild does not end: {bar:?}");
        let shown: (Option<u64>, bool) = serde_json::from_value(browser.run(shown).await).unwrap();
        bar.extend(shown.0);
        if shown.1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(bar.len() > 1, "the progress bar did not move: {bar:?}");
    assert_eq!(generation().await, before + 1);
    assert!(browser.text("#p-slow").await.contains("at 3,000 of 3,000"), "{}", browser.text("#p-slow").await);
    let announcement = "return document.querySelector('#announcement').textContent";
    eventually("the announcement", async || {
        (browser.run(announcement).await == json!("slow is rebuilt up to position 3,000")).then_some(())
    })
    .await;
    browser.close().await;
}

/// Mission J9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_verified_by_a_button() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    fill(served.annals(), 300).await;
    browser.goto(served.at("verify")).await;
    assert!(browser.text("main").await.contains("has not been checked"));
    browser.click("#check").await;
    let good = browser.text(".note.good").await;
    assert!(good.starts_with("No findings. 300 events read, up to position 300."), "{good}");
    browser.close().await;
}

/// Mission D8: the feed reconnects and has all rows.
async fn after_a_server_restart_no_row_is_missing(place: &Place) {
    let mut served = Served::on(place, library).await;
    let browser = Browser::start().await;
    fill(served.annals(), 3).await;
    browser.goto(served.at("")).await;
    let state = async |wanted: &str| (browser.text("#live").await == wanted).then_some(());
    let rows = "return [...document.querySelectorAll('#feed > li')].map((row) => Number(row.dataset.position))";
    let rows_are = async |wanted: Value| {
        eventually(&format!("rows {wanted}"), async || (browser.run(rows).await == wanted).then_some(())).await;
    };
    eventually("the stream", async || state("Live").await).await;
    browser.run("window.sameDocument = true").await;
    for round in 0..2 {
        let n = 4 + 2 * round;
        served.stop().await;
        eventually("the lost connection", async || state("Reconnecting…").await).await;
        served.start().await;
        // One event before the browser has reconnected, one after.
        served.annals().execute(book(n), &reader("ann")).await.unwrap();
        rows_are((1..=n).rev().collect()).await;
        eventually("the stream", async || state("Live").await).await;
        served.annals().execute(book(n + 1), &reader("ann")).await.unwrap();
        rows_are((1..=n + 1).rev().collect()).await;
    }
    assert_eq!(browser.run("return window.sameDocument").await, json!(true));
    browser.close().await;
}

/// With more new rows than fit, the list restarts with the newest, and older pages have the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_new_rows_leave_no_gap() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    fill(served.annals(), 2).await;
    browser.goto(served.at("")).await;
    eventually("the stream", async || (browser.text("#live").await == "Live").then_some(())).await;
    browser.click("#pause").await;
    let more = stream::iter((3..=900).map(|n| Envelope::new(book(n), reader("ann"))));
    served.annals().execute_all(more, 256).for_each(async |receipt| assert!(receipt.is_ok())).await;
    browser.click("#pause").await;
    let first = "return Number(document.querySelector('#feed > li').dataset.position)";
    eventually("the newest", async || (browser.run(first).await == json!(900)).then_some(())).await;
    let mut seen: Vec<u64> = Vec::new();
    let rows = "return [...document.querySelectorAll('#feed > li')].map((row) => Number(row.dataset.position))";
    loop {
        let rows: Vec<u64> = serde_json::from_value(browser.run(rows).await).unwrap();
        let last = *rows.last().unwrap();
        seen.extend(rows);
        if last == 1 {
            break;
        }
        browser.click("#older").await;
        let next =
            format!("return Number(document.querySelector('#feed > li')?.dataset.position ?? {last}) < {last}");
        eventually("the next page", async || (browser.run(&next).await == json!(true)).then_some(())).await;
    }
    assert_eq!(seen, (1..=900).rev().collect::<Vec<u64>>());
    browser.close().await;
}

/// Exports have the filters of the page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shown_events_are_downloaded_in_every_format() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    fill(served.annals(), 30).await;
    browser.goto(served.at("?topic=library%2Fs1")).await;
    browser.click(".download summary").await;
    let formats = browser.texts(".download li a").await;
    assert_eq!(formats, ["CSV", "JSON Lines", "CloudEvents", "OCEL 2.0", "CSV for Excel"]);
    let script = "return (async () => { const done = []; for (const link of document.querySelectorAll('.download li a')) { \
                  const answer = await fetch(link.href); const text = await answer.text(); \
                  done.push([answer.headers.get('content-disposition'), (text.match(/Book \\d+/g) ?? []).length > 0, \
                  text.includes('Book 2\"'), text.slice(-700).includes('export')]); } return done; })()";
    let files = browser.run(script).await;
    for (file, ending) in files.as_array().unwrap().iter().zip(["csv", "jsonl", "json", "json", "csv"]) {
        assert_eq!(*file, json!([format!("attachment; filename=\"audit.{ending}\""), true, false, true]));
    }
    assert_eq!(files.as_array().unwrap().len(), 5);
    browser.close().await;
}
