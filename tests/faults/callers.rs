//! A process with 32 callers that write, and repeat what has no answer: see `standbys`.

use std::time::Duration;

use annals::commands::ExecuteError;
use annals::prelude::*;
use futures::future::join_all;

use crate::bank::*;
use crate::processes::{id, is_deposit, say};
use crate::promises::Answers;

/// The callers of a process.
pub const CALLERS: u64 = 32;

/// Executes the commands of the callers from `first` on, each in its order. Says `CALLER ack N FIRST EVENTS HEAD REPEATED`,
/// `CALLER refused N`, and, where the command is repeated, `CALLER failed N` or `CALLER diverged N`.
pub async fn call(annals: &Annals, first: u64) {
    join_all((first..first + CALLERS).map(|caller| {
        let annals = annals.clone();
        tokio::spawn(async move {
            for n in 0.. {
                execute(&annals, first, caller, n).await;
            }
        })
    }))
    .await;
}

async fn execute(annals: &Annals, first: u64, caller: u64, n: u64) {
    let context = by(&format!("writer{caller}")).command_id(id(caller, n));
    let (from, to) = (caller.to_string(), (first + (caller + 1 + n % 7) % CALLERS).to_string());
    loop {
        let answer = match is_deposit(n) {
            true => annals.execute(deposit(&from, 10), &context).await,
            false => {
                let transfer = Transfer { from: account(&from), to: account(&to), cents: 1 + n as i64 % 7 };
                annals.execute(transfer, &context).await
            }
        };
        match answer {
            Ok(Receipt { first_position, events, head, repeated, .. }) => {
                return say(format!("{caller} ack {n} {first_position} {events} {} {repeated}", head.event_id));
            }
            Err(ExecuteError::Refused(_)) => return say(format!("{caller} refused {n}")),
            Err(error) => {
                let how = if format!("{error:?}").contains("Diverged") { "diverged" } else { "failed" };
                say(format!("{caller} {how} {n}"));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a process with callers said.
#[derive(Default)]
pub struct Said {
    /// How often a command ended with the error that the log diverged.
    pub diverged: usize,
    pub failed: usize,
}

impl Said {
    /// Reads the lines of a process, and adds the answers.
    pub fn read(lines: &[String], answers: &mut Answers) -> Self {
        let mut said = Self::default();
        for line in lines {
            let Some((caller, rest)) = line.split_once(' ') else { continue };
            match rest.split(' ').next() {
                Some("diverged") => said.diverged += 1,
                Some("failed") => said.failed += 1,
                _ => answers.add(caller.parse().unwrap(), &[rest.to_owned()]),
            }
        }
        said
    }
}
