//! Each step takes effect once: Mission X14, Guarantee 30.

use annals::app::{AccessContext, Ask, Denial};
use annals::prelude::*;
use annals_test_postgres::Place;

use crate::shop::*;
use crate::{is_quiet, until};

pub async fn a_command_follows_an_event_once_and_says_why(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    let context = by("alice").correlation("request-7");
    let paid = annals.execute(Pay { order: order("1") }, &context).await.unwrap();
    until(async || !packed(&annals, "1").await.is_empty()).await;
    is_quiet(&annals, "packing").await;
    assert_eq!(packed(&annals, "1").await, [1]);
    let parcel: Ref = "parcel:1".parse().unwrap();
    let stored = annals.history(&parcel, 0, 10).await.unwrap().remove(0);
    let metadata = stored.metadata().unwrap();
    assert_eq!(metadata.actor.as_str(), "annals_reaction:packing");
    assert_eq!(metadata.on_behalf_of.unwrap().as_str(), "user:alice");
    assert_eq!(metadata.causation.unwrap(), paid.head.event_id.to_string());
    assert_eq!(metadata.correlation.unwrap(), "request-7");
    assert_eq!(metadata.depth, 1);
    annals.close().await;
}

pub async fn the_steps_of_an_aggregate_are_done_in_order(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    for _ in 0..40 {
        annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
        annals.execute(Pay { order: order("2") }, &by("alice")).await.unwrap();
    }
    is_quiet(&annals, "packing").await;
    let expected: Vec<u32> = (1..=40).collect();
    for id in ["1", "2"] {
        assert_eq!(packed(&annals, id).await, expected);
    }
    annals.close().await;
}

/// Guarantee 30: what is to be done follows from the log alone.
pub async fn a_rebuild_fires_nothing(place: &Place) {
    let annals = shop().reaction::<Packing>().reaction::<Lapsing>().open(place.url()).await.unwrap();
    annals.execute(PlaceOrder { order: order("open") }, &by("alice")).await.unwrap();
    for id in ["1", "forbidden", "packed", "packed"] {
        annals.execute(Pay { order: order(id) }, &by("alice")).await.unwrap();
    }
    is_quiet(&annals, "packing").await;
    is_quiet(&annals, "lapsing").await;
    let before = (annals.store().head().await.unwrap(), steps(&annals).await);
    assert_eq!(before.1.len(), 1, "the timer");
    for reaction in ["reaction_packing", "reaction_lapsing"] {
        annals.rebuild(reaction).unwrap().await.unwrap();
    }
    is_quiet(&annals, "packing").await;
    annals.execute(Pay { order: order("2") }, &by("alice")).await.unwrap();
    until(async || packed(&annals, "2").await.len() == 1).await;
    is_quiet(&annals, "packing").await;
    let head = annals.store().head().await.unwrap();
    assert_eq!(head.position, before.0.position + 2, "the payment and its parcel");
    assert_eq!(steps(&annals).await, before.1);
    annals.close().await;
}

async fn steps(annals: &Annals) -> Vec<String> {
    let mut steps = Vec::new();
    for reaction in ["packing", "lapsing"] {
        let pending = annals.pending_steps(reaction, 100).await.unwrap();
        steps.extend(pending.iter().map(|step| serde_json::to_string(step).unwrap()));
    }
    steps
}

pub async fn what_is_left_is_done_after_a_restart(place: &Place) {
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    annals.close().await;
    // This process only writes.
    let writer = shop().reaction::<Packing>().open_without_following(place.url()).await.unwrap();
    for id in ["1", "2", "3"] {
        writer.execute(Pay { order: order(id) }, &by("alice")).await.unwrap();
    }
    writer.close().await;
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    until(async || !packed(&annals, "3").await.is_empty()).await;
    is_quiet(&annals, "packing").await;
    for id in ["1", "2", "3"] {
        assert_eq!(packed(&annals, id).await, [1]);
    }
    annals.close().await;
}

pub async fn a_new_reaction_reacts_from_now_or_from_the_beginning(place: &Place) {
    let annals = shop().open(place.url()).await.unwrap();
    annals.execute(Pay { order: order("old") }, &by("alice")).await.unwrap();
    annals.close().await;
    let annals = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    annals.execute(Pay { order: order("new") }, &by("alice")).await.unwrap();
    until(async || !packed(&annals, "new").await.is_empty()).await;
    is_quiet(&annals, "packing").await;
    assert!(packed(&annals, "old").await.is_empty());
    annals.close().await;
    let annals = shop().reaction::<PackingAll>().open(place.url()).await.unwrap();
    until(async || !packed(&annals, "old").await.is_empty()).await;
    is_quiet(&annals, "packing").await;
    assert_eq!((packed(&annals, "old").await, packed(&annals, "new").await), (vec![1], vec![1]));
    annals.close().await;
}

/// Both run the same projection; the leader executes, and command ids make it once.
pub async fn two_programs_that_react_do_each_step_once(place: &Place) {
    let one = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    let two = shop().reaction::<Packing>().open(place.url()).await.unwrap();
    for n in 0..30 {
        let annals = if n % 2 == 0 { &one } else { &two };
        annals.execute(Pay { order: order(&(n % 5).to_string()) }, &by("alice")).await.unwrap();
        if n == 15 {
            one.close().await;
            break;
        }
    }
    for n in 16..30 {
        two.execute(Pay { order: order(&(n % 5).to_string()) }, &by("alice")).await.unwrap();
    }
    until(async || {
        let mut all = 0;
        for id in 0..5 {
            all += packed(&two, &id.to_string()).await.len();
        }
        all == 30
    })
    .await;
    is_quiet(&two, "packing").await;
    for id in 0..5 {
        assert_eq!(packed(&two, &id.to_string()).await, [1, 2, 3, 4, 5, 6]);
    }
    two.close().await;
}

pub async fn an_older_program_stops_when_a_newer_version_is_started(place: &Place) {
    let old = shop().reaction::<Packing<1>>().open(place.url()).await.unwrap();
    old.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    until(async || packed(&old, "1").await.len() == 1).await;
    is_quiet(&old, "packing").await;
    let new = shop().reaction::<Packing<2>>().open_without_following(place.url()).await.unwrap();
    new.close().await;
    // Started, and closed at once: only the old one is left.
    shop().reaction::<Packing<2>>().open(place.url()).await.unwrap().close().await;
    old.execute(Pay { order: order("2") }, &by("alice")).await.unwrap();
    until(async || old.reactions().await.unwrap()[0].superseded.is_some()).await;
    assert!(packed(&old, "2").await.is_empty());
    let new = shop().reaction::<Packing<2>>().open(place.url()).await.unwrap();
    until(async || packed(&new, "2").await.len() == 1).await;
    assert_eq!(packed(&new, "1").await, [1]);
    new.close().await;
    old.close().await;
}

/// A reaction acts by its own right, also for somebody whose right has ended.
pub async fn a_reaction_asks_no_access_control(place: &Place) {
    let app = shop().reaction::<Packing>().authorise(|context: &AccessContext<'_>, ask: &Ask<'_>| match ask {
        Ask::Command { name, .. } if *name == "pay" => Ok(()),
        _ => Err(Denial::because(format!("{} may do nothing else", context.actor()))),
    });
    let annals = app.open(place.url()).await.unwrap();
    annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    let own = Pack { parcel: ParcelId::new("1"), payment: 7 };
    let answer = annals.execute(own, &by("alice")).await;
    assert!(matches!(answer, Err(ExecuteError::Denied { .. })), "{answer:?}");
    until(async || packed(&annals, "1").await == [1]).await;
    annals.close().await;
}
