//! The guarantees of a log, its followers and its views.

use std::collections::{BTreeMap, HashMap, HashSet};

use annals::events::Stored;
use annals::prelude::*;
use uuid::Uuid;

use crate::bank::*;
use crate::processes::{id, is_deposit};

/// The answers to writers: the position of each command, by writer and number.
#[derive(Default)]
pub struct Answers {
    acknowledged: HashMap<(u64, u64), Acknowledged>,
    /// The number of each writer's first command without an answer.
    next: HashMap<u64, u64>,
}

struct Acknowledged {
    first: u64,
    events: u64,
    last_id: Uuid,
}

impl Answers {
    /// Returns the number at which a writer begins: a few answered commands are repeated.
    pub fn next(&self, writer: u64) -> u64 {
        self.next.get(&writer).copied().unwrap_or(0).saturating_sub(3)
    }

    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }

    /// Adds the lines of a writer.
    pub fn add(&mut self, writer: u64, said: &[String]) {
        for line in said {
            let words: Vec<&str> = line.split(' ').collect();
            let n: u64 = words[1].parse().unwrap();
            self.next.insert(writer, n + 1);
            if words[0] == "ack" {
                let number = |index: usize| words[index].parse::<u64>().unwrap();
                let (first, events) = (number(2), number(3));
                let answered = Acknowledged { first, events, last_id: words[4].parse().unwrap() };
                if let Some(before) = self.acknowledged.insert((writer, n), answered) {
                    assert_eq!(before.first, first, "a repeated receipt equals the first one");
                    assert_eq!(words[5], "true", "a repeated receipt is marked");
                }
            }
        }
    }

    /// Removes and returns the acknowledged commands that the log does not hold, as after a failover that lost its tail.
    pub fn take_lost(&mut self, log: &[Stored]) -> Vec<(u64, u64)> {
        let held = |of: &(u64, u64), answered: &Acknowledged| {
            let last = log.get((answered.first + answered.events) as usize - 2);
            last.is_some_and(|event| event.event_id == answered.last_id && event.command_id == id(of.0, of.1))
        };
        let lost: Vec<_> = self.acknowledged.iter().filter(|(of, one)| !held(of, one)).map(|(of, _)| *of).collect();
        lost.iter().for_each(|of| _ = self.acknowledged.remove(of));
        lost
    }

    /// Missions X1, X2 and A11: every acknowledged command is in the log once, at its receipt's position; no other
    /// command is there twice or partly.
    fn hold(&self, log: &[Stored]) {
        for ((writer, n), answered) in &self.acknowledged {
            let events = &log[answered.first as usize - 1..(answered.first + answered.events) as usize - 1];
            assert!(
                events.iter().all(|event| event.command_id == id(*writer, *n)),
                "{n} of {writer} is at another position"
            );
            assert_eq!(events.last().map(|event| event.event_id), Some(answered.last_id));
        }
        let mut seen = HashSet::new();
        for command in log.chunk_by(|a, b| a.command_id == b.command_id) {
            let command_id = command[0].command_id;
            assert!(seen.insert(command_id), "{command_id} is in the log twice");
            let (known, n) = command_id.as_u64_pair();
            if known >> 63 == 1 && command[0].metadata.contains("writer") {
                assert_eq!(command.len(), if is_deposit(n) { 1 } else { 2 }, "{command_id} is in the log partly");
            }
        }
    }
}

/// The balance of each account.
pub fn fold(log: &[Stored]) -> BTreeMap<String, Balance> {
    let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
    log.iter().for_each(|stored| fold_on(&mut balances, stored));
    balances
}

/// Applies one event.
pub fn fold_on(balances: &mut BTreeMap<String, Balance>, stored: &Stored) {
    let event = Recorded::<AccountEvent>::from_stored(stored).unwrap();
    let balance = balances.entry(stored.aggregate.id().to_owned()).or_default();
    balance.events += 1;
    match event.event {
        AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => balance.cents += cents,
        AccountEvent::Sent { cents, .. } => balance.cents -= cents,
        AccountEvent::Opened | AccountEvent::Closed => {}
    }
    assert!(balance.cents >= 0, "event {} was decided on a state that never existed", stored.position);
}

/// Checks all guarantees of a store without writers. Returns the log.
pub async fn assert_kept(annals: &Annals, answers: &Answers) -> Vec<Stored> {
    let log = log(annals).await;
    let mut sequences = HashMap::new();
    for (event, position) in log.iter().zip(1..) {
        assert_eq!(event.position, position, "positions have no gap");
        let sequence: &mut u64 = sequences.entry(event.aggregate.clone()).or_default();
        *sequence += 1;
        assert_eq!(event.sequence, *sequence, "sequences have no gap");
    }
    for pair in log.windows(2) {
        assert!(pair[0].event_id < pair[1].event_id && pair[0].recorded_at <= pair[1].recorded_at, "{pair:#?}");
    }
    answers.hold(&log);

    // Mission X13: every transfer is complete, and the total equals all payments.
    let balances = fold(&log);
    let paid = |event: &Stored| match AccountEvent::from_stored(event).unwrap() {
        AccountEvent::Deposited { cents } => cents,
        _ => 0,
    };
    let sum: i64 = balances.values().map(|balance| balance.cents).sum();
    assert_eq!(sum, log.iter().map(paid).sum::<i64>(), "the total of the balances differs from all payments");

    // Projections equal a fold of the log.
    let head = annals.store().head().await.unwrap();
    assert_eq!(head.position, log.len() as u64);
    for name in ["balance", "audit", "metrics"] {
        annals.reading(name).unwrap().caught_up(head, None).await.unwrap();
    }
    let view = annals.views::<Balance>().page(100, None).await.unwrap();
    let view: BTreeMap<_, _> =
        view.documents.into_iter().map(|(key, balance)| (Id::text(&key).into_owned(), balance)).collect();
    assert_eq!(view, balances, "the view is not a fold of the log");
    assert_eq!(annals.metric("bank").await.unwrap().total, log.len() as u64);
    assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
    log
}

/// The events that a follower received over all rounds.
pub struct Follower {
    pub role: &'static str,
    wants: fn(&Stored) -> bool,
    seen: Vec<u64>,
}

impl Follower {
    pub fn of_all(role: &'static str) -> Self {
        Self { role, wants: |_| true, seen: Vec::new() }
    }

    pub fn of_deposits() -> Self {
        Self { role: "deposits", wants: |event| event.event_type == "account.deposited", seen: Vec::new() }
    }

    /// Returns the last position that it received.
    pub fn last(&self) -> u64 {
        self.seen.last().copied().unwrap_or(0)
    }

    pub fn add(&mut self, said: &[String]) {
        self.seen.extend(said.iter().map(|line| line.strip_prefix("saw ").unwrap().parse::<u64>().unwrap()));
    }

    /// Mission X1: it has received each event exactly once, and no other.
    pub fn assert_followed(&self, log: &[Stored]) {
        let wanted = log.iter().filter(|event| (self.wants)(event)).map(|event| event.position);
        let wanted: Vec<u64> = wanted.take_while(|position| *position <= self.last()).collect();
        let wrong = self.seen.iter().zip(&wanted).find(|(seen, wanted)| seen != wanted);
        assert_eq!(wrong, None, "{} saw the first where the second is next", self.role);
        assert_eq!(self.seen.len(), wanted.len(), "{} skipped the end", self.role);
    }
}
