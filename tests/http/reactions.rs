//! Reactions over HTTP: status, pending steps, skips, metrics, the page.

use std::time::Duration;

use annals::prelude::*;
use annals::reactions::{Reaction, Then};
use annals_test_postgres::Place;
use reqwest::{Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bank::{Account, AccountEvent, AccountId, Deposit, app};
use crate::served::{Served, answer};

annals_test_postgres::both_stores! {
    reactions_are_listed_without_the_values_of_their_commands,
    a_step_is_skipped_once_and_for_a_reason,
    a_skipped_step_is_replayed_once_over_http_and_on_the_page,
    the_metrics_of_reactions_are_correct,
    the_page_shows_reactions_and_skips_a_step,
    an_application_without_reactions_has_none,
}

/// Send a letter. The application does not register it, so that it cannot be executed
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct SendLetter {
    #[on(Account)]
    account: AccountId,
}

impl Handle for SendLetter {
    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, crate::bank::BankError> {
        Ok(Vec::new())
    }
}

/// A letter at once, which fails, and a bonus after an hour.
struct Welcoming;

impl Reaction for Welcoming {
    const NAME: &'static str = "welcoming";
    type On = Account;
    fn react(event: &Recorded<AccountEvent>, account: &Loaded<Account>) -> Then {
        let account = account.id().clone();
        match event.event {
            AccountEvent::Opened => Then::nothing().execute(SendLetter { account: account.clone() }).after(
                Duration::from_secs(3_600),
                "bonus",
                Deposit { account, cents: 987_654_321 },
            ),
            AccountEvent::Deposited { cents: 13 } => panic!("what an odd amount"),
            _ => Then::nothing(),
        }
    }
}

/// Accounts are opened, and the letters fail.
async fn served(place: &Place, accounts: &[&str]) -> Served {
    let served = Served::alice(app().reaction::<Welcoming>(), place).await;
    for account in accounts {
        let opened = served.post("/commands/open_account", &json!({ "account": account })).await;
        assert_eq!(opened.status, 200, "{opened:?}");
    }
    until(&served, |status| status["blocked"].as_array().unwrap().len() == accounts.len()).await;
    served
}

async fn until(served: &Served, is: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let status = served.get("/reactions").await.json()[0].clone();
            if is(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it becomes true")
}

async fn reactions_are_listed_without_the_values_of_their_commands(place: &Place) {
    let served = served(place, &["a", "b"]).await;
    served.deposit("c", 13).await;
    let status = until(&served, |status| status["parked"] != json!([])).await;
    assert_eq!(
        (&status["name"], &status["pending"], &status["timers"], &status["leads"], &status["stopped"]),
        (&json!("welcoming"), &json!(2), &json!(2), &json!(true), &Value::Null)
    );
    assert_eq!(
        (&status["parked"][0]["aggregate"], &status["parked"][0]["position"]),
        (&json!("account:c"), &json!(4))
    );
    let pending = served.get("/reactions/welcoming/pending").await;
    assert!(!pending.text.contains("987654321"), "{pending:?}");
    let steps = pending.json()["steps"].as_array().unwrap().clone();
    let commands: Vec<&str> = steps.iter().map(|step| step["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["send_letter", "send_letter", "deposit", "deposit"]);
    assert_eq!((&steps[2]["timer"], &steps[0]["timer"]), (&json!("bonus"), &Value::Null));

    let mut paged: Vec<Value> = Vec::new();
    let mut next = json!("");
    while let Some(cursor) = next.as_str() {
        let cursor = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = served.get(&format!("/reactions/welcoming/pending?limit=3{cursor}")).await.json();
        paged.extend(page["steps"].as_array().unwrap().clone());
        next = page["next"].clone();
    }
    assert_eq!(paged, steps);
    let of_one = served.get("/reactions/welcoming/pending?aggregate=account:b&timers=true").await.json();
    assert_eq!(of_one["steps"], json!([steps[3]]));
    for (query, parameter) in
        [("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=1", "cursor"), ("to=1", "to")]
    {
        let refused = served.get(&format!("/reactions/welcoming/pending?{query}")).await;
        assert!(refused.problem(400, "malformed").contains(parameter), "{refused:?}");
    }
    let unknown = served.get("/reactions/none/pending").await.problem(404, "not-found");
    assert!(unknown.contains("there are `welcoming`"), "{unknown}");
    served.stop().await;
}

/// Mission X65, over HTTP.
async fn a_step_is_skipped_once_and_for_a_reason(place: &Place) {
    let served = served(place, &["a"]).await;
    let steps = served.get("/reactions/welcoming/pending").await.json()["steps"].clone();
    let step = steps[0]["id"].as_str().unwrap();
    let path = "/reactions/welcoming/skip";
    served.do_it(Method::POST, path).await.problem(415, "media-type");
    served.post(path, &json!({ "step": step })).await.problem(400, "malformed");
    served.post(path, &json!({ "step": step, "why": "", "more": 1 })).await.problem(400, "malformed");
    let why = served.post(path, &json!({ "step": step, "why": " " })).await.problem(400, "malformed");
    assert!(why.contains("say why"), "{why}");
    let unknown = json!({ "step": "018f0000-0000-4000-8000-000000000001", "why": "none" });
    served.post(path, &unknown).await.problem(404, "not-found");
    served.post("/reactions/none/skip", &json!({ "step": step, "why": "none" })).await.problem(404, "not-found");
    let skip = json!({ "step": step, "why": "the customer called" });
    let skipped = served.post(path, &skip).await;
    assert_eq!(skipped.status, 200, "{skipped:?}");
    let left = until(&served, |status| status["pending"] == json!(0)).await;
    assert_eq!((&left["blocked"], &left["timers"]), (&json!([]), &json!(1)));
    served.post(path, &skip).await.problem(404, "not-found");
    let at = skipped.json()["head"]["position"].clone();
    let event = &served.get(&format!("/events?from={at}&limit=1")).await.json()["events"][0];
    assert_eq!(
        (&event["event_type"], &event["metadata"]["actor"]),
        (&json!("annals_reaction.skipped"), &json!("user:alice"))
    );
    assert_eq!(event["payload"]["why"], json!("the customer called"));
    served.stop().await;
}

/// Mission X65, over HTTP.
async fn a_skipped_step_is_replayed_once_over_http_and_on_the_page(place: &Place) {
    let served = served(place, &["a", "b"]).await;
    let steps = served.get("/reactions/welcoming/pending").await.json()["steps"].clone();
    let ids: Vec<&str> = [0, 2, 3].map(|n| steps[n]["id"].as_str().unwrap()).to_vec();
    let [letter, bonus, other] = ids[..] else { unreachable!() };
    let path = "/reactions/welcoming/replay";
    let body = |step: &str| json!({ "step": step, "why": "somebody asked" });
    served.do_it(Method::POST, path).await.problem(415, "media-type");
    served.post(path, &json!({ "step": bonus, "why": " " })).await.problem(400, "malformed");
    let early = served.post(path, &body(bonus)).await.problem(404, "not-found");
    assert!(early.contains("neither refused nor skipped"), "{early}");
    for step in &ids {
        let skip = json!({ "step": step, "why": "the customer called" });
        assert_eq!(served.post("/reactions/welcoming/skip", &skip).await.status, 200);
    }
    let unregistered = served.post(path, &body(letter)).await.problem(409, "conflict");
    assert!(unregistered.contains("send_letter"), "{unregistered}");
    let done = served.post(path, &body(bonus)).await;
    assert!(done.status == 200 && done.json()["refused"] == json!(false), "{done:?}");
    served.post(path, &body(bonus)).await.problem(409, "conflict");

    // The page has a form beside the event of the skip.
    let page = async |path: &str| answer(served.request(Method::GET, path).header("Accept", "text/html")).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.audit().after(head).limit(1).page().await.unwrap();
    let skipped = page("/?event=annals_reaction.skipped").await;
    assert!(skipped.text.contains("/page/reactions/replay") && skipped.text.contains(other), "{skipped:?}");
    let submit = async |fields: String| {
        let request = served.request(Method::POST, "/page/reactions/replay");
        let form = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields);
        answer(form.header("Accept", "text/html")).await
    };
    assert_eq!(submit(format!("name=welcoming&step={other}&why=")).await.status, 400);
    let done = submit(format!("name=welcoming&step={other}&why=somebody+asked")).await;
    assert!(done.status == 200 && done.text.contains("somebody asked"), "{done:?}");
    let deposits = served.get("/events?from=1&limit=100").await.json()["events"].clone();
    let deposits =
        deposits.as_array().unwrap().iter().filter(|one| one["event_type"] == json!("account.deposited"));
    assert_eq!(deposits.count(), 2);
    served.stop().await;
}

async fn the_metrics_of_reactions_are_correct(place: &Place) {
    let served = served(place, &["a", "b"]).await;
    served.deposit("c", 13).await;
    until(&served, |status| status["parked"] != json!([])).await;
    let numbers = served.get("/metrics").await.text;
    let value = |name: &str| {
        let name = format!("annals_reaction_{name}{{reaction=\"welcoming\"}} ");
        let line = numbers.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|value| value.parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name} in {numbers}"))
    };
    assert_eq!([value("pending_steps"), value("timers"), value("superseded")], [2.0, 2.0, 0.0]);
    assert_eq!([value("blocked_aggregates"), value("parked_aggregates")], [2.0, 1.0]);
    assert!(value("oldest_due_seconds") > 0.0 && value("oldest_due_seconds") < 3_600.0);
    assert!(value("failures_total") >= 2.0);
    assert!(numbers.contains("annals_projection_lag_events{projection=\"reaction_welcoming\"} 0"), "{numbers}");
    served.stop().await;
}

async fn the_page_shows_reactions_and_skips_a_step(place: &Place) {
    let served = served(place, &["a", "b"]).await;
    let page = async |path: &str| answer(served.request(Method::GET, path).header("Accept", "text/html")).await;
    let shown = page("/page/reactions").await;
    assert!(shown.text.contains("2 aggregates blocked") && shown.text.contains(">account:a<"), "{shown:?}");
    assert!(!shown.text.contains("987654321"), "{shown:?}");
    assert_eq!(page("/page/reactions?name=welcoming").await.status, 200);
    assert_eq!(page("/page/reactions?name=none").await.status, 404);
    assert_eq!(page("/page/reactions?cursor=1").await.status, 400);
    let steps = served.get("/reactions/welcoming/pending").await.json()["steps"].clone();
    let submit = async |fields: String| {
        let request = served.request(Method::POST, "/page/reactions/skip");
        let form = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields);
        answer(form.header("Accept", "text/html")).await
    };
    let step = steps[0]["id"].as_str().unwrap();
    for fields in ["", "name=welcoming", "name=welcoming&step=1&why=w", &format!("name=welcoming&step={step}&why=")]
    {
        assert_eq!(submit(fields.to_owned()).await.status, 400, "{fields}");
    }
    // The client follows the redirect. The page has the skip.
    let done = submit(format!("name=welcoming&step={step}&why=nobody+reads+it")).await;
    assert!(done.status == 200 && !done.text.contains(step), "{done:?}");
    assert!(done.text.contains(steps[1]["id"].as_str().unwrap()), "{done:?}");
    served.stop().await;
}

async fn an_application_without_reactions_has_none(place: &Place) {
    let served = Served::alice(app(), place).await;
    assert_eq!(served.get("/reactions").await.json(), json!([]));
    let none = served.get("/reactions/none/pending").await.problem(404, "not-found");
    assert!(none.contains("there are none"), "{none}");
    served
        .post("/reactions/none/skip", &json!({ "step": "018f0000-0000-4000-8000-000000000001", "why": "w" }))
        .await
        .problem(404, "not-found");
    let page = answer(served.request(Method::GET, "/page/reactions").header("Accept", "text/html")).await;
    assert!(page.text.contains("This application has no reactions."), "{page:?}");
    // The navigation has no entry, and there are no metrics of it.
    assert!(!page.text.contains("href=\"/page/reactions\""), "{page:?}");
    assert!(!served.get("/metrics").await.text.contains("annals_reaction_"));
    served.stop().await;
}
