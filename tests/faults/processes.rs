//! This program as a child process that writes, follows, rebuilds or serves commands until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals::projections::RebuildError;
use futures::{StreamExt, stream};
use uuid::Uuid;

use crate::bank::*;
use crate::{callers, erasing, feeding, racers, reactors, receiving, signing};

/// The longest wait for a process: after that it hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the id of the `n`th command of a writer: the same in every round, so that a killed writer's commands are
/// retried.
pub fn id(writer: u64, n: u64) -> Uuid {
    Uuid::from_u128(1 << 127 | u128::from(writer) << 64 | u128::from(n))
}

/// Returns the `n`th command of a writer: a payment, or a transfer between two of five accounts.
pub fn envelope(writer: u64, n: u64) -> Envelope {
    let context = by(&format!("writer{writer}")).command_id(id(writer, n));
    let name = |n: u64| (n % 5).to_string();
    match is_deposit(n) {
        true => Envelope::new(deposit(&name(n / 4), 10), context),
        false => Envelope::new(
            Transfer { from: account(&name(n)), to: account(&name(n + 1 + n / 5 % 4)), cents: 1 + n as i64 % 7 },
            context,
        ),
    }
}

/// Returns whether the `n`th command is a payment.
pub fn is_deposit(n: u64) -> bool {
    n.is_multiple_of(4)
}

/// Prints a line for the parent process. Lines of the test harness have no mark.
pub fn say(line: impl std::fmt::Display) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "> {line}").and_then(|()| output.flush()).expect("an open pipe");
}

/// Not a test: the code of the child processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(role) = std::env::var("FAULT_ROLE") else { return };
    let (lines, mut received) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let _ = line.map(|line| lines.send(line));
        }
        // The parent process has ended.
        std::process::exit(0);
    });
    let words: Vec<&str> = role.split(' ').collect();
    let store = std::env::var("FAULT_STORE").unwrap();
    let annals = match words[0] {
        "flood" => app().open_without_following(&store).await.unwrap(),
        "race" => racers::app().open_without_following(&store).await.unwrap(),
        "react" => reactors::app().open(&store).await.unwrap(),
        "feed" => feeding::app_with_feed(words[3]).open(&store).await.unwrap(),
        "erase" => erasing::app(words[1]).open(&store).await.unwrap(),
        "receive" => receiving::app_with_intake(words[1]).open(&store).await.unwrap(),
        "sign" => app().proofs().open(&store).await.unwrap(),
        _ => app().open(&store).await.unwrap(),
    };
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    match words[0] {
        "call" => callers::call(&annals, number(1)).await,
        "write" | "flood" => write(&annals, number(1), number(2).., Duration::ZERO).await,
        "feed" => write(&annals, number(1), number(2).., Duration::from_millis(number(4))).await,
        "sessions" => sessions(annals, &store, number(1)).await,
        "follow" => follow(annals.audit().from(number(1) + 1).follow()).await,
        "deposits" => follow(annals.audit().event("account.deposited").from(number(1) + 1).follow()).await,
        "pages" => pages(&annals, number(1)).await,
        "rebuild" => {
            say("ready");
            loop {
                annals.rebuild("balance").unwrap().await.unwrap();
            }
        }
        "switch" => {
            say("ready");
            loop {
                match annals.rebuild("balance").unwrap().await {
                    Ok(progress) => say(format!("switched {}", progress.position)),
                    // Another process rebuilds it, or one that was killed did.
                    Err(RebuildError::Running { .. } | RebuildError::Elsewhere(_)) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error}: {error:?}"),
                }
            }
        }
        "race" => racers::race(&annals, number(1), received).await,
        "react" => reactors::ask(&annals, number(1), number(2)).await,
        "erase" => erasing::erase(&annals, number(2)).await,
        "receive" => receiving::receive(&annals).await,
        "sign" => signing::sign(&annals, words[1]).await,
        "serve" => {
            say("ready");
            while let Some(line) = received.recv().await {
                say(serve(&annals, &line).await);
            }
        }
        "run" => {
            say("ready");
            std::future::pending().await
        }
        other => panic!("unknown role {other}"),
    }
    panic!("the child ended by itself");
}

/// Prints the answer to each command in order: `ack N FIRST EVENTS HEAD`, `refused N`.
async fn write(
    annals: &Annals,
    writer: u64,
    numbers: impl Iterator<Item = u64> + Clone + Send + 'static,
    pause: Duration,
) {
    let commands = stream::iter(numbers.clone()).then(move |n| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        envelope(writer, n)
    });
    let mut answers = std::pin::pin!(annals.execute_all(Box::pin(commands), 32));
    let mut numbers = numbers;
    while let Some(answer) = answers.next().await {
        let n = numbers.next().unwrap();
        match answer {
            Ok(receipt) => say(format!("ack {n} {}", spelled(&receipt))),
            Err(ExecuteError::Refused(_)) => say(format!("refused {n}")),
            Err(error) => panic!("{n}: {error}: {error:?}"),
        }
    }
}

/// Writes a few commands, closes the store and opens it again, for ever.
async fn sessions(mut annals: Annals, store: &str, writer: u64) {
    for session in 0.. {
        write(&annals, writer, session * 24..(session + 1) * 24, Duration::ZERO).await;
        annals.close().await;
        annals = app().open(store).await.unwrap();
    }
}

async fn follow<E: std::fmt::Debug>(
    mut rows: futures::stream::BoxStream<'static, Result<annals::projections::audit::AuditRow, E>>,
) {
    while let Some(row) = rows.next().await {
        say(format!("saw {}", row.unwrap().position));
    }
}

async fn pages(annals: &Annals, mut after: u64) {
    let mut watch = annals.store().watch();
    loop {
        // A restart of the server is not the end of the log.
        let Ok(page) = annals.events(after, 100).await else { continue };
        page.events.iter().for_each(|event| say(format!("saw {}", event.position)));
        after = page.to.position;
        if page.events.is_empty() {
            watch.wait_for(|head| head.position > after).await.unwrap();
        }
    }
}

fn spelled(receipt: &Receipt) -> String {
    format!("{} {} {} {}", receipt.first_position, receipt.events, receipt.head.event_id, receipt.repeated)
}

/// Executes `deposit ACCOUNT CENTS [ID]` and `transfer FROM TO CENTS [ID]`; returns `head`, and the balance of an
/// account in the view for `balance ACCOUNT`.
async fn serve(annals: &Annals, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let cents = |index: usize| words[index].parse::<i64>().unwrap();
    let context = |index: usize| match words.get(index) {
        Some(id) => by("server").command_id(id.parse().unwrap()),
        None => by("server"),
    };
    let executed = match words[0] {
        "deposit" => annals.execute(deposit(words[1], cents(2)), &context(3)).await,
        "transfer" => {
            let transfer = Transfer { from: account(words[1]), to: account(words[2]), cents: cents(3) };
            annals.execute(transfer, &context(4)).await
        }
        "balance" => {
            let head = annals.store().head().await.unwrap();
            let balance = annals.view::<Balance>(&account(words[1])).after(head).await;
            return match balance {
                Ok(balance) => format!("balance {}", balance.unwrap_or_default().cents),
                Err(error) => format!("error {error:?}"),
            };
        }
        "head" => return format!("head {}", annals.store().head().await.unwrap().position),
        other => panic!("unknown request {other}"),
    };
    match executed {
        Ok(receipt) => format!("ok {}", spelled(&receipt)),
        Err(ExecuteError::Refused(error)) => format!("refused {error}"),
        Err(error) => format!("error {error:?}"),
    }
}

/// Returns the views file of an SQLite store.
pub fn views_file(place: &annals_test_postgres::Place) -> PathBuf {
    place.url().replace("sqlite://", "").replace("store.db", "store.views.db").into()
}

/// A child process.
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Lines that were received and not returned yet.
    received: Vec<String>,
}

impl Process {
    /// Starts a child on a store: see `child` for the roles.
    pub fn start(store: &str, role: &str) -> Self {
        Self::start_with(store, role, |_| ())
    }

    /// Starts a child with a changed environment.
    pub fn start_with(store: &str, role: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "processes::child", "--nocapture"])
            .env("FAULT_ROLE", role)
            .env("FAULT_STORE", store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some((_, said)) = line.split_once("> ") else { continue };
                let _ = send.send(said.to_owned());
            }
        });
        Self { child, input, lines, received: Vec::new() }
    }

    /// Starts a child that serves commands, and waits until it is ready.
    pub fn server(store: &str) -> Self {
        let server = Self::start(store, "serve");
        assert_eq!(server.next_line(), "ready");
        server
    }

    /// Waits for its first line, and keeps the line for [`kill`](Self::kill).
    pub fn wait_until_it_speaks(&mut self) {
        let line = self.next_line();
        self.received.push(line);
    }

    /// Returns its next line.
    pub fn next_line(&self) -> String {
        tokio::task::block_in_place(|| self.lines.recv_timeout(PATIENCE)).expect("a line from the process")
    }

    /// Returns its next line within a time.
    pub fn line_within(&self, time: Duration) -> Option<String> {
        tokio::task::block_in_place(|| self.lines.recv_timeout(time)).ok()
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Sends a line and returns the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.next_line()
    }

    /// Sends a signal: `-STOP`, `-CONT`.
    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Returns its exit status if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Kills it with -9 and returns the lines that were not received yet.
    pub fn kill(mut self) -> Vec<String> {
        assert_eq!(self.ended(), None, "a process ended before it was killed");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.received.extend(self.lines.iter());
        std::mem::take(&mut self.received)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
