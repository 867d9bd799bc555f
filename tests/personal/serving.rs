//! Erasure over HTTP, on the page and on the command line.

use std::process::ExitCode;

use annals::app::{AccessContext, Ask, Denial};
use annals::http::Authentication;
use annals::prelude::*;
use annals_test_postgres::Place;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::people::*;

async fn ask(router: &axum::Router, method: &str, path: &str, body: Option<Value>) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = match body {
        Some(body) => {
            let typed = request.header(header::CONTENT_TYPE, "application/json");
            typed.body(Body::from(body.to_string())).unwrap()
        }
        None => request.body(Body::empty()).unwrap(),
    };
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

pub async fn a_subject_is_erased_over_http_and_the_page_says_so(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let trusting = Authentication::trusting(Some(reference("user:op")));
    let router = annals::http::router(annals.clone()).authentication(trusting).into_router();
    let head = annals.store().head().await.unwrap();
    annals.reading("shown").unwrap().caught_up(head, None).await.unwrap();

    let (status, shown) = ask(&router, "GET", "/views/shown/7", None).await;
    assert!(status == StatusCode::OK && shown.contains("Adelheid"), "{status} {shown}");
    let without = json!({ "subject": "user:7", "reason": " " });
    let (status, problem) = ask(&router, "POST", "/erasures", Some(without)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    let (status, list) = ask(&router, "GET", "/erasures", None).await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((status, &list["erasures"], &list["weakness"]), (StatusCode::OK, &json!([]), &Value::Null));

    let with = json!({ "subject": "user:7", "reason": "she asked to" });
    let (status, erased) = ask(&router, "POST", "/erasures", Some(with)).await;
    let erased: Value = serde_json::from_str(&erased).unwrap();
    assert_eq!(
        (status, &erased["subject"], &erased["keys"]),
        (StatusCode::OK, &json!("user:7"), &json!("test keys"))
    );
    let (_, list) = ask(&router, "GET", "/erasures", None).await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["erasures"], json!([erased]));
    for path in ["/views/shown/7", "/audit?limit=10", "/aggregates/user/7/state", "/", "/verify"] {
        let (_, text) = ask(&router, "GET", path, None).await;
        assert!(!text.contains("Adelheid"), "{path}: {text}");
    }
    let (status, page) = ask(&router, "GET", "/verify", None).await;
    assert!(
        status == StatusCode::OK && page.contains("Erased personal data") && page.contains("she asked to"),
        "{page}"
    );
    let new = json!({ "user": "user:8", "friend": "user:7", "called": "Ada", "own": "Berta" });
    let (status, refused) = ask(&router, "POST", "/commands/introduce", Some(new)).await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && refused.contains("is erased"), "{status} {refused}");
    annals.close().await;
}

fn only_root(context: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match ask {
        Ask::Operate { .. } if context.actor().id() != "root" => Err(Denial::because("only root operates")),
        _ => Ok(()),
    }
}

pub async fn the_command_line_erases_lists_and_asks_the_authoriser(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.close().await;
    let run = async |arguments: &[&str]| {
        let app = app().authorise(only_root).keys(keys.keys());
        let arguments = [&["people"], arguments, &["--store", place.url()]].concat();
        format!("{:?}", app.main_with(arguments).await)
    };
    let [done, failed, denied] = [0, 1, 77].map(|code| format!("{:?}", ExitCode::from(code)));
    let asked: [&[&str]; 4] = [
        &["erase", "user:7", "--reason", "asked to"],
        &["erase", "status"],
        &["keys", "status"],
        &["keys", "list"],
    ];
    for arguments in asked {
        assert_eq!(run(arguments).await, failed, "without an actor: {arguments:?}");
        assert_eq!(run(&[arguments, &["--as", "user:op"]].concat()).await, denied, "{arguments:?}");
        assert!(keys.0.has_key("user:7") || arguments[0] != "erase" || arguments[1] == "status");
        assert_eq!(run(&[arguments, &["--as", "user:root"]].concat()).await, done, "{arguments:?}");
    }
    assert!(!keys.0.has_key("user:7"));
    // This key store cannot be copied.
    assert_eq!(run(&["keys", "backup", "nowhere", "--as", "user:root"]).await, failed);
    // An application without personal data has neither.
    let other = App::new("other").main_with(["other", "erase", "status"]).await;
    assert_ne!(format!("{other:?}"), done);
}
