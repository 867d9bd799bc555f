//! Every flag of every subcommand, by its effect. A new one that is not tested here fails the test.

use std::collections::{BTreeMap, BTreeSet};

use annals_test_postgres::Place;

use crate::bank::{self, by, deposit};
use crate::configuration::{FLAGS, all};
use crate::program::{helps, run};

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
        let names = if ["feeds", "intakes", "projections", "reactions"].contains(&arguments[0]) { 2 } else { 1 };
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
    let none = file("no such file");
    let cursor = |arguments: &[&str]| {
        let (_, out) = run(&[arguments, &["--limit", "1", "--store", place.url()]].concat());
        out.split_once("--cursor ").expect("there is more").1.split_whitespace().next().unwrap().to_owned()
    };
    let (of_rows, of_documents) = (cursor(&["audit"]), cursor(&["view", "balance"]));
    let of_nodes = cursor(&["provenance", "account:a"]);
    let of_flows = cursor(&["flows"]);
    try_all(place, filters(&["audit"]), &mut tried);
    try_all(place, filters(&["export", "--format", "jsonl", "--to", "-"]), &mut tried);
    let (good, bad) = (true, false);
    let wrong = format!("1:{}", "0".repeat(64));
    let id = "018f0000-0000-4000-8000-000000000001";
    let runs: Vec<Run<'_>> = vec![
        (good, vec!["audit", "--cursor", &of_rows], "bob", "alice"),
        (good, vec!["audit", "--follow", "--limit", "2"], "bob", ""),
        (good, vec!["audit", "--count"], "user:bob", "paid"),
        (good, vec!["audit", "--format", "csv"], "\"position\",", ""),
        (good, vec!["export", "--format", "csv", "--to", &csv, "--cursor", &of_rows], "exported 1 event, ", ""),
        (bad, vec!["export", "--format", "csv", "--to", &csv], "--replace", ""),
        (good, vec!["export", "--format", "csv", "--to", &csv, "--replace"], "exported 2 events, ", ""),
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
        (good, vec!["provenance", "account:a", "--depth", "1", "--format", "json"], "log:account/a@1", "account/b"),
        (
            good,
            vec!["provenance", "account:b", "--backwards", "--at", "1", "--format", "provn"],
            "document",
            "account/b",
        ),
        (good, vec!["provenance", "account:a", "--forwards", "--limit", "1"], "was made by", "--cursor"),
        (good, vec!["provenance", "account:a", "--format", "svg"], "account:a</text>", "account:b"),
        (good, vec!["provenance", "account:a", "--cursor", &of_nodes], "command", "account:a after its event 1\n"),
        (good, vec!["flows", "--actor", "user:bob", "--format", "csv"], "account:b", "account:a"),
        (good, vec!["flows", "--sink", "account:a", "--show", "minutes"], "account:a", "account:b"),
        (good, vec!["flows", "--source", "account:*", "--outcome", "denied"], "nothing flows", "account:a"),
        (good, vec!["flows", "--from", "2020-01-01", "--limit", "1"], "--cursor", "account:b"),
        (good, vec!["flows", "--until", "2020-01-01", "--show", "out"], "nothing flows", "account:a"),
        (good, vec!["flows", "--cursor", &of_flows], "account:b", "account:a"),
        (good, vec!["flows", "--show", "unusual", "--width", "10m", "--format", "json"], "\"slices\": 60", ""),
        (good, vec!["show", "account:a", "--at", "1", "--format", "json"], "\"sequence\": 1", ""),
        (bad, vec!["show", "account:b", "--at", "1"], "no event up to position 1", ""),
        (good, vec!["view", "balance", "a", "--at", "2"], "1", ""),
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
        (good, vec!["reactions", "status", "--format", "json"], "[]", ""),
        (bad, vec!["reactions", "pending", "no", "--timers", "--aggregate", "a:1", "--format", "json"], "`no`", ""),
        (bad, vec!["reactions", "pending", "no", "--limit", "1", "--cursor", "0_0_0"], "no reaction `no`", ""),
        (bad, vec!["reactions", "skip", "no", id, "--why", "a reason", "--format", "json"], "no actor", "`no`"),
        (good, vec!["intakes", "status", "--format", "json"], "[]", ""),
        (bad, vec!["intakes", "pause", "no", "--why", "a reason", "--format", "json"], "no actor", ""),
        (bad, vec!["intakes", "resume", "no", "--why", "a reason", "--format", "json"], "no actor", ""),
        (bad, vec!["intakes", "replay", "no", "1", "--why", "a reason", "--format", "json"], "no actor", ""),
        (good, vec!["feeds", "status", "--format", "json"], "[]", ""),
        (bad, vec!["feeds", "pause", "no", "--why", "a reason", "--format", "json"], "no actor", ""),
        (
            bad,
            vec!["feeds", "resume", "no", "--from", "1", "--why", "a reason", "--format", "json"],
            "no actor",
            "",
        ),
        (bad, vec!["check", "--checkpoint", &none, "--policy", &none], "no such file", ""),
        (bad, vec!["check", "--proofs-key", &none], "no such file", ""),
        (bad, vec!["export", "--proofs", &copy], "App::proofs", ""),
        (bad, vec!["reactions", "replay", "no", id, "--why", "a reason", "--format", "json"], "no actor", "`no`"),
    ];
    try_all(place, runs, &mut tried);
    assert!(std::fs::read_to_string(&plot).unwrap().contains("<svg"), "--plot");
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
        if ["", "feeds", "intakes", "projections", "reactions", "serve"].contains(&subcommand.as_str()) {
            continue;
        }
        let known = tried.entry(subcommand.clone()).or_default();
        known.extend(["help", "store", "as"].map(str::to_owned));
        for flag in all(&help, FLAGS) {
            assert!(known.contains(&flag), "`{subcommand} --{flag}` is not tested: add a run of it to this file");
        }
    }
}
