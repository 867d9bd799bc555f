//! Executing commands.

use annals::app::{AccessContext, Ask, Denial};
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{self, app};
use crate::served::{Served, answer};

annals_test_postgres::both_stores! {
    a_command_is_executed_and_returns_its_receipt,
    a_retry_with_the_same_key_has_no_second_effect_and_returns_the_first_receipt,
    a_key_is_bound_to_its_actor,
    a_refusal_has_a_message_and_the_variant_of_its_error,
    a_denied_command_changes_nothing,
    a_command_completes_although_its_client_disconnects,
}

async fn a_command_is_executed_and_returns_its_receipt(place: &Place) {
    let served = Served::alice(app(), place).await;
    let receipt = served.deposit("a", 5).await;
    let stored = &bank::log(&served.annals).await[0];
    assert_eq!(receipt["first_position"], 1);
    assert_eq!(receipt["events"], 1);
    assert_eq!(receipt["repeated"], false);
    assert_eq!(receipt["head"]["event_id"], json!(stored.event_id));
    assert_eq!(receipt["command_id"], json!(stored.command_id));
    let listed = served.get("/commands").await.json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["close_accounts", "deposit", "deposit_quoted", "open_account", "transfer"]);
    let deposit = served.get("/commands/deposit").await.json();
    assert_eq!(deposit["summary"], "Pay in. A payment of 0 decides no events");
    assert_eq!(deposit["schema"]["required"], json!(["account", "cents"]));
    assert_eq!(deposit["schema"]["additionalProperties"], false);
    served.get("/commands/depositt").await.problem(404, "not-found");
    let detail = served.post("/commands/depositt", &json!({})).await.problem(404, "not-found");
    assert!(detail.contains("open_account"), "{detail}");
    served.stop().await;
}

/// Mission X2, over HTTP.
async fn a_retry_with_the_same_key_has_no_second_effect_and_returns_the_first_receipt(place: &Place) {
    let served = Served::alice(app(), place).await;
    let id = Uuid::new_v4();
    let ask = async |key: &str, cents: i64| {
        let request = served.request(Method::POST, "/commands/deposit").header("Idempotency-Key", key);
        answer(request.json(&json!({ "account": "a", "cents": cents }))).await
    };
    let first = ask(&id.to_string(), 5).await.json();
    let again = ask(&format!("\"{id}\""), 5).await.json();
    assert_eq!(first["command_id"], json!(id));
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    assert_eq!(first["head"], again["head"]);
    let other = ask(&id.to_string(), 6).await;
    other.problem(422, "command-id-reused");
    assert_eq!(other.json()["command_id"], json!(id));
    ask("not-a-uuid", 5).await.problem(400, "malformed");
    assert_eq!(bank::log(&served.annals).await.len(), 1);
    served.stop().await;
}

/// Guarantee 2, over HTTP: another actor does not get the receipt of a key.
async fn a_key_is_bound_to_its_actor(place: &Place) {
    let served = Served::alice(app(), place).await;
    let id = Uuid::new_v4();
    let ask = async |who: &str| {
        let request = served.request(Method::POST, "/commands/deposit").header("Idempotency-Key", id.to_string());
        answer(request.header("Annals-Actor", who).json(&json!({ "account": "a", "cents": 5 }))).await
    };
    assert_eq!(ask("user:alice").await.json()["repeated"], false);
    let other = ask("user:bob").await;
    other.problem(422, "command-id-reused");
    assert!(other.json().get("head").is_none(), "{other:?}");
    assert_eq!(ask("user:alice").await.json()["repeated"], true);
    let events = bank::log(&served.annals).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].metadata().unwrap().actor.as_str(), "user:alice");
    served.stop().await;
}

/// Mission X5, over HTTP.
async fn a_refusal_has_a_message_and_the_variant_of_its_error(place: &Place) {
    let served = Served::alice(app().record_refusals(), place).await;
    let body = json!({ "from": "a", "to": "b", "cents": 5 });
    let refused = served.post("/commands/transfer", &body).await;
    assert_eq!(refused.problem(422, "refused"), "account:a holds too little");
    assert_eq!(refused.json()["refusal"], "TooLittle");
    let twice = served.post("/commands/transfer", &json!({ "from": "a", "to": "a", "cents": 0 })).await;
    assert!(twice.problem(422, "twice").contains("account:a"));
    let faulty = served.post("/commands/deposit", &json!({ "account": "a", "cents": i64::MIN })).await;
    assert!(
        !faulty.problem(500, "internal").contains("handler with a fault"),
        "the cause of an internal error is not sent to clients"
    );
    assert_eq!(served.deposit("a", 5).await["events"], 1, "the server still works");
    served.stop().await;
}

/// Mission A9.
async fn a_denied_command_changes_nothing(place: &Place) {
    let only_bob = |context: &AccessContext<'_>, ask: &Ask<'_>| match ask {
        Ask::Command { .. } if context.actor().id() != "bob" => Err(Denial::because("only bob may")),
        _ => Ok(()),
    };
    let served = Served::alice(app().authorise(only_bob), place).await;
    let body = json!({ "account": "a", "cents": 5 });
    assert_eq!(served.post("/commands/deposit", &body).await.problem(403, "denied"), "denied: only bob may");
    assert!(bank::log(&served.annals).await.is_empty());
    let as_bob = served.request(Method::POST, "/commands/deposit").header("Annals-Actor", "user:bob");
    assert_eq!(answer(as_bob.json(&body)).await.status, 200);
    served.stop().await;
}

/// Guarantee 4: dropping the request does not cancel a command that the writer task has. A retry with the same key returns
/// its receipt.
async fn a_command_completes_although_its_client_disconnects(place: &Place) {
    let served = Served::alice(app(), place).await;
    let ids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    let send = |id: &Uuid| {
        served
            .request(Method::POST, "/commands/deposit")
            .header("Idempotency-Key", id.to_string())
            .json(&json!({ "account": "a", "cents": 1 }))
    };
    for (n, id) in ids.iter().enumerate() {
        let timeout = std::time::Duration::from_micros(300 * n as u64);
        let _ = tokio::time::timeout(timeout, send(id).send()).await;
    }
    for id in &ids {
        assert_eq!(answer(send(id)).await.json()["command_id"], json!(id));
    }
    let events = bank::log(&served.annals).await;
    assert_eq!(events.len(), ids.len());
    let payload: Value = serde_json::from_str(&events[0].payload).unwrap();
    assert_eq!(payload["cents"], 1);
    served.stop().await;
}
