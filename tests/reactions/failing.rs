//! Refusals, panics, loops and skipped steps.

use std::sync::atomic::Ordering;

use annals::prelude::*;
use annals::reactions::StepError;
use annals::reactions::{MAX_DEPTH, Reaction, Then};
use annals_test_postgres::Place;

use crate::shop::*;
use crate::{is_quiet, until};

/// The sentences of a reaction's record.
async fn record(annals: &Annals, reaction: &str) -> Vec<String> {
    let record: Ref = format!("annals_reaction:{reaction}").parse().unwrap();
    let events = annals.history(&record, 0, 100).await.unwrap();
    events.iter().map(|stored| format!("{} {}", stored.event_type, stored.payload)).collect()
}

pub async fn a_refusal_is_recorded_and_the_reaction_continues(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    let paid = annals.execute(Pay { order: order("forbidden") }, &by("alice")).await.unwrap();
    annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    until(async || !packed(&annals, "1").await.is_empty()).await;
    is_quiet(&annals, "packing").await;
    let record = record(&annals, "packing").await;
    assert_eq!(record.len(), 2, "the start, and the refusal: {record:?}");
    assert!(record[1].starts_with("annals_reaction.refused"), "{record:?}");
    assert!(record[1].contains("nothing is sent to parcel:forbidden"), "{record:?}");
    assert!(record[1].contains(&paid.head.event_id.to_string()), "{record:?}");
    annals.close().await;
}

pub async fn a_command_that_changes_nothing_is_recorded_and_done(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    for _ in 0..2 {
        annals.execute(Pay { order: order("packed") }, &by("alice")).await.unwrap();
    }
    until(async || record(&annals, "packing").await.len() == 2).await;
    is_quiet(&annals, "packing").await;
    assert!(record(&annals, "packing").await[1].starts_with("annals_reaction.changed_nothing"));
    assert_eq!(packed(&annals, "packed").await, [1]);
    annals.close().await;
}

/// What stays wrong until the program is corrected.
pub async fn a_step_that_panics_is_tried_again_and_blocks_only_its_aggregate(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    annals.execute(Pay { order: order("fragile") }, &by("alice")).await.unwrap();
    annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    until(async || !packed(&annals, "1").await.is_empty()).await;
    let blocked = async || annals.reactions().await.unwrap().remove(0).blocked;
    until(async || blocked().await.first().is_some_and(|blocked| blocked.attempts > 1)).await;
    let only = blocked().await.remove(0);
    assert_eq!((only.aggregate.as_str(), only.reason.contains("panicked")), ("order:fragile", true), "{only:?}");
    if place.schema().is_none() {
        // The switch is shared by both stores.
        MENDED.store(true, Ordering::SeqCst);
        until(async || !packed(&annals, "fragile").await.is_empty()).await;
        is_quiet(&annals, "packing").await;
        assert!(blocked().await.is_empty());
        MENDED.store(false, Ordering::SeqCst);
    }
    annals.close().await;
}

pub async fn a_reaction_that_panics_parks_only_its_aggregate(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    let odd = annals.execute(Pay { order: order("odd") }, &by("alice")).await.unwrap();
    annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    until(async || !packed(&annals, "1").await.is_empty()).await;
    let status = annals.reactions().await.unwrap().remove(0);
    assert_eq!(status.parked.len(), 1);
    assert_eq!((status.parked[0].aggregate.as_str(), status.parked[0].position), ("order:odd", odd.head.position));
    assert!(status.parked[0].reason.contains("what an odd order"), "{status:?}");
    annals.close().await;
}

pub async fn reactions_that_lead_to_each_other_end_at_a_depth(place: &Place) {
    let annals = shop().reaction::<Moving>().open(place.url()).await.unwrap();
    annals.execute(Move { parcel: ParcelId::new("1") }, &by("alice")).await.unwrap();
    until(async || record(&annals, "moving").await.len() == 2).await;
    is_quiet(&annals, "moving").await;
    let parcel = annals.load::<Parcel>(&ParcelId::new("1")).await.unwrap();
    assert_eq!(parcel.moves, MAX_DEPTH + 1);
    let refused = record(&annals, "moving").await.remove(1);
    assert!(refused.contains("17 reactions have led to each other"), "{refused}");
    annals.close().await;
}

/// Guarantee 30: who knows an event can derive the id of its steps.
pub async fn no_caller_can_use_the_id_of_a_step(place: &Place) {
    let annals = shop().reaction::<Lapsing>().open(place.url()).await.unwrap();
    annals.execute(PlaceOrder { order: order("1") }, &by("alice")).await.unwrap();
    until(async || annals.pending_steps("lapsing", 10).await.unwrap().len() == 1).await;
    let step = annals.pending_steps("lapsing", 10).await.unwrap().remove(0);
    let context = by("mallory").command_id(step.id);
    let answer = annals.execute(Lapse { order: order("1") }, &context).await;
    assert!(matches!(answer, Err(ExecuteError::CommandIdReserved(_))), "{answer:?}");
    for actor in ["annals_reaction:lapsing", "annals_reaction:other"] {
        let context = Context::by(actor.parse::<Ref>().unwrap());
        let answer = annals.execute(Lapse { order: order("1") }, &context).await;
        assert!(matches!(answer, Err(ExecuteError::Reference(_))), "{answer:?}");
    }
    annals.close().await;
}

pub async fn a_skipped_step_is_not_done(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    annals.execute(Pay { order: order("fragile-2") }, &by("alice")).await.unwrap();
    until(async || packed(&annals, "fragile-2").await.len() == 1).await;
    annals.close().await;
    let annals = shop().reaction::<Lapsing>().open(place.url()).await.unwrap();
    annals.execute(PlaceOrder { order: order("1") }, &by("alice")).await.unwrap();
    until(async || annals.pending_steps("lapsing", 10).await.unwrap().len() == 1).await;
    let step = annals.pending_steps("lapsing", 10).await.unwrap().remove(0);
    annals.skip_step("lapsing", step.id, "the customer called", &by("bob")).await.unwrap();
    until(async || annals.pending_steps("lapsing", 10).await.unwrap().is_empty()).await;
    let again = annals.skip_step("lapsing", step.id, "again", &by("bob")).await;
    assert!(matches!(again, Err(StepError::Unknown(_))), "{again:?}");
    let record = record(&annals, "lapsing").await;
    assert!(record[1].contains("the customer called"), "{record:?}");
    annals.close().await;
}

/// A reaction to an aggregate that no command is decided on.
struct Unsound;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct GhostId(String);

#[derive(Event, Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[event(name = "ghost", on = Ghost)]
enum GhostEvent {
    #[event(create, "{ghost} appeared")]
    Appeared,
}

#[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
struct Ghost {}

impl Aggregate for Ghost {
    const TYPE: &'static str = "ghost";
    type Id = GhostId;
    type Event = GhostEvent;
    type Error = std::convert::Infallible;
    fn apply(&mut self, _: &GhostEvent) {}
}

impl Reaction for Unsound {
    const NAME: &'static str = "Un sound";
    const VERSION: u32 = 0;
    type On = Ghost;
    fn react(_: &Recorded<GhostEvent>, _: &Loaded<Ghost>) -> Then {
        Then::nothing()
    }
}

pub async fn an_unsound_reaction_is_refused(place: &Place) {
    let error = shop().reaction::<Unsound>().open(place.url()).await.unwrap_err();
    let text = format!("{:#}", error);
    for part in ["rename `Un sound`", "version 0", "reacts to `ghost`"] {
        assert!(text.contains(part), "{text}");
    }
}
