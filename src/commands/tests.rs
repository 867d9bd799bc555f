//! Forces the trap of the state cache: a commit that was decided on a state that was never committed must not be appended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::prelude::*;
use crate::store::{Batch, Commit, EventMetadata, NewEvent, Outcome, StreamAppend};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct TillId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "till", on = Till)]
enum TillEvent {
    #[event(update, "{actor} put {cents} into {till}")]
    Filled { cents: i64 },
    #[event(update, "{actor} took {cents} out of {till}")]
    Emptied { cents: i64 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Till {
    cents: i64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the till holds {0}")]
struct Holds(i64);

impl Aggregate for Till {
    const TYPE: &'static str = "till";
    type Id = TillId;
    type Event = TillEvent;
    type Error = Holds;

    fn apply(&mut self, event: &TillEvent) {
        match event {
            TillEvent::Filled { cents } => self.cents += cents,
            TillEvent::Emptied { cents } => self.cents -= cents,
        }
    }
}

/// Take ten out
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct TakeTen {
    #[on(Till)]
    till: TillId,
}

impl Handle for TakeTen {
    fn handle(&self, till: &Loaded<Till>, _: &Context) -> Result<Vec<TillEvent>, Holds> {
        match till.cents {
            10.. => Ok(vec![TillEvent::Emptied { cents: 10 }]),
            cents => Err(Holds(cents)),
        }
    }
}

/// Put a hundred in, if there is nothing left
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct RefillIfEmpty {
    #[on(Till)]
    till: TillId,
}

impl Handle for RefillIfEmpty {
    fn handle(&self, till: &Loaded<Till>, _: &Context) -> Result<Vec<TillEvent>, Holds> {
        match till.cents {
            0 => Ok(vec![TillEvent::Filled { cents: 100 }]),
            cents => Err(Holds(cents)),
        }
    }
}

fn clerk() -> Context {
    Context::by(Ref::unchecked("user", "clerk"))
}

/// An append by another process.
fn from_elsewhere(expected: u64, cents: i64) -> Batch {
    let event = NewEvent::new("till.filled", "1.0", format!("{{\"cents\":{cents}}}"));
    let stream = StreamAppend::new(Ref::unchecked("till", "front"), expected, vec![event]);
    let metadata = r#"{"actor":"user:elsewhere"}"#.into();
    let commit = Commit::new(
        Uuid::now_v7(),
        "fill".into(),
        [0; 32],
        EventMetadata::same(metadata),
        None,
        vec![stream],
        false,
        None,
    );
    Batch::new(vec![commit])
}

/// Guarantee 5. The till holds 10. One command takes them; while its commit is queued, a second one, decided on the empty
/// till, refills it. Meanwhile another process puts 5 in: the first command conflicts, and the sequence that the second
/// one expects matches the log by luck. The second must be decided again, and is then refused.
#[tokio::test]
async fn a_commit_decided_on_a_state_that_was_never_committed_is_not_appended() {
    let annals = App::new("tills")
        .command::<TakeTen>()
        .command::<RefillIfEmpty>()
        .open("sqlite::memory:")
        .await
        .expect("a store in memory");
    let till = || TillId::new("front");
    let outcomes = annals.store().append(from_elsewhere(0, 10)).await.expect("an append");
    assert!(matches!(outcomes[..], [Outcome::Committed(_)]));

    let wait = Duration::from_secs(5);
    let mut elsewhere = annals.store().write_lock(wait, wait).await.expect("the log's lock");
    assert_eq!(elsewhere.load(&till().reference(), 0).await.expect("one event").len(), 1);
    let take = tokio::spawn({
        let annals = annals.clone();
        async move { annals.execute(TakeTen { till: TillId::new("front") }, &clerk()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refill = tokio::spawn({
        let annals = annals.clone();
        async move { annals.execute(RefillIfEmpty { till: TillId::new("front") }, &clerk()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!take.is_finished() && !refill.is_finished(), "no command is answered before it is durable");
    elsewhere.append(from_elsewhere(1, 5)).await.expect("an append");

    assert!(take.await.expect("an answer").is_ok(), "15 is enough to take 10");
    let refused = refill.await.expect("an answer").expect_err("the till was never empty");
    assert!(matches!(refused, super::ExecuteError::Refused(Holds(5 | 15))), "{refused}");
    let log = annals.events(0, 10).await.expect("a log").events;
    let types: Vec<_> = log.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["till.filled", "till.filled", "till.emptied"]);
    annals.close().await;
}

/// Projections and checks know only the events of registered aggregates.
#[test]
fn a_command_registers_each_aggregate_that_it_is_decided_on() {
    fn names<S: super::Scope>() -> Vec<&'static str> {
        S::aggregate_types().iter().map(|kind| kind.name()).collect()
    }
    assert_eq!(names::<Till>(), ["till"]);
    assert_eq!(names::<(Till, Till)>(), ["till"; 2]);
    assert_eq!(names::<(Till, Till, Till)>(), ["till"; 3]);
    assert_eq!(names::<Vec<Till>>(), ["till"]);
}

/// The commit queue on SQLite, and again on PostgreSQL.
#[cfg(all(feature = "conformance", feature = "sqlite", feature = "postgres"))]
mod queue {
    use std::sync::Arc;

    use jiff::Timestamp;

    use crate::commands::{CommitAnswer, CommitQueue};
    use crate::projections::tests::fixture::stores;
    use crate::store::conformance::bench::{APP, commit, receipt};
    use crate::store::{OpenOptions, open};

    /// Guarantee 4: the writer task owns a queued commit.
    #[test]
    fn a_caller_that_stops_waiting_cancels_nothing() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let options = OpenOptions { app: APP.to_owned(), clock: Arc::new(Timestamp::now), create: true };
            let store = open(&stores::empty(), options).await.unwrap();
            let queue = CommitQueue::start(store.clone(), Arc::default(), &[], None);
            let submit = |number: u64| {
                let made = commit(number.into()).on("tally:a", number, 1).done();
                queue.submit(made, &[]).expect("an open queue")
            };
            for number in 0..20 {
                drop(submit(number));
            }
            match submit(20).await.expect("an answer") {
                CommitAnswer::Outcome(outcome) => assert_eq!(receipt(outcome).head.position, 21),
                other => panic!("the last commit is {other:?}"),
            }
            queue.close().await;
            store.close().await;
        });
    }

    stores::on_postgres_too!(a_caller_that_stops_waiting_cancels_nothing);
}

/// Decisions that access control joins, also in the last attempt, on SQLite, and again on PostgreSQL.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod locked {
    use std::ops::ControlFlow;

    use super::*;
    use crate::app::{AccessContext, Ask, Authorise, Denial};
    use crate::commands::prepared::Prepared;
    use crate::projections::tests::fixture::stores;

    /// Lets anybody take out of the front till while there is something in the till `badge`.
    async fn with_badge(access: &AccessContext<'_>) -> Result<(), Denial> {
        match access.load::<Till>(&TillId::new("badge")).await?.cents {
            0 => Err(Denial::because("no badge")),
            _ => Ok(()),
        }
    }

    struct WithBadge;

    #[async_trait::async_trait]
    impl Authorise for WithBadge {
        async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
            match ask {
                Ask::Command { name: "take_ten", on: [of] } if of.id() == "front" => with_badge(access).await,
                _ => Ok(()),
            }
        }
    }

    /// Takes ten out of the front till, as far as the decision.
    async fn prepared(annals: &Annals) -> Prepared {
        let take = Box::new(TakeTen { till: TillId::new("front") });
        match annals.engine().prepare(annals.engine().receive(take, &clerk()).expect("a command")).await {
            ControlFlow::Continue(prepared) => prepared,
            ControlFlow::Break(answer) => panic!("{answer:?}"),
        }
    }

    /// Lets anybody take out of the front till while there is something in two other tills and nearly all is in the till.
    struct WithTills;

    #[async_trait::async_trait]
    impl Authorise for WithTills {
        async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
            match ask {
                Ask::Command { name: "take_ten", on: [of] } if of.id() == "front" => {
                    for (name, least) in [("badge", 1), ("permit", 1), ("badge", 1), ("front", 95)] {
                        if access.load::<Till>(&TillId::new(name)).await?.cents < least {
                            return Err(Denial::because(format!("too little in {name}")));
                        }
                    }
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }

    /// The authoriser loads several aggregates, one of them twice, and one that the command is on.
    #[test]
    fn an_authoriser_sees_each_aggregate_that_it_loads_and_is_asked_again_when_one_changes() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        runtime.block_on(async {
            let app = App::new("tills").command::<TakeTen>().command::<RefillIfEmpty>().authorise(WithTills);
            let annals = app.open(&stores::empty()).await.expect("an empty store");
            let till = |name| RefillIfEmpty { till: TillId::new(name) };
            for name in ["front", "badge"] {
                annals.execute(till(name), &clerk()).await.expect("a refill");
            }
            let denied = annals.execute(TakeTen { till: TillId::new("front") }, &clerk()).await;
            assert_eq!(denied.expect_err("no permit").to_string(), "denied: too little in permit");
            annals.execute(till("permit"), &clerk()).await.expect("a refill");
            let (taken, denied) = (prepared(&annals).await, prepared(&annals).await);
            assert!(annals.engine().run(&taken).await.is_ok());
            let before = annals.store().head().await.expect("a head");
            let denied = annals.engine().run(&denied).await.expect_err("90 are left");
            assert_eq!(denied.to_string(), "denied: too little in front");
            assert_eq!(annals.store().head().await.expect("a head"), before, "nothing was written");
            annals.close().await;
        });
    }

    /// A right that is taken away between the first answer of the authoriser and the last attempt, under the write lock.
    #[test]
    fn a_command_is_denied_under_the_write_lock_if_its_right_was_taken_away() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        runtime.block_on(async {
            let app = App::new("tills").command::<TakeTen>().command::<RefillIfEmpty>().authorise(WithBadge);
            let annals = app.open(&stores::empty()).await.expect("an empty store");
            let till = |name| RefillIfEmpty { till: TillId::new(name) };
            for name in ["front", "badge"] {
                annals.execute(till(name), &clerk()).await.expect("a refill");
            }
            let (taken, denied) = (prepared(&annals).await, prepared(&annals).await);
            assert!(annals.engine().run_locked(&taken).await.is_ok(), "the badge is there");
            for _ in 0..10 {
                annals.execute(TakeTen { till: TillId::new("badge") }, &clerk()).await.expect("ten");
            }
            let before = annals.store().head().await.expect("a head");
            match annals.engine().run_locked(&denied).await {
                Err(crate::commands::ExecuteError::Denied { reason }) => assert_eq!(reason, "no badge"),
                other => panic!("{other:?}"),
            }
            assert_eq!(annals.store().head().await.expect("a head"), before, "nothing was written");
            annals.close().await;
        });
    }

    stores::on_postgres_too!(
        a_command_is_denied_under_the_write_lock_if_its_right_was_taken_away,
        an_authoriser_sees_each_aggregate_that_it_loads_and_is_asked_again_when_one_changes,
    );
}

/// A command on three aggregates, on SQLite, and again on PostgreSQL.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod three {
    use super::*;
    use crate::commands::ExecuteError;
    use crate::projections::tests::fixture::stores;

    /// Take all out of two tills, and put it into a third one
    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    struct Collect {
        #[on(Till)]
        one: TillId,
        #[on(Till)]
        two: TillId,
        #[on(Till)]
        safe: TillId,
    }

    type Tills<'a> = (&'a Loaded<Till>, &'a Loaded<Till>, &'a Loaded<Till>);
    type Changes = (Vec<TillEvent>, Vec<TillEvent>, Vec<TillEvent>);

    impl Handle for Collect {
        fn handle(&self, (one, two, _): Tills<'_>, _: &Context) -> Result<Changes, Holds> {
            let emptied = |cents| vec![TillEvent::Emptied { cents }];
            match one.cents + two.cents {
                0 => Err(Holds(0)),
                cents => Ok((emptied(one.cents), emptied(two.cents), vec![TillEvent::Filled { cents }])),
            }
        }
    }

    #[test]
    fn a_command_on_three_aggregates_is_decided_on_each_and_committed_as_a_whole() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        runtime.block_on(async {
            let app = App::new("tills").command::<TakeTen>().command::<RefillIfEmpty>().command::<Collect>();
            let annals = app.open(&stores::empty()).await.expect("an empty store");
            for name in ["a", "b"] {
                annals.execute(RefillIfEmpty { till: TillId::new(name) }, &clerk()).await.expect("a refill");
            }
            annals.execute(TakeTen { till: TillId::new("b") }, &clerk()).await.expect("ten");
            let collect = async |safe| {
                let [one, two, safe] = ["a", "b", safe].map(TillId::new);
                annals.execute(Collect { one, two, safe }, &clerk()).await
            };
            let twice = collect("b").await.expect_err("a till is named twice");
            assert!(matches!(&twice, ExecuteError::SameAggregateTwice(till) if till.id() == "b"), "{twice}");
            let receipt = collect("c").await.expect("a commit");
            assert_eq!((receipt.first_position, receipt.events), (4, 3));
            let log = annals.events(3, 10).await.expect("a log").events;
            let written: Vec<_> =
                log.iter().map(|event| (event.aggregate.id(), &*event.event_type, &*event.payload)).collect();
            let emptied = "till.emptied";
            assert_eq!(
                written,
                [
                    ("a", emptied, r#"{"cents":100}"#),
                    ("b", emptied, r#"{"cents":90}"#),
                    ("c", "till.filled", r#"{"cents":190}"#)
                ]
            );
            let empty = collect("c").await.expect_err("nothing is left");
            assert!(matches!(empty, ExecuteError::Refused(Holds(0))), "{empty}");
            annals.execute(TakeTen { till: TillId::new("c") }, &clerk()).await.expect("ten of the third till");
            annals.close().await;
        });
    }

    stores::on_postgres_too!(a_command_on_three_aggregates_is_decided_on_each_and_committed_as_a_whole);
}
