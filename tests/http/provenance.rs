//! Provenance over HTTP: formats, the page, its record and its rights.

use annals::app::{AccessContext, Ask, Denial};
use annals::projections::audit::Detail;
use annals::projections::provenance::Agents;
use annals_test_postgres::Place;
use reqwest::Method;

use crate::bank::{self, app};
use crate::served::{Served, after, answer};

annals_test_postgres::both_stores! {
    provenance_is_served_in_each_format_and_as_a_page,
    the_page_of_provenance_needs_the_right_to_the_audit_log_and_is_recorded,
}

async fn provenance_is_served_in_each_format_and_as_a_page(place: &Place) {
    let served = Served::alice(app().provenance(Agents::default()), place).await;
    served.deposit("a", 1).await;
    let last = served.deposit("a", 2).await;
    let after = after(&last);
    for (format, content_type, has) in [
        ("json", "application/json", "log:account/a@2"),
        ("provn", "text/provenance-notation; charset=utf-8", "wasGeneratedBy(log:account/a@2"),
        ("dot", "text/vnd.graphviz; charset=utf-8", "account:a after its event 2"),
        ("svg", "image/svg+xml", ">version 2</text>"),
    ] {
        let answer = served.get(&format!("/provenance/account/a?format={format}&{after}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, content_type), "{answer:?}");
        assert!(answer.text.contains(has), "{answer:?}");
        // The style of a drawing is in its file; nothing that runs is.
        let policy = answer.header("content-security-policy");
        assert_eq!(policy.contains("style-src 'unsafe-inline'"), format == "svg", "{policy}");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    let page = async |path: &str| answer(served.request(Method::GET, path).header("Accept", "text/html")).await;
    let shown = page("/page/provenance/account/a").await;
    assert!(shown.text.contains("<svg class=\"provenance\"") && shown.text.contains("was made by"), "{shown:?}");
    assert!(shown.text.contains("as of position <span class=\"number\">2</span>"), "{shown:?}");
    let link = "href=\"/page/provenance/account/a\"";
    assert!(page("/history?of=account:a").await.text.contains(link), "a link from its history");
    let state = page("/page/state?of=account:a&version=1").await.text;
    assert!(state.contains("/page/provenance/account/a?at=1\""), "a link from a version of it: {state}");
    let first = page("/page/provenance/account/a?at=1&depth=1&direction=forwards").await.text;
    assert!(
        first.contains("account:a after its event 1") && !first.contains("account:a after its event 2"),
        "{first}"
    );
    // Empty fields of the form are no parameters.
    assert_eq!(page("/page/provenance/account/a?direction=backwards&depth=3&at=").await.status, 200);
    for (path, status) in [
        ("account/a?depth=0", 400),
        ("account/a?depth=65", 400),
        ("account/a?direction=up", 400),
        ("account/a?at=never", 400),
        ("account/a?cursor=00", 400),
        ("account/a?format=svg", 400),
        ("Account/a", 400),
    ] {
        let answer = page(&format!("/page/provenance/{path}")).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.text.contains("<h1>"), "a page says what is wrong: {answer:?}");
    }
    served.stop().await;
    let without = Served::alice(app(), place).await;
    assert_eq!(without.get("/page/provenance/account/a").await.status, 404);
    let history = answer(without.request(Method::GET, "/history?of=account:a").header("Accept", "text/html")).await;
    assert!(!history.text.contains("/page/provenance"), "no link to what there is not");
    without.stop().await;
}

/// Missions D16 and X16.
async fn the_page_of_provenance_needs_the_right_to_the_audit_log_and_is_recorded(place: &Place) {
    let rights = |access: &AccessContext<'_>, ask: &Ask<'_>| match (access.actor().id(), ask) {
        ("nobody", Ask::Audit { .. }) => Err(Denial::because("not for you")),
        ("vicar", Ask::Audit { detail, .. }) if *detail == Detail::Full => Err(Denial::because("not for you")),
        _ => Ok(()),
    };
    let app = || app().provenance(Agents::default());
    let served = Served::alice(app().authorise(rights).record_reads().record_refusals(), place).await;
    served.deposit("a", 5).await;
    let page = async |actor: &str| {
        let request = served.request(Method::GET, "/page/provenance/account/a").header("Accept", "text/html");
        answer(request.header("Annals-Actor", format!("user:{actor}"))).await
    };
    assert_eq!(page("nobody").await.status, 403);
    assert!(page("vicar").await.text.contains("You see metadata"));
    assert!(!page("eve").await.text.contains("You see metadata"));
    served.stop().await;
    let annals = app().open(place.url()).await.unwrap();
    let log = bank::log(&annals).await;
    let recorded = |actor: &str| -> Vec<(&str, &str)> {
        let by = log.iter().filter(|event| event.metadata().unwrap().actor.id() == actor);
        by.map(|event| (event.event_type.as_str(), event.payload.as_str())).collect()
    };
    let [(event_type, payload)] = recorded("eve")[..] else { panic!("{:?}", recorded("eve")) };
    assert!(event_type == "annals_read.viewed" && payload.contains("the provenance of account:a"), "{payload}");
    assert!(recorded("vicar")[0].1.contains("metadata of the provenance of account:a"), "{:?}", recorded("vicar"));
    assert_eq!(recorded("nobody")[0].0, "annals_refusal.denied");
    annals.close().await;
}
