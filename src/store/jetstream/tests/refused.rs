//! Streams, servers and rights that are not as they must be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::bed::{Bed, open_with_clock, reason};
use super::proxy::Proxy;
use crate::store::conformance::bench::{PATIENCE, batch, commit, committed, log, receipt};
use crate::store::{OpenOptions, Store, StoreError, open};

fn config() -> Config {
    Config {
        name: "LOG".to_owned(),
        subjects: vec!["annals.log.LOG".to_owned()],
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// Mission X12: nothing is appended to a stream that could lose it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_could_lose_events_is_refused_with_what_to_change() {
    let Some(bed) = Bed::new() else { return };
    let context = bed.server.context().await;
    let source = async_nats::jetstream::stream::Source { name: "OTHER".to_owned(), ..Default::default() };
    for (config, words) in [
        (Config { max_messages: 1_000, ..config() }, "max_msgs=1000"),
        (Config { max_age: std::time::Duration::from_secs(3_600), ..config() }, "max_age"),
        (Config { deny_delete: false, ..config() }, "deny_delete"),
        (Config { storage: async_nats::jetstream::stream::StorageType::Memory, ..config() }, "storage"),
        (Config { subjects: vec!["else".to_owned()], ..config() }, "subjects"),
        (Config { sources: Some(vec![source.clone()]), ..config() }, "sources"),
        (Config { mirror: Some(source), subjects: Vec::new(), deny_purge: false, ..config() }, "mirror"),
    ] {
        bed.server.create_as(config).await;
        let said = reason(bed.at(bed.server.port, "a").await);
        assert!(said.contains(words), "{words}: {said}");
        context.delete_stream("LOG").await.unwrap();
    }
    bed.server.create_as(config()).await;
    let said = reason(
        open_with_clock(&format!("{}&replicas=3", bed.url(bed.server.port, "a")), Arc::new(Timestamp::now)).await,
    );
    assert!(said.contains("1 replicas"), "{said}");
    let store = bed.store("a").await;
    assert!(store.describe().contains("1 replica, sync_interval not verified"), "{}", store.describe());
}

/// Mission X12: the same while a store is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_an_operator_changes_under_an_open_store_is_noticed_with_what_to_change() {
    let Some(bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    let client = async_nats::connect(bed.server.url()).await.unwrap();
    let request = async |subject: &'static str, body: &Value| -> Value {
        let answer = client.request(subject, body.to_string().into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    };
    let right = request("$JS.API.STREAM.INFO.LOG", &json!({})).await["config"].clone();
    let mut events = 0;
    for (key, value, words) in [
        ("max_msgs", json!(1_000), "max_msgs=1000"),
        ("max_age", json!(3_600_000_000_000_u64), "max_age"),
        ("subjects", json!(["annals.log.LOG", "more"]), "subjects"),
        ("allow_direct", json!(false), "allow_direct"),
    ] {
        let mut changed = right.clone();
        changed[key] = value;
        let answer = request("$JS.API.STREAM.UPDATE.LOG", &changed).await;
        assert!(answer["error"].is_null(), "{answer}");
        // Commands that follow each other at once leave no time to look aside.
        let began = Instant::now();
        let refused = loop {
            assert!(began.elapsed() < PATIENCE, "{key} is not noticed");
            match store.append(batch([commit(u128::from(events)).on("tally:a", events, 1)])).await {
                Ok(outcomes) => _ = receipt(outcomes[0]),
                refused => break reason(refused),
            }
            events += 1;
        };
        let unready = reason(store.ready().await);
        for said in [refused, unready] {
            assert!(said.contains(words) && said.contains("change it back"), "{words}: {said}");
        }
        request("$JS.API.STREAM.UPDATE.LOG", &right).await;
        until_ready(&*store, true).await;
        committed(&*store, commit(u128::from(events)).on("tally:a", events, 1)).await;
        events += 1;
        // It is noticed without commands too.
        request("$JS.API.STREAM.UPDATE.LOG", &changed).await;
        until_ready(&*store, false).await;
        request("$JS.API.STREAM.UPDATE.LOG", &right).await;
        until_ready(&*store, true).await;
    }
    assert_eq!(log(&*store).await.len() as u64, events);
}

/// Waits until a store is ready, or is not.
async fn until_ready(store: &dyn Store, ready: bool) {
    let began = Instant::now();
    while store.ready().await.is_ok() != ready {
        assert!(began.elapsed() < PATIENCE, "ready: {:?}", store.ready().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Mission X12.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_messages_of_another_program_or_application_is_refused() {
    let Some(bed) = Bed::new() else { return };
    let context = bed.server.context().await;
    bed.server.create_as(config()).await;
    context.publish("annals.log.LOG", "hello".into()).await.unwrap().await.unwrap();
    let said = reason(bed.at(bed.server.port, "a").await);
    assert!(said.contains("not the log of an application"), "{said}");
    context.delete_stream("LOG").await.unwrap();

    let options = |app: &str, create| OpenOptions { app: app.to_owned(), clock: Arc::new(Timestamp::now), create };
    let missing = open(&bed.url(bed.server.port, "a"), options("shop", false)).await.map(drop);
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
    open(&bed.url(bed.server.port, "a"), options("shop", true)).await.unwrap().close().await;
    let said = reason(bed.at(bed.server.port, "a").await);
    assert!(said.contains("belongs to the application `shop`"), "{said}");
}

/// Mission X12.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_or_accepts_only_small_messages_is_refused() {
    let Some(bed) = Bed::with("max_payload: 32KB") else { return };
    let said = reason(bed.at(bed.server.port, "a").await);
    assert!(said.contains("32768 bytes") && said.contains("max_payload to 8 MB"), "{said}");
    let proxy = Proxy::before(bed.server.port).await;
    proxy.claim_version("2.11.4");
    let said = reason(bed.at(proxy.port, "a").await);
    assert!(said.contains("version 2.11.4") && said.contains("2.15.1"), "{said}");
}

/// Mission X12: a missing right looks like a server that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named() {
    for subject in
        ["$JS.API.STREAM.INFO.LOG", "$JS.API.STREAM.MSG.GET.LOG", "$JS.API.DIRECT.GET.LOG", "annals.log.LOG"]
    {
        let users = format!(
            "authorization {{ users: [{{ user: all, password: \"s3cret\" }}, {{ user: some, password: \"s3cret\", \
             permissions: {{ publish: {{ allow: \">\", deny: \"{subject}\" }}, subscribe: \">\" }} }}] }}"
        );
        let Some(bed) = Bed::with(&users) else { return };
        let url = |user: &str, file: &str| {
            format!("nats://{user}:s3cret@127.0.0.1:{}/LOG?file={}", bed.server.port, bed.file(file).display())
        };
        let store = open_with_clock(&url("all", "a"), Arc::new(Timestamp::now)).await.unwrap();
        committed(&*store, commit(1).on("tally:a", 0, 1)).await;
        let error = open_with_clock(&url("some", "b"), Arc::new(Timestamp::now)).await.map(drop).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        let said = reason::<()>(Err(error));
        assert!(
            said.contains(subject) && said.contains("give this user the right to publish"),
            "{subject}: {said}"
        );
    }
}

/// Mission X12.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_trusted_or_refuses_the_credentials_is_named_without_them() {
    let Some(bed) = Bed::with("authorization { users: [{ user: annals, password: \"s3cret\" }] }") else { return };
    let url = format!("nats://annals:wr0ng@127.0.0.1:{}/LOG?file={}", bed.server.port, bed.file("a").display());
    let said = reason(open_with_clock(&url, Arc::new(Timestamp::now)).await);
    assert!(said.contains("refuses the credentials") && !said.contains("wr0ng"), "{said}");
    drop(bed);

    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["crt", "key"].map(|name| folder.path().join(name).display().to_string());
    let made = std::process::Command::new("openssl")
        .args(["req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-out", &certificate, "-keyout", &key])
        .output();
    assert!(made.unwrap().status.success());
    let Some(bed) = Bed::with(&format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}")) else {
        return;
    };
    let url = format!("tls://127.0.0.1:{}/LOG?file={}", bed.server.port, bed.file("a").display());
    let said = reason(open_with_clock(&url, Arc::new(Timestamp::now)).await);
    assert!(said.contains("certificate"), "{said}");
    let store = open_with_clock(&format!("{url}&ca={certificate}"), Arc::new(Timestamp::now)).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
}

/// Mission X12: it is refused before anything is sent, and other commits are not held up.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_fit_in_a_message_is_refused() {
    let Some(bed) = Bed::with("max_payload: 100000") else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    let payload = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    for bytes in [97_000, 99_500, 200_000] {
        let refused = store.append(batch([commit(1).payload("tally:a", 0, "1.0", &payload(bytes))])).await;
        match refused {
            Err(StoreError::Rejected { source, .. }) => {
                assert!(bytes > 97_000 && source.to_string().contains("max_payload"), "{source}");
            }
            Ok(outcomes) => assert!(bytes == 97_000 && outcomes[0].is_committed()),
            other => panic!("{other:?}"),
        }
    }
    // Its texts fit, and its rows do not.
    let refused = store.append(batch([commit(3).on("tally:b", 0, 800)])).await;
    assert!(
        matches!(&refused, Err(StoreError::Rejected { source, .. }) if source.to_string().contains("max_payload")),
        "{refused:?}"
    );
    assert_eq!(proxy.sent(), 1, "nothing of the large ones was sent");
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
    assert_eq!(log(&*store).await.len(), 2);
}
