//! Routes of the application in the same program.

use std::num::NonZeroU32;

use annals::app::{AccessContext, Ask, Denial};
use annals::http::{Authentication, Caller, Keys, Problem, RouterBuilder};
use annals::prelude::*;
use annals_test_postgres::Place;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bank::{self, Account, AccountId, Transfer, app};
use crate::served::{Answer, Served, answer};
use crate::tokens::{but, token};

annals_test_postgres::both_stores! {
    a_route_of_the_application_gets_the_verified_caller_and_executes_typed_commands,
    a_typed_error_becomes_a_problem,
    annals_is_mounted_beside_the_routes_of_the_application,
}

const SECRET: &[u8] = b"a secret of thirty-two bytes, at least";

#[derive(Deserialize)]
struct Payment {
    cents: i64,
}

/// Its state is the application's own, not annals'.
#[derive(Clone)]
struct Bank {
    annals: Annals,
    name: &'static str,
}

async fn mine(State(bank): State<Bank>, caller: Caller) -> Json<Value> {
    Json(
        json!({ "actor": caller.actor(), "groups": caller.claims().map(|claims| &claims["groups"]), "of": bank.name }),
    )
}

async fn pay(
    State(bank): State<Bank>,
    context: Context,
    Path(account): Path<String>,
    Json(payment): Json<Payment>,
) -> Result<Json<Value>, Problem> {
    let account = AccountId::new(account);
    let receipt =
        bank.annals.execute(bank::Deposit { account: account.clone(), cents: payment.cents }, &context).await?;
    let loaded = bank.annals.load::<Account>(&account).await?;
    Ok(Json(json!({ "position": receipt.first_position, "cents": loaded.cents })))
}

async fn move_all(
    State(bank): State<Bank>,
    context: Context,
    Path((from, to)): Path<(String, String)>,
) -> Result<(), Problem> {
    let transfer = Transfer { from: AccountId::new(from), to: AccountId::new(to), cents: 5 };
    bank.annals.execute(transfer, &context).await?;
    bank.annals.read_as(&context).view::<bank::Balance>(&AccountId::new("a")).await?;
    Ok(())
}

async fn panics() -> &'static str {
    panic!("a route with a fault")
}

fn own(annals: &Annals) -> Router {
    Router::new()
        .route("/mine", get(mine))
        .route("/accounts/{id}/payments", post(pay))
        .route("/move/{from}/{to}", post(move_all))
        .route("/panics", get(panics))
        .with_state(Bank { annals: annals.clone(), name: "bank" })
}

async fn served(app: App, place: &Place, configure: impl FnOnce(RouterBuilder) -> RouterBuilder) -> Served {
    let annals = app.open(place.url()).await.unwrap();
    let own = own(&annals);
    Served::opened(annals, |builder| configure(builder).with(own)).await
}

fn alice() -> Authentication {
    Authentication::trusting(Some("user:alice".parse().unwrap()))
}

fn bearer() -> Authentication {
    Authentication::bearer(Keys::from_secret(SECRET).unwrap(), "bank")
}

fn signed(change: &Value) -> String {
    token(Algorithm::HS256, None, &but(change), &EncodingKey::from_secret(SECRET))
}

/// Mission X33: the same keys, the same record of the origin, the same spans.
async fn a_route_of_the_application_gets_the_verified_caller_and_executes_typed_commands(place: &Place) {
    let served = served(app(), place, |builder| builder.authentication(bearer())).await;
    served.get("/mine").await.problem(401, "unauthenticated");
    let expired = served.request(Method::GET, "/mine").bearer_auth(signed(&json!({ "exp": 7 })));
    assert_eq!(answer(expired).await.problem(401, "unauthenticated"), "the token has expired");
    let named = served.request(Method::GET, "/mine").header("Annals-Actor", "user:mallory");
    let mine = answer(named.bearer_auth(signed(&json!({ "groups": ["staff"] })))).await;
    assert_eq!(mine.json(), json!({ "actor": "user:alice", "groups": ["staff"], "of": "bank" }));
    assert_eq!(mine.header("x-content-type-options"), "nosniff");
    assert_eq!(mine.header("cache-control"), "no-store");

    let paid = served.request(Method::POST, "/accounts/a/payments?x=1").bearer_auth(signed(&json!({})));
    assert_eq!(answer(paid.json(&json!({ "cents": 5 }))).await.json(), json!({ "position": 1, "cents": 5 }));
    let metadata = bank::log(&served.annals).await[0].metadata().unwrap();
    let origin = metadata.origin.unwrap();
    assert_eq!(metadata.actor.as_str(), "user:alice");
    assert_eq!((origin.method.as_deref(), origin.path.as_deref()), (Some("POST"), Some("/accounts/a/payments")));
    assert_eq!((origin.host.as_deref(), origin.format.as_deref()), (Some("127.0.0.1"), Some("json")));

    let metrics = answer(served.request(Method::GET, "/metrics").bearer_auth(signed(&json!({})))).await.text;
    assert!(metrics.contains(r#"route="/accounts/{id}/payments""#), "{metrics}");
    served.stop().await;
}

/// Mission X33: the application's error, a denial, a panic, and what axum refuses.
async fn a_typed_error_becomes_a_problem(place: &Place) {
    let not_bob = |access: &AccessContext<'_>, ask: &Ask<'_>| match (access.actor().id(), ask) {
        ("bob", _) | ("carol", Ask::View { .. }) => Err(Denial::because("not for you")),
        _ => Ok(()),
    };
    let app = app().authorise(not_bob);
    let served = served(app, place, |builder| builder.authentication(alice()).largest_body(100)).await;
    let ask = async |who: &str| {
        answer(served.request(Method::POST, "/move/a/b").header("Annals-Actor", format!("user:{who}"))).await
    };
    let refused = ask("alice").await;
    assert_eq!(refused.problem(422, "refused"), "account:a holds too little");
    assert_eq!(refused.json()["refusal"], "TooLittle");
    assert_eq!(ask("bob").await.problem(403, "denied"), "denied: not for you");
    served.deposit("a", 100).await;
    assert_eq!(ask("carol").await.problem(403, "denied"), "denied: not for you");
    let twice = answer(served.request(Method::POST, "/move/a/a")).await;
    assert!(twice.problem(422, "twice").contains("account:a"));
    let internal = served.get("/panics").await;
    assert!(!internal.problem(500, "internal").contains("fault"));

    let path = "/accounts/a/payments";
    served.post(path, &json!({ "cents": "x" })).await.problem(422, "unprocessable");
    served.post(path, &json!({ "cents": 1, "why": "x".repeat(200) })).await.problem(413, "too-large");
    let text = answer(served.request(Method::POST, path).body("{}")).await;
    text.problem(415, "media-type");
    let broken = served.request(Method::POST, path).header("content-type", "application/json").body("{");
    assert!(answer(broken).await.problem(400, "malformed").contains("EOF"));
    let other = answer(served.request(Method::DELETE, path)).await;
    other.problem(405, "method-not-allowed");
    assert_eq!(other.header("allow"), "POST, OPTIONS");
    let foreign = served.request(Method::POST, path).header("Origin", "https://evil.example");
    answer(foreign.json(&json!({ "cents": 1 }))).await.problem(403, "denied");
    let page = answer(served.request(Method::GET, "/panics").header("Accept", "text/html")).await;
    assert!(page.header("content-type").starts_with("text/html") && page.status == 500, "{page:?}");
    served.get("/elsewhere").await.problem(404, "not-found");
    served.stop().await;
}

async fn annals_is_mounted_beside_the_routes_of_the_application(place: &Place) {
    let served = served(app(), place, |builder| builder.authentication(alice()).mounted_at("/history")).await;
    assert_eq!(served.get("/mine").await.json()["actor"], "user:alice");
    served.post("/accounts/a/payments", &json!({ "cents": 5 })).await.json();
    let head = served.annals.store().head().await.unwrap();
    let path = format!("/history/audit?after={}:{}", head.position, head.event_id);
    let rows = served.get(&path).await.json();
    assert_eq!(rows["rows"][0]["sentence"], "user:alice paid 5 into account:a");
    let page: Answer = answer(served.request(Method::GET, "/history").header("Accept", "text/html")).await;
    assert_eq!(page.status, 200, "{page:?}");
    served.get("/audit").await.problem(404, "not-found");
    served.get("/history/elsewhere").await.problem(404, "not-found");
    served.stop().await;
}

#[tokio::test]
async fn a_rate_counts_requests_to_all_routes() {
    let rate = NonZeroU32::new(5).unwrap();
    let served = served(app(), &Place::sqlite(), |builder| builder.authentication(alice()).rate(rate)).await;
    let mut statuses = Vec::new();
    for n in 0..40 {
        let path = if n % 2 == 0 { "/mine" } else { "/commands" };
        statuses.push((path, served.get(path).await.status.as_u16()));
    }
    for path in ["/mine", "/commands"] {
        assert!(statuses.contains(&(path, 429)), "{statuses:?}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_route_outside_of_the_builder_has_no_caller() {
    let (place, annals) = (Place::sqlite(), app());
    let annals = annals.open(place.url()).await.unwrap();
    let (listener, own) = (tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), own(&annals));
    let url = format!("http://{}/mine", listener.local_addr().unwrap());
    let task = tokio::spawn(annals::http::serve(listener, own, std::future::pending()));
    answer(reqwest::Client::new().get(url)).await.problem(500, "internal");
    task.abort();
    annals.close().await;
}

#[test]
fn a_token_is_verified_outside_of_http_too() {
    let verified = bearer().verify(&signed(&json!({ "groups": ["staff"] }))).unwrap();
    assert_eq!(verified.actor.as_str(), "user:alice");
    assert_eq!(verified.claims["groups"], json!(["staff"]));
    assert!((500..=640).contains(&verified.valid_for.as_secs()), "{verified:?}");
    assert_eq!(verified.context().actor(), &verified.actor);
    for (change, why) in [
        (json!({ "exp": 7 }), "the token has expired"),
        (json!({ "aud": "shop" }), "the token is for another audience"),
        (json!({ "sub": null }), "the token lacks a claim"),
        (json!({ "sub": 7 }), "the token lacks a claim"),
    ] {
        let error = bearer().verify(&signed(&change)).unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
    }
    assert!(alice().verify("x").unwrap_err().to_string().contains("Authentication::bearer"));
}
