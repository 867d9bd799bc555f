//! Every flag and environment variable of the command line, by its effect. A new one that is not tested here fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use annals_test_postgres::Place;
use jsonwebtoken::{Algorithm, EncodingKey};
use regex::Regex;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::net::TcpListener;

use crate::bank::{self, app, by, deposit};
use crate::process::Process;
use crate::served::answer;
use crate::tokens::{but, ec, jwks, token};

/// Runs `bank`. Returns whether it succeeded, and its output.
fn run(arguments: &[&str]) -> (bool, String) {
    let ended = Process::bank(arguments, &[]).stdin(Stdio::null()).output().unwrap();
    (ended.status.success(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
}

/// Collects the help texts of a subcommand and its subcommands.
fn helps(path: &[&str], into: &mut BTreeMap<String, String>) {
    let (_, text) = run(&[path, &["--help"]].concat());
    let subcommand = Regex::new(r"(?m)^  ([a-z-]+)(?: |$)").unwrap();
    let listed = text.split_once("Commands:").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    for name in subcommand.captures_iter(listed).map(|found| found.get(1).unwrap().as_str()) {
        // The fields of commands are options too: `execute COMMAND --help`.
        if name != "help" && path != ["execute"] {
            helps(&[path, &[name]].concat(), into);
        }
    }
    into.insert(path.join(" "), text);
}

fn all(of: &str, pattern: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(of).map(|found| found[1].to_owned()).collect()
}

const FLAGS: &str = r"(?m)^ +(?:-\w, )?--([a-z-]+)";
const VARIABLES: &str = r"\b((?:ANNALS|OTEL)_[A-Z_]*[A-Z])\b";

/// The settings of `serve`, each as a variable and as a flag.
const BOTH_WAYS: [(&str, &str); 9] = [
    ("ANNALS_STORE", "store"),
    ("ANNALS_LISTEN", "listen"),
    ("ANNALS_ACTOR", "actor"),
    ("ANNALS_RATE", "rate"),
    ("ANNALS_JWKS", "jwks"),
    ("ANNALS_SECRET_FILE", "secret-file"),
    ("ANNALS_AUDIENCE", "audience"),
    ("ANNALS_ISSUER", "issuer"),
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

/// A run of a subcommand: whether it succeeds, its arguments, a text in its output, and a text that is not.
type Run<'a> = (bool, Vec<&'a str>, &'a str, &'a str);

fn filters<'a>(alone: &[&'a str]) -> Vec<Run<'a>> {
    let (alice, bob) = ("alice paid 1", "bob paid 2");
    let runs: [(&[&str], &str, &str); 18] = [
        (&["--actor", "user:bob"], bob, alice),
        (&["--target", "account:b"], bob, alice),
        (&["--aggregate", "account:b"], bob, alice),
        (&["--topic", "bank/transfer"], "", "paid"),
        (&["--action", "create"], "", "paid"),
        (&["--refused"], "", "paid"),
        (&["--event", "account.opened"], "", "paid"),
        (&["--correlation", "r1"], alice, bob),
        (&["--text", "PAID 2"], bob, alice),
        (&["--detail", "metadata"], "bob paid [redacted]", "paid 2"),
        (&["--from", "2"], bob, alice),
        (&["--until", "2"], alice, bob),
        (&["--occurred-from", "2100-01-01T00:00:00Z"], "", "paid"),
        (&["--occurred-until", "2000-01-01T00:00:00Z"], "", "paid"),
        (&["--by-occurrence", "--newest-first", "--limit", "1"], bob, alice),
        (&["--locale", "en", "--names", "none"], bob, "nothing else"),
        (&["--locale", "tlh"], "tlh", "paid"),
        (&["--as", "user:eve"], bob, "nothing else"),
    ];
    runs.into_iter()
        .map(|(more, has, lacks)| (!more.contains(&"tlh"), [alone, more].concat(), has, lacks))
        .collect()
}

/// Runs each, and records the tested flags by subcommand.
fn try_all(place: &Place, runs: Vec<Run<'_>>, tried: &mut BTreeMap<String, BTreeSet<String>>) {
    for (well, arguments, has, lacks) in runs {
        let store = ["--store", place.url()];
        let store = if arguments[0] == "commands" { &[] } else { &store[..] };
        let (ended_well, out) = run(&[&arguments[..], store].concat());
        assert_eq!(ended_well, well, "{arguments:?}: {out}");
        assert!(out.contains(has), "{arguments:?} lacks `{has}`: {out}");
        assert!(lacks.is_empty() || !out.contains(lacks), "{arguments:?} has `{lacks}`: {out}");
        let names = if arguments[0] == "projections" { 2 } else { 1 };
        let flags = arguments.iter().filter_map(|argument| argument.strip_prefix("--")).map(str::to_owned);
        tried.entry(arguments[..names].join(" ")).or_default().extend(flags);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_of_every_subcommand_works() {
    let place = Place::sqlite();
    let annals = bank::open(&place).await;
    annals.execute(deposit("a", 1), &by("alice").correlation("r1")).await.unwrap();
    annals.execute(deposit("b", 2), &by("bob")).await.unwrap();
    annals.close().await;
    tokio::task::spawn_blocking(move || try_each(&place)).await.unwrap();
}

fn try_each(place: &Place) {
    let mut tried: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (csv, plot, copy) = (file("log.csv"), file("plot.svg"), file("copy.db"));
    let cursor = |arguments: &[&str]| {
        let (_, out) = run(&[arguments, &["--limit", "1", "--store", place.url()]].concat());
        out.split_once("--cursor ").expect("there is more").1.split_whitespace().next().unwrap().to_owned()
    };
    let (of_rows, of_documents) = (cursor(&["audit"]), cursor(&["view", "balance"]));
    try_all(place, filters(&["audit"]), &mut tried);
    try_all(place, filters(&["export", "--format", "jsonl", "--to", "-"]), &mut tried);
    let (good, bad) = (true, false);
    let wrong = format!("1:{}", "0".repeat(64));
    let runs: Vec<Run<'_>> = vec![
        (good, vec!["audit", "--cursor", &of_rows], "bob", "alice"),
        (good, vec!["audit", "--follow", "--limit", "2"], "bob", ""),
        (good, vec!["audit", "--count"], "user:bob", "paid"),
        (good, vec!["audit", "--format", "csv"], "\"position\",", ""),
        (good, vec!["export", "--format", "csv", "--to", &csv, "--cursor", &of_rows], "1 event", ""),
        (bad, vec!["export", "--format", "csv", "--to", &csv], "--replace", ""),
        (good, vec!["export", "--format", "csv", "--to", &csv, "--replace"], "2 events", ""),
        (good, vec!["export", "--format", "csv", "--to", "-", "--bom"], "\u{feff}\"position\",", ""),
        (bad, vec!["export", "--format", "jsonl", "--to", "-", "--bom"], "--bom is for --format csv", ""),
        (good, vec!["metrics", "bank", "--from", "2", "--format", "json"], "\"total\": 1", ""),
        (good, vec!["metrics", "bank", "--until", "2", "--format", "json"], "\"total\": 1", ""),
        (good, vec!["metrics", "bank", "--busiest", "0", "--format", "json"], "\"busiest\": null", ""),
        (good, vec!["metrics", "bank", "--slices", "3", "--format", "json"], "\"total\": 2", ""),
        (good, vec!["metrics", "bank", "--anomalies", "1h", "--format", "json"], "\"slices\":", ""),
        (bad, vec!["metrics", "bank", "--by-occurrence"], "App::metrics_by_occurrence", ""),
        (good, vec!["metrics", "bank", "--plot", &plot, "--as", "user:eve"], "bank", ""),
        (bad, vec!["metrics", "bank", "--plot", &plot], "--replace", ""),
        (good, vec!["metrics", "bank", "--plot", &plot, "--replace"], "bank", ""),
        (good, vec!["lineage", "account:a", "--format", "json", "--as", "user:eve"], "[", ""),
        // It says why there is nothing.
        (
            good,
            vec!["lineage", "account:a", "--as", "user:eve"],
            "no recorded export includes account:a: this app",
            "",
        ),
        (good, vec!["view", "balance", "--limit", "1"], "--cursor", "\"cents\":2"),
        (good, vec!["view", "balance", "--cursor", &of_documents], "2", "\"cents\":1"),
        (good, vec!["view", "balance", "--format", "json", "--as", "user:eve"], "cents", ""),
        (good, vec!["view", "balance", "--filter", "cents=1"], "\"cents\":1", "\"cents\":2"),
        (good, vec!["view", "balance", "--any", "cents=2", "--any", "cents=9"], "\"cents\":2", "\"cents\":1"),
        (good, vec!["view", "balance", "--from", "cents=2"], "\"cents\":2", "\"cents\":1"),
        (good, vec!["view", "balance", "--until", "cents=2"], "\"cents\":1", "\"cents\":2"),
        (good, vec!["view", "balance", "--prefix", "size=sm"], "\"cents\":1", ""),
        (good, vec!["view", "balance", "--prefix", "size=sm", "--count"], "2", ""),
        (good, vec!["view", "balance", "--count-by", "size"], "small\t2", ""),
        (bad, vec!["view", "balance", "a", "--filter", "cents=1"], "a key cannot be combined", ""),
        (
            good,
            vec!["view", "balance", "--order", "cents", "--descending", "--limit", "1"],
            "\"cents\":2",
            "\"cents\":1",
        ),
        (good, vec!["commands", "deposit", "--format", "json"], "\"cents\"", ""),
        (good, vec!["events", "--from", "2", "--format", "json"], "\"cents\":2", "\"cents\":1"),
        (good, vec!["events", "--aggregate", "account/a", "--format", "json"], "\"cents\":1", "\"cents\":2"),
        (good, vec!["events", "--limit", "1", "--format", "json"], "\"cents\":1", "\"cents\":2"),
        (good, vec!["check", "--format", "json"], "\"events\": 2", ""),
        (good, vec!["backup", &copy, "--format", "json"], "copy.db", ""),
        (good, vec!["check", "--drop-snapshots", "--format", "json"], "\"dropped_snapshots\"", ""),
        (bad, vec!["check", "--expect", &wrong], "", ""),
        (bad, vec!["migrate", "--grant", "shop_app"], "give --store postgres://", ""),
        (bad, vec!["migrate", "--format", "json"], "give --store postgres://", ""),
        (
            bad,
            [
                &[
                    "migrate",
                    "--dry-run",
                    "--wait",
                    "5",
                    "--kind",
                    "Account=account",
                    "--event-version",
                    "Opened:v1=1",
                ][..],
                &["--actor-from", "user", "--actor-kind", "user", "--time-from", "at"],
            ]
            .concat(),
            "give --store postgres://",
            "",
        ),
        (bad, vec!["migrate", "--undo"], "give --store postgres://", ""),
        (good, vec!["projections", "status", "--format", "json"], "\"balance\"", ""),
        (good, vec!["projections", "rebuild", "--all"], "rebuilt", ""),
        (good, vec!["projections", "rebuild", "balance", "--key", "a", "--format", "json"], "balance", ""),
        (good, vec!["projections", "rebuild", "balance", "--aggregate", "account"], "rebuilt", ""),
        (good, vec!["projections", "rebuild", "balance", "--keep-skips"], "rebuilt", ""),
        (good, vec!["projections", "resume", "balance", "--format", "json"], "\"position\": 2", ""),
        (bad, vec!["projections", "skip", "balance", "--format", "json"], "balance", ""),
        (good, vec!["projections", "dead-letters", "balance", "--format", "json"], "[]", ""),
        (good, vec!["projections", "replay", "balance", "--format", "json"], "0", ""),
        (good, vec!["projections", "prune", "--dry-run", "--format", "json"], "[]", ""),
    ];
    try_all(place, runs, &mut tried);
    assert!(std::fs::read_to_string(&plot).unwrap().contains("<svg"), "--plot");
    let id = "018f0000-0000-4000-8000-000000000001";
    let paid = ["execute", "deposit", r#"{"account":"c","cents":3}"#, "--actor", "user:carol", "--command-id", id];
    let paid = [&paid[..], &["--on-behalf-of", "user:boss", "--correlation", "r2", "--format", "json"]].concat();
    let again = paid.clone();
    try_all(
        place,
        vec![(good, paid, id, "\"repeated\": true"), (good, again, "\"repeated\": true", "")],
        &mut tried,
    );
    let last = ["events", "--from", "3", "--format", "json", "--store", place.url()];
    let (_, last) = run(&last);
    for word in ["user:carol", "user:boss", "r2"] {
        assert!(last.contains(word), "{word}: {last}");
    }

    let mut listed = BTreeMap::new();
    helps(&[], &mut listed);
    assert!(listed.len() > 15, "{:?}", listed.keys());
    for (subcommand, help) in listed {
        if ["", "projections", "serve"].contains(&subcommand.as_str()) {
            continue;
        }
        let known = tried.entry(subcommand.clone()).or_default();
        known.extend(["help", "store", "as"].map(str::to_owned));
        for flag in all(&help, FLAGS) {
            assert!(known.contains(&flag), "`{subcommand} --{flag}` is not tested: add a run of it to this file");
        }
    }
}
