//! Steps that were refused or skipped, and are executed after all.

use annals::events::Stored;
use annals::prelude::*;
use annals::reactions::{Reaction, Replay, StepError, Then};
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::shop::*;
use crate::{is_quiet, until};

/// The events of a reaction's record.
async fn record(annals: &Annals, reaction: &str) -> Vec<Stored> {
    let record: Ref = format!("annals_reaction:{reaction}").parse().unwrap();
    annals.history(&record, 0, 100).await.unwrap()
}

/// The command ids of the steps that were refused, in order.
async fn refused(annals: &Annals) -> Vec<Uuid> {
    let record = record(annals, "packing").await;
    record
        .iter()
        .filter(|stored| stored.event_type == "annals_reaction.refused")
        .map(|one| one.command_id)
        .collect()
}

async fn replay(annals: &Annals, step: Uuid) -> Result<Replay, StepError> {
    annals.replay_step("packing", step, "the parcel was moved", &by("bob")).await
}

/// Mission X65. A parcel that is not moved is not packed: what was refused is done once it was moved, as it was asked for then.
pub async fn a_refused_step_is_replayed_once_with_the_state_of_its_event(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    let paid = annals.execute(Pay { order: order("limited") }, &by("alice")).await.unwrap();
    annals.execute(Pay { order: order("limited") }, &by("alice")).await.unwrap();
    until(async || refused(&annals).await.len() == 2).await;
    let step = refused(&annals).await[0];

    let again = replay(&annals, step).await.unwrap();
    assert!(again.refused && again.receipt.events == 2, "{again:?}");
    let last = *refused(&annals).await.last().unwrap();
    assert_ne!(last, step);

    annals.execute(Move { parcel: ParcelId::new("limited") }, &by("alice")).await.unwrap();
    // Of two at the same time one takes effect. The command id of a refused replay names the step too.
    let (one, other) = tokio::join!(replay(&annals, step), replay(&annals, last));
    let (done, late) = match one {
        Ok(done) => (done, other),
        late => (other.unwrap(), late),
    };
    assert!(!done.refused, "{done:?}");
    assert!(matches!(late, Err(StepError::Done(id)) if id == step), "{late:?}");
    assert!(matches!(replay(&annals, step).await, Err(StepError::Done(_))));
    assert_eq!(packed(&annals, "limited").await, [1], "the first payment, although there are two");

    let events = annals.events(done.receipt.first_position - 1, 10).await.unwrap().events;
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert!(types.contains(&"parcel.packed") && types.contains(&"annals_reaction.replayed"), "{types:?}");
    for event in &events {
        let metadata = event.metadata().unwrap();
        assert_eq!(metadata.actor.as_str(), "annals_reaction:packing");
        assert_eq!(metadata.on_behalf_of.unwrap().as_str(), "user:bob");
        assert_eq!(metadata.causation, Some(paid.head.event_id.to_string()));
    }
    is_quiet(&annals, "packing").await;
    annals.close().await;
}

pub async fn a_skipped_timer_is_replayed_at_once(place: &Place) {
    let annals = shop().reaction::<Lapsing>().open(place.url()).await.unwrap();
    annals.execute(PlaceOrder { order: order("1") }, &by("alice")).await.unwrap();
    until(async || annals.pending_steps("lapsing", 10).await.unwrap().len() == 1).await;
    let step = annals.pending_steps("lapsing", 10).await.unwrap().remove(0).id;
    let early = annals.replay_step("lapsing", step, "why", &by("bob")).await;
    assert!(matches!(early, Err(StepError::NotRefused(id)) if id == step), "it is pending: {early:?}");
    annals.skip_step("lapsing", step, "the customer called", &by("bob")).await.unwrap();
    let done = annals.replay_step("lapsing", step, "it was another customer", &by("carol")).await.unwrap();
    assert!(!done.refused, "{done:?}");
    let types: Vec<_> = record(&annals, "lapsing").await.into_iter().map(|stored| stored.event_type).collect();
    assert_eq!(types[1..], ["annals_reaction.skipped", "annals_reaction.replayed"]);
    let lapsed = annals.load::<Order>(&order("1")).await.unwrap();
    assert!(!lapsed.open, "it has not lapsed");
    annals.close().await;
}

/// The same reaction, which packs nothing any more.
struct PackingNothing;

impl Reaction for PackingNothing {
    const NAME: &'static str = "packing";
    type On = Order;
    fn react(_: &Recorded<OrderEvent>, order: &Loaded<Order>) -> Then {
        assert_ne!(order.id().text(), "odd", "what an odd order");
        Then::nothing()
    }
}

pub async fn what_cannot_be_replayed_says_why_and_writes_nothing(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    annals.execute(Pay { order: order("limited") }, &by("alice")).await.unwrap();
    let paid = annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    until(async || !packed(&annals, "1").await.is_empty() && refused(&annals).await.len() == 1).await;
    is_quiet(&annals, "packing").await;
    let step = refused(&annals).await[0];
    let before = annals.store().head().await.unwrap();
    let page = annals.events(before.position - 4, 10).await.unwrap().events;
    let done = page.iter().find(|event| event.event_type == "parcel.packed").unwrap().command_id;
    for other in [done, paid.command_id, Uuid::new_v4()] {
        let answer = replay(&annals, other).await;
        assert!(matches!(answer, Err(StepError::NotRefused(id)) if id == other), "{answer:?}");
    }
    for why in ["", " \n", &"a".repeat(1_001)] {
        let answer = annals.replay_step("packing", step, why, &by("bob")).await;
        assert!(matches!(answer, Err(StepError::Why)), "{why:?}: {answer:?}");
    }
    let unknown = annals.replay_step("nothing", step, "why", &by("bob")).await;
    assert!(matches!(unknown, Err(StepError::Read(_))), "{unknown:?}");
    annals.close().await;

    let annals = shop().reaction::<PackingNothing>().open(place.url()).await.unwrap();
    let answer = replay(&annals, step).await;
    assert!(matches!(answer, Err(StepError::NoLonger { step: id, .. }) if id == step), "{answer:?}");
    assert_eq!(annals.store().head().await.unwrap(), before, "something was written");
    annals.close().await;
}
