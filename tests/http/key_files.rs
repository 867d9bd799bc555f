//! Keys in files: rotation, files that cannot be used, weak keys.

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals::http::{Authentication, KeyError, Keys};
use annals_test_postgres::Place;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::app;
use crate::served::{Served, answer};
use crate::tokens::{base64, but, ec, ed, jwk, token};

annals_test_postgres::both_stores! {
    a_rotated_key_file_is_used_without_a_restart_also_by_open_streams,
    a_key_file_that_cannot_be_used_keeps_the_last_good_keys_and_a_metric_says_so,
}

fn set(keys: &[Jwk]) -> String {
    serde_json::to_string(&JwkSet { keys: keys.to_vec() }).unwrap()
}

async fn served(place: &Place, file: &Path) -> Served {
    let keys = Keys::from_jwks_file(file).await.unwrap();
    Served::with(app(), place, |builder| builder.authentication(Authentication::bearer(keys, "bank"))).await
}

async fn status(served: &Served, token: &str) -> u16 {
    answer(served.request(Method::GET, "/audit/count").bearer_auth(token)).await.status.as_u16()
}

/// Waits until a check returns true.
async fn eventually(what: &str, check: impl AsyncFn() -> bool) {
    for _ in 0..300 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not in time: {what}");
}

async fn a_rotated_key_file_is_used_without_a_restart_also_by_open_streams(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let (old, new) = (jwk(&ec(), Algorithm::ES256, "old"), jwk(&ed(), Algorithm::EdDSA, "new"));
    fs::write(&file, set(std::slice::from_ref(&old))).unwrap();
    let served = served(place, &file).await;
    let old_token = token(Algorithm::ES256, Some("old"), &but(&json!({})), &ec());
    let new_token = token(Algorithm::EdDSA, Some("new"), &but(&json!({})), &ed());
    assert_eq!((status(&served, &old_token).await, status(&served, &new_token).await), (200, 401));
    let stream = served.request(Method::GET, "/live/audit").bearer_auth(&old_token).send().await.unwrap();
    // First both keys, as a rotation does.
    fs::write(&file, set(&[old, new.clone()])).unwrap();
    eventually("the new key is used", async || status(&served, &new_token).await == 200).await;
    assert_eq!(status(&served, &old_token).await, 200);
    // Then the old one is withdrawn. The file is replaced by renaming another one.
    let next = folder.path().join("next.json");
    fs::write(&next, set(&[new])).unwrap();
    fs::rename(&next, &file).unwrap();
    eventually("the old key is refused", async || status(&served, &old_token).await == 401).await;
    assert_eq!(status(&served, &new_token).await, 200);
    let rest = tokio::time::timeout(Duration::from_secs(30), stream.text()).await;
    let rest = rest.expect("a stream stays open after its key was withdrawn").unwrap();
    assert!(rest.contains("event: end") && rest.contains("\"reason\":\"revoked\""), "{rest}");
    served.stop().await;
}

async fn a_key_file_that_cannot_be_used_keeps_the_last_good_keys_and_a_metric_says_so(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let good = set(&[jwk(&ec(), Algorithm::ES256, "ec")]);
    fs::write(&file, &good).unwrap();
    let served = served(place, &file).await;
    let token = token(Algorithm::ES256, Some("ec"), &but(&json!({})), &ec());
    let stale = async || {
        let metrics = answer(served.request(Method::GET, "/metrics").bearer_auth(&token)).await;
        assert_eq!(metrics.status, 200, "{metrics:?}");
        let line = metrics.text.lines().find_map(|line| line.strip_prefix("annals_keys_stale_seconds "));
        line.expect("the metric").parse::<f64>().unwrap()
    };
    assert_eq!(stale().await, 0.0);
    let weak = json!({ "keys": [rsa_of(&[0xff; 128], "AQAB")] }).to_string();
    for bad in [None, Some("{\"keys\""), Some("{\"keys\":[]}"), Some(weak.as_str()), Some("")] {
        match bad {
            None => fs::remove_file(&file).unwrap(),
            Some(content) => fs::write(&file, content).unwrap(),
        }
        eventually(&format!("{bad:?} is noticed"), async || stale().await > 0.0).await;
        assert_eq!(status(&served, &token).await, 200, "{bad:?}");
        fs::write(&file, &good).unwrap();
        eventually("the good file is noticed", async || stale().await == 0.0).await;
    }
    served.stop().await;
}

fn rsa_of(modulus: &[u8], exponent: &str) -> Value {
    json!({ "kty": "RSA", "n": base64(modulus), "e": exponent })
}

#[test]
fn weak_and_wrong_keys_are_refused_when_they_are_read() {
    let load = |key: &Value| Keys::from_jwks(&json!({ "keys": [key] }).to_string());
    let with = |key: &Jwk, name: &str, value: Value| {
        let mut key = serde_json::to_value(key).unwrap();
        key[name] = value;
        key
    };
    let (good_ec, good_ed) = (jwk(&ec(), Algorithm::ES256, "ec"), jwk(&ed(), Algorithm::EdDSA, "ed"));
    // Significant bits count, not bytes.
    let mut short = [0xff; 256];
    short[0] = 0x7f;
    let long: Vec<u8> = [0].into_iter().chain([0xff; 256]).collect();
    for (name, key, says) in [
        ("1,024 bits", rsa_of(&[0xff; 128], "AQAB"), "1024 bits"),
        ("2,047 bits", rsa_of(&short, "AQAB"), "2047 bits"),
        ("nothing but zeros", rsa_of(&[0; 256], "AQAB"), "of 0 bits"),
        ("1,024 bits behind zeros", rsa_of(&[vec![0; 200], vec![0xff; 128]].concat(), "AQAB"), "1024 bits"),
        ("8,192 bits", rsa_of(&[0xff; 1024], "AQAB"), "8192 bits"),
        ("exponent 1", rsa_of(&[0xff; 256], "AQ"), "exponent"),
        ("an even exponent", rsa_of(&[0xff; 256], "BA"), "exponent"),
        ("a short point", with(&good_ec, "x", json!(base64(&[1; 31]))), "31 bytes"),
        ("a short Ed25519 key", with(&good_ed, "x", json!(base64(&[1; 31]))), "31 bytes"),
        ("no Base64", with(&good_ed, "x", json!("?")), "malformed"),
    ] {
        match load(&key) {
            Err(error @ KeyError::Unsafe { number: 1, .. }) => {
                let text = error.to_string();
                assert!(text.starts_with("key 1 of the key set ") && text.contains(says), "{name}: {text}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(load(&rsa_of(&long, "AQAB")).is_ok(), "a leading zero byte is no bit");
    for (name, key, says) in [
        ("encryption", with(&good_ec, "use", json!("enc")), "`use`"),
        ("signing only", with(&good_ec, "key_ops", json!(["sign"])), "`key_ops`"),
        ("no operation", with(&good_ec, "key_ops", json!([])), "`key_ops`"),
        ("a secret", json!({ "kty": "oct", "k": base64(&[7; 32]), "alg": "HS256" }), "secret"),
        ("another algorithm", with(&good_ec, "alg", json!("ES384")), "ES384"),
    ] {
        let error = load(&key).expect_err(name);
        assert!(matches!(&error, KeyError::None { ignored } if ignored.len() == 1), "{name}: {error:?}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    assert!(load(&with(&good_ec, "key_ops", json!(["verify"]))).is_ok());
}

#[tokio::test]
async fn a_key_file_that_is_missing_or_wrong_at_the_start_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    assert!(matches!(Keys::from_secret_file(&file).await, Err(KeyError::Read { .. })));
    fs::write(&file, "short\n").unwrap();
    let error = Keys::from_secret_file(&file).await.unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert!(matches!(error, KeyError::File { source, .. } if matches!(*source, KeyError::ShortSecret(5))));
    fs::write(&file, format!("{}\n", "s".repeat(32))).unwrap();
    assert!(Keys::from_secret_file(&file).await.is_ok());
}
