//! What operators see of reactions, and skipping steps, in the library and on the command line.

use std::process::ExitCode;

use annals::prelude::*;
use annals::projections::{QueryError, ReadError};
use annals::reactions::StepError;
use annals::reactions::{PendingQuery, PendingStep, Reaction, ReactionStatus, Then};
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};

use crate::shop::*;
use crate::until;

/// Remind somebody of an order. The application does not register it, so that it cannot be executed
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Remind {
    #[on(Order)]
    order: OrderId,
}

impl Handle for Remind {
    fn handle(&self, _: &Loaded<Order>, _: &Context) -> Result<Vec<OrderEvent>, std::convert::Infallible> {
        Ok(Vec::new())
    }
}

/// A command at once, which fails, and a timer.
struct Reminding;

impl Reaction for Reminding {
    const NAME: &'static str = "reminding";
    type On = Order;
    fn react(event: &Recorded<OrderEvent>, order: &Loaded<Order>) -> Then {
        let order = order.id().clone();
        match event.event {
            OrderEvent::Placed => {
                Then::nothing().execute(Remind { order: order.clone() }).after(HOUR, "lapse", Lapse { order })
            }
            OrderEvent::Paid => panic!("what an odd order"),
            OrderEvent::Lapsed => Then::nothing(),
        }
    }
}

fn app() -> App {
    shop().reaction::<Reminding>()
}

async fn place_orders(annals: &Annals, count: usize) {
    for n in 0..count {
        annals.execute(PlaceOrder { order: order(&n.to_string()) }, &by("alice")).await.unwrap();
    }
    until(async || annals.pending_steps("reminding", 100).await.unwrap().len() == 2 * count).await;
}

async fn status(annals: &Annals) -> ReactionStatus {
    annals.reactions().await.unwrap().remove(0)
}

pub async fn pages_of_pending_steps_are_the_whole_list(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    place_orders(&annals, 5).await;
    let whole = annals.pending_steps("reminding", 100).await.unwrap();
    assert!(whole.is_sorted_by_key(|step| (step.due, step.position, step.number)), "{whole:?}");
    let paged = async |query: PendingQuery| {
        let (mut steps, mut query) = (Vec::<PendingStep>::new(), query);
        loop {
            let page = annals.pending_page("reminding", &query).await.unwrap();
            assert!(page.steps.len() <= 3 && !page.steps.is_empty(), "{page:?}");
            steps.extend(page.steps);
            // As a caller sends it.
            query.cursor = page.next.map(|next| next.to_string().parse().unwrap());
            if query.cursor.is_none() {
                return steps;
            }
        }
    };
    let three = PendingQuery { limit: Some(3), ..PendingQuery::default() };
    assert_eq!(paged(three.clone()).await, whole);
    let timers = paged(PendingQuery { timers: true, ..three.clone() }).await;
    assert_eq!((timers.len(), timers.iter().all(|step| step.timer.as_deref() == Some("lapse"))), (5, true));
    let one: Ref = "order:3".parse().unwrap();
    let of_one = paged(PendingQuery { aggregate: Some(one.clone()), ..three.clone() }).await;
    let commands: Vec<&str> = of_one.iter().map(|step| step.command.as_str()).collect();
    assert_eq!((commands, of_one.iter().all(|step| step.aggregate == one)), (vec!["remind", "lapse"], true));
    let of_both = paged(PendingQuery { aggregate: Some(one), timers: true, limit: Some(1), cursor: None }).await;
    assert_eq!(of_both, of_one[1..]);
    let unknown = annals.pending_page("nothing", &three).await;
    assert!(matches!(unknown, Err(ReadError::UnknownReaction { .. })), "{unknown:?}");
    annals.close().await;
}

pub async fn a_status_says_what_is_to_be_done_and_what_fails(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    place_orders(&annals, 2).await;
    annals.execute(Pay { order: order("odd") }, &by("alice")).await.unwrap();
    until(async || status(&annals).await.blocked.len() == 2 && status(&annals).await.parked.len() == 1).await;
    let shown = status(&annals).await;
    assert_eq!((shown.pending, shown.timers, shown.version, shown.started), (2, 2, 1, 1), "{shown:?}");
    assert!(shown.failures >= 2 && shown.leads && shown.leader.is_some() && shown.stopped.is_none(), "{shown:?}");
    let first = annals.pending_steps("reminding", 1).await.unwrap().remove(0);
    assert_eq!(shown.next_due, Some(first.due));
    assert!(shown.next_timer > shown.next_due, "{shown:?}");
    assert!(shown.blocked[0].reason.contains("remind"), "{shown:?}");

    // A step that is skipped does not fail any more.
    annals.skip_step("reminding", first.id, "nobody reads it", &by("bob")).await.unwrap();
    until(async || {
        let shown = status(&annals).await;
        shown.pending == 1 && shown.blocked.len() == 1 && shown.blocked[0].step != first.id
    })
    .await;
    annals.close().await;
}

pub async fn a_skip_needs_a_reason_a_step_and_a_reaction(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    place_orders(&annals, 1).await;
    let step = annals.pending_steps("reminding", 1).await.unwrap().remove(0).id;
    for why in ["", " \n", &"a".repeat(1_001)] {
        let answer = annals.skip_step("reminding", step, why, &by("bob")).await;
        assert!(matches!(answer, Err(StepError::Why)), "{why:?}: {answer:?}");
    }
    let answer = annals.skip_step("nothing", step, "why", &by("bob")).await;
    assert!(matches!(answer, Err(StepError::Read(ReadError::UnknownReaction { .. }))), "{answer:?}");
    assert_eq!(annals.pending_steps("reminding", 10).await.unwrap().len(), 2);
    assert_eq!("1_2".parse::<annals::reactions::PendingCursor>(), Err(QueryError::DamagedCursor));
    annals.close().await;
}

async fn run(arguments: &[&str], place: &Place) -> bool {
    let arguments = [&["shop", "reactions"], arguments, &["--store", place.url()]].concat();
    format!("{:?}", app().main_with(arguments).await) == format!("{:?}", ExitCode::SUCCESS)
}

/// Mission X65.
pub async fn the_command_line_shows_reactions_without_writing_and_skips_a_step(place: &Place) {
    let annals = shop().open(place.url()).await.unwrap();
    annals.execute(PlaceOrder { order: order("0") }, &by("alice")).await.unwrap();
    annals.close().await;
    let head = async || {
        let annals = shop().open_without_following(place.url()).await.unwrap();
        let head = annals.store().head().await.unwrap();
        annals.close().await;
        head
    };
    let before = head().await;
    assert!(run(&["status"], place).await && run(&["pending", "reminding"], place).await);
    assert_eq!(head().await, before, "showing a reaction starts it");

    let annals = app().open(place.url()).await.unwrap();
    place_orders(&annals, 2).await;
    let step = annals.pending_steps("reminding", 1).await.unwrap().remove(0).id.to_string();
    annals.close().await;
    let before = head().await;
    for arguments in [
        &["status", "--format", "json"][..],
        &["pending", "reminding", "--timers", "--limit", "1"],
        &["pending", "reminding", "--aggregate", "order:1", "--cursor", "0_0_0", "--format", "json"],
    ] {
        assert!(run(arguments, place).await, "{arguments:?}");
    }
    for arguments in [
        &["pending", "nothing"][..],
        &["pending", "reminding", "--cursor", "1"],
        &["pending", "reminding", "--limit", "1001"],
        &["skip", "reminding", &step, "--why", "nobody reads it"],
        &["skip", "reminding", &step, "--as", "user:bob"],
        &["skip", "reminding", &step, "--why", " ", "--as", "user:bob"],
    ] {
        assert!(!run(arguments, place).await, "{arguments:?}");
    }
    assert_eq!(head().await, before);
    assert!(run(&["skip", "reminding", &step, "--why", "nobody reads it", "--as", "user:bob"], place).await);
    let annals = app().open(place.url()).await.unwrap();
    until(async || annals.pending_steps("reminding", 10).await.unwrap().len() == 3).await;
    let skipped = annals.events(head().await.position - 1, 1).await.unwrap().events.remove(0);
    assert_eq!(skipped.metadata().unwrap().actor.as_str(), "user:bob");
    assert!(skipped.payload.contains("nobody reads it"), "{skipped:?}");

    let replay = ["replay", "reminding", &step, "--why", "somebody reads it", "--as", "user:carol"];
    assert!(!run(&replay, place).await, "the command is not registered");
    assert!(!run(&["replay", "reminding", &step, "--why", "w"], place).await, "by nobody");

    // What needs an operator fails the command.
    annals.execute(Pay { order: order("odd") }, &by("alice")).await.unwrap();
    until(async || status(&annals).await.parked.len() == 1).await;
    annals.close().await;
    assert!(!run(&["status"], place).await);
}
