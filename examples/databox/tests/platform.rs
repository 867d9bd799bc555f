//! The platform over HTTP: management, agreements, data, the catalogue, provenance.

mod common;

use std::time::Duration;

use annals::access::RevokeAccess;
use annals::prelude::*;
use annals::projections::provenance::StatementKind;
use annals_test_postgres::Place;
use common::{PACKAGE, Served, ann, register, temperature};
use databox::apps::{AppId, Apps, UninstallApp};
use databox::packages::PackageId;
use databox::sources::{Catalogue, SourceId, Values, WriteValue};
use reqwest::Method;
use serde_json::{Value, json};

annals_test_postgres::both_stores! {
    management_is_typed_and_audited_and_a_blank_name_is_refused_and_recorded,
    data_is_read_written_and_observed_with_a_token_as_far_as_it_was_granted,
    no_token_is_in_the_log_and_the_views_are_those_of_a_replay,
    a_new_source_is_pushed_and_the_catalogue_says_at_which_position_it_is_settled,
    the_first_event_of_a_new_store_is_audited_although_nobody_observes,
    what_the_owner_looks_at_is_recorded,
    an_installed_app_is_made_of_a_package_of_a_publisher_and_ends_with_its_removal,
}

/// Waits for something at most as long as a busy machine takes.
async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let waited = tokio::time::timeout(Duration::from_secs(60), future).await;
    waited.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Mission D13.
async fn management_is_typed_and_audited_and_a_blank_name_is_refused_and_recorded(place: &Place) {
    let served = Served::new(place).await;
    let manage = async |command: &str, body: Value| {
        served.owner(Method::POST, &format!("/commands/{command}"), Some(body)).await
    };
    let install = json!({ "app": "comfort", "package": PACKAGE });
    assert_eq!(manage("install_app", install.clone()).await.0, 200);
    assert_eq!(manage("restart_app", json!({ "app": "comfort" })).await.0, 200);
    assert_eq!(manage("uninstall_app", json!({ "app": "comfort" })).await.0, 200);
    for (event, sentence) in [
        ("app.installed", "user:ann installed the app app:comfort from package:hearth/comfort"),
        ("app.restarted", "user:ann restarted app:comfort"),
        ("app.uninstalled", "user:ann uninstalled app:comfort"),
    ] {
        assert_eq!(served.sentences(event).await, [sentence]);
    }
    let (status, problem) = manage("restart_app", json!({ "app": "comfort" })).await;
    assert_eq!((status, &problem["refusal"]), (422, &json!("Missing")), "{problem}");
    // A misspelt field is no command.
    assert_eq!(manage("restart_app", json!({ "name": "comfort" })).await.0, 400);

    for (command, body) in [
        ("install_app", json!({ "app": "", "package": PACKAGE })),
        ("restart_app", json!({ "app": " " })),
        ("uninstall_app", json!({ "app": "\t" })),
    ] {
        let (status, problem) = manage(command, body).await;
        assert_eq!((status, &problem["refusal"]), (422, &json!("BlankName")), "{problem}");
    }
    let refused = in_time("the records of three refusals", async {
        loop {
            let refused = served.sentences("annals_refusal.refused").await;
            let blank: Vec<_> = refused.into_iter().filter(|one| one.contains("must not be blank")).collect();
            if blank.len() == 3 {
                return blank;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(refused[0].starts_with("user:ann was refused install_app on app:(blank)"), "{refused:?}");
    served.close().await;
}

async fn data_is_read_written_and_observed_with_a_token_as_far_as_it_was_granted(place: &Place) {
    let served = Served::new(place).await;
    let driver = served.driver().await;
    register(&driver, &temperature()).await;
    let write = |value: f64| WriteValue { source: temperature(), value, from: Vec::new() };
    driver.execute(&write(20.5)).await.unwrap();
    let path = "/views/values/home%2Ftemperature";
    let head = served.annals.store().head().await.unwrap();
    served.annals.view::<Values>(&temperature()).after(head).await.unwrap();

    let denied = driver.get(path).await.unwrap_err().to_string();
    assert!(denied.starts_with("403") && denied.contains("no right to read values"), "{denied}");
    let reader =
        served.client("reader", &["read values home/temperature", "audit full target=source:home/temperature"]);
    let reader = reader.await;
    assert_eq!(reader.get(path).await.unwrap()["readings"][0]["value"], json!(20.5));
    for other in ["/views/values", "/views/values/home%2Fpresence", "/audit"] {
        assert!(reader.get(other).await.unwrap_err().to_string().starts_with("403"), "{other}");
    }
    let denied = reader.execute(&write(0.0)).await.unwrap_err().to_string();
    assert!(denied.starts_with("403") && denied.contains("execute write_value"), "{denied}");

    // To observe is a right of its own.
    let live = "/live/audit?event=source_value.written&target=source:home/temperature";
    let denied = reader.follow(live).await.unwrap_err().to_string();
    assert!(denied.starts_with("403") && denied.contains("observe"), "{denied}");
    let observer = served.client("observer", &["audit full target=source:home/temperature observe"]).await;
    let mut rows = observer.follow(live).await.unwrap();
    let value = |row: Value| row["payload"]["value"].clone();
    assert_eq!(value(in_time("the stored value", rows.next()).await.unwrap()), json!(20.5));
    driver.execute(&write(21.0)).await.unwrap();
    assert_eq!(value(in_time("a pushed value", rows.next()).await.unwrap()), json!(21.0));
    // The agreement ends, and so does the stream.
    let app = AppId::new("observer").reference();
    let grant = *served.annals.access_of(&app).await.unwrap().grants().keys().next().unwrap();
    served.annals.execute(RevokeAccess::new(app, grant, "enough"), &ann()).await.unwrap();
    let ended = in_time("the end", rows.next()).await.unwrap_err().to_string();
    assert_eq!(ended, "the stream ended: \"denied\"");
    served.close().await;
}

/// Mission D14.
async fn no_token_is_in_the_log_and_the_views_are_those_of_a_replay(place: &Place) {
    let served = Served::new(place).await;
    let driver = served.driver().await;
    register(&driver, &temperature()).await;
    for value in [19.0, 20.0] {
        driver.execute(&WriteValue { source: temperature(), value, from: Vec::new() }).await.unwrap();
    }
    let token = served.token("comfort", &["read values home/temperature"]).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.view::<Values>(&temperature()).after(head).await.unwrap();
    let (status, _) = served.owner(Method::GET, "/views/values/home%2Ftemperature", None).await;
    assert_eq!(status, 200);
    let client = databox::programs::Client::new(served.url.clone(), token.clone(), AppId::new("comfort"));
    client.get("/views/values/home%2Ftemperature").await.unwrap();
    client.get("/views/values").await.unwrap_err();

    let page = served.annals.events(0, 1_000).await.unwrap();
    assert!(page.events.iter().any(|event| event.event_type == "annals_access.token_issued"));
    // Also a part of it would be too much.
    let parts: Vec<&str> = (0..token.len() - 24).step_by(8).map(|at| &token[at..at + 24]).collect();
    for event in &page.events {
        let text = format!("{} {}", event.payload, event.metadata);
        assert!(!parts.iter().any(|part| text.contains(part)), "{}: {text}", event.event_type);
    }

    let documents = async || {
        let head = served.annals.store().head().await.unwrap();
        let mut all = Vec::new();
        for view in [Apps::NAME, Catalogue::NAME, Values::NAME, "access"] {
            let page = served.annals.json_view(view).unwrap().after(head).page(100, None).await.unwrap();
            assert!(!page.documents.is_empty(), "{view}");
            all.push((view, page.documents));
        }
        all
    };
    let before = documents().await;
    for view in [Apps::NAME, Catalogue::NAME, Values::NAME, "access"] {
        served.annals.rebuild(view).unwrap().await.unwrap();
    }
    assert_eq!(documents().await, before);
    served.close().await;
}

/// Mission D15.
async fn a_new_source_is_pushed_and_the_catalogue_says_at_which_position_it_is_settled(place: &Place) {
    let served = Served::new(place).await;
    let driver = served.driver().await;
    register(&driver, &temperature()).await;
    let topic = "databox/catalogue";
    let rights = ["read catalogue *", "audit metadata topic=databox/catalogue/* observe"];
    let watcher = served.client("watcher", &rights).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.views::<Catalogue>().after(head).page(10, None).await.unwrap();

    let catalogue = watcher.get("/views/catalogue").await.unwrap();
    assert_eq!(catalogue["documents"][0]["key"], json!("home/temperature"), "{catalogue}");
    // The catalogue is settled up to this position: what is new comes after it.
    let settled = catalogue["head"]["position"].as_u64().unwrap();
    assert!(settled >= head.position, "{catalogue}");
    let presence = SourceId::new("home/presence");
    register(&driver, &presence).await;
    let live = format!("/live/audit?topic={topic}&event=source.registered&from={}", settled + 1);
    let mut rows = watcher.follow(&live).await.unwrap();
    let first = in_time("the source that was added meanwhile", rows.next()).await.unwrap();
    assert_eq!(first["aggregate"], json!("source:home/presence"));
    register(&driver, &SourceId::new("home/humidity")).await;
    let pushed = in_time("a pushed source", rows.next()).await.unwrap();
    assert_eq!(pushed["aggregate"], json!("source:home/humidity"));
    served.close().await;
}

/// Mission D23.
async fn the_first_event_of_a_new_store_is_audited_although_nobody_observes(place: &Place) {
    let served = Served::new(place).await;
    let driver = served.driver().await;
    register(&driver, &temperature()).await;
    driver.execute(&WriteValue { source: temperature(), value: 18.0, from: Vec::new() }).await.unwrap();
    // Afterwards an audit application comes: it sees who did what, and no values.
    let watcher = served.client("watcher", &["audit metadata"]).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.audit().after(head).limit(1).page().await.unwrap();
    let page = watcher.get("/audit?target=store:home&limit=10").await.unwrap();
    let events: Vec<&str> =
        page["rows"].as_array().unwrap().iter().filter_map(|row| row["event_type"].as_str()).collect();
    assert!(events.contains(&"store.opened") && events.contains(&"source.registered"), "{page}");
    assert_eq!(page["detail"], json!("metadata"));
    let page = watcher.get("/audit?target=source:home/temperature&event=source_value.written").await.unwrap();
    let first = &page["rows"][0];
    assert_eq!(first["actor"], json!("app:thermostat"), "{page}");
    assert_eq!(first["sentence"], json!("app:thermostat wrote [redacted] to source:home/temperature"));
    // The owner sees by which request.
    let path = "/audit?target=source:home/temperature&event=source_value.written";
    let (_, page) = served.owner(Method::GET, path, None).await;
    assert_eq!(page["rows"][0]["origin"]["path"], json!("/commands/write_value"), "{page}");
    served.close().await;
}

/// Mission D16.
async fn what_the_owner_looks_at_is_recorded(place: &Place) {
    let served = Served::new(place).await;
    register(&served.driver().await, &temperature()).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.view::<Values>(&temperature()).after(head).await.unwrap();
    let (status, _) = served.owner(Method::GET, "/views/values/home%2Ftemperature", None).await;
    assert_eq!(status, 200);
    let page = reqwest::get(format!("{}/history?of=source:home/temperature", served.url)).await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    let views = in_time("the records of two reads", async {
        loop {
            let views = served.sentences("annals_read.viewed").await;
            if views.len() >= 2 {
                return views;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(views.contains(&"user:ann read home/temperature in values".to_owned()), "{views:?}");
    assert!(views.iter().any(|view| view.contains("the audit log")), "{views:?}");
    served.close().await;
}

/// Missions D30 and D27.
async fn an_installed_app_is_made_of_a_package_of_a_publisher_and_ends_with_its_removal(place: &Place) {
    let served = Served::new(place).await;
    served.token("comfort", &["audit metadata"]).await;
    let comfort = AppId::new("comfort");
    let receipt = served.annals.execute(UninstallApp { app: comfort.clone() }, &ann()).await.unwrap();
    let page = served.annals.provenance(&comfort.reference()).after(receipt).page().await.unwrap();
    assert_eq!(page.document.problems(), [""; 0]);
    let has = |kind: StatementKind, first: &str, second: &str| {
        page.document.statements.iter().any(|statement| {
            let mut arguments = statement.arguments.iter().flatten();
            statement.kind == kind
                && arguments.next().is_some_and(|one| one == first)
                && (second.is_empty() || arguments.next().is_some_and(|one| one == second))
        })
    };
    let (local, shop) = ("log:app/comfort@1", "log:package/hearth%2Fcomfort@1");
    assert_eq!(PackageId::new(PACKAGE).reference().as_str(), "package:hearth/comfort");
    assert!(has(StatementKind::WasGeneratedBy, local, ""), "{}", page.document.to_prov_n());
    assert!(has(StatementKind::WasDerivedFrom, local, shop), "{}", page.document.to_prov_n());
    assert!(has(StatementKind::WasAttributedTo, shop, "log:organisation/hearth"), "{}", page.document.to_prov_n());
    assert!(has(StatementKind::WasInvalidatedBy, local, ""), "{}", page.document.to_prov_n());
    served.close().await;
}
