//! Intakes over HTTP, without a broker.

use annals::app::{AccessContext, Ask, Denial};
use annals::http::Authentication;
use annals::intakes::{Intake, RabbitQueue};
use annals::prelude::*;
use annals_test_postgres::Place;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::tally::*;

struct Served {
    annals: Annals,
    url: String,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn new(app: App, place: &Place) -> Self {
        let annals = app.open(place.url()).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let authentication = Authentication::trusting(Some(Ref::new("service", "shop").unwrap()));
        let router = annals::http::router(annals.clone()).authentication(authentication).into_router();
        let serving = tokio::spawn(annals::http::serve(listener, router, std::future::pending()));
        Self { annals, url, serving }
    }

    /// Returns the status and the answer.
    async fn send(&self, intake: &str, headers: &[(&str, &str)], body: impl Into<String>) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/intakes/{intake}/messages", self.url));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.body(body.into()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(json!(null)))
    }

    async fn publish(&self, message: &Value) -> (u16, Value) {
        self.send("additions", &[("Content-Type", "application/cloudevents+json")], message.to_string()).await
    }

    async fn close(self) {
        self.serving.abort();
        self.annals.close().await;
    }
}

pub async fn messages_over_http_are_executed_once_and_answered(place: &Place) {
    let other = Intake::new("other", added).from(RabbitQueue::new("amqp://127.0.0.1:1/%2f").queue("in"));
    let served = Served::new(tally().intake(additions().over_http().largest(1_000)).intake(other), place).await;
    let (status, first) = served.publish(&message("1", "a", 5)).await;
    assert_eq!((status, &first["refused"], &first["receipt"]["repeated"]), (200, &json!(false), &json!(false)));
    let (status, again) = served.publish(&message("1", "a", 5)).await;
    assert_eq!((status, &again["receipt"]["repeated"]), (200, &json!(true)));
    assert_eq!(again["receipt"]["head"], first["receipt"]["head"]);
    assert_eq!(served.publish(&message("1", "a", 6)).await.0, 422);
    // Another caller has ids of its own.
    let kind = ("Content-Type", "application/cloudevents+json; charset=utf-8");
    let (status, _) =
        served.send("additions", &[kind, ("Annals-Actor", "service:bank")], message("1", "a", 7).to_string()).await;
    assert_eq!(status, 200);
    for _ in 0..2 {
        let (status, refused) = served.publish(&message("2", "a", -100)).await;
        assert_eq!((status, &refused["refused"]), (200, &json!(true)));
    }
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "3"),
        ("ce-source", "/test"),
        ("ce-type", "added"),
        ("ce-subject", "a"),
        ("Content-Type", "application/json"),
    ];
    assert_eq!(served.send("additions", &binary, "9").await.0, 200);
    assert_eq!(numbers(&served.annals, "a").await, [5, 7, 9]);
    let event = &events(&served.annals, "tally.added").await[0];
    assert_eq!(event.metadata().unwrap().origin.unwrap().method.as_deref(), Some("POST"));

    let mut unknown = message("4", "a", 5);
    unknown["type"] = "multiplied".into();
    let mut large = message("5", "a", 5);
    large["more"] = "x".repeat(1_000).into();
    for (body, why) in
        [(unknown.to_string(), "multiplied"), (large.to_string(), "at most 1000"), ("x".to_owned(), "JSON")]
    {
        let (status, problem) = served.send("additions", &[kind], body).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(why), "{status} {problem}");
    }
    assert_eq!(served.send("additions", &[("Content-Type", "application/json")], "{}").await.0, 415);
    assert_eq!(served.send("none", &[kind], "{}").await.0, 404);
    assert_eq!(served.send("other", &[kind], message("6", "a", 5).to_string()).await.0, 404);
    assert_eq!(reasons(&served.annals).await.len(), 0, "the sender has them still");
    served.annals.pause_intake("additions", "they move", &by("ann")).await.unwrap();
    assert_eq!(served.publish(&message("7", "a", 5)).await.0, 503);
    let shown = status_of_first(&served.annals).await;
    assert_eq!((shown.origin.as_str(), shown.refused), ("POST /intakes/additions/messages", 1));
    served.close().await;
}

async fn status_of_first(annals: &Annals) -> annals::intakes::IntakeStatus {
    annals.intakes().await.unwrap().remove(0)
}

/// Only the shop publishes, and mallory may add nothing.
fn rules(access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match ask {
        Ask::Operate { operation: "publish", projection } if access.actor().id() != "shop" => {
            Err(Denial::because(format!("no publishing to {projection:?}")))
        }
        Ask::Command { .. } if access.actor().id() == "mallory" => Err(Denial::because("mallory may not")),
        _ => Ok(()),
    }
}

pub async fn publishing_over_http_needs_a_right_and_so_does_the_command(place: &Place) {
    let served = Served::new(tally().authorise(rules).intake(additions().over_http()), place).await;
    let kind = ("Content-Type", "application/cloudevents+json");
    let from_bank = [kind, ("Annals-Actor", "service:bank")];
    let (status, problem) = served.send("additions", &from_bank, message("1", "a", 5).to_string()).await;
    assert!(status == 403 && problem.to_string().contains("intake_additions"), "{status} {problem}");
    let mut by_mallory = message("1", "a", 5);
    by_mallory["user"] = "mallory".into();
    assert_eq!(served.publish(&by_mallory).await.0, 403);
    assert_eq!(served.publish(&message("2", "a", 5)).await.0, 200);
    assert_eq!(numbers(&served.annals, "a").await, [5]);
    served.close().await;
}
