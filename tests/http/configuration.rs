//! Every flag and environment variable of `serve`, by its effect. A new one that is not tested here fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use annals::proofs::ProofKey;
use annals::tokens::KeyFile;
use annals_test_postgres::{Place, certificate};
use base64::prelude::{BASE64_STANDARD, Engine};
use jsonwebtoken::{Algorithm, EncodingKey};
use regex::Regex;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::access_tokens;
use crate::bank::{self, app};
use crate::process::{GUARDED, PROOFS, Process};
use crate::program::{helps, run};
use crate::served::answer;
use crate::tls::accepting;
use crate::tokens::{but, ec, jwks, token};

pub fn all(of: &str, pattern: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(of).map(|found| found[1].to_owned()).collect()
}

pub const FLAGS: &str = r"(?m)^ +(?:-\w, )?--([a-z-]+)";
const VARIABLES: &str = r"\b((?:ANNALS|OTEL)_[A-Z_]*[A-Z])\b";

/// The settings of `serve`, each as a variable and as a flag.
const BOTH_WAYS: [(&str, &str); 15] = [
    ("ANNALS_STORE", "store"),
    ("ANNALS_LISTEN", "listen"),
    ("ANNALS_ACTOR", "actor"),
    ("ANNALS_RATE", "rate"),
    ("ANNALS_JWKS", "jwks"),
    ("ANNALS_SECRET_FILE", "secret-file"),
    ("ANNALS_AUDIENCE", "audience"),
    ("ANNALS_ISSUER", "issuer"),
    ("ANNALS_ACCESS_KEYS", "access-keys"),
    ("ANNALS_PROOFS_KEY", "proofs-key"),
    ("ANNALS_PROOFS_EVERY", "proofs-every"),
    ("ANNALS_PROOFS_DELAY", "proofs-delay"),
    ("ANNALS_PROOFS_POLICY", "proofs-policy"),
    ("ANNALS_PROOFS_CHECKPOINT", "proofs-checkpoint"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp-endpoint"),
];

/// Starts `serve` with these settings, as flags or as variables.
fn serve(by_flag: bool, settings: &[(&str, &str)]) -> Process {
    let flag = |variable: &str| {
        BOTH_WAYS.iter().find(|(known, _)| *known == variable).map(|(_, flag)| format!("--{flag}"))
    };
    let mut arguments = vec!["serve".to_owned()];
    let mut environment = Vec::new();
    for (variable, value) in settings {
        match flag(variable).filter(|_| by_flag) {
            Some(flag) => arguments.extend([flag, (*value).to_owned()]),
            None => environment.push((*variable, *value)),
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Process::start(Process::bank(&arguments, &environment), Stdio::piped())
}

fn pay(url: &str) -> RequestBuilder {
    Client::new().post(format!("{url}/commands/deposit")).json(&json!({ "account": "a", "cents": 1 }))
}

/// Tests the settings without keys.
async fn without_keys(by_flag: bool) {
    let place = Place::sqlite();
    // Its own address: other tests on 127.0.0.1 could take the port before the program does.
    let free = TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap().to_string();
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let process = serve(
        by_flag,
        &[
            ("ANNALS_STORE", place.url()),
            ("ANNALS_LISTEN", &free),
            ("ANNALS_ACTOR", "user:eve"),
            ("ANNALS_RATE", "4"),
            ("ANNALS_LOG", "annals=debug"),
            ("ANNALS_LOG_FORMAT", "json"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ],
    );
    assert_eq!(process.url, format!("http://{free}"), "ANNALS_LISTEN");
    let mut statuses = BTreeSet::new();
    for _ in 0..50 {
        statuses.insert(answer(pay(&process.url)).await.status.as_u16());
    }
    assert_eq!(statuses, BTreeSet::from([200, 429]), "ANNALS_RATE");
    let connected = tokio::time::timeout(Duration::from_secs(30), collector.accept()).await;
    drop(connected.expect("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap());
    drop(collector);
    let ended = process.stop().await;
    assert!(ended.status.success(), "{ended:?}");
    let is_json = |line: &String| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(ended.err.iter().all(is_json), "ANNALS_LOG_FORMAT: {:?}", ended.err);
    assert!(ended.err.iter().any(|line| line.contains("\"level\":\"DEBUG\"")), "ANNALS_LOG");
    let annals = app().open(place.url()).await.unwrap();
    let log = bank::log(&annals).await;
    assert!(!log.is_empty(), "ANNALS_STORE");
    assert_eq!(log[0].metadata().unwrap().actor.as_str(), "user:eve", "ANNALS_ACTOR");
    annals.close().await;
}

/// Tests the settings of tokens: keys, audience, issuer.
async fn with_keys(by_flag: bool) {
    let place = Place::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let secret = "a secret of thirty-two bytes, at least";
    let (secret_file, jwks) = (file("secret", secret), file("jwks", &jwks()));
    let listen = ("ANNALS_LISTEN", "127.0.0.1:0");
    let settings = [
        listen,
        ("ANNALS_STORE", place.url()),
        ("ANNALS_SECRET_FILE", &secret_file),
        ("ANNALS_AUDIENCE", "shop"),
        ("ANNALS_ISSUER", "me"),
    ];
    let process = serve(by_flag, &settings);
    let key = EncodingKey::from_secret(secret.as_bytes());
    for (status, claims) in [
        (200, json!({ "aud": "shop", "iss": "me" })),
        (401, json!({ "aud": "bank", "iss": "me" })),
        (401, json!({ "aud": "shop", "iss": "you" })),
    ] {
        let token = token(Algorithm::HS256, None, &but(&claims), &key);
        assert_eq!(answer(pay(&process.url).bearer_auth(token)).await.status, status, "{claims}");
    }
    assert!(process.stop().await.status.success());

    let process = serve(by_flag, &[listen, ("ANNALS_STORE", place.url()), ("ANNALS_JWKS", &jwks)]);
    for (status, algorithm, key) in [(200, Algorithm::ES256, ec()), (401, Algorithm::HS256, key)] {
        let token = token(algorithm, None, &but(&json!({})), &key);
        assert_eq!(answer(pay(&process.url).bearer_auth(token)).await.status, status, "ANNALS_JWKS: {algorithm:?}");
    }
    assert!(process.stop().await.status.success());
}

/// Tests the keys of access tokens, which an application without rights in its log refuses.
async fn with_access_keys(by_flag: bool) {
    let place = Place::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.keys");
    let file = KeyFile::create(&path).unwrap();
    let annals = access_tokens::guarded().open(place.url()).await.unwrap();
    let grant = access_tokens::grant_everything(&annals).await;
    annals.close().await;
    let token = file.keys().signer().unwrap().mint(&access_tokens::bob(), grant, None).unwrap();
    let settings = [
        ("ANNALS_LISTEN", "127.0.0.1:0"),
        ("ANNALS_STORE", place.url()),
        ("ANNALS_ACCESS_KEYS", path.to_str().unwrap()),
        (GUARDED, ""),
    ];
    let process = serve(by_flag, &settings);
    assert_eq!(answer(pay(&process.url).bearer_auth(token)).await.status, 200, "ANNALS_ACCESS_KEYS");
    assert_eq!(answer(pay(&process.url)).await.status, 401, "ANNALS_ACCESS_KEYS");
    assert!(process.stop().await.status.success());
    let (done, said) = run(&["serve", "--access-keys", path.to_str().unwrap(), "--store", Place::sqlite().url()]);
    assert!(!done && said.contains("no rights in its log"), "{said}");
}

/// Tests the settings of proofs: key, interval, delay, witnesses; an application without proofs refuses them.
async fn with_proofs(by_flag: bool) {
    let place = Place::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, policy) = (path("proofs.key"), path("policy"));
    let public = ProofKey::create(&key, "example.org/bank").unwrap().public().to_string();
    let witness = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let files = certificate(folder.path());
    let url = format!("https://{}", witness.local_addr().unwrap());
    let of_witness = cosigner(&public);
    std::fs::write(&policy, format!("log {public}\nwitness w {of_witness} {url}\nquorum none\n")).unwrap();
    let shared = [
        ("ANNALS_LISTEN", "127.0.0.1:0"),
        ("ANNALS_STORE", place.url()),
        ("ANNALS_ACTOR", "user:eve"),
        ("ANNALS_PROOFS_KEY", &key),
        (PROOFS, ""),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let settings: Vec<_> = shared.iter().chain(more).copied().collect();
        serve(by_flag, &settings)
    };
    let size = async |process: &Process| {
        let checkpoint = answer(Client::new().get(format!("{}/log/checkpoint", process.url))).await;
        checkpoint.text.lines().nth(1).filter(|_| checkpoint.status == 200).map(|size| size.parse::<u64>().unwrap())
    };

    let process = with(&[("ANNALS_PROOFS_EVERY", "1"), ("ANNALS_PROOFS_DELAY", "3600")]);
    assert_eq!(answer(pay(&process.url)).await.status, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(size(&process).await, None, "ANNALS_PROOFS_DELAY");
    assert!(process.stop().await.status.success());

    let process = with(&[("ANNALS_PROOFS_EVERY", "1")]);
    let began = Instant::now();
    for round in 0..4 {
        let before = size(&process).await;
        assert_eq!(answer(pay(&process.url)).await.status, 200);
        let grows = async {
            while size(&process).await <= before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), grows)
            .await
            .expect("ANNALS_PROOFS_KEY: a checkpoint is signed");
        assert!(
            round == 0 || began.elapsed() < Duration::from_secs(25),
            "ANNALS_PROOFS_EVERY: {:?}",
            began.elapsed()
        );
    }
    assert!(process.stop().await.status.success());

    let trusted = files[0].clone().leak();
    let process = with(&[("ANNALS_PROOFS_POLICY", policy.clone().leak()), ("SSL_CERT_FILE", trusted)]);
    let asked = tokio::time::timeout(Duration::from_secs(60), witness.accept()).await;
    let (asked, _) = asked.expect("ANNALS_PROOFS_POLICY: the witness is asked").unwrap();
    let mut asked = accepting(&files).accept(asked).await.expect("SSL_CERT_FILE: the witness is trusted");
    let mut line = [0; 20];
    asked.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"POST /add-checkpoint");
    drop(asked);
    drop(witness);
    assert!(process.stop().await.status.success());

    let last = path("proofs.key.checkpoint");
    let process = with(&[("ANNALS_PROOFS_CHECKPOINT", last.clone().leak())]);
    assert_eq!(answer(pay(&process.url)).await.status, 200);
    assert!(process.stop().await.status.success());
    let other = Place::sqlite();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--store", other.url(), "--proofs-checkpoint", &last];
    let (arguments, environment) = match by_flag {
        true => (arguments.as_slice(), vec![(PROOFS, "")]),
        false => (&arguments[..5], vec![(PROOFS, ""), ("ANNALS_PROOFS_CHECKPOINT", last.as_str())]),
    };
    let mut refused = Process::bank(arguments, &environment);
    let refused = tokio::task::spawn_blocking(move || refused.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("does not continue from the checkpoint"), "{said}");

    let (done, said) = run(&["serve", "--proofs-policy", &policy, "--store", Place::sqlite().url()]);
    assert!(!done && said.contains("--proofs-key"), "{said}");
    let (done, said) = run(&["serve", "--proofs-key", &key, "--store", Place::sqlite().url()]);
    assert!(!done && said.contains("App::proofs"), "{said}");
}

/// The public key of a log as that of a witness, which cosigns: C2SP's `signed-note` and `tlog-cosignature`.
fn cosigner(public: &str) -> String {
    let [name, _, key] = public.splitn(3, '+').collect::<Vec<_>>().try_into().unwrap();
    let mut key = BASE64_STANDARD.decode(key).unwrap();
    key[0] = 4;
    let id = Sha256::digest([name.as_bytes(), b"\n", &key].concat());
    let id: String = id[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}+{id}+{}", BASE64_STANDARD.encode(key))
}

/// Mission A14: every port and connection is configured by a flag or a variable, and each of them works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_variable_and_every_flag_of_serve_works() {
    let mut helps_of = BTreeMap::new();
    helps(&[], &mut helps_of);
    let listed: BTreeSet<String> = helps_of.values().flat_map(|help| all(help, VARIABLES)).collect();
    let logs = ["ANNALS_LOG", "ANNALS_LOG_FORMAT"];
    let tried = BOTH_WAYS.iter().map(|(variable, _)| *variable).chain(logs);
    assert_eq!(listed, tried.map(str::to_owned).collect(), "a variable is not tested here");
    let flags: BTreeSet<String> =
        BOTH_WAYS.iter().map(|(_, flag)| (*flag).to_owned()).chain(["help", "as"].map(str::to_owned)).collect();
    assert_eq!(all(&helps_of["serve"], FLAGS), flags, "a flag of `serve` is not tested here");
    for by_flag in [false, true] {
        without_keys(by_flag).await;
        with_keys(by_flag).await;
        with_access_keys(by_flag).await;
        with_proofs(by_flag).await;
    }
    for (variable, value) in
        [("ANNALS_LOG", "annals=loud"), ("ANNALS_LOG_FORMAT", "xml"), ("ANNALS_ACTOR", "annals:recorder")]
    {
        let mut refused = Process::bank(&["serve", "--listen", "127.0.0.1:0"], &[(variable, value)]);
        let ended = tokio::task::spawn_blocking(move || refused.output().unwrap()).await.unwrap();
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && err.contains(value), "{variable}: {err}");
    }
}
