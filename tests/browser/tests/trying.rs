//! The page `/try`: a form for each operation.

use annals_test_browser::{Browser, Served, eventually, library};
use serde_json::json;

async fn opened(browser: &Browser) -> serde_json::Value {
    browser.run("return [...document.querySelectorAll('.operation[open]')].map((one) => one.id)").await
}

/// It has the frame of all pages, and each operation an address of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_has_an_address_and_the_back_button_works() {
    let served = Served::mounted(library, "/inside").await;
    let browser = Browser::start().await;
    browser.goto(served.at("try#get/audit/count")).await;
    let is_open = async |id: &'static str| {
        eventually(id, async || (opened(&browser).await == json!([id])).then_some(())).await;
    };
    is_open("get/audit/count").await;
    browser.run("document.getElementById('get/commands').querySelector('summary').click()").await;
    is_open("get/commands").await;
    let address = browser.driver().current_url().await.unwrap();
    assert_eq!(address.as_str(), served.at("try#get/commands"));
    browser.run("document.querySelector('.operation[open] form').requestSubmit()").await;
    let answered = async || browser.text(".operation[open] pre").await.contains("200 OK").then_some(());
    eventually("the response", answered).await;
    browser.driver().back().await.unwrap();
    is_open("get/audit/count").await;
    assert!(browser.text(".top").await.contains("Activity"), "the frame of the other pages is missing");
    browser.click(".top nav a").await;
    eventually("the feed", async || (browser.text("h1").await == "Activity").then_some(())).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_is_shown_as_it_was_sent() {
    let served = Served::new(library).await;
    let browser = Browser::start().await;
    browser.goto(served.at("try")).await;
    let sent = r#"{"n":9007199254740993,"f":1.0,"e":{},"a":[],"l":[1,{"t":"a\"{b},[c]"}]}"#;
    let shown = browser.run(&format!("return pretty({})", json!(sent))).await;
    let lines = [
        "{",
        "  \"n\": 9007199254740993,",
        "  \"f\": 1.0,",
        "  \"e\": {},",
        "  \"a\": [],",
        "  \"l\": [",
        "    1,",
        "    {",
        "      \"t\": \"a\\\"{b},[c]\"",
        "    }",
        "  ]",
        "}",
    ];
    assert_eq!(shown, json!(lines.join("\n")));
    browser.close().await;
}
