//! The command line of an application whose reads need an actor.

use std::process::ExitCode;

use annals::app::{AccessContext, Ask, Denial};
use annals::projections::flows::Flows;
use annals::projections::provenance::Agents;
use annals_test_postgres::Place;

use crate::bank;

annals_test_postgres::both_stores! {
    a_read_needs_an_actor_and_a_denial_has_its_own_exit_code,
    every_subcommand_asks_the_authoriser,
}

fn only_auditors_read(context: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match ask {
        Ask::Command { .. } => Ok(()),
        _ if context.actor().kind() == "auditor" => Ok(()),
        _ => Err(Denial::because("only auditors read")),
    }
}

/// Mission A9: a denial has its own exit code, and is recorded.
async fn a_read_needs_an_actor_and_a_denial_has_its_own_exit_code(place: &Place) {
    let url = place.url();
    let app = || bank::app().authorise(only_auditors_read).record_reads().record_refusals();
    let run = async |arguments: &[&str]| {
        let arguments = [&["bank"], arguments, &["--store", url]].concat();
        format!("{:?}", app().main_with(arguments).await)
    };
    let [done, failed, denied] = [0, 1, 77].map(|code| format!("{:?}", ExitCode::from(code)));
    assert_eq!(run(&["execute", "open_account", r#"{"account":"a"}"#, "--actor", "user:alice"]).await, done);
    assert_eq!(run(&["execute", "open_account", r#"{"account":"a"}"#, "--actor", "user:alice"]).await, failed);
    let reads: [&[&str]; 7] = [
        &["audit"],
        &["audit", "--count"],
        &["export", "--format", "jsonl", "--to", "-"],
        &["metrics", "bank"],
        &["lineage", "account:a"],
        &["view", "balance"],
        &["view", "balance", "a"],
    ];
    for read in reads {
        assert_eq!(run(read).await, failed, "a read without an actor: {read:?}");
        assert_eq!(run(&[read, &["--as", "user:bob"]].concat()).await, denied, "{read:?}");
        assert_eq!(run(&[read, &["--as", "auditor:eve"]].concat()).await, done, "{read:?}");
    }
    let every_filter = [
        "audit",
        "--actor",
        "user:alice",
        "--actor",
        "user:bob",
        "--target",
        "account:a",
        "--topic",
        "bank",
        "--action",
        "create",
        "--event",
        "account.opened",
        "--aggregate",
        "account:a",
        "--text",
        "OPENED",
        "--occurred-from",
        "2020-01-01",
        "--occurred-until",
        "2120-01-01",
        "--by-occurrence",
        "--newest-first",
        "--from",
        "1",
        "--limit",
        "3",
        "--format",
        "csv",
        "--as",
        "auditor:eve",
    ];
    assert_eq!(run(&every_filter).await, done);
    let without_zone = ["audit", "--occurred-from", "2026-01-01T00:00:00", "--as", "auditor:eve"];
    assert_eq!(run(&without_zone).await, format!("{:?}", ExitCode::from(2)));

    let annals = app().open(url).await.unwrap();
    let head = annals.store().head().await.unwrap();
    let refused = annals.audit().refused().after(head).count().await.unwrap();
    let types: Vec<_> = refused.event_types.iter().map(|facet| (facet.value.as_str(), facet.events)).collect();
    // Three of them query the audit log: a denial that another process has recorded is counted.
    let expected = [("annals_refusal.denied", 5), ("annals_refusal.repeated", 2), ("annals_refusal.refused", 1)];
    assert_eq!(types, expected);
    assert_eq!(reads.len(), 7);
    let recorded = annals.audit().topic("annals/read").count().await.unwrap();
    assert_eq!(recorded.actors.iter().map(|facet| facet.value.as_str()).collect::<Vec<_>>(), ["auditor:eve"]);
    annals.close().await;
}

/// Mission X41. One rule: whatever the command line reads, changes or operates is asked for, as the actor of `--as`.
///
/// Not asked: "commands", "completions" and "man" print what the program declares; "migrate" makes the log, on which an
/// authoriser could decide; "serve" asks for each request.
async fn every_subcommand_asks_the_authoriser(place: &Place) {
    let directory = tempfile::tempdir().unwrap();
    let url = place.url();
    let app = || {
        let app = bank::app().provenance(Agents::default()).flows(Flows::default());
        app.authorise(|context: &AccessContext<'_>, _: &Ask<'_>| match context.actor().as_str() {
            "user:root" => Ok(()),
            _ => Err(Denial::because("only root may")),
        })
    };
    let run = async |arguments: &[&str], actor: &[&str]| {
        let arguments = [&["bank"], arguments, &["--store", url], actor].concat();
        format!("{:?}", app().main_with(arguments).await)
    };
    let [done, failed, denied] = [0, 1, 77].map(|code| format!("{:?}", ExitCode::from(code)));
    let to = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (csv, copy) = (to("audit.csv"), to("copy.db"));
    let asked: [&[&str]; 32] = [
        &["execute", "open_account", r#"{"account":"a"}"#],
        &["audit"],
        &["metrics"],
        &["export", "--format", "csv", "--to", &csv],
        &["lineage", "account:a"],
        &["provenance", "account:a"],
        &["flows"],
        &["view", "balance"],
        &["view", "balance", "a", "--at", "1"],
        &["show", "account:a"],
        &["events"],
        &["events", "--aggregate", "account/a"],
        &["check"],
        &["backup", &copy],
        &["projections", "status"],
        &["projections", "rebuild", "balance"],
        &["projections", "resume", "balance"],
        &["projections", "skip", "balance"],
        &["projections", "dead-letters", "balance"],
        &["projections", "replay", "balance"],
        &["projections", "prune", "--dry-run"],
        &["reactions", "status"],
        &["reactions", "pending", "none"],
        &["reactions", "skip", "none", "018f0000-0000-4000-8000-000000000001", "--why", "it lapses"],
        &["reactions", "replay", "none", "018f0000-0000-4000-8000-000000000001", "--why", "it lapses"],
        &["feeds", "status"],
        &["feeds", "pause", "none", "--why", "they move"],
        &["feeds", "resume", "none", "--why", "they have moved"],
        &["intakes", "status"],
        &["intakes", "pause", "none", "--why", "they move"],
        &["intakes", "resume", "none", "--why", "they have moved"],
        &["intakes", "replay", "none", "1", "--why", "it can be read now"],
    ];
    // `execute` comes first: the others need a store.
    for arguments in asked {
        assert_eq!(run(arguments, &[]).await, failed, "without an actor: {arguments:?}");
        assert_eq!(run(arguments, &["--as", "user:bob"]).await, denied, "{arguments:?}");
        assert!(!std::path::Path::new(&csv).exists() && !std::path::Path::new(&copy).exists(), "{arguments:?}");
        let allowed = run(arguments, &["--as", "user:root"]).await;
        // The projection has not stopped, and there is no reaction, no feed and no intake.
        let fails = matches!(arguments[..], [_, "skip", ..] | [_, _, "none", ..]);
        let expected = if fails { &failed } else { &done };
        assert_eq!(&allowed, expected, "{arguments:?}");
        for file in [&csv, &copy] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// A child process mounts the file system. Without the right to mount, the test fails with that message.
#[cfg(target_os = "linux")]
#[test]
fn a_log_on_read_only_media_is_checked_and_read_and_a_command_fails() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "mount -t tmpfs annals '{}'; exec '{}' command_line::on_read_only_media --exact --ignored --nocapture",
        directory.path().display(),
        program.display()
    );
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script])
        .env("ANNALS_TEST_DIRECTORY", directory.path())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(text.contains("it is read-only here: the log can be read, but no command can be executed"), "{text}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn on_read_only_media() {
    let Ok(directory) = std::env::var("ANNALS_TEST_DIRECTORY") else { return };
    let url = format!("sqlite://{directory}/log.db");
    let annals = bank::app().open(&url).await.unwrap();
    annals.execute(bank::deposit("a", 7), &bank::by("alice")).await.unwrap();
    annals.close().await;
    let mounted = std::process::Command::new("mount").args(["-o", "remount,ro", &directory]).status().unwrap();
    assert!(mounted.success());
    let run = async |arguments: &[&str]| {
        let arguments = [&["bank"], arguments, &["--store", &url]].concat();
        format!("{:?}", bank::app().main_with(arguments).await)
    };
    let [done, failed] = [0, 1].map(|code| format!("{:?}", ExitCode::from(code)));
    let reads: [&[&str]; 8] = [
        &["show", "account:a", "--at", "1"],
        &["view", "balance", "a", "--at", "1"],
        &["check"],
        &["events"],
        &["audit"],
        &["metrics", "bank"],
        &["view", "balance", "a"],
        &["projections", "status"],
    ];
    for read in reads {
        assert_eq!(run(read).await, done, "{read:?}");
    }
    assert_eq!(run(&["execute", "open_account", r#"{"account":"b"}"#, "--actor", "user:alice"]).await, failed);
}
