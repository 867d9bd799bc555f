//! Access tokens: bearer tokens that their holders narrow offline.

use std::time::{Duration, Instant};

use annals::access::{Access, GrantAccess};
use annals::app::{AccessContext, Annals, App, Ask, Denial};
use annals::commands::Context;
use annals::events::Ref;
use annals::http::{Authentication, Keys as JwtKeys};
use annals::tokens::Keys;
use annals_test_postgres::Place;
use biscuit_auth::{Algorithm, Biscuit, BlockBuilder, PublicKey};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{self, app};
use crate::served::{Answer, Served, after, answer};
use crate::tokens::{but, ed, jwks, token};

annals_test_postgres::both_stores! {
    the_actor_of_a_token_is_recorded_whatever_the_request_claims,
    a_narrowed_token_is_denied_the_rest_and_each_denial_is_recorded,
    a_correctly_signed_token_with_a_block_that_is_not_accepted_is_refused_and_recorded,
}

/// The command that grants bob everything.
const GRANTS: Uuid = Uuid::from_u128(7);

/// The bank, owned by alice.
pub fn guarded() -> App {
    app().access(Access::new().owner("user:alice".parse::<Ref>().unwrap())).record_refusals()
}

/// The bank with a grant of everything to bob, which the tokens of [`minted`] are for.
pub async fn served(place: &Place, keys: &Keys) -> Served {
    let authentication = Authentication::default().access_tokens(keys.clone());
    served_with(place, authentication).await
}

pub async fn served_with(place: &Place, authentication: Authentication) -> Served {
    let served = Served::with(guarded(), place, |builder| builder.authentication(authentication)).await;
    grant_everything(&served.annals).await;
    served
}

/// Returns the id of the grant.
pub async fn grant_everything(annals: &Annals) -> Uuid {
    let everything =
        ["execute * *", "read * * observe", "audit full observe", "metrics * observe", "catalogue", "operate *"];
    let rights = everything.map(|right| right.parse().unwrap()).into();
    annals.execute(GrantAccess::new(bob(), rights, "for a test"), &granting()).await.unwrap();
    granting().new_id(0)
}

pub fn granting() -> Context {
    Context::by("user:alice".parse::<Ref>().unwrap()).command_id(GRANTS)
}

/// The actors of the commands, without the one that granted bob everything.
async fn actors(annals: &Annals) -> Vec<String> {
    let log = bank::log(annals).await.into_iter().filter(|event| event.command_id != GRANTS);
    log.map(|event| event.metadata().unwrap().actor.to_string()).collect()
}

pub fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

pub fn bob() -> Ref {
    "user:bob".parse().unwrap()
}

pub fn minted(keys: &Keys) -> String {
    keys.signer().unwrap().mint(&bob(), granting().new_id(0), Some(in_seconds(600))).unwrap()
}

/// Narrows a token as a holder does: with the public key only.
pub fn narrowed(keys: &Keys, token: &str, code: &str) -> String {
    let public: PublicKey = keys.infos().iter().find(|key| key.signs).unwrap().key.parse().unwrap();
    let token = Biscuit::from_base64(token, public).unwrap();
    token.append(BlockBuilder::new().code(code).unwrap()).unwrap().to_base64().unwrap()
}

pub async fn get(served: &Served, path: &str, token: &str) -> Answer {
    answer(served.request(Method::GET, path).bearer_auth(token)).await
}

pub async fn pay(served: &Served, account: &str, token: &str) -> Answer {
    let request = served.request(Method::POST, "/commands/deposit").bearer_auth(token);
    answer(request.json(&json!({ "account": account, "cents": 5 }))).await
}

/// Stops the server. Returns the recorded denials: the actor, what, and the reason.
pub async fn denials(served: Served, place: &Place) -> Vec<(String, String, String)> {
    served.stop().await;
    let annals = guarded().open(place.url()).await.unwrap();
    let log = bank::log(&annals).await;
    annals.close().await;
    let denials = log.iter().filter(|event| event.event_type == "annals_refusal.denied");
    let parts = denials.map(|event| {
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        let text = |name: &str| payload[name].as_str().unwrap().to_owned();
        (event.metadata().unwrap().actor.to_string(), text("what"), text("reason"))
    });
    parts.collect()
}

/// Mission D4.
async fn the_actor_of_a_token_is_recorded_whatever_the_request_claims(place: &Place) {
    let keys = Keys::generate();
    let served = served(place, &keys).await;
    let token = narrowed(&keys, &minted(&keys), "check if method(\"POST\")");
    for by_cookie in [false, true] {
        let request = served.request(Method::POST, "/commands/deposit").header("Annals-Actor", "user:mallory");
        let request = match by_cookie {
            true => request.header("Cookie", format!("annals_token={token}")),
            false => request.bearer_auth(&token),
        };
        let done = answer(request.json(&json!({ "account": "a", "cents": 1 }))).await;
        assert_eq!(done.status, 200, "{done:?}");
    }
    let claimed = json!({ "account": "a", "cents": 1, "actor": "user:mallory" });
    let request = served.request(Method::POST, "/commands/deposit").bearer_auth(&token).json(&claimed);
    assert!(answer(request).await.problem(400, "malformed").contains("actor"));
    assert_eq!(actors(&served.annals).await, ["user:bob", "user:bob"]);
    served.stop().await;
}

/// Mission D3.
async fn a_narrowed_token_is_denied_the_rest_and_each_denial_is_recorded(place: &Place) {
    let keys = Keys::generate();
    let served = served(place, &keys).await;
    let token = minted(&keys);
    let with = |code: &str| narrowed(&keys, &token, code);
    let paid = pay(&served, "a", &token).await;
    assert_eq!(paid.status, 200, "{paid:?}");
    let written = after(&paid.json());
    let denied = |answer: Answer, reason: &str| {
        assert!(answer.problem(403, "denied").ends_with(reason), "{answer:?}");
        answer.header("www-authenticate").to_owned()
    };
    const SCOPE: &str = "Bearer error=\"insufficient_scope\"";

    let read = with("check if method(\"GET\")");
    assert_eq!(get(&served, "/audit", &read).await.status, 200);
    assert_eq!(denied(pay(&served, "a", &read).await, "the token does not allow this method"), SCOPE);

    let audit = with("check if path(\"/audit\") or path($p), $p.starts_with(\"/audit/\")");
    assert_eq!(get(&served, "/audit?limit=1", &audit).await.status, 200);
    assert_eq!(get(&served, "/audit/count", &audit).await.status, 200);
    for path in ["/events", "/%61udit", "/audit%2Fcount", "//audit"] {
        denied(get(&served, path, &audit).await, "the token does not allow this path");
    }

    let one = with("check if target(\"account%3Aa\")");
    assert_eq!(pay(&served, "a", &one).await.status, 200);
    let target = "the token does not allow this target";
    denied(pay(&served, "ab", &one).await, target);
    let both = served.request(Method::POST, "/commands/transfer").bearer_auth(&one);
    denied(answer(both.json(&json!({ "from": "a", "to": "b", "cents": 1 }))).await, target);
    denied(get(&served, "/audit", &one).await, target);
    assert_eq!(get(&served, "/audit?target=account:a", &one).await.status, 200);
    denied(get(&served, "/audit?target=account:a&target=account:b", &one).await, target);
    denied(get(&served, "/views/balance", &one).await, target);
    let view = with("check if target(\"balance%2Fa\")");
    assert_eq!(get(&served, &format!("/views/balance/a?{written}"), &view).await.status, 200);
    denied(get(&served, "/views/balance/ab", &view).await, target);

    let still = with("check if observe(false)");
    assert_eq!(get(&served, "/audit", &still).await.status, 200);
    let live = get(&served, "/live/audit", &still).await;
    assert_eq!(denied(live, "the token does not allow following live"), SCOPE);

    let past = with("check if time($t), $t < 2026-01-01T00:00:00Z");
    let expired = get(&served, "/audit", &past).await;
    assert_eq!(expired.problem(401, "unauthenticated"), "the token has expired");
    let challenge = "Bearer error=\"invalid_token\", error_description=\"the token has expired\"";
    assert_eq!(expired.header("www-authenticate"), challenge);

    let recorded = denials(served, place).await;
    assert!(recorded.iter().all(|(actor, ..)| actor == "user:bob"), "{recorded:?}");
    let recorded: Vec<(&str, &str)> =
        recorded.iter().map(|(_, what, reason)| (what.as_str(), reason.trim_start_matches("the token "))).collect();
    for expected in [
        ("POST /commands/deposit", "does not allow this method"),
        ("GET /events", "does not allow this path"),
        ("deposit on account:ab", "does not allow this target"),
        ("GET /live/audit", "does not allow following live"),
        ("GET /audit", "has expired"),
    ] {
        assert!(recorded.contains(&expected), "{expected:?} is not in {recorded:?}");
    }
}

/// Mission D3.
async fn a_correctly_signed_token_with_a_block_that_is_not_accepted_is_refused_and_recorded(place: &Place) {
    let keys = Keys::generate();
    let served = served(place, &keys).await;
    let token = minted(&keys);
    let facts: String = (0..60).map(|n| format!("f({n});")).collect();
    let bomb = format!("{facts} check if f($a), f($b), f($c), f($d)");
    for (code, reason) in [
        (bomb.as_str(), "it states facts, and only the issuer may"),
        ("grant(\"00000000-0000-0000-0000-000000000001\")", "it states facts, and only the issuer may"),
        ("check if path($a), path($b), path($c), path($d)", "a check has another number of predicates than one"),
    ] {
        let started = Instant::now();
        let refused = get(&served, "/audit", &narrowed(&keys, &token, code)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let detail = refused.problem(401, "unauthenticated");
        assert_eq!(detail, format!("block 1 of the token is not accepted: {reason}"));
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{detail}\"");
        assert_eq!(refused.header("www-authenticate"), challenge);
    }
    // Nobody is named by these: they are not recorded, or anybody could fill the log.
    for unsigned in [minted(&Keys::generate()), token[..token.len() - 4].to_owned(), "x".to_owned()] {
        get(&served, "/audit", &unsigned).await.problem(401, "unauthenticated");
    }
    let recorded = denials(served, place).await;
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    assert!(recorded.iter().all(|(actor, what, _)| actor == "user:bob" && what == "GET /audit"), "{recorded:?}");
}

#[tokio::test]
async fn the_public_keys_are_served_to_everybody_and_narrow_a_token() {
    let place = Place::sqlite();
    let keys = Keys::generate();
    let served = served(&place, &keys).await;
    let listed = served.get("/access/keys").await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let listed = listed.json();
    let key = &listed["keys"][0];
    assert_eq!((&key["id"], &key["signs"]), (&json!(1), &json!(true)));
    let public = key["key"].as_str().unwrap().strip_prefix("ed25519/").unwrap().to_owned();
    let public = PublicKey::from_bytes_hex(&public, Algorithm::Ed25519).unwrap();
    let token = Biscuit::from_base64(minted(&keys), public).unwrap();
    let block = BlockBuilder::new().check("check if method(\"GET\")").unwrap();
    let token = token.append(block).unwrap().to_base64().unwrap();
    assert_eq!(get(&served, "/audit", &token).await.status, 200);
    pay(&served, "a", &token).await.problem(403, "denied");
    let document = get(&served, "/openapi.json", &minted(&keys)).await.json();
    assert_eq!(document["paths"]["/access/keys"]["get"]["security"], json!([]));
    served.stop().await;
}

/// A JSON Web Token says who somebody is, an access token what it may be used for: they are distinguished by their form.
#[tokio::test]
async fn both_kinds_of_tokens_are_accepted_side_by_side() {
    let place = Place::sqlite();
    let keys = Keys::generate();
    let jwt = JwtKeys::from_jwks(&jwks()).unwrap();
    let authentication = Authentication::bearer(jwt, "bank").access_tokens(keys.clone());
    let served = served_with(&place, authentication.clone()).await;
    let web = token(jsonwebtoken::Algorithm::EdDSA, None, &but(&json!({ "sub": "alice" })), &ed());
    for token in [&web, &minted(&keys)] {
        assert_eq!(pay(&served, "a", token).await.status, 200);
    }
    assert_eq!(actors(&served.annals).await, ["user:alice", "user:bob"]);
    let detail = get(&served, "/audit", &web[..web.len() - 3]).await.problem(401, "unauthenticated");
    assert!(detail.starts_with("the token"), "{detail}");
    // For a protocol of the application's own: no method, no path.
    let verified = authentication.verify(&minted(&keys)).unwrap();
    assert_eq!((verified.actor.as_str(), verified.claims.len()), ("user:bob", 0));
    assert!((590..=600).contains(&verified.valid_for.as_secs()), "{:?}", verified.valid_for);
    served.annals.execute(bank::deposit("a", 1), &verified.context()).await.unwrap();
    let read = authentication.verify(&narrowed(&keys, &minted(&keys), "check if method(\"GET\")")).unwrap();
    let denied = served.annals.execute(bank::deposit("a", 1), &read.context()).await.unwrap_err();
    assert!(denied.to_string().contains("does not allow this method"), "{denied}");
    let past = narrowed(&keys, &minted(&keys), "check if time($t), $t < 2026-01-01T00:00:00Z");
    assert_eq!(authentication.verify(&past).unwrap_err().to_string(), "the token has expired");
    served.stop().await;
}

#[tokio::test]
async fn without_keys_or_without_rights_in_the_log_no_access_token_is_accepted() {
    let keys = Keys::generate();
    let authentication = Authentication::default().access_tokens(keys.clone());
    assert!(authentication.is_required());
    // An authoriser of the application's own does not compare grants.
    for plain in [app(), app().authorise(allow)] {
        let place = Place::sqlite();
        let plain = Served::with(plain, &place, |builder| builder.authentication(authentication.clone())).await;
        let detail = get(&plain, "/audit", &minted(&keys)).await.problem(401, "unauthenticated");
        assert!(detail.contains("no rights in its log"), "{detail}");
        // In a protocol of the application's own as well.
        let verified = authentication.verify(&minted(&keys)).unwrap();
        let denied = plain.annals.execute(bank::deposit("a", 1), &verified.context()).await.unwrap_err();
        assert!(denied.to_string().contains("no rights in its log"), "{denied}");
        let denied = plain.annals.read_as(&verified.context()).audit().page().await.unwrap_err();
        assert!(denied.to_string().contains("no rights in its log"), "{denied}");
        plain.stop().await;
    }
    let place = Place::sqlite();
    let jwt = Authentication::bearer(JwtKeys::from_jwks(&jwks()).unwrap(), "bank");
    let without = Served::with(guarded(), &place, |builder| builder.authentication(jwt)).await;
    get(&without, "/audit", &minted(&keys)).await.problem(401, "unauthenticated");
    without.get("/access/keys").await.problem(401, "unauthenticated");
    without.stop().await;
}

fn allow(_: &AccessContext<'_>, _: &Ask<'_>) -> Result<(), Denial> {
    Ok(())
}

/// Mission D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_of_many_callers_neither_succeed_nor_delay_good_ones() {
    let place = Place::sqlite();
    let keys = Keys::generate();
    let served = served(&place, &keys).await;
    let good = narrowed(&keys, &minted(&keys), "check if method(\"GET\")");
    let mut bad = vec![
        (minted(&Keys::generate()), 401),
        (good[..good.len() - 8].to_owned(), 401),
        ("A".repeat(5_000), 401),
        (narrowed(&keys, &good, "check if path($a), path($b), path($c), path($d)"), 401),
        (narrowed(&keys, &good, "check if path(\"/events\")"), 403),
        (narrowed(&keys, &good, "check if time($t), $t < 2026-01-01T00:00:00Z"), 401),
        (narrowed(&keys, &good, "f(1); check if f($a), f($b)"), 401),
    ];
    let mut long = good.clone();
    for _ in 0..6 {
        long = narrowed(&keys, &long, "check if method(\"GET\")");
    }
    bad.push((long, 401));
    let callers = (0..64).map(|caller: usize| {
        let (served, good, bad) = (&served, &good, &bad);
        async move {
            for round in 0..4 {
                let (token, status) = match caller % 2 {
                    0 => (good, 200),
                    _ => {
                        let (token, status) = &bad[(caller / 2 + round) % bad.len()];
                        (token, *status)
                    }
                };
                let answered = get(served, "/audit/count", token).await;
                assert_eq!(answered.status.as_u16(), status, "{answered:?}");
            }
        }
    });
    let all = tokio::time::timeout(Duration::from_secs(60), join_all(callers)).await;
    all.expect("bad tokens delay good ones");
    served.stop().await;
}

/// `scripts/check-tokens` runs it: the biscuit implementation for Python narrows a token.
#[tokio::test]
#[ignore = "needs biscuit-python: scripts/check-tokens"]
async fn biscuit_python_narrows_a_token() {
    let place = Place::sqlite();
    let keys = Keys::generate();
    let served = served(&place, &keys).await;
    assert_eq!(pay(&served, "a", &minted(&keys)).await.status, 200);
    let python = std::env::var("TOKENS_PYTHON").expect("TOKENS_PYTHON names a Python with biscuit-python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/narrow-token.py");
    let arguments = [script.to_owned(), served.url(""), minted(&keys)];
    let ran = tokio::task::spawn_blocking(move || std::process::Command::new(python).args(arguments).output());
    let ran = ran.await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    assert!(out.contains("8 tokens"), "{out}");
    let recorded = denials(served, &place).await;
    assert!(recorded.iter().all(|(actor, ..)| actor == "user:bob") && recorded.len() >= 5, "{recorded:?}");
}
