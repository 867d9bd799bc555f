//! Bearer tokens.

use annals::app::{AccessContext, App, Ask, Denial};
use annals::events::Ref;
use annals::http::{Authentication, KeyError, Keys};
use annals_test_postgres::Place;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::{self, app};
use crate::served::{Answer, Served, answer};

annals_test_postgres::both_stores! {
    the_verified_subject_is_the_actor_whatever_the_request_claims,
    every_route_but_the_health_checks_needs_a_token,
    the_claims_of_the_verified_token_reach_the_authoriser,
}

const SECRET: &[u8] = b"a secret of thirty-two bytes, at least";

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap()
}

fn other_rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("keys/other_rsa.pem")).unwrap()
}

pub fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(include_bytes!("keys/ec.pem")).unwrap()
}

pub fn ed() -> EncodingKey {
    EncodingKey::from_ed_pem(include_bytes!("keys/ed.pem")).unwrap()
}

pub fn jwk(key: &EncodingKey, algorithm: Algorithm, id: &str) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    jwk
}

pub fn jwks() -> String {
    let keys = vec![
        jwk(&rsa(), Algorithm::RS256, "rsa"),
        jwk(&ec(), Algorithm::ES256, "ec"),
        jwk(&ed(), Algorithm::EdDSA, "ed"),
    ];
    serde_json::to_string(&JwkSet { keys }).unwrap()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn claims() -> Value {
    json!({ "sub": "alice", "aud": "bank", "iss": "https://id.example", "exp": now() + 600 })
}

/// The claims with these changes. Null removes a claim.
pub fn but(change: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

pub fn token(algorithm: Algorithm, id: Option<&str>, claims: &Value, key: &EncodingKey) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

/// A token with any header and signature.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// URL-safe Base64 without padding.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    let chunks = bytes.chunks(3).map(|chunk| {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(|n| letter(bits >> (18 - 6 * n))).collect::<String>()
    });
    chunks.collect()
}

fn authentication() -> Authentication {
    Authentication::bearer(Keys::from_jwks(&jwks()).unwrap(), "bank").issuer("https://id.example")
}

async fn served(app: App, place: &Place) -> Served {
    Served::with(app, place, |builder| builder.authentication(authentication())).await
}

async fn with(served: &Served, token: &str) -> Answer {
    answer(served.request(Method::GET, "/audit").bearer_auth(token)).await
}

/// Missions D4 and A8.
async fn the_verified_subject_is_the_actor_whatever_the_request_claims(place: &Place) {
    let served = served(app().record_reads(), place).await;
    for (algorithm, id, key) in
        [(Algorithm::RS256, "rsa", rsa()), (Algorithm::ES256, "ec", ec()), (Algorithm::EdDSA, "ed", ed())]
    {
        for id in [Some(id), None] {
            let token = token(algorithm, id, &but(&json!({ "sub": format!("{algorithm:?}") })), &key);
            let request = served.request(Method::POST, "/commands/deposit?").bearer_auth(&token);
            let request = request.header("Annals-Actor", "user:mallory").header("X-Forwarded-User", "mallory");
            let body = json!({ "account": "a", "cents": 1 });
            let done = answer(request.json(&body)).await;
            assert_eq!(done.status, 200, "{done:?}");
        }
    }
    let actors: Vec<Ref> =
        bank::log(&served.annals).await.iter().map(|event| event.metadata().unwrap().actor).collect();
    let actors: Vec<&str> = actors.iter().map(Ref::as_str).collect();
    assert_eq!(actors, ["user:RS256", "user:RS256", "user:ES256", "user:ES256", "user:EdDSA", "user:EdDSA"]);
    let claimed = json!({ "account": "a", "cents": 1, "actor": "user:mallory" });
    let request = served.request(Method::POST, "/commands/deposit").bearer_auth(token(
        Algorithm::ES256,
        Some("ec"),
        &claims(),
        &ec(),
    ));
    assert!(answer(request.json(&claimed)).await.problem(400, "malformed").contains("actor"));
    // A subject is never read as a whole reference.
    let service = token(Algorithm::ES256, None, &but(&json!({ "sub": "service:root" })), &ec());
    assert_eq!(with(&served, &service).await.status, 200);
    let cookie = format!("theme=dark; annals_token={}", token(Algorithm::EdDSA, None, &claims(), &ed()));
    assert_eq!(answer(served.request(Method::GET, "/audit").header("Cookie", &cookie)).await.status, 200);
    // Another site's page cannot write with the cookie.
    let forgery = served.request(Method::POST, "/commands/deposit").header("Cookie", &cookie);
    let forgery = forgery.header("Origin", "https://evil.example").json(&json!({ "account": "a", "cents": 1 }));
    answer(forgery).await.problem(403, "denied");
    let url = place.url();
    served.stop().await;
    let annals = app().open(url).await.unwrap();
    let readers: Vec<Ref> = bank::log(&annals)
        .await
        .iter()
        .filter(|event| event.event_type == "annals_read.read" || event.aggregate.kind().contains("trail"))
        .map(|event| event.metadata().unwrap().actor)
        .collect();
    assert!(readers.contains(&"user:service:root".parse().unwrap()), "{readers:?}");
    annals.close().await;
}

/// Claims of the token decide, whatever a header or the body contains.
async fn the_claims_of_the_verified_token_reach_the_authoriser(place: &Place) {
    let staff = |access: &AccessContext<'_>, _: &Ask<'_>| {
        let groups = access.claim("groups").and_then(Value::as_array);
        match groups.is_some_and(|groups| groups.contains(&json!("staff"))) {
            true => Ok(()),
            false => Err(Denial::because("only staff may")),
        }
    };
    let served = served(app().authorise(staff), place).await;
    let signed = |groups: Value| token(Algorithm::EdDSA, None, &but(&json!({ "groups": groups })), &ed());
    let pay = async |token: String| {
        let request =
            served.request(Method::POST, "/commands/deposit").bearer_auth(token).header("groups", "staff");
        answer(request.json(&json!({ "account": "a", "cents": 5 }))).await
    };
    assert_eq!(pay(signed(json!(["guests", "staff"]))).await.status, 200);
    for groups in [json!(["guests"]), json!("staff"), Value::Null] {
        assert_eq!(pay(signed(groups.clone())).await.problem(403, "denied"), "denied: only staff may");
        assert_eq!(with(&served, &signed(groups)).await.problem(403, "denied"), "denied: only staff may");
    }
    assert_eq!(with(&served, &signed(json!(["staff"]))).await.status, 200);
    served.stop().await;
}

/// Mission A8.
async fn every_route_but_the_health_checks_needs_a_token(place: &Place) {
    let served = served(app(), place).await;
    let paths = [
        "/audit",
        "/audit/count",
        "/audit/export?format=csv",
        "/metrics",
        "/metrics/",
        "/metrics/bank",
        "/views",
        "/views/balance",
        "/views/balance/a",
        "/view-counts/balance",
        "/projections",
        "/projections/audit",
        "/events",
        "/check",
        "/commands",
        "/openapi.json",
        "/",
        "/nothing/here",
    ];
    for path in paths {
        let answer = served.get(path).await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
    }
    served.post("/commands/deposit", &json!({ "account": "a", "cents": 1 })).await.problem(401, "unauthenticated");
    for path in ["/projections/audit/rebuild", "/projections/audit/skip", "/check"] {
        served.do_it(Method::POST, path).await.problem(401, "unauthenticated");
    }
    for path in ["/healthz", "/readyz", "/try"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    let spoofed = served.request(Method::GET, "/audit").header("Annals-Actor", "user:root");
    answer(spoofed).await.problem(401, "unauthenticated");
    assert!(bank::log(&served.annals).await.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn an_invalid_token_is_refused_with_a_reason() {
    let place = Place::sqlite();
    let served = served(app(), &place).await;
    let es = |change: Value| token(Algorithm::ES256, Some("ec"), &but(&change), &ec());
    let good = es(json!({}));
    assert_eq!(with(&served, &good).await.status, 200);
    let (body, signature) = good.rsplit_once('.').unwrap();
    let none = json!({ "alg": "none", "typ": "JWT" });
    let rs_header = json!({ "alg": "RS256", "kid": "ec" });
    // Key confusion: the public key as an HMAC secret, chosen by the token's header.
    let confused = EncodingKey::from_secret(include_bytes!("keys/ec.pem"));
    let cases = [
        ("expired", es(json!({ "exp": now() - 3600 })), "expired"),
        ("not yet", es(json!({ "nbf": now() + 3600 })), "not yet valid"),
        ("no expiry", es(json!({ "exp": null })), "lacks"),
        ("no subject", es(json!({ "sub": null })), "malformed"),
        ("empty subject", es(json!({ "sub": "" })), "subject"),
        ("a subject with NUL", es(json!({ "sub": "a\u{0}b" })), "subject"),
        ("no audience", es(json!({ "aud": null })), "lacks"),
        ("another audience", es(json!({ "aud": "shop" })), "another audience"),
        ("another issuer", es(json!({ "iss": "https://evil.example" })), "another issuer"),
        ("no issuer", es(json!({ "iss": null })), "lacks"),
        ("another key", token(Algorithm::RS256, Some("rsa"), &claims(), &other_rsa()), "signature"),
        ("another's id", token(Algorithm::RS256, Some("ec"), &claims(), &rsa()), "no configured key"),
        ("unknown id", token(Algorithm::RS256, Some("x"), &claims(), &rsa()), "no configured key"),
        ("another algorithm", token(Algorithm::RS512, Some("rsa"), &claims(), &rsa()), "no configured key"),
        ("key confusion", token(Algorithm::HS256, Some("ec"), &claims(), &confused), "no configured key"),
        ("none", forged(&none, &claims(), ""), "algorithm"),
        ("None", forged(&json!({ "alg": "None" }), &claims(), ""), "algorithm"),
        ("none, with a signature", forged(&none, &claims(), signature), "algorithm"),
        ("no signature", format!("{body}."), "signature"),
        ("another header", forged(&rs_header, &claims(), signature), "no configured key"),
        ("critical", forged(&json!({ "alg": "ES256", "crit": ["x"], "x": 1 }), &claims(), signature), "crit"),
        (
            "changed",
            forged(&json!({ "alg": "ES256", "kid": "ec" }), &but(&json!({ "sub": "root" })), signature),
            "signature",
        ),
        ("cut off", body.to_owned(), "malformed"),
        ("nothing", String::new(), ""),
        ("no token", "abc".to_owned(), "malformed"),
        ("too long", format!("{body}.{}", "A".repeat(10_000)), "too long"),
    ];
    for (name, token, why) in cases {
        let refused = with(&served, &token).await;
        let detail = refused.problem(401, "unauthenticated");
        assert!(detail.contains(why), "{name}: {detail}");
        // Without a token, there is no error to describe (RFC 6750, 3.1).
        let challenge = match name {
            "nothing" => "Bearer".to_owned(),
            _ => format!("Bearer error=\"invalid_token\", error_description=\"{detail}\""),
        };
        assert_eq!(refused.header("www-authenticate"), challenge, "{name}");
        // The same in a page.
        let page = served.request(Method::GET, "/").bearer_auth(&token).header("Accept", "text/html");
        let page = answer(page).await;
        assert!(page.status == 401 && page.header("content-type").starts_with("text/html"), "{name}: {page:?}");
        assert_eq!(page.header("www-authenticate"), challenge, "{name}");
    }
    let twice = served.request(Method::GET, "/audit").bearer_auth(&good).bearer_auth(&good);
    answer(twice).await.problem(400, "malformed");
    let basic = served.request(Method::GET, "/audit").basic_auth("alice", Some(&good));
    answer(basic).await.problem(401, "unauthenticated");
    served.stop().await;
}

#[tokio::test]
async fn a_secret_verifies_only_tokens_signed_with_it() {
    let place = Place::sqlite();
    let keys = Keys::from_secret(SECRET).unwrap();
    let served =
        Served::with(app(), &place, |builder| builder.authentication(Authentication::bearer(keys, "bank"))).await;
    let sign = |algorithm, secret: &[u8]| token(algorithm, None, &claims(), &EncodingKey::from_secret(secret));
    assert_eq!(with(&served, &sign(Algorithm::HS256, SECRET)).await.status, 200);
    for bad in [sign(Algorithm::HS256, &SECRET[1..]), sign(Algorithm::HS384, SECRET), sign(Algorithm::HS256, b"")] {
        with(&served, &bad).await.problem(401, "unauthenticated");
    }
    served.stop().await;
}

#[test]
fn unusable_and_unsafe_keys_are_refused() {
    assert!(matches!(Keys::from_secret(b"short"), Err(KeyError::ShortSecret(5))));
    assert!(matches!(Keys::from_jwks("{}"), Err(KeyError::Jwks(_))));
    assert!(matches!(Keys::from_jwks(r#"{"keys":[]}"#), Err(KeyError::None { ignored }) if ignored.is_empty()));
    // A secret in a public key set would let anybody sign.
    let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}"#;
    assert!(matches!(Keys::from_jwks(secret), Err(KeyError::None { ignored }) if ignored.len() == 1));
    let mut encrypts = jwk(&rsa(), Algorithm::RS256, "rsa");
    encrypts.common.public_key_use = Some(PublicKeyUse::Encryption);
    let set = serde_json::to_string(&JwkSet { keys: vec![encrypts] }).unwrap();
    assert!(matches!(Keys::from_jwks(&set), Err(KeyError::None { ignored }) if ignored.len() == 1));
    assert!(!format!("{:?}", Keys::from_secret(SECRET).unwrap()).contains("thirty"));
}

#[tokio::test]
async fn a_router_without_authentication_refuses_every_request() {
    let place = Place::sqlite();
    let served = Served::with(app(), &place, |builder| builder).await;
    served.get("/audit").await.problem(401, "unauthenticated");
    assert_eq!(served.get("/healthz").await.status, 200);
    served.stop().await;
}
