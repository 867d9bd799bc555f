//! Real processes, killed with -9 while they write, follow and rebuild. A few rounds in CI; more with
//! `FAULT_ROUNDS=200 cargo nextest run --test faults`.

#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../behaviour/bank.rs"]
mod bank;

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use annals::commands::Envelope;
use annals::events::Stored;
use annals::prelude::*;
use futures::{StreamExt, stream};
use uuid::Uuid;

use bank::*;

fn rounds() -> u64 {
    std::env::var("FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

fn url(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("bank.db").display())
}

/// The id of the `n`th command of a writer: the same in every round, so that a killed writer's commands are tried again.
fn id(writer: u64, n: u64) -> Uuid {
    Uuid::from_u128(u128::from(writer) << 64 | u128::from(n) | 1 << 127)
}

fn envelope(writer: u64, n: u64) -> Envelope {
    let context = by(&format!("writer{writer}")).command_id(id(writer, n));
    match n % 3 {
        0 => Envelope::new(deposit(&(n % 5).to_string(), 10), context),
        _ => Envelope::new(
            Transfer { from: account(&(n % 5).to_string()), to: account(&((n + 1) % 5).to_string()), cents: 0 },
            context,
        ),
    }
}

/// Not a test of its own: what a child process does when the ones below start it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(what) = std::env::var("FAULT_CHILD") else { return };
    let (what, argument) = what.split_once(' ').unwrap();
    let annals = app().open(&std::env::var("FAULT_STORE").unwrap()).await.unwrap();
    if what == "write" {
        let (writer, from) = argument.split_once(' ').unwrap();
        let (writer, from): (u64, u64) = (writer.parse().unwrap(), from.parse().unwrap());
        let commands = stream::iter(from..).map(|n| envelope(writer, n));
        let mut receipts = std::pin::pin!(annals.execute_all(commands, 32));
        while let Some(receipt) = receipts.next().await {
            println!("ack {}", receipt.unwrap().command_id);
            std::io::stdout().flush().unwrap();
        }
    } else {
        loop {
            annals.rebuild("balance").unwrap().await.unwrap();
            println!("rebuilt");
        }
    }
}

fn start(store: &str, what: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("FAULT_CHILD", what)
        .env("FAULT_STORE", store)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What a killed child had said.
fn last_words(mut child: Child) -> Vec<String> {
    child.kill().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
    child.wait().unwrap();
    lines
}

fn fold(log: &[Stored]) -> BTreeMap<String, Balance> {
    let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
    for stored in log {
        let event = Recorded::<AccountEvent>::from_stored(stored).unwrap();
        let balance = balances.entry(stored.aggregate.id().to_owned()).or_default();
        balance.events += 1;
        match event.event {
            AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => balance.cents += cents,
            AccountEvent::Sent { cents, .. } => balance.cents -= cents,
            AccountEvent::Opened | AccountEvent::Closed => unreachable!("no writer does that"),
        }
    }
    balances
}

/// Missions X1, X2, A11, P20 and X13: two writing processes and a rebuilding one, killed at random, again and again: what was
/// acknowledged is there once, what was not is there once at most, positions have no gap, views are a fold of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_lose_nothing_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = url(directory.path());
    app().open(&store).await.unwrap().close().await;
    let mut acknowledged: HashSet<Uuid> = HashSet::new();
    let mut next = [0, 0];
    for round in 0..rounds() {
        let writers = [0, 1].map(|writer| start(&store, &format!("write {writer} {}", next[writer as usize])));
        let rebuilder = start(&store, "rebuild ");
        let pause = 150 + u64::from(Uuid::new_v4().as_bytes()[0]) + 37 * (round % 7);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        last_words(rebuilder);
        for (writer, child) in writers.into_iter().enumerate() {
            let said = last_words(child);
            let acks = said.iter().filter_map(|line| line.split("ack ").nth(1)?.parse::<Uuid>().ok());
            let acks: Vec<Uuid> = acks.collect();
            next[writer] += (acks.len() as u64).saturating_sub(3);
            acknowledged.extend(acks);
        }

        let annals = app().open(&store).await.unwrap();
        let log = log(&annals).await;
        assert!(log.iter().zip(1..).all(|(event, position)| event.position == position), "a gap");
        let mut seen = HashSet::new();
        let mut commands = HashSet::new();
        for event in &log {
            assert!(seen.insert((event.aggregate.clone(), event.sequence)), "doubled");
            commands.insert(event.command_id);
        }
        for id in &acknowledged {
            assert!(commands.contains(id), "{id} was acknowledged and is lost");
        }
        let mut events: BTreeMap<Uuid, usize> = BTreeMap::new();
        log.iter().for_each(|event| *events.entry(event.command_id).or_default() += 1);
        assert!(events.values().all(|count| *count <= 2), "a command took effect twice");

        let head = annals.store().head().await.unwrap();
        annals.reading("balance").unwrap().caught_up(head, None).await.unwrap();
        let view = annals.views::<Balance>().page(100, None).await.unwrap();
        let view: BTreeMap<_, _> =
            view.documents.into_iter().map(|(key, balance)| (Id::text(&key).into_owned(), balance)).collect();
        assert_eq!(view, fold(&log), "round {round}");
        assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
        annals.close().await;
    }
    assert!(!acknowledged.is_empty(), "the writers wrote");
}
