//! Using the page in a real browser.

use annals::prelude::*;
use annals_test_browser::{
    BookId, Browser, Register, Retitle, Served, Shelve, UserId, eventually, library, reader,
};
use annals_test_postgres::Place;
use serde_json::{Value, json};

annals_test_postgres::both_stores!(
    a_row_appears_without_a_reload_and_waits_while_it_is_paused,
    filters_are_in_the_address_and_the_back_button_removes_them,
);

async fn shelve(served: &Served, actor: &str, book: &str, shelf: &str, title: &str) -> Receipt {
    let command = Shelve { book: BookId::new(book), shelf: shelf.to_owned(), title: title.to_owned() };
    in_audit_log(served, served.annals().execute(command, &reader(actor)).await.expect("the book is shelved")).await
}

/// Waits until the audit log has the write.
async fn in_audit_log(served: &Served, receipt: Receipt) -> Receipt {
    served.annals().audit().after(receipt).limit(1).page().await.expect("the audit log has the write");
    receipt
}

async fn retitle(served: &Served, actor: &str, book: &str, title: &str) -> Receipt {
    let command = Retitle { book: BookId::new(book), title: title.to_owned() };
    in_audit_log(served, served.annals().execute(command, &reader(actor)).await.expect("the book is renamed")).await
}

/// The positions of the rows, from the top.
async fn positions(browser: &Browser) -> Vec<u64> {
    let script = "return [...document.querySelectorAll('#feed > li')].map((row) => Number(row.dataset.position))";
    serde_json::from_value(browser.run(script).await).expect("numbers")
}

/// Waits until these rows are shown.
async fn rows_are(browser: &Browser, wanted: &[u64]) {
    eventually(&format!("rows {wanted:?}"), async || (positions(browser).await == wanted).then_some(())).await;
}

/// Waits until the stream is open.
async fn is_live(browser: &Browser) {
    eventually("the stream", async || (browser.text("#live").await == "Live").then_some(())).await;
}

async fn address(browser: &Browser) -> String {
    browser.driver().current_url().await.expect("an address").to_string()
}

/// Mission A12: new rows are announced politely to screen readers, and a paused feed stays unchanged.
async fn a_row_appears_without_a_reload_and_waits_while_it_is_paused(place: &Place) {
    let served = Served::on(place, library).await;
    let browser = Browser::start().await;
    browser.goto(served.at("")).await;
    assert_eq!(browser.text("#nothing").await, "No events yet.");
    is_live(&browser).await;
    browser.run("window.sameDocument = true").await;
    let tyger = Shelve { book: BookId::new("1"), shelf: "poems".to_owned(), title: "The Tyger".to_owned() };
    served.annals().execute(tyger, &reader("ann")).await.unwrap();
    rows_are(&browser, &[1]).await;
    assert_eq!(browser.text("#e1 .sentence").await, "user:ann put The Tyger on poems, as The Tyger");
    assert_eq!(browser.run("return window.sameDocument").await, json!(true));
    assert!(browser.texts("#nothing").await.is_empty());
    // Beside "Live", the counts say of when they are.
    assert!(browser.text(".title").await.contains("as of position 0, and 1 new event below"));
    assert_eq!(browser.text("#counted").await, "Counted as of position 0. Reload to count again.");
    assert_eq!(browser.run("return document.querySelector('#counted').hidden").await, json!(false));
    let announced = async || {
        (browser.run("return document.querySelector('#announcement').textContent").await
            == json!("1 new event in the list"))
        .then_some(())
    };
    eventually("the announcement", announced).await;
    let role = browser.run("return document.querySelector('#announcement').getAttribute('role')").await;
    assert_eq!(role, json!("status"), "the announcement interrupts");

    browser.click("#pause").await;
    shelve(&served, "ann", "2", "poems", "The Lamb").await;
    eventually("the count", async || (browser.text("#live").await == "Paused: 1 new event").then_some(())).await;
    assert_eq!(positions(&browser).await, [1]);
    browser.click("#pause").await;
    rows_are(&browser, &[2, 1]).await;
    assert_eq!(browser.text("#live").await, "Live");
    assert!(browser.text(".title").await.contains("and 2 new events below"));
    browser.close().await;
}

/// The stream has the filters of the page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_rows_match_the_filters() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    shelve(&served, "ann", "1", "poems", "The Tyger").await;
    browser.goto(served.at("?actor=user%3Abob&topic=library")).await;
    is_live(&browser).await;
    shelve(&served, "ann", "2", "poems", "Not his").await;
    shelve(&served, "bob", "3", "poems", "His").await;
    rows_are(&browser, &[3]).await;
    browser.close().await;
}

/// Filters are in the address, so that a link can be shared.
async fn filters_are_in_the_address_and_the_back_button_removes_them(place: &Place) {
    let served = Served::on(place, library).await;
    let browser = Browser::start().await;
    shelve(&served, "ann", "1", "poems", "The Tyger").await;
    shelve(&served, "bob", "2", "prose", "Emma").await;
    retitle(&served, "ann", "1", "The Lamb").await;
    browser.goto(served.at("")).await;
    assert_eq!(positions(&browser).await, [3, 2, 1]);

    let field = browser.element("#actor").await;
    field.send_keys("user:ann").await.unwrap();
    browser.click("form.filter button.main").await;
    rows_are(&browser, &[3, 1]).await;
    assert_eq!(address(&browser).await, served.at("?actor=user%3Aann"), "empty values are in the address");
    assert_eq!(browser.element("#actor").await.prop("value").await.unwrap().as_deref(), Some("user:ann"));

    browser.run("document.querySelector('#action').value = 'update'").await;
    browser.click("form.filter button.main").await;
    rows_are(&browser, &[3]).await;
    assert_eq!(browser.texts(".chip").await.len(), 3, "two filters and `Clear all`");

    browser.driver().back().await.unwrap();
    rows_are(&browser, &[3, 1]).await;
    browser.driver().back().await.unwrap();
    rows_are(&browser, &[3, 2, 1]).await;
    let value = browser.element("#actor").await.prop("value").await.unwrap();
    assert_eq!(value.as_deref(), Some(""), "the form does not match the rows");
    browser.driver().forward().await.unwrap();
    rows_are(&browser, &[3, 1]).await;

    browser.click(".chip a[aria-label='Remove filter: actor user:ann']").await;
    rows_are(&browser, &[3, 2, 1]).await;
    for (query, rows) in [
        ("?target=book%3A1", &[3, 1][..]),
        ("?topic=library", &[3, 2, 1]),
        ("?topic=library%2Fprose", &[2]),
        ("?text=emm", &[2]),
        ("?text=Tyger", &[3, 1]),
        ("?event=book.retitled", &[3]),
        ("?actor=user%3Aann&actor=user%3Abob", &[3, 2, 1]),
        ("?from=2&until=3", &[2]),
        ("?until=2020-01-01", &[]),
    ] {
        browser.goto(served.at(query)).await;
        assert_eq!(positions(&browser).await, rows, "{query}");
    }
    // A topic in a row links to its rows and subtopics.
    browser.goto(served.at("")).await;
    browser.click("#e2 .crumbs a:last-child").await;
    rows_are(&browser, &[2]).await;
    assert_eq!(address(&browser).await, served.at("?topic=library%2Fprose"));
    // An error is shown as a page.
    browser.goto(served.at("?actor=nobody")).await;
    assert!(browser.text(".note.bad").await.contains("nobody"), "{}", browser.text(".note.bad").await);
    browser.close().await;
}

/// Topics come from the whole log, not only from the rows of the page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_the_whole_log_are_offered() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    shelve(&served, "ann", "0", "maps", "Utopia").await;
    for n in 1..60 {
        shelve(&served, "ann", &n.to_string(), "poems", "A poem").await;
    }
    let head = served.annals().store().head().await.unwrap();
    served.annals().metric("/").after(head).await.unwrap();
    browser.goto(served.at("")).await;
    assert_eq!(browser.texts("#below li").await, ["library"]);
    browser.click("#below a").await;
    let offered = async || (browser.texts("#below li").await == ["library/maps", "library/poems"]).then_some(());
    eventually("the topics", offered).await;
    let listed =
        browser.run("return [...document.querySelectorAll('#topics option')].map((one) => one.value)").await;
    assert!(listed.to_string().contains("library/maps"), "{listed}");
    browser.click("#below a[href*='maps']").await;
    rows_are(&browser, &[1]).await;
    assert_eq!(address(&browser).await, served.at("?topic=library%2Fmaps"));
    // With further filters, only the topics of the rows: the caller may not read everything in the topic.
    browser.goto(served.at("?topic=library&actor=user%3Aann")).await;
    assert!(browser.texts("#below li").await.is_empty());
    browser.close().await;
}

/// "Last hour" uses the application's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_hour_ends_at_the_time_of_the_applications_clock() {
    fn app() -> App {
        // A fixed clock, also for the store.
        library().clock(|| "2001-01-01T12:00:00Z".parse().expect("a time"))
    }
    let served = Served::new(app).await;
    let browser = Browser::start().await;
    let receipt = shelve(&served, "ann", "1", "poems", "The Tyger").await;
    served.annals().metric("/").after(receipt).await.unwrap();
    browser.goto(served.at("page/metrics?last=hour")).await;
    let times = "return [...document.querySelectorAll('.title time')].map((one) => one.dateTime.slice(0, 16))";
    assert_eq!(browser.run(times).await, json!(["2001-01-01T11:00", "2001-01-01T12:00"]));
    assert_eq!(browser.text(".cards .big").await, "1");
    browser.close().await;
}

/// Times are in the reader's time zone; the address and the title of each time are in UTC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_are_in_the_readers_zone_and_the_address_in_utc() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    shelve(&served, "ann", "1", "poems", "The Tyger").await;
    browser.zone("Asia/Tokyo").await;
    browser.goto(served.at("")).await;
    let checks: Value = browser
        .run("const time = document.querySelector('#e1 time'); const moment = new Date(time.dateTime); \
              return [time.textContent.includes(String((moment.getUTCHours() + 9) % 24).padStart(2, '0') + ':'), \
              time.title.startsWith(moment.toISOString().slice(0, 19).replace('T', ' ')), time.title.endsWith(' UTC')]")
        .await;
    assert_eq!(checks, json!([true, true, true]));
    assert_eq!(browser.text(".foot [data-zone]").await, "Asia/Tokyo");
    browser.run("document.querySelector('#occurred_from').value = '2026-03-01T09:30:05'").await;
    browser.click("form.filter button.main").await;
    let wanted = served.at("?occurred_from=2026-03-01T00%3A30%3A05Z");
    eventually("the address", async || (address(&browser).await == wanted).then_some(())).await;
    let value = browser.run("return document.querySelector('#occurred_from').value").await;
    assert_eq!(value, json!("2026-03-01T09:30:05"));
    // The hour that occurs twice when summer time ends: times have their offset, and an unchanged field keeps its time.
    browser.zone("Europe/Berlin").await;
    let hour = served.at("?occurred_from=2026-10-25T00%3A30%3A00Z&occurred_until=2026-10-25T01%3A30%3A00Z");
    browser.goto(&hour).await;
    let chips = browser.texts(".chips time").await;
    assert!(chips[0].contains("02:30:00 GMT+2") && chips[1].contains("02:30:00 GMT+1"), "{chips:?}");
    browser.run("document.querySelector('#text').value = 'x'").await;
    browser.click("form.filter button.main").await;
    eventually("the address", async || address(&browser).await.contains("text=x").then_some(())).await;
    let there = address(&browser).await;
    for time in ["occurred_from=2026-10-25T00%3A30%3A00Z", "occurred_until=2026-10-25T01%3A30%3A00Z"] {
        assert!(there.contains(time), "{time} is not in {there}");
    }
    browser.close().await;
}

/// Mission A12: the history of an object and of an actor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_has_a_history_with_values_before_and_after() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    let register = Register { user: UserId::new("ann"), name: "Ann Lee".to_owned() };
    served.annals().execute(register, &reader("root")).await.unwrap();
    shelve(&served, "ann", "1", "poems", "The Tyger").await;
    shelve(&served, "ann", "2", "poems", "The Fly").await;
    retitle(&served, "bob", "1", "The Lamb").await;
    browser.goto(served.at("")).await;
    browser.click("#e4 .sentence a[title='book:1']").await;
    rows_are(&browser, &[4, 2]).await;
    assert_eq!(browser.text("h1").await, "The Lamb (book:1)");
    let change = ["th", "td.was", "td.is"].map(|cell| format!("#e4 .changes tbody {cell}"));
    let mut cells = Vec::new();
    for cell in &change {
        cells.push(browser.text(cell).await);
    }
    assert_eq!(cells, ["title", "The Tyger", "The Lamb"]);
    // The history is live.
    is_live(&browser).await;
    retitle(&served, "ann", "2", "The Sick Rose").await;
    retitle(&served, "ann", "1", "London").await;
    rows_are(&browser, &[6, 4, 2]).await;
    // The history of a user shows what she did, if that is more than what happened to her.
    browser.goto(served.at("history?of=user%3Aann")).await;
    assert_eq!(browser.text("h1").await, "Ann Lee (user:ann)");
    assert_eq!(positions(&browser).await, [6, 5, 3, 2]);
    browser.click(".tabs a:first-child").await;
    rows_are(&browser, &[1]).await;
    browser.close().await;
}

/// A refusal is an event with actor, command and reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_shown() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    shelve(&served, "ann", "1", "poems", "The Tyger").await;
    browser.goto(served.at("refusals")).await;
    assert!(browser.text("#nothing").await.contains("No refusals are recorded"));
    is_live(&browser).await;
    let again = Shelve { book: BookId::new("1"), shelf: "poems".to_owned(), title: "Again".to_owned() };
    served.annals().execute(again, &reader("bob")).await.unwrap_err();
    eventually("the refusal", async || {
        let texts = browser.texts("#feed .sentence").await;
        texts
            .first()
            .is_some_and(|text| text.contains("user:bob") && text.contains("is on its shelf already"))
            .then_some(())
    })
    .await;
    browser.close().await;
}

/// Older pages, and back to the newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_pages_follow_without_a_gap() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    for n in 0..120 {
        shelve(&served, "ann", &n.to_string(), "poems", "A poem").await;
    }
    browser.goto(served.at("?topic=library")).await;
    let mut seen = Vec::new();
    loop {
        let rows = positions(&browser).await;
        seen.extend(rows);
        if browser.run("return document.querySelector('#older').hidden").await == json!(true) {
            break;
        }
        browser.click("#older").await;
        let last = *seen.last().unwrap();
        eventually("the next page", async || {
            positions(&browser).await.first().is_some_and(|first| *first < last).then_some(())
        })
        .await;
    }
    assert_eq!(seen, (1..=120).rev().collect::<Vec<u64>>());
    browser.click(".pages a:first-child").await;
    eventually("the newest", async || (positions(&browser).await.first() == Some(&120)).then_some(())).await;
    browser.close().await;
}
