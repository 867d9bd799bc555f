//! Appending, compared with a model in memory.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::bench::{Bench, Make, append, assert_in_order, commit, log};
use crate::store::{ConflictSet, Outcome, Store};

const AGGREGATES: u8 = 4;

/// One commit: its id (one of few, so that ids repeat), its body, its aggregates, and whether its id is kept.
#[derive(Clone, Debug)]
struct Plan {
    id: u8,
    other_body: bool,
    /// Aggregate, error of the expected sequence, number of events.
    streams: Vec<(u8, i8, u8)>,
    keep: bool,
    order_group: Option<u64>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let off = prop_oneof![8 => Just(0_i8), 1 => Just(-1), 1 => Just(1)];
    let stream = (0..AGGREGATES, off, 0..3_u8);
    let streams = prop::collection::vec(stream, 0..3).prop_map(|mut streams| {
        streams.sort_unstable_by_key(|stream| stream.0);
        streams.dedup_by_key(|stream| stream.0);
        streams
    });
    let order_group = prop::option::weighted(0.2, 0..2_u64);
    (0..u8::MAX, prop::bool::weighted(0.1), streams, any::<bool>(), order_group).prop_map(
        |(id, other_body, streams, keep, order_group)| Plan { id, other_body, streams, keep, order_group },
    )
}

/// The state of a store, as simple as possible.
#[derive(Clone, Default)]
struct Model {
    commands: HashMap<u8, bool>,
    sequences: [u64; AGGREGATES as usize],
    events: u64,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Committed(u64),
    Duplicate,
    IdReused,
    Conflict,
}

impl Model {
    fn expected(&self, stream: &(u8, i8, u8)) -> u64 {
        self.sequences[usize::from(stream.0)].saturating_add_signed(stream.1.into())
    }

    fn make(&self, plan: &Plan) -> Make {
        let mut made = commit(plan.id.into()).body(if plan.other_body { "other" } else { "body" });
        for stream in &plan.streams {
            made = made.on(&format!("tally:{}", stream.0), self.expected(stream), stream.2.into());
        }
        made = if plan.keep { made.keep() } else { made };
        match plan.order_group {
            Some(order_group) => made.order_group(order_group),
            None => made,
        }
    }

    fn append(&mut self, plan: &Plan, decided_on: &Self, conflicts: &mut ConflictSet) -> Expected {
        let commit = decided_on.make(plan).done();
        let outcome = self.outcome(plan, decided_on, conflicts.affects(&commit));
        if !matches!(outcome, Expected::Committed(_)) {
            conflicts.add(&commit);
        }
        outcome
    }

    fn outcome(&mut self, plan: &Plan, decided_on: &Self, dependent: bool) -> Expected {
        if let Some(other_body) = self.commands.get(&plan.id) {
            return if *other_body == plan.other_body { Expected::Duplicate } else { Expected::IdReused };
        }
        let moved = |stream: &(u8, i8, u8)| decided_on.expected(stream) != self.sequences[usize::from(stream.0)];
        if dependent || plan.streams.iter().any(moved) {
            return Expected::Conflict;
        }
        let mut written = 0;
        for stream in &plan.streams {
            self.sequences[usize::from(stream.0)] += u64::from(stream.2);
            written += u64::from(stream.2);
        }
        if written > 0 || plan.keep {
            self.commands.insert(plan.id, plan.other_body);
        }
        self.events += written;
        Expected::Committed(written)
    }
}

/// Guarantees 1, 2 and 5: the order of the rules of `Store::append`.
pub(super) async fn appending_agrees_with_a_list_in_memory(bench: Bench) {
    let store = bench.open().await;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let mut model = Model::default();
    // Each batch is appended to the log of the previous ones.
    for _ in 0..150 {
        let tree = prop::collection::vec(plan(), 1..8).new_tree(&mut runner).expect("a plan");
        let plans = tree.current();
        agree(&store, &mut model, &plans).await.unwrap_or_else(|error| panic!("{error}: {plans:#?}"));
    }
}

/// One batch, decided on the log before it.
async fn agree(store: &Arc<dyn Store>, model: &mut Model, plans: &[Plan]) -> Result<(), TestCaseError> {
    let before = model.clone();
    let outcomes = append(&**store, plans.iter().map(|plan| before.make(plan))).await;
    let mut conflicts = ConflictSet::default();
    for (plan, outcome) in plans.iter().zip(&outcomes) {
        let found = match outcome {
            Outcome::Committed(receipt) => Expected::Committed(receipt.events),
            Outcome::Duplicate(_) => Expected::Duplicate,
            Outcome::IdReused => Expected::IdReused,
            Outcome::Conflict => Expected::Conflict,
        };
        prop_assert_eq!(found, model.append(plan, &before, &mut conflicts));
    }
    let events = log(&**store).await;
    prop_assert_eq!(events.len() as u64, model.events);
    assert_in_order(&events);
    Ok(())
}
